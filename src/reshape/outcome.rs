//! How a reshape ended.

use super::options::Transport;
use super::phase::Phase;
use crate::id::{KeyspaceId, PartitionId, ShardId};
use crate::topology::ReshapeKind;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a reshape ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Outcome {
    /// The number of the reshape in its store.
    pub reshape: u64,
    /// What it did to the number of partitions.
    pub kind: ReshapeKind,
    /// Whether it only wrote a partition anew, without the rows of others.
    pub trim: bool,
    /// The keyspace.
    pub keyspace: KeyspaceId,
    /// The partitions that went.
    pub sources: Vec<PartitionId>,
    /// The shards that they were on.
    pub from: Vec<ShardId>,
    /// The partitions that came. A partition that only moves keeps its number.
    pub targets: Vec<PartitionId>,
    /// The shards that they are on.
    pub to: Vec<ShardId>,
    /// How their content got there.
    pub transport: Transport,
    /// `Cleaned` or `RolledBack`; `Sealed` if its commit is in doubt.
    pub phase: Phase,
    /// Why it was rolled back.
    pub error: Option<String>,
    /// Bytes of files that were linked, or of rows that were copied.
    pub bytes: u64,
    /// Keys that were written meanwhile and copied after the rest.
    pub keys_caught_up: u64,
    /// How often it was tried to seal the sources.
    pub rounds: u32,
    /// The longest that writes had to wait at once, in milliseconds: for the commit, or for the cut
    /// at which both sides are compared.
    pub pause_ms: f64,
    /// How long all of it took, in milliseconds.
    pub elapsed_ms: f64,
    /// When it ended, in seconds since 1970.
    pub unix_seconds: u64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |ids: &[PartitionId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join("+");
        let shards =
            |ids: &[ShardId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join("+");
        write!(
            f,
            "reshape {}: {} of partition {} on shard {} to {} on {} by {}: {}",
            self.reshape,
            if self.trim { "trim".to_owned() } else { self.kind.to_string() },
            list(&self.sources),
            shards(&self.from),
            list(&self.targets),
            shards(&self.to),
            self.transport,
            self.phase,
        )?;
        match &self.error {
            Some(error) => write!(f, " ({error})"),
            None => {
                write!(f, " in {:.1} ms, writes paused {:.2} ms", self.elapsed_ms, self.pause_ms)
            }
        }
    }
}
