//! What an opening puts right: partitions that an interrupted change has left, and reshapes that were not
//! committed.

use super::findings::{DamagedPartition, Leftover, RolledBack};
use crate::catalog::Metadata;
use crate::engine::{
    Cursor, Direction, Durability, Engine, EngineBatch, LogLoss, Read, ShardEngine,
};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ShardId;
use crate::placement::KeyRange;
use crate::reshape::journal::{self, Intent};
use crate::topology::{PartitionName, Topology};
use crate::units;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

/// What the opening found to put right.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// Batches over several shards that were looked at again, because the store was not closed.
    pub batches: usize,
    /// Leftovers of interrupted changes that were removed.
    pub orphans: Vec<Leftover>,
    /// Reshapes that were not committed, and were rolled back.
    pub rolled_back: Vec<RolledBack>,
    /// What the ends of logs had lost: writes that were under way or not synced when the
    /// power failed, and with [`LogDamage::DropRest`](crate::LogDamage::DropRest) what was behind
    /// damage. Nothing that was synced, except for the latter.
    pub lost: Vec<LogLoss>,
    /// Partitions of which a file is damaged, with the file. Reads that need the file fail
    /// as [`Damaged`](ErrorKind::Damaged), all others are answered; writes are taken, and kept
    /// beside it; nothing of the partition is merged. Restore the file, or drop the keyspace.
    /// Files that were not opened yet may be damaged, too:
    /// [`Store::verify`](crate::Store::verify) reads all.
    pub damaged: Vec<DamagedPartition>,
    /// Batches over several shards of which parts are missing, in a store that is opened read-only:
    /// each of them is seen in part, until an opening for writing completes them.
    pub unfinished: usize,
    /// Shards whose removal was interrupted: [`Store::remove_shard`](crate::Store::remove_shard)
    /// goes on with it.
    pub draining: Vec<ShardId>,
}

/// Every partition of the topology must be there; others are leftovers of a change that a crash
/// interrupted, and go. All shards are looked at before anything goes.
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

/// Whether a partition is the target of a reshape that was not committed: its sources have
/// everything that it has.
fn is_intended(intents: &[(u64, Intent)], shard: ShardId, name: PartitionName) -> bool {
    intents.iter().any(|(_, intent)| intent.targets.contains(&(name, shard)))
}

/// Ends reshapes that were not committed, after their targets are gone.
pub(super) fn roll_back(
    metadata: &Metadata,
    intents: &[(u64, Intent)],
    recovery: &mut RecoveryReport,
) -> Result<()> {
    let mut batch = EngineBatch::default();
    for (number, intent) in intents {
        journal::end(metadata, &mut batch, *number);
        let what = RolledBack::new(*number, intent);
        tracing::warn!("rolled back {what}, which was interrupted");
        recovery.rolled_back.push(what);
    }
    metadata.engine.write(batch, Durability::Synced)?;
    let now = units::to_the_second(SystemTime::now());
    for (number, intent) in intents {
        // For people: the store does not need it.
        if let Err(error) = journal::remember(metadata, *number, &intent.interrupted(*number, now))
        {
            tracing::warn!(error = format_args!("{error:#}"), "cannot note how a reshape ended");
        }
    }
    Ok(())
}

/// The partitions that a shard owns, all of which are there.
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

/// A partition with a number that the topology has never given is left by a creation that was
/// interrupted, and so is empty. If it is not, the metadata is older than the shard, and dropping
/// it would lose data.
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
