//! Giving up shards that are lost, in an opening.
//!
//! | step | on disk after it | if the process dies here, or the power fails, an opening |
//! |---|---|---|
//! | 1. the other shards get empty partitions in place of those of the shard | orphans | drops them; or, if it is to give up the shard, makes them again |
//! | 2. one commit: a topology with these partitions, without the shard, and without the indexes that the shard had a part of; the shard's [record](crate::catalog::missing) goes | the store without the shard | has it so; that the shard is to be given up again is refused, as there is none of that number |
//! | 3. the opening goes on, with that topology | the same | the same |
//!
//! Everything after 2 is what each opening does: what the log has is replayed to where the keys are now, the
//! partitions of the indexes are orphans, and intents that name the shard are rolled back.

use super::open::Reached;
use crate::catalog::{Home, Metadata, missing, parse_index_keyspace};
use crate::engine::{Engine as _, MetadataBatch};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{KeyspaceId, PartitionId, ShardId};
use crate::log::{CommitLog, Operation};
use crate::os::failpoint;
use crate::planner::{Request, Sizes, plan};
use crate::topology::{Change, PartitionName, ReshapeSpec, Topology, encode_topology};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// A shard that the opening [was to give up](crate::StoreBuilder::forget_shard), and what went with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ForgottenShard {
    /// Its number, which no other shard gets.
    pub shard: ShardId,
    /// Where it was. In JSON it is text, or a list of bytes if it is not valid text.
    #[serde(serialize_with = "crate::topology::path::serialize")]
    pub directory: PathBuf,
    /// The partitions that it had, each with the name of its keyspace. Others, which are empty, have taken
    /// their place.
    pub partitions: Vec<(String, PartitionId)>,
    /// The indexes that were dropped, each with the name of its keyspace.
    pub indexes: Vec<(String, String)>,
    /// How many puts and deletes of keys the log still had for its partitions; they are applied to the new
    /// ones.
    pub operations_left: u64,
}

impl fmt::Display for ForgottenShard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shard, partitions, indexes, operations_left, .. } = self;
        let directory = self.directory.display();
        write!(
            f,
            "shard {shard} in {directory} was given up, with {} partitions",
            partitions.len()
        )?;
        if !indexes.is_empty() {
            write!(f, ", and {} indexes were dropped", indexes.len())?;
        }
        write!(f, "; {operations_left} operations that the log still had are kept")
    }
}

/// Gives up shards. Returns the topology that was committed, and what went.
///
/// # Errors
///
/// `NotFound`, `InvalidArgument`: nothing was committed for that shard. Those of a commit.
pub(super) fn forget(
    home: &Home,
    metadata: &Metadata,
    topology: Topology,
    reached: &mut Reached,
    shards: &[ShardId],
) -> Result<(Topology, Vec<ForgottenShard>)> {
    let mut present = topology;
    let mut forgotten = Vec::new();
    for shard in shards {
        let (next, what) = forget_one(home, metadata, &present, reached, *shard)?;
        tracing::warn!("{what}");
        forgotten.push(what);
        present = next;
    }
    Ok((present, forgotten))
}

fn forget_one(
    home: &Home,
    metadata: &Metadata,
    present: &Topology,
    reached: &mut Reached,
    shard: ShardId,
) -> Result<(Topology, ForgottenShard)> {
    let info = present.shard(shard).ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("there is no shard {shard} to give up"))
    })?;
    if !reached.found.missing().any(|missing| missing == shard) {
        return Err(Error::invalid(format!(
            "shard {shard} is there: remove it from the store, which loses nothing"
        )));
    }
    let mut batch = MetadataBatch::default();
    let (indexes, next) = drop_indexes(present, shard, &mut batch)?;
    let others: Vec<ShardId> = reached.found.missing().filter(|other| *other != shard).collect();
    let (next, made) = give_to_others(&next, shard, &others)?;
    let lost = present.keyspaces().flat_map(|keyspace| {
        let mine = keyspace.names().filter(|(_, owner)| *owner == shard);
        mine.map(|(name, _)| (keyspace.name().to_owned(), name.id))
    });
    let what = ForgottenShard {
        shard,
        directory: home.path.join(&info.directory),
        partitions: lost.collect(),
        indexes,
        operations_left: operations_left(&reached.log, present, shard)?,
    };
    for Made { source, target, owner } in made {
        if let Some(expiring) = reached.resources.expiring.get(source) {
            reached.resources.expiring.add(target, &expiring);
        }
        let engine = reached
            .shards
            .get(&owner)
            .ok_or_else(|| Error::new(ErrorKind::Internal, format!("shard {owner} is not open")))?;
        // Of an attempt that a crash has interrupted.
        if !present.keyspaces().any(|keyspace| keyspace.names().any(|(name, _)| name == target)) {
            engine.drop_partition(target)?;
        }
        engine.create_partition(target)?;
    }
    failpoint::hit("forget-after-partitions");
    missing::remove(&mut batch, shard);
    // As before each commit of a topology.
    reached.log.sync()?;
    metadata.commit(&encode_topology(&next)?, batch)?;
    failpoint::hit("forget-after-commit");
    reached.found.forget(shard);
    reached.records.remove(&shard);
    Ok((next, what))
}

