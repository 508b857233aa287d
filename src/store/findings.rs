//! Findings: what an opening repaired or found damaged, and what a verification found, each with a
//! text for people.

use super::index::findings::IndexProblem;
use crate::error::Error;
use crate::id::{KeyspaceId, PartitionId, ShardId};
use crate::reshape::journal::Intent;
use crate::topology::ReshapeKind;
use serde::{Serialize, Serializer};
use std::fmt;
use std::path::PathBuf;

/// Something that an interrupted change had left behind, and that the opening of the store removed.
///
/// Its text describes it for people, and so does its serialized form.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Leftover {
    /// A partition that is not in the topology, or is on another shard there.
    #[non_exhaustive]
    Partition {
        /// The partition.
        partition: PartitionId,
        /// Where it was.
        shard: ShardId,
    },
    /// The files of a shard that had been removed from the store.
    #[non_exhaustive]
    Shard {
        /// The number of the shard.
        shard: ShardId,
        /// Where they were.
        directory: PathBuf,
    },
    /// An index of a keyspace that had been dropped.
    #[non_exhaustive]
    Index {
        /// The number of the keyspace.
        keyspace: KeyspaceId,
        /// The name of the index.
        index: String,
    },
}

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partition { partition, shard } => {
                write!(f, "partition {partition} on shard {shard}")
            }
            Self::Shard { shard, directory } => {
                write!(f, "the files of removed shard {shard} in {}", directory.display())
            }
            Self::Index { keyspace, index } => {
                write!(f, "index `{index}` of keyspace {keyspace}, which had been dropped")
            }
        }
    }
}

/// A reshape that was not committed when its process died, and was rolled back by the opening of
/// the store.
///
/// Its text describes it for people, and so does its serialized form.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RolledBack {
    /// The number of the reshape.
    pub reshape: u64,
    /// The kind of reshape.
    pub kind: ReshapeKind,
    /// The partitions that were being reshaped; they serve as before.
    pub sources: Vec<PartitionId>,
    /// The shards that were to receive its targets, which are gone.
    pub to: Vec<ShardId>,
}

impl RolledBack {
    pub(super) fn new(reshape: u64, intent: &Intent) -> Self {
        let spec = &intent.spec;
        let (sources, to) = (spec.sources.clone(), spec.owners.clone());
        Self { reshape, kind: spec.kind(), sources, to }
    }
}

impl fmt::Display for RolledBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reshape, kind, .. } = self;
        let (sources, to) = (list(&self.sources), list(&self.to));
        write!(f, "reshape {reshape}, a {kind} of partition {sources} to shard {to}")
    }
}

fn list(ids: &[impl fmt::Display]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

/// A partition with a file that the opening of the store found damaged.
///
/// Its text describes it for people, and so does its serialized form.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DamagedPartition {
    /// The partition.
    pub partition: PartitionId,
    /// The shard that holds it.
    pub shard: ShardId,
    /// The engine's description of the damage, which names the file.
    pub reason: String,
}

impl fmt::Display for DamagedPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "partition {} on shard {}: {}", self.partition, self.shard, self.reason)
    }
}

/// A shard that is missing: the opening of the store has done without it, as it was
/// [allowed](crate::StoreBuilder::allow_missing_shards) to, or the store has taken it out since.
///
/// Its text describes it for people, and so does its serialized form.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingShard {
    /// Its number.
    pub shard: ShardId,
    /// Where it should be.
    pub directory: PathBuf,
    /// Why it could not be opened.
    pub reason: String,
}

impl fmt::Display for MissingShard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shard {} in {}: {}", self.shard, self.directory.display(), self.reason)
    }
}

/// What the opening of the store repaired.
///
/// Its text describes it for people, and so does its serialized form.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recovered {
    /// A leftover was removed.
    Leftover(Leftover),
    /// A reshape was rolled back.
    RolledBack(RolledBack),
}

impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leftover(leftover) => leftover.fmt(f),
            Self::RolledBack(reshape) => reshape.fmt(f),
        }
    }
}

