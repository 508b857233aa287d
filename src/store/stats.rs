//! Statistics: what a store occupies, as plain values.

use super::IndexStats;
use super::core::Core;
use crate::catalog::View;
use crate::engine::Engine;
use crate::error::Result;
use crate::expiry::{Counts, Expiring};
use crate::id::{Epoch, PartitionId, ShardId};
use crate::log::{CommitLog, CopyState};
use crate::placement::PartitionRange;
use crate::reshape::ReshapeStats;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// What a partition occupies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PartitionStats {
    /// Its number.
    pub id: PartitionId,
    /// The shard that holds it.
    pub owner: ShardId,
    /// The tokens or keys that belong to it.
    #[serde(rename = "span")]
    pub range: PartitionRange,
    /// About how many keys it has.
    pub keys_estimated: u64,
    /// Bytes of its files.
    pub bytes_on_disk: u64,
    /// Bytes of its write buffers.
    pub bytes_in_memory: u64,
    /// About how many bytes of its files belong to none of its keys: the partition was made by
    /// linking the files of one that was split, and is to be trimmed.
    pub foreign_bytes: u64,
    /// True while it is behind the log: its shard has refused a write that is in the log, and so it
    /// refuses reads and writes until the store has brought it up.
    pub behind: bool,
}

/// What a shard occupies, over all keyspaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ShardStats {
    /// Its number.
    pub id: ShardId,
    /// Where it is. In JSON it is text, or a list of bytes if it is not valid text.
    #[serde(serialize_with = "crate::topology::path::serialize")]
    pub directory: PathBuf,
    /// Its share of hash keyspaces, relative to the other shards.
    pub weight: u32,
    /// Its zone.
    pub zone: Option<String>,
    /// How many partitions it owns.
    pub partitions: usize,
    /// About how many keys they have.
    pub keys_estimated: u64,
    /// Bytes of their files.
    pub bytes_on_disk: u64,
    /// Bytes of their write buffers.
    pub bytes_in_memory: u64,
    /// Bytes of their files that belong to none of their keys, until they are trimmed.
    pub foreign_bytes: u64,
    /// How many of its partitions are [behind](PartitionStats::behind) the log.
    pub partitions_behind: usize,
    /// True while it is being removed: it receives nothing new.
    pub draining: bool,
    /// True while its disk, or that of the log, has less room than the
    /// [reserve](crate::Options::disk_reserve), so that puts are refused.
    pub disk_full: bool,
    /// What calls it works on, if the store [refuses what is too much](crate::Options::overload) and the
    /// shard was asked for something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<CallStats>,
}

/// The calls that a shard works on, and those that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CallStats {
    /// How many it works on at most, at present.
    pub limit: u32,
    /// How many it works on.
    pub in_flight: u32,
    /// How many wait for their turn.
    pub waiting: usize,
}

impl CallStats {
    pub(super) fn of(core: &Core, shard: ShardId) -> Option<Self> {
        let (limit, in_flight, waiting) = core.admission.as_ref()?.state_of(shard)?;
        Some(Self { limit, in_flight, waiting })
    }
}

/// What a keyspace occupies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KeyspaceStats {
    /// Its name.
    pub name: String,
    /// `hash` or `range`.
    pub partitioning: &'static str,
    /// Its partitions, in the order of tokens or keys.
    pub partitions: Vec<PartitionStats>,
    /// Its [indexes](crate::index), whether declared since the opening or not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<IndexStats>,
    /// What is known of its rows that have expired; `None` if its rows do not expire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiry: Option<ExpiryStats>,
}

