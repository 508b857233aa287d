//! Recovery: an opening removes partitions that an interrupted change has left behind, and rolls
//! back reshapes that were not committed.

use super::findings::{DamagedPartition, Leftover, MissingShard, RolledBack};
use super::forget::ForgottenShard;
use crate::catalog::Metadata;
use crate::engine::{
    Cursor, Direction, Durability, Engine, LogLoss, MetadataBatch, Read, ShardEngine,
};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ShardId;
use crate::log::CopyRepair;
use crate::placement::KeyRange;
use crate::reshape::journal::{self, Intent};
use crate::topology::{PartitionName, Topology};
use crate::units;
use crate::write::Replayed;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

/// What the opening found and repaired.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// What was read back from the log; nothing if the store was closed. Much of it may have been in
    /// files already.
    pub replayed: Replayed,
    /// Leftovers of interrupted changes, which were removed.
    pub orphans: Vec<Leftover>,
    /// Reshapes that were not committed and have been rolled back.
    pub rolled_back: Vec<RolledBack>,
    /// What the ends of the log, of the metadata's log, and of the shards' lists of files had lost:
    /// writes that were in progress or not synced when the power failed, and with
    /// [`LogDamage::DropRest`](crate::LogDamage::DropRest) what followed damage. Only the latter can
    /// include synced writes.
    pub lost: Vec<LogLoss>,
    /// What was wrong with one of the copies of a log that has a
    /// [mirror](crate::Options::log_mirror), and whether it is whole again. No write was lost by it.
    pub log_copies: Vec<CopyRepair>,
    /// Partitions with a damaged file, and that file. Reads that need the file fail as
    /// [`Damaged`](ErrorKind::Damaged), and all others succeed; writes are accepted, and go to
    /// other files; the partition's files are not merged. Restore the file, or drop the keyspace.
    /// Files that were not opened yet may be damaged, too: [`Store::verify`](crate::Store::verify)
    /// reads all files.
    pub damaged: Vec<DamagedPartition>,
    /// Shards whose removal was interrupted: [`Store::remove_shard`](crate::Store::remove_shard)
    /// continues it.
    pub draining: Vec<ShardId>,
    /// Shards that the opening has done without, as it was
    /// [allowed](crate::StoreBuilder::allow_missing_shards) to.
    pub missing: Vec<MissingShard>,
    /// Shards that the opening has given up, as it [was to](crate::StoreBuilder::forget_shard).
    pub forgotten: Vec<ForgottenShard>,
}

/// Checks that every partition of the topology is there, and removes others, which are leftovers of
/// a change that a crash interrupted. All shards are checked before anything is removed.
pub(super) fn check_partitions(
    topology: &Topology,
    shards: &BTreeMap<ShardId, Arc<ShardEngine>>,
    intents: &[(u64, Intent)],
    recovery: &mut RecoveryReport,
) -> Result<()> {
    let mut orphans = Vec::new();
    for (id, shard) in shards {
        let there: BTreeSet<_> = shard.partitions().into_iter().collect();
        let wanted = wanted_partitions(topology, *id, &there)?;
        for orphan in there.difference(&wanted) {
            if !is_intended(intents, *id, *orphan) {
                check_orphan(topology, *id, shard, *orphan)?;
            }
            orphans.push((*id, shard, *orphan));
        }
    }
    for (id, shard, orphan) in orphans {
        shard.drop_partition(orphan)?;
        tracing::warn!(shard = %id, partition = %orphan.id, "removed the leftover of an interrupted change");
        recovery.orphans.push(Leftover::Partition { partition: orphan.id, shard: id });
    }
    Ok(())
}

/// Returns true if a partition is the target of a reshape that was not committed: its sources have
/// everything that it has.
fn is_intended(intents: &[(u64, Intent)], shard: ShardId, name: PartitionName) -> bool {
    intents.iter().any(|(_, intent)| intent.targets.contains(&(name, shard)))
}

/// Ends reshapes that were not committed, once their targets are gone.
pub(super) fn roll_back(
    metadata: &Metadata,
    intents: &[(u64, Intent)],
    recovery: &mut RecoveryReport,
) -> Result<()> {
    let mut batch = MetadataBatch::default();
    for (number, intent) in intents {
        journal::end(&mut batch, *number);
        let what = RolledBack::new(*number, intent);
        tracing::warn!("rolled back {what}, which was interrupted");
        recovery.rolled_back.push(what);
    }
    metadata.engine.write(batch, Durability::Synced)?;
    let now = units::to_the_second(SystemTime::now());
    for (number, intent) in intents {
        // The history is for people; the store does not need it.
        if let Err(error) = journal::remember(metadata, *number, &intent.interrupted(*number, now))
        {
            tracing::warn!(error = format_args!("{error:#}"), "cannot note how a reshape ended");
        }
    }
    Ok(())
}

/// Returns the partitions that a shard owns, all of which must be there.
pub(super) fn wanted_partitions(
    topology: &Topology,
    shard: ShardId,
    there: &BTreeSet<PartitionName>,
) -> Result<BTreeSet<PartitionName>> {
    let mut wanted = BTreeSet::new();
    for keyspace in topology.keyspaces() {
        for (name, _) in keyspace.names().filter(|(_, owner)| *owner == shard) {
            if !there.contains(&name) {
                return Err(Error::new(
                    ErrorKind::Damaged,
                    format!(
                        "shard {shard} lacks partition {} of keyspace `{}`; restore the shard from a copy",
                        name.id,
                        keyspace.name()
                    ),
                ));
            }
            wanted.insert(name);
        }
    }
    Ok(wanted)
}

/// Checks that a partition with a number that the topology has never assigned is empty, as one left
/// behind by an interrupted creation is. If it is not empty, the metadata is older than the shard,
/// and dropping the partition would lose data.
fn check_orphan(
    topology: &Topology,
    id: ShardId,
    shard: &ShardEngine,
    orphan: PartitionName,
) -> Result<()> {
    if topology.has_given(orphan.id) {
        return Ok(());
    }
    let Some(partition) = shard.partition(orphan) else { return Ok(()) };
    let all = KeyRange::default();
    if shard.cursor(&partition, &all, Direction::Forward, Read::PRESENT)?.key().is_none() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Damaged,
        format!(
            "shard {id} holds data in partition {}, which the store's metadata does not know: the \
             metadata is older than the shard; restore its newest copy",
            orphan.id
        ),
    ))
}
