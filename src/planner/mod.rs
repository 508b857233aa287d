//! Plans: which partitions to move, split or merge, and where to, for a wish of the operator.
//!
//! A plan is decided from plain values, a topology and the sizes of its partitions, and is the
//! same each time. Nothing here moves anything: the steps are reshapes for the store to carry out,
//! in any order or several at a time, because no partition is the source of two of them.
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

mod explicit;
mod format;
mod hash;
pub mod load;
mod loads;
mod range;
mod shift;

use crate::error::{Error, Result};
use crate::id::{KeyspaceId, PartitionId, ShardId};
use crate::placement::Token;
use crate::topology::{
    Change, PartitionInfo, Partitioning, ReshapeKind, ReshapeSpec, ShardInfo, SplitPoint, Topology,
};
use loads::Loads;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many bytes each partition has; one that is not listed has none.
pub type Sizes = BTreeMap<PartitionId, u64>;

/// Where to split a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum SplitAt {
    /// Before this key, in a range keyspace.
    Key(Vec<u8>),
    /// Before this token, in a hash keyspace.
    Token(Token),
    /// Into halves: by bytes in a range keyspace, by tokens in a hash keyspace.
    Middle,
}

/// A wish of the operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum Request {
    /// A partition to another shard.
    Move {
        /// The partition.
        partition: PartitionId,
        /// Its next owner.
        to: ShardId,
    },
    /// One partition into two.
    Split {
        /// The partition.
        partition: PartitionId,
        /// Where.
        at: SplitAt,
        /// The owner of the right part; `None` leaves it where it is.
        to: Option<ShardId>,
    },
    /// Two neighbours into one.
    Merge {
        /// The partition that comes first in the order of tokens or keys.
        left: PartitionId,
        /// The one after it.
        right: PartitionId,
        /// The owner of the result; `None` is the owner of the larger of the two.
        to: Option<ShardId>,
    },
    /// A new shard, which is to get its share of every keyspace. Its number is
    /// [`Topology::next_shard`]; the topology does not have it yet.
    AddShard(ShardInfo),
    /// Everything off a shard.
    RemoveShard(ShardId),
    /// Another weight for a shard, which is to get or give the difference.
    SetWeight {
        /// The shard.
        shard: ShardId,
        /// Its weight, at least 1.
        weight: u32,
    },
}

/// Where a step cuts its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum StepSplitPoint {
    /// Here.
    At(SplitPoint),
    /// Before the key that has this share of the partition's bytes before it: from 1 to 999
    /// thousandths. Only who has the data can find it.
    Bytes {
        /// The share, in thousandths.
        permille: u32,
    },
}

/// One reshape of a [`Plan`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Step {
    /// The keyspace of the partitions.
    pub keyspace: KeyspaceId,
    /// The partitions that go, in the order of their tokens or keys.
    pub sources: Vec<PartitionId>,
    /// Where the targets meet.
    #[serde(rename = "cuts")]
    pub split_points: Vec<StepSplitPoint>,
    /// The owner of each target: one more than cuts.
    pub owners: Vec<ShardId>,
    /// What it does to the number of partitions.
    pub kind: ReshapeKind,
    /// How many bytes change shard, by estimate.
    pub moved_bytes: u64,
    /// How many bytes the sources have, all of which may have to be written anew.
    pub bytes: u64,
    /// Why.
    pub reason: String,
}

impl Step {
    /// The reshape, or `None` as long as a cut is [still to be found](StepSplitPoint::Bytes).
    #[must_use]
    pub fn spec(&self) -> Option<ReshapeSpec> {
        let cut = |cut: &StepSplitPoint| match cut {
            StepSplitPoint::At(cut) => Some(cut.clone()),
            StepSplitPoint::Bytes { .. } => None,
        };
        Some(ReshapeSpec {
            keyspace: self.keyspace,
            sources: self.sources.clone(),
            split_points: self.split_points.iter().map(cut).collect::<Option<_>>()?,
            owners: self.owners.clone(),
        })
    }
}

/// What to do for a [`Request`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Plan {
    /// Reshapes that may be carried out in any order or at the same time: no partition is the
    /// source of two.
    pub steps: Vec<Step>,
    /// What was considered and not done, with figures.
    pub notes: Vec<String>,
}

impl Plan {
    /// How many bytes change shard, by estimate.
    #[must_use]
    pub fn moved_bytes(&self) -> u64 {
        self.steps.iter().fold(0, |sum, step| sum.saturating_add(step.moved_bytes))
    }
}

