//! Plans: which partitions to move, split or merge, and where to, for an operator's request.
//!
//! A plan is decided from plain values, a topology and the sizes of its partitions, so the same
//! values give the same plan. Nothing here moves anything: the steps are reshapes for the store to
//! carry out, in any order or several at a time, because no partition is the source of two of them.
//!
//! ```
//! use annulus::planner::{Request, Sizes, plan};
//! use annulus::topology::{Change, KeyspaceSpec, ReshapeKind, ShardInfo, Topology};
//! use annulus::ShardId;
//!
//! let shards = [0, 1, 2].map(|n| ShardInfo::new(ShardId(n), format!("shards/{n}")));
//! let topology = Topology::new(shards)?.apply(&Change::CreateKeyspace {
//!     name: "users".into(),
//!     spec: KeyspaceSpec::hash().arcs_per_shard(4).into(),
//! })?;
//! let sizes: Sizes = (1..=12).map(|id| (annulus::PartitionId(id), 1 << 30)).collect();
//!
//! let new = ShardInfo::new(ShardId(3), "/disk4/annulus");
//! let plan = plan(&topology, &sizes, &Request::AddShard(new))?;
//! // A quarter of everything goes to the new shard, and nothing goes elsewhere.
//! assert!(plan.moved_bytes().abs_diff(3 << 30) < 16);
//! # Ok::<(), annulus::Error>(())
//! ```

mod builder;
mod explicit;
mod format;
mod hash;
pub mod load;
mod loads;
mod plan;
mod range;
mod request;
mod shift;
mod sizes;

pub use plan::{Plan, Step, StepSplitPoint};
pub use request::{Request, SplitAt};
pub use sizes::Sizes;

use crate::error::{Error, Result};
use crate::id::ShardId;
use crate::topology::{Change, Partitioning, Topology};
use builder::PlanBuilder;

/// Plans what to do for `request`. The steps of [`AddShard`](Request::AddShard) and
/// [`SetWeight`](Request::SetWeight) are for the topology in which the shard has been added or
/// has the new weight; those changes move nothing by themselves.
///
/// * A hash keyspace gets exact shares, to the token, with the least possible movement. A piece of
///   an arc that changes owner is split off it.
/// * A range keyspace gets shares by bytes: whole partitions from the end of the key order, and
///   a piece of one where that is worth it. A piece of less than 1 MiB, or of less than a
///   twentieth of what a shard has on average, is not, and a note says so. Without any bytes,
///   partitions are counted instead.
/// * A removed shard's ranges go, the largest first, to the shard that has the fewest bytes for
///   its weight.
/// * A draining shard receives nothing and keeps what it has.
///
/// O(partitions × log partitions) time and memory.
///
/// # Errors
///
/// [`NotFound`](crate::ErrorKind::NotFound) for a partition or a shard that does not exist;
/// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for a partition that is on the shard
/// already, a split or a merge that [does not fit](Topology::target_ranges), a weight of 0, the
/// removal of the last shard, and when all shards that could take something are draining; and the
/// errors of [`Topology::apply`] for a new shard.
pub fn plan(topology: &Topology, sizes: &Sizes, request: &Request) -> Result<Plan> {
    match request {
        Request::Move { partition, to } => explicit::plan_move(topology, sizes, *partition, *to),
        Request::Split { partition, at, to } => {
            explicit::plan_split(topology, sizes, *partition, at, *to)
        }
        Request::Merge { left, right, to } => {
            explicit::plan_merge(topology, sizes, [*left, *right], *to)
        }
        Request::AddShard(shard) => {
            let next = topology.apply(&Change::AddShard { shard: shard.clone() })?;
            to_shares(&next, sizes, shard.id)
        }
        Request::SetWeight { shard, weight } => {
            let next = topology.apply(&Change::SetWeight { id: *shard, weight: *weight })?;
            to_shares(&next, sizes, *shard)
        }
        Request::RemoveShard(shard) => {
            topology.require_shard(*shard)?;
            if topology.shards().len() == 1 {
                return Err(Error::invalid(format!(
                    "shard {shard} is the last one: add another one first"
                )));
            }
            without(topology, sizes, *shard)
        }
    }
}

/// Plans for `shard` to have what its weight asks for, by moving data to it or from it.
fn to_shares(topology: &Topology, sizes: &Sizes, shard: ShardId) -> Result<Plan> {
    let mut builder = PlanBuilder::new(topology, sizes);
    if builder.is_draining(shard) {
        builder.note(format!("shard {shard} is draining: it neither receives nor gives up data"));
        return Ok(builder.finish());
    }
    for keyspace in topology.keyspaces() {
        match keyspace.partitioning() {
            Partitioning::Hash { ring, .. } => hash::balance(&mut builder, keyspace, ring, shard)?,
            Partitioning::Range { .. } => range::balance(&mut builder, keyspace, shard),
        }
    }
    Ok(builder.finish())
}

/// Plans to move everything off `shard`. Rings come first, because their receivers are fixed.
fn without(topology: &Topology, sizes: &Sizes, shard: ShardId) -> Result<Plan> {
    let mut builder = PlanBuilder::new(topology, sizes);
    for keyspace in topology.keyspaces() {
        if let Partitioning::Hash { ring, .. } = keyspace.partitioning() {
            hash::empty(&mut builder, keyspace, ring, shard)?;
        }
    }
    range::empty(&mut builder, shard)?;
    Ok(builder.finish())
}
