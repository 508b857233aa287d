//! What a scan left out.

use crate::error::Error;
use crate::id::{PartitionId, ShardId};
use parking_lot::Mutex;
use serde::{Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

/// A part of a keyspace that a [scan](crate::Scan::left_out) left out because it is damaged, or on a missing
/// shard.
///
/// Its text describes it for people, and so does its serialized form.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LeftOut {
    /// The partition.
    pub partition: PartitionId,
    /// The shard that holds it.
    pub shard: ShardId,
    /// Whether rows of it were returned before the damage was met: then only the rest is missing.
    pub is_rest: bool,
    /// What was met, with the file; of kind [`Unavailable`](crate::ErrorKind::Unavailable) if the
    /// shard is missing.
    pub error: Error,
}

/// What the cursors of a scan left out so far.
pub(crate) type LeftOutList = Arc<Mutex<Vec<LeftOut>>>;

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = if self.is_rest { "the rest of " } else { "" };
        write!(f, "{rest}partition {} on shard {}: {:#}", self.partition, self.shard, self.error)
    }
}

impl Serialize for LeftOut {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
