//! Rebalancing: which partitions to move, cut and merge, so that no shard has too much load or too
//! many bytes for its weight.
//!
//! Decided from plain values like every [plan](crate::planner): a topology, what its partitions
//! are asked for, and how much room the shards have. `docs/design.md` says how, and why.
//!
//! ```
//! use annulus::planner::load::{Demand, PartitionDemand, RebalanceOptions, plan_for_load};
//! use annulus::heat::{Profile, Sample};
//! use annulus::placement::Token;
//! use annulus::topology::{Change, SplitPoint, KeyspaceSpec, ShardInfo, Topology};
//! use annulus::{PartitionId, ShardId};
//! use std::sync::Arc;
//!
//! let shards = [0, 1].map(|n| ShardInfo::new(ShardId(n), format!("shards/{n}")));
//! let topology = Topology::new(shards)?.apply(&Change::CreateKeyspace {
//!     name: "users".into(),
//!     spec: KeyspaceSpec::hash().arcs_per_shard(1).into(),
//! })?;
//! // All load is on the first of two partitions, evenly spread over its tokens.
//! let token = |n: u64| Sample { at: SplitPoint::Token(Token(n << 55)), weight: 1.0, write: false };
//! let profile = Arc::new(Profile::new((0..256).map(token).collect(), Vec::new()));
//! let hot = PartitionDemand { load: 9000.0, load_max: 9000.0, bytes: 1 << 30, profile: Some(profile) };
//! let demand = Demand { partitions: [(PartitionId(1), hot)].into(), ..Demand::default() };
//!
//! let found = plan_for_load(&topology, &demand, &RebalanceOptions::default());
//! assert_eq!(found.before.load_max_over_mean, 2.0);
//! assert!(found.after.load_max_over_mean <= 1.05);
//! assert_eq!(found.actions.len(), 1);
//! println!("{}", found.plan());
//! # Ok::<(), annulus::Error>(())
//! ```

mod compile;
mod cut_pieces;
mod explain;
mod in_flight;
mod merge_cold;
mod model;
mod options;
mod order;
mod receivers;
mod refusal;
mod shed_bytes;
mod shed_load;
mod targets;

pub use options::{Policy, RebalanceOptions};
pub use refusal::{Reason, Refusal, Subject};

use super::{Plan, Step};
use crate::heat::Profile;
use crate::id::{PartitionId, ShardId};
use crate::topology::{ReshapeSpec, Topology};
use compile::Draft;
use model::{Model, Shard};
use order::limit;
use refusal::Refusals;
use serde::{Deserialize, Serialize};
use shed_load::Shed;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How often load and bytes are gone over, one after the other, before a plan is taken as it is.
/// The second time usually finds nothing to do.
const ROUNDS: usize = 8;

/// What a partition is asked for.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PartitionDemand {
    /// Operations a second.
    pub load: f64,
    /// The most that it had in any window that is remembered: it is cold only if this is small.
    pub load_max: f64,
    /// How many bytes it has.
    pub bytes: u64,
    /// Where in it the load is; without one it is never cut.
    pub profile: Option<Arc<Profile>>,
}

/// What a plan is made for.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Demand {
    /// What each partition is asked for; one that is not listed has no load and no bytes.
    pub partitions: BTreeMap<PartitionId, PartitionDemand>,
    /// How many bytes each shard has free; one that is not listed has as many as it takes. A
    /// tenth is kept free.
    pub bytes_free: BTreeMap<ShardId, u64>,
    /// Reshapes that have begun. They count as done, and what they concern is not touched.
    pub in_flight: Vec<ReshapeSpec>,
    /// How long ago each partition was reshaped; one that is not listed was so long ago.
    pub rested: BTreeMap<PartitionId, Duration>,
}

/// What an action is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// A shard had too much load.
    Load,
    /// A shard had too many bytes.
    Bytes,
    /// A keyspace had too many partitions.
    Merge,
}

/// One reshape of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Action {
    /// What to do, and why.
    pub step: Step,
    /// What it is for.
    pub cause: Cause,
    /// How much load changes shard, in operations a second.
    pub moved_load: f64,
    /// The same in fair shares of the shard that gives it.
    pub gain: f64,
}

/// How evenly load and bytes lie on the shards that are not draining.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Balance {
    /// How many times its fair share of its zone's load the worst shard has; 1 without any load.
    pub load_max_over_mean: f64,
    /// The same of bytes, where another shard may be the worst.
    pub bytes_max_over_mean: f64,
    /// The shard with the most load for its weight; `None` if all are draining.
    pub worst: Option<ShardId>,
    /// How many partitions there are.
    pub partitions: usize,
}

/// A plan, and what was left out of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LoadPlan {
    /// Reshapes, those that matter most first. No partition is the source of two. In this order
    /// no shard gets worse on the way than the worst of its zone was before; any number of them can be left out at
    /// the end.
    pub actions: Vec<Action>,
    /// What was considered and not done; 64 at most.
    pub refusals: Vec<Refusal>,
    /// How many refusals there were beyond, by the [name](Reason::name) of the reason.
    pub refusals_more: BTreeMap<String, u64>,
    /// Before the actions, with what is under way done.
    pub before: Balance,
    /// After all of them, by what the profiles say.
    pub after: Balance,
}