/// What to do for `request`. The steps of [`AddShard`](Request::AddShard) and
/// [`SetWeight`](Request::SetWeight) are for the topology in which the shard has been added or
/// weighs otherwise; those change nothing by themselves.
///
/// * A hash keyspace gets exact shares, to the token, with the least possible movement. A piece of
///   an arc that changes owner is split off it.
/// * A range keyspace gets shares by bytes: whole partitions from the end of the key order, and
///   a piece of one where that is worth it. A piece of less than 1 MiB, or of less than a
///   twentieth of what a shard has on average, is not, and a note says so. Without any bytes,
///   partitions are counted instead.
/// * A removed shard's ranges go, the largest first, to the shard that has the fewest bytes for
///   its weight.
/// * A draining shard gets nothing and keeps what it has.
///
/// O(partitions × log partitions) time and memory.
///
/// # Errors
///
/// [`NotFound`](crate::ErrorKind::NotFound) for a partition or a shard that is not there;
/// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for a partition that is there already, a
/// split or a merge that [does not fit](Topology::target_ranges), a weight of 0, the removal of the
/// last shard, and when all shards that could take something are draining; and what
/// [`Topology::apply`] says of a new shard.
pub fn plan(topology: &Topology, sizes: &Sizes, request: &Request) -> Result<Plan> {
    match request {
        Request::Move { partition, to } => explicit::moved(topology, sizes, *partition, *to),
        Request::Split { partition, at, to } => {
            explicit::split(topology, sizes, *partition, at, *to)
        }
        Request::Merge { left, right, to } => {
            explicit::merged(topology, sizes, [*left, *right], *to)
        }
        Request::AddShard(shard) => {
            let next = topology.apply(&Change::AddShard { shard: shard.clone() })?;
            Planner::new(&next, sizes).toward_shares(shard.id)
        }
        Request::SetWeight { shard, weight } => {
            let next = topology.apply(&Change::SetWeight { id: *shard, weight: *weight })?;
            Planner::new(&next, sizes).toward_shares(*shard)
        }
        Request::RemoveShard(shard) => {
            topology.require_shard(*shard)?;
            if topology.shards().len() == 1 {
                return Err(Error::invalid(format!(
                    "shard {shard} is the last one: add another one first"
                )));
            }
            Planner::new(topology, sizes).without(*shard)
        }
    }
}

/// A plan in the making.
struct Planner<'t> {
    topology: &'t Topology,
    sizes: &'t Sizes,
    /// What each shard has after the steps for rings. Ranges that leave a shard come after them, and
    /// go where there is least.
    loads: Loads,
    plan: Plan,
}

impl<'t> Planner<'t> {
    fn new(topology: &'t Topology, sizes: &'t Sizes) -> Self {
        Self { topology, sizes, loads: Loads::new(topology, sizes), plan: Plan::default() }
    }

    /// Gives `shard` what its weight asks for, or takes from it.
    fn toward_shares(mut self, shard: ShardId) -> Result<Plan> {
        if self.is_draining(shard) {
            self.plan.notes.push(format!("shard {shard} is draining: it gets and gives nothing"));
            return Ok(self.plan);
        }
        for keyspace in self.topology.keyspaces() {
            match keyspace.partitioning() {
                Partitioning::Hash { ring, .. } => self.balance_ring(keyspace, ring, shard)?,
                Partitioning::Range { .. } => self.balance_ranges(keyspace, shard),
            }
        }
        Ok(self.plan)
    }

    /// Takes everything from `shard`. Rings come first, because what they give to whom is fixed.
    fn without(mut self, shard: ShardId) -> Result<Plan> {
        for keyspace in self.topology.keyspaces() {
            if let Partitioning::Hash { ring, .. } = keyspace.partitioning() {
                self.empty_ring(keyspace, ring, shard)?;
            }
        }
        self.empty_ranges(shard)?;
        Ok(self.plan)
    }

    fn is_draining(&self, shard: ShardId) -> bool {
        self.topology.shard(shard).is_some_and(|shard| shard.draining)
    }

    fn bytes(&self, partition: &PartitionInfo) -> u64 {
        bytes_of(self.sizes, partition.id)
    }
}

fn bytes_of(sizes: &Sizes, partition: PartitionId) -> u64 {
    sizes.get(&partition).copied().unwrap_or(0)
}

/// `part / whole` of `bytes`; all of it if there is no whole.
fn share_of(bytes: u64, part: u128, whole: u128) -> u64 {
    // At most 2^64 of each, and `part` not more than `whole`.
    let share = u128::from(bytes).saturating_mul(part).checked_div(whole);
    share.map_or(bytes, |share| u64::try_from(share).unwrap_or(u64::MAX))
}