/// Returns the indexes that have rows or entries on a shard, and the topology without them.
fn drop_indexes(
    present: &Topology,
    shard: ShardId,
    batch: &mut MetadataBatch,
) -> Result<(Vec<(String, String)>, Topology)> {
    let is_on_it = |id: KeyspaceId| {
        present.keyspace(id).is_some_and(|it| it.names().any(|(_, owner)| owner == shard))
    };
    let (mut indexes, mut next) = (Vec::new(), present.clone());
    for keyspace in present.keyspaces() {
        let Some((of, index)) = parse_index_keyspace(keyspace.name()) else { continue };
        if !is_on_it(of) && !is_on_it(keyspace.id()) {
            continue;
        }
        let rows = present.keyspace(of).map_or_else(String::new, |rows| rows.name().to_owned());
        indexes.push((rows, index.to_owned()));
        next = next.apply(&Change::DropKeyspace { id: keyspace.id() })?;
        Metadata::forget_spec(batch, keyspace.id());
    }
    Ok((indexes, next))
}

/// A partition that takes the place of another one, or of a part of it.
struct Made {
    source: PartitionName,
    target: PartitionName,
    owner: ShardId,
}

/// Returns the topology in which other shards have what a shard had, and that shard is none any more.
fn give_to_others(
    present: &Topology,
    shard: ShardId,
    missing: &[ShardId],
) -> Result<(Topology, Vec<Made>)> {
    // Other shards that are missing cannot be given anything; those that drain are not.
    let mut planned = present.clone();
    for other in missing {
        if planned.shard(*other).is_some_and(|info| !info.draining) {
            planned = planned.apply(&Change::DrainShard { id: *other, draining: true })?;
        }
    }
    let steps = plan(&planned, &Sizes::new(), &Request::RemoveShard(shard))?.steps;
    let (mut next, mut made) = (present.clone(), Vec::new());
    for spec in steps.iter().filter_map(|step| step.spec()) {
        let names: BTreeSet<PartitionName> = sources(&next, &spec, shard);
        let Some(source) = names.first().copied().filter(|_| names.len() == spec.sources.len())
        else {
            // What it would even out among the others is not moved now.
            continue;
        };
        let (targets, numbered) = next.name_targets(&spec)?;
        let owners = spec.owners.clone();
        next = numbered.apply(&Change::Reshape { spec, targets: targets.clone() })?;
        let pairs = targets.into_iter().zip(owners);
        made.extend(pairs.map(|(target, owner)| Made { source, target, owner }));
    }
    if next.shard(shard).is_some_and(|info| !info.draining) {
        next = next.apply(&Change::DrainShard { id: shard, draining: true })?;
    }
    Ok((next.apply(&Change::RemoveShard { id: shard })?, made))
}

/// Returns the sources of a reshape that are on a shard.
fn sources(topology: &Topology, spec: &ReshapeSpec, shard: ShardId) -> BTreeSet<PartitionName> {
    let Some(keyspace) = topology.keyspace(spec.keyspace) else { return BTreeSet::new() };
    let mine =
        keyspace.names().filter(|(name, owner)| *owner == shard && spec.sources.contains(&name.id));
    mine.map(|(name, _)| name).collect()
}

/// Returns how many operations the log has for keys of a shard.
fn operations_left(log: &Arc<CommitLog>, topology: &Topology, shard: ShardId) -> Result<u64> {
    let is_for_it = |operation: Operation<'_>| match operation {
        Operation::Put { keyspace, key, .. }
        | Operation::PutUntil { keyspace, key, .. }
        | Operation::Delete { keyspace, key } => {
            topology.keyspace(keyspace).is_some_and(|keyspace| {
                let partitioning = keyspace.partitioning();
                partitioning.owner(partitioning.find(key)) == Some(shard)
            })
        }
        Operation::DeleteRange { .. } | Operation::Previous { .. } => false,
    };
    let (mut reader, mut count) = (log.read(log.first())?, 0);
    while let Some(record) = reader.next()? {
        count += record.operations().filter(|operation| is_for_it(*operation)).count() as u64;
    }
    Ok(count)
}