/// What is known of the rows of a keyspace that have expired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ExpiryStats {
    /// How long rows live whose put does not say it; `None` if those never expire.
    #[serde(rename = "default_ms", with = "crate::units::optional_ms")]
    pub default_lifetime: Option<Duration>,
    /// How many rows compactions have removed, since the store was opened, because they had
    /// expired.
    pub rows_reclaimed: u64,
    /// Bytes of their keys and values, before compression.
    pub bytes_reclaimed: u64,
    /// How many rows compactions have come to since the store was opened that had expired and
    /// stayed, because a snapshot, a transaction or a reshape that began before could still read
    /// them. A row may be counted several times.
    pub rows_held: u64,
    /// How many rows scans have passed over since the store was opened because they had expired:
    /// what those cost that are not reclaimed yet. A row may be counted several times.
    pub rows_passed: u64,
}

impl ExpiryStats {
    pub(super) fn of(expiring: &Expiring) -> Self {
        let Counts { rows_reclaimed, bytes_reclaimed, rows_held, rows_passed } = expiring.counts();
        let default_lifetime = expiring.time_to_live().default_lifetime();
        Self { default_lifetime, rows_reclaimed, bytes_reclaimed, rows_held, rows_passed }
    }
}

/// A copy of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LogCopyStats {
    /// The directory of its segments. In JSON it is text, or a list of bytes if it is not valid
    /// text.
    #[serde(serialize_with = "crate::topology::path::serialize")]
    pub directory: PathBuf,
    /// Bytes of its segments; 0 if it is not written any more.
    pub bytes: u64,
    /// Why it is not written any more, if it is not: the log goes on without it. Repair or exchange
    /// its disk, and open the store again, which makes it from the other copy.
    pub failure: Option<String>,
}

/// What a store occupies.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StoreStats {
    /// The version of the topology.
    pub epoch: Epoch,
    /// Its shards.
    pub shards: Vec<ShardStats>,
    /// Its keyspaces.
    pub keyspaces: Vec<KeyspaceStats>,
    /// The totals of reshapes since the store was opened.
    pub reshapes: ReshapeStats,
    /// Bytes in the block cache.
    pub cache_bytes: usize,
    /// Bytes in write buffers, over all shards.
    pub write_buffer_bytes: usize,
    /// Bytes of keys, values and batches in memory on behalf of calls that wait or are worked on; 0 if the
    /// store does not [account for them](crate::OverloadOptions::memory_max).
    pub call_bytes: usize,
    /// Bytes of the log on disk, in all its copies: what is not in files of all shards yet, rounded
    /// up to whole segments, and segments that are kept for later. It is more where a shard cannot
    /// be flushed, or while a reshape reads the log.
    pub log_bytes: u64,
    /// The copies of the log: one, or two if it has a [mirror](crate::Options::log_mirror).
    pub log_copies: Vec<LogCopyStats>,
    /// Whether the engine was compiled to compute checksums in hardware. In software each write
    /// costs noticeably more processor time; the README says what to set.
    pub hardware_checksums: bool,
}

pub(super) fn log_copies(log: &CommitLog) -> Vec<LogCopyStats> {
    let bytes = log.bytes_of_copy();
    let stats = |CopyState { directory, failure, .. }| LogCopyStats {
        directory,
        bytes: if failure.is_none() { bytes } else { 0 },
        failure,
    };
    log.copies().into_iter().map(stats).collect()
}

pub(super) fn partitions(view: &View) -> Result<Vec<PartitionStats>> {
    view.keyspace
        .partitions()
        .zip(&view.partitions)
        .map(|(described, open)| {
            let usage = open.shard.usage(&open.handle)?;
            let foreign = |whole: u64| whole / 1000 * u64::from(open.out_of_range_permille);
            Ok(PartitionStats {
                id: described.id,
                owner: described.owner,
                range: described.range,
                keys_estimated: usage.keys_estimated - foreign(usage.keys_estimated),
                foreign_bytes: foreign(usage.bytes_on_disk),
                bytes_on_disk: usage.bytes_on_disk,
                bytes_in_memory: usage.bytes_in_memory,
                behind: open.state.is_behind(),
            })
        })
        .collect()
}