impl LoadPlan {
    /// The steps, with the refusals as notes.
    #[must_use]
    pub fn plan(&self) -> Plan {
        Plan {
            steps: self.actions.iter().map(|action| action.step.clone()).collect(),
            notes: self.refusals.iter().map(ToString::to_string).collect(),
        }
    }
}

impl From<LoadPlan> for Plan {
    fn from(found: LoadPlan) -> Self {
        let notes = found.refusals.iter().map(ToString::to_string).collect();
        Self { steps: found.actions.into_iter().map(|action| action.step).collect(), notes }
    }
}

/// Plans what makes load and bytes even, with the fewest bytes moved. The same values give the same
/// plan, and a plan for what a plan leads to is empty.
///
/// * Load: a shard with too much gives whole partitions and parts of them, those first that have
///   the most load for their bytes, to the shards with the most room for their weights. What
///   cannot be divided and is more than a shard's share stays, and everything else leaves it.
///   Where keys are appended, new ones go to another shard.
/// * Bytes: then cold partitions leave shards with too many bytes.
/// * Number: then cold and small neighbours are merged where a keyspace has too many partitions.
///
/// Partitions that rest after a reshape or take part in one are not touched, draining shards
/// neither give nor get, and no zone is left unless the options allow it. The options are taken as
/// they are: [check](RebalanceOptions::validate) them first. The policy makes no difference.
///
/// O(partitions × log partitions + samples) time, and O(partitions) memory.
#[must_use]
pub fn plan_for_load(topology: &Topology, demand: &Demand, options: &RebalanceOptions) -> LoadPlan {
    let mut model = Model::new(topology, demand, options);
    let before: Vec<[f64; 2]> = model.shards.iter().map(|it| [it.load, it.bytes]).collect();
    let times = |it: &Shard| [it.load_times(), it.bytes_times()];
    let times_before: Vec<[f64; 2]> = model.shards.iter().map(times).collect();
    let mut refusals = Refusals::default();
    for shard in model.shards.iter().filter(|it| it.draining && it.partitions > 0) {
        let reason = Reason::Draining { partitions: shard.partitions };
        refusals.add(Subject::Shard(shard.id), reason);
    }
    for group in 0..model.groups {
        spread(&mut model, group, &mut refusals);
    }
    let mut drafts = model.compile(&times_before);
    let merged = model.merge(&drafts, &demand.in_flight, &mut refusals);
    drafts.extend(merged);
    restore(&mut model, &before);
    let mut drafts = model.order(drafts);
    limit(&mut drafts, options.actions_max, &mut refusals);

    let partitions = partitions(topology, demand);
    let balance_before = balance(&model, partitions);
    let created = apply(&mut model, &drafts);
    let partitions = (partitions as i64 + created).max(0) as usize;
    LoadPlan {
        before: balance_before,
        after: balance(&model, partitions),
        actions: drafts.into_iter().map(|draft| draft.action).collect(),
        refusals: refusals.listed,
        refusals_more: refusals.more,
    }
}

/// Load, then bytes, again until nothing moves. The last time is the same as the first of a plan
/// for what this one leads to.
fn spread(model: &mut Model<'_>, group: usize, refusals: &mut Refusals) {
    let (mut begun, mut said) = (false, Vec::new());
    for _ in 0..ROUNDS {
        let (shed, of_load) = Shed::round(model, group, begun);
        let (shed_bytes, of_bytes) = model.shed_bytes(group);
        begun |= shed;
        said = of_load;
        said.extend(of_bytes);
        if !shed && !shed_bytes {
            break;
        }
    }
    said.extend(model.explain(group));
    for (subject, reason) in said {
        refusals.add(subject, reason);
    }
}

fn restore(model: &mut Model<'_>, before: &[[f64; 2]]) {
    for (shard, [load, bytes]) in model.shards.iter_mut().zip(before) {
        (shard.load, shard.bytes) = (*load, *bytes);
    }
}

/// Books what the drafts shift; returns how many partitions there are more then.
fn apply(model: &mut Model<'_>, drafts: &[Draft]) -> i64 {
    for shift in drafts.iter().flat_map(|draft| &draft.shifts) {
        if let Some(shard) = model.shards.get_mut(shift.from) {
            shard.load -= shift.load;
            shard.bytes -= shift.bytes;
        }
        if let Some(shard) = model.shards.get_mut(shift.to) {
            shard.load += shift.load;
            shard.bytes += shift.bytes;
        }
    }
    let steps = drafts.iter().map(|draft| &draft.action.step);
    steps.map(|step| step.owners.len() as i64 - step.sources.len() as i64).sum()
}

fn partitions(topology: &Topology, demand: &Demand) -> usize {
    let now: usize = topology.keyspaces().map(|keyspace| keyspace.partition_count()).sum();
    let begun = demand.in_flight.iter();
    let more: i64 = begun.map(|it| it.owners.len() as i64 - it.sources.len() as i64).sum();
    (now as i64 + more).max(0) as usize
}

fn balance(model: &Model<'_>, partitions: usize) -> Balance {
    let active = || model.shards.iter().filter(|shard| !shard.draining);
    let worst = active().reduce(|a, b| if b.load_times() > a.load_times() { b } else { a });
    Balance {
        load_max_over_mean: worst.map_or(1.0, Shard::load_times),
        bytes_max_over_mean: active().map(Shard::bytes_times).reduce(f64::max).unwrap_or(1.0),
        worst: worst.map(|shard| shard.id),
        partitions,
    }
}
