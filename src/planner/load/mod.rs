//! Plans for even load: which partitions to move, split and merge, so that no shard has too much
//! load or too many bytes for its weight.
//!
//! Made from plain values like every [plan](crate::planner): a topology, the demand on its
//! partitions, and how much room the shards have. `docs/heat.md` explains how, and why.
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
//! let hot = PartitionDemand::new().load(9000.0).load_max(9000.0).bytes(1 << 30).profile(profile);
//! let mut demand = Demand::default();
//! demand.partitions.insert(PartitionId(1), hot);
//!
//! let found = plan_for_load(&topology, &demand, &RebalanceOptions::default());
//! assert_eq!(found.before.load_max_over_mean, 2.0);
//! assert!(found.after.load_max_over_mean <= 1.05);
//! assert_eq!(found.actions.len(), 1);
//! println!("{}", found.plan());
//! # Ok::<(), annulus::Error>(())
//! ```

mod build;
mod compile;
mod cut_pieces;
mod demand;
mod explain;
mod in_flight;
mod merge_cold;
mod model;
mod numbered;
mod options;
mod order;
mod plan;
mod receivers;
mod refusal;
mod shed_bytes;
mod shed_load;
mod targets;

pub use demand::{Demand, PartitionDemand};
pub use options::{Policy, RebalanceOptions};
pub use plan::{Action, Balance, Cause, LoadPlan};
pub use refusal::{Reason, Refusal, Subject};

use crate::topology::Topology;
use compile::PlannedAction;
use model::{Model, Shard};
use numbered::Numbered;
use refusal::Refusals;

/// The maximum number of rounds over load and bytes, one after the other, before a plan is taken as
/// it is. The second round usually finds nothing to do.
const ROUNDS: usize = 8;

/// Plans the reshapes that even out load and bytes, with the fewest bytes moved. The same values
/// always lead to the same plan, and a plan for the result of a plan is empty.
///
/// * Load: a shard with too much gives up whole partitions and parts of them, those first that have
///   the most load for their bytes, to the shards with the most room for their weights. What
///   cannot be divided and is more than a shard's share stays, and everything else leaves it.
///   Where keys are appended, new ones go to another shard.
/// * Bytes: then cold partitions leave shards with too many bytes.
/// * Number: then cold and small neighbours are merged where a keyspace has too many partitions.
///
/// Partitions that rest after a reshape or take part in one are not touched, draining shards
/// neither give nor receive, and no zone is left unless the options allow it. The options are taken
/// as they are: [check](RebalanceOptions::validate) them first. The policy makes no difference.
///
/// O(partitions × log partitions + samples) time, and O(partitions) memory.
#[must_use]
pub fn plan_for_load(topology: &Topology, demand: &Demand, options: &RebalanceOptions) -> LoadPlan {
    let mut model = build::model(topology, demand, options);
    in_flight::count_as_done(&mut model, topology, demand);
    targets::set_fair_shares(&mut model);
    let before: Vec<[f64; 2]> = model.shards.iter().map(|it| [it.load, it.bytes]).collect();
    let times = |it: &Shard| [it.load_times(), it.bytes_times()];
    let times_before: Numbered<[f64; 2]> = model.shards.iter().map(times).collect();

    let mut refusals = Refusals::default();
    refuse_draining(&model, &mut refusals);
    for group in 0..model.groups {
        spread(&mut model, group, &mut refusals);
    }
    let mut actions = compile::actions(&model, &times_before);
    let merges = merge_cold::merges(&mut model, &actions, &demand.in_flight, &mut refusals);
    actions.extend(merges);
    restore(&mut model, &before);
    let mut actions = order::ordered(&mut model, actions);
    order::limit(&mut actions, options.actions_max, &mut refusals);

    let partitions = partitions(topology, demand);
    let balance_before = balance(&model, partitions);
    let created = apply(&mut model, &actions);
    let partitions = (partitions as i64 + created).max(0) as usize;
    LoadPlan {
        before: balance_before,
        after: balance(&model, partitions),
        actions: actions.into_iter().map(|planned| planned.action).collect(),
        refusals: refusals.listed,
        refusals_more: refusals.more,
    }
}

fn refuse_draining(model: &Model<'_>, refusals: &mut Refusals) {
    for shard in model.shards.iter().filter(|it| it.draining && it.partitions > 0) {
        let reason = Reason::Draining { partitions: shard.partitions };
        refusals.add(Subject::Shard(shard.id), reason);
    }
}

/// Sheds load, then bytes, repeatedly until nothing moves. The last round is the same as the first
/// of a plan for the result of this one.
fn spread(model: &mut Model<'_>, group: usize, refusals: &mut Refusals) {
    let (mut begun, mut refused) = (false, Vec::new());
    for _ in 0..ROUNDS {
        let (load_moved, of_load) = shed_load::round(model, group, begun);
        let (bytes_moved, of_bytes) = shed_bytes::round(model, group);
        begun |= load_moved;
        refused = of_load;
        refused.extend(of_bytes);
        if !load_moved && !bytes_moved {
            break;
        }
    }
    refused.extend(explain::what_stays(model, group));
    for (subject, reason) in refused {
        refusals.add(subject, reason);
    }
}

/// Undoes what the moves have done to load and bytes of the shards.
fn restore(model: &mut Model<'_>, before: &[[f64; 2]]) {
    for (shard, [load, bytes]) in model.shards.iter_mut().zip(before) {
        (shard.load, shard.bytes) = (*load, *bytes);
    }
}

/// Applies what the actions transfer; returns how many more partitions there are then.
fn apply(model: &mut Model<'_>, actions: &[PlannedAction]) -> i64 {
    for transfer in actions.iter().flat_map(|planned| &planned.transfers) {
        let shard = &mut model.shards[transfer.from];
        shard.load -= transfer.load;
        shard.bytes -= transfer.bytes;
        let shard = &mut model.shards[transfer.to];
        shard.load += transfer.load;
        shard.bytes += transfer.bytes;
    }
    let steps = actions.iter().map(|planned| &planned.action.step);
    steps.map(|step| step.owners.len() as i64 - step.sources.len() as i64).sum()
}

/// Returns how many partitions there are with reshapes in flight counted as done.
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