/// What is wrong with a store; found by [`Store::verify`](crate::Store::verify).
///
/// Its text describes it for people, and so does its serialized form. Partitions are named by their
/// index in their keyspace, in the order of tokens or keys.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Problem {
    /// The topology breaks an invariant.
    Topology(Error),
    /// A partition cannot be read to its end.
    #[non_exhaustive]
    Unreadable {
        /// The name of its keyspace.
        keyspace: String,
        /// The partition's index.
        index: usize,
        /// Why.
        error: Error,
    },
    /// A key is in a partition other than the one to which it is routed. Only the first such keys
    /// of each shard and keyspace are listed;
    /// [`KeyspaceVerification`](crate::report::KeyspaceVerification) counts all of them.
    #[non_exhaustive]
    Misplaced {
        /// The name of the keyspace.
        keyspace: String,
        /// The key.
        key: Vec<u8>,
        /// The index of the partition that holds it.
        index: usize,
        /// The index of the partition to which it is routed.
        routed_to: usize,
    },
    /// A key follows one that is not less than it.
    #[non_exhaustive]
    OutOfOrder {
        /// The name of the keyspace.
        keyspace: String,
        /// The partition's index.
        index: usize,
        /// The key.
        key: Vec<u8>,
    },
    /// An index and the rows of its keyspace do not agree. Only the first findings of each index are
    /// listed; [`Index::verify`](crate::Index::verify) counts all of them.
    #[non_exhaustive]
    Index {
        /// The name of the keyspace.
        keyspace: String,
        /// The name of the index.
        index: String,
        /// What is wrong.
        problem: IndexProblem,
    },
    /// A block on disk does not match its checksum, or cannot be read.
    #[non_exhaustive]
    Checksum {
        /// The shard; `None` for the metadata.
        shard: Option<ShardId>,
        /// The error, which names the file.
        error: Error,
    },
    /// The opening of the store found a file of a partition damaged.
    Damaged(DamagedPartition),
    /// A shard is missing, or was taken out, and nothing of it is checked.
    Missing(MissingShard),
    /// The thread that checked a part of the store panicked, so the rest of that part is not
    /// checked.
    #[non_exhaustive]
    Unchecked {
        /// The shard; `None` for the metadata.
        shard: Option<ShardId>,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |shard: &Option<ShardId>| {
            shard.map_or_else(|| "the metadata".to_owned(), |shard| format!("shard {shard}"))
        };
        match self {
            Self::Topology(error) => write!(f, "{error:#}"),
            Self::Unreadable { keyspace, index, error } => {
                write!(f, "partition {index} of keyspace `{keyspace}`: {error:#}")
            }
            Self::Misplaced { keyspace, key, index, routed_to } => write!(
                f,
                "keyspace `{keyspace}`: key `{}` stands in partition {index}, routing looks in \
                 {routed_to}",
                key.escape_ascii()
            ),
            Self::OutOfOrder { index, key, .. } => {
                write!(f, "partition {index}: key `{}` is out of order", key.escape_ascii())
            }
            Self::Index { keyspace, index, problem } => {
                write!(f, "index `{index}` of keyspace `{keyspace}`: {problem}")
            }
            Self::Checksum { shard, error } => write!(f, "{}: {error:#}", place(shard)),
            Self::Damaged(partition) => write!(f, "damaged: {partition}"),
            Self::Missing(shard) => write!(f, "missing: {shard}"),
            Self::Unchecked { shard } => {
                write!(f, "{}: a worker of the verification panicked", place(shard))
            }
        }
    }
}

macro_rules! serialize_as_text {
    ($($finding:ty),*) => {$(
        impl Serialize for $finding {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

serialize_as_text!(Leftover, RolledBack, DamagedPartition, MissingShard, Recovered, Problem);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::LogLoss;
    use crate::error::ErrorKind;

    #[test]
    fn findings_are_serialized_as_their_texts() {
        let error = || Error::new(ErrorKind::Damaged, "bad block in 7.sst");
        let (partition, shard) = (PartitionId(3), ShardId(1));
        let keyspace = || "users".to_owned();
        let rolled_back = RolledBack {
            reshape: 9,
            kind: ReshapeKind::Merge,
            sources: vec![partition, PartitionId(4)],
            to: vec![shard],
        };
        let damaged = DamagedPartition { partition, shard, reason: "bad footer in 8.sst".into() };
        let torn = LogLoss::Torn { file: "4.log".into(), offset: 10, bytes: 5, later: true };
        let found: Vec<(serde_json::Result<serde_json::Value>, &str)> = vec![
            (
                serde_json::to_value(&torn),
                "the last 5 bytes of the log 4.log, and what later logs hold: not whole from offset 10 on",
            ),
            (
                serde_json::to_value(Leftover::Partition { partition, shard }),
                "partition 3 on shard 1",
            ),
            (
                serde_json::to_value(Leftover::Shard { shard, directory: "s".into() }),
                "the files of removed shard 1 in s",
            ),
            (
                serde_json::to_value(Recovered::RolledBack(rolled_back)),
                "reshape 9, a merge of partition 3 and 4 to shard 1",
            ),
            (serde_json::to_value(Problem::Topology(error())), "bad block in 7.sst"),
            (
                serde_json::to_value(Problem::Unreadable {
                    keyspace: keyspace(),
                    index: 2,
                    error: error(),
                }),
                "partition 2 of keyspace `users`: bad block in 7.sst",
            ),
            (
                serde_json::to_value(Problem::Misplaced {
                    keyspace: keyspace(),
                    key: b"\xffk".to_vec(),
                    index: 2,
                    routed_to: 0,
                }),
                "keyspace `users`: key `\\xffk` stands in partition 2, routing looks in 0",
            ),
            (
                serde_json::to_value(Problem::OutOfOrder {
                    keyspace: keyspace(),
                    index: 2,
                    key: b"k".to_vec(),
                }),
                "partition 2: key `k` is out of order",
            ),
            (
                serde_json::to_value(Problem::Checksum { shard: None, error: error() }),
                "the metadata: bad block in 7.sst",
            ),
            (
                serde_json::to_value(Problem::Damaged(damaged)),
                "damaged: partition 3 on shard 1: bad footer in 8.sst",
            ),
            (
                serde_json::to_value(Problem::Unchecked { shard: Some(shard) }),
                "shard 1: a worker of the verification panicked",
            ),
        ];
        for (found, text) in found {
            assert_eq!(found.unwrap(), text);
        }
    }
}
