//! Plans of a single step that the operator names: a move, a split, a merge.

use super::format::human;
use super::plan::{Plan, Step, StepSplitPoint};
use super::request::SplitAt;
use super::sizes::{Sizes, bytes_of, share_of};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{PartitionId, ShardId};
use crate::placement::{PartitionRange, Token, TokenRange};
use crate::topology::{
    KeyspaceLayout, PartitionInfo, ReshapeKind, ReshapeSpec, SplitPoint, Topology,
};

pub(super) fn plan_move(
    topology: &Topology,
    sizes: &Sizes,
    id: PartitionId,
    to: ShardId,
) -> Result<Plan> {
    let (keyspace, partition) = find(topology, id)?;
    let from = partition.owner;
    if from == to {
        return Err(Error::invalid(format!(
            "partition {id} is on shard {to} already; choose another shard"
        )));
    }
    let sources = vec![id];
    let owners = vec![to];
    topology.target_ranges(&spec(keyspace, &sources, Vec::new(), &owners))?;
    let bytes = bytes_of(sizes, id);
    let step = Step {
        keyspace: keyspace.id(),
        sources,
        split_points: Vec::new(),
        owners,
        kind: ReshapeKind::Move,
        moved_bytes: bytes,
        bytes,
        reason: format!("requested: from shard {from} to shard {to}"),
    };
    Ok(single(topology, step))
}

pub(super) fn plan_split(
    topology: &Topology,
    sizes: &Sizes,
    id: PartitionId,
    at: &SplitAt,
    to: Option<ShardId>,
) -> Result<Plan> {
    let (keyspace, partition) = find(topology, id)?;
    let to = to.unwrap_or(partition.owner);
    let split_point = split_point(&partition, at)?;
    let sources = vec![id];
    let owners = vec![partition.owner, to];
    match &split_point {
        StepSplitPoint::At(at) => {
            topology.target_ranges(&spec(keyspace, &sources, vec![at.clone()], &owners))?;
        }
        StepSplitPoint::Bytes { .. } => {
            topology.require_shard(to)?;
        }
    }
    let bytes = bytes_of(sizes, id);
    let right = match (&split_point, &partition.range) {
        (StepSplitPoint::At(SplitPoint::Token(at)), PartitionRange::Tokens(range)) => {
            let right = TokenRange::new(*at, range.end);
            share_of(bytes, right.width(), range.width())
        }
        // How many bytes are on either side of a key is not known here.
        _ => bytes / 2,
    };
    let step = Step {
        keyspace: keyspace.id(),
        sources,
        split_points: vec![split_point],
        kind: ReshapeKind::Split,
        moved_bytes: if to == partition.owner { 0 } else { right },
        bytes,
        reason: format!("requested: the right part to shard {to}"),
        owners,
    };
    Ok(single(topology, step))
}

pub(super) fn plan_merge(
    topology: &Topology,
    sizes: &Sizes,
    [left, right]: [PartitionId; 2],
    to: Option<ShardId>,
) -> Result<Plan> {
    let (keyspace, first) = find(topology, left)?;
    let (_, second) = find(topology, right)?;
    let [left_bytes, right_bytes] = [left, right].map(|id| bytes_of(sizes, id));
    let larger = if left_bytes >= right_bytes { first.owner } else { second.owner };
    let to = to.unwrap_or(larger);
    let sources = vec![left, right];
    let owners = vec![to];
    topology.target_ranges(&spec(keyspace, &sources, Vec::new(), &owners))?;
    let moved = [(first.owner, left_bytes), (second.owner, right_bytes)];
    let moved = moved.into_iter().filter(|(owner, _)| *owner != to);
    let step = Step {
        keyspace: keyspace.id(),
        sources,
        split_points: Vec::new(),
        owners,
        kind: ReshapeKind::Merge,
        moved_bytes: moved.fold(0, |sum, (_, bytes)| sum.saturating_add(bytes)),
        bytes: left_bytes.saturating_add(right_bytes),
        reason: format!(
            "requested: {} from shard {} and {} from shard {}",
            human(left_bytes.into()),
            first.owner,
            human(right_bytes.into()),
            second.owner
        ),
    };
    Ok(single(topology, step))
}

/// Returns where to split a partition.
fn split_point(partition: &PartitionInfo, at: &SplitAt) -> Result<StepSplitPoint> {
    let point = match (at, &partition.range) {
        (SplitAt::Key(key), _) => SplitPoint::Key(key.as_slice().into()),
        (SplitAt::Token(token), _) => SplitPoint::Token(*token),
        (SplitAt::Middle, PartitionRange::Keys(_)) => {
            return Ok(StepSplitPoint::Bytes { permille: 500 });
        }
        (SplitAt::Middle, PartitionRange::Tokens(range)) if range.width() > 1 => {
            SplitPoint::Token(Token(range.start.0.saturating_add((range.width() / 2) as u64)))
        }
        (SplitAt::Middle, PartitionRange::Tokens(_)) => {
            return Err(Error::invalid(format!(
                "partition {} has a single token, which cannot be split",
                partition.id
            )));
        }
    };
    Ok(StepSplitPoint::At(point))
}

/// Returns a partition and its keyspace.
fn find(topology: &Topology, id: PartitionId) -> Result<(&KeyspaceLayout, PartitionInfo)> {
    let found = topology.keyspaces().find_map(|keyspace| {
        let partition = keyspace.partition(keyspace.index_of(id)?)?;
        Some((keyspace.as_ref(), partition))
    });
    found.ok_or_else(|| {
        let message = format!("there is no partition {id} (any more); list the partitions");
        Error::new(ErrorKind::NotFound, message)
    })
}

fn spec(
    keyspace: &KeyspaceLayout,
    sources: &[PartitionId],
    split_points: Vec<SplitPoint>,
    owners: &[ShardId],
) -> ReshapeSpec {
    let (sources, owners) = (sources.to_vec(), owners.to_vec());
    ReshapeSpec { keyspace: keyspace.id(), sources, split_points, owners }
}

/// Returns the plan of a single step, with a note if it moves data to a shard that is draining.
fn single(topology: &Topology, step: Step) -> Plan {
    // Only the last owner can be another shard than those that own the sources.
    let receiver = step.owners.last().and_then(|owner| topology.shard(*owner));
    let notes = receiver
        .filter(|shard| shard.draining && step.moved_bytes > 0)
        .map(|shard| format!("shard {} is draining, and has to move this away again", shard.id));
    Plan { steps: vec![step], notes: notes.into_iter().collect() }
}
