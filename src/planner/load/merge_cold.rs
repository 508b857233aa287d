//! Merges of cold and small neighbours.

use super::compile::{PlannedAction, Transfer};
use super::model::{Model, Shard, Source};
use super::numbered::Numbered;
use super::plan::{Action, Cause};
use super::refusal::{Reason, Refusals, Subject};
use crate::id::PartitionId;
use crate::planner::format::human;
use crate::planner::plan::Step;
use crate::topology::{KeyspaceLayout, ReshapeKind, ReshapeSpec};
use std::collections::BTreeSet;
use std::ops::Range;

/// What merges across the shards of a group must respect.
#[derive(Clone, Copy)]
struct Bounds {
    /// Whether load, and bytes, are so small that they may be anywhere.
    load_is_noise: bool,
    bytes_are_noise: bool,
    /// Whether no shard has so much that it should give some up. One that should and cannot, for
    /// lack of room elsewhere, would find room in the next plan if a merge made some in this one.
    settled: bool,
}

/// Neighbouring sources that are to be merged.
struct Run {
    sources: Range<usize>,
    owner: usize,
    load: f64,
    load_max: f64,
    bytes: u64,
    /// Whether it can be merged with another.
    mergeable: bool,
}

/// Returns merges of what is cold and small, keyspace by keyspace, as long as a keyspace has more
/// partitions than it should. `actions` are the other actions of the plan; what they concern is
/// left alone.
pub(super) fn merges(
    model: &mut Model<'_>,
    actions: &[PlannedAction],
    in_flight: &[ReshapeSpec],
    refusals: &mut Refusals,
) -> Vec<PlannedAction> {
    let shards = model.shards.iter().filter(|shard| !shard.draining).count();
    let goal = (model.options.partitions_per_shard_goal as usize).saturating_mul(shards);
    let steps: Vec<&Step> = actions.iter().map(|planned| &planned.action.step).collect();
    let touched: BTreeSet<PartitionId> =
        steps.iter().flat_map(|step| step.sources.iter().copied()).collect();
    let bounds: Numbered<Bounds> = (0..model.groups).map(|group| bounds(model, group)).collect();
    let mut merges = Vec::new();
    let mut first = 0;
    while first < model.sources.len() {
        let keyspace = model.sources[first].keyspace;
        let all = first..first + keyspace.partition_count();
        first = all.end;
        let partitions = partitions_to_be(keyspace, &steps, in_flight);
        let Some(excess) = partitions.checked_sub(goal).filter(|excess| *excess > 0) else {
            continue;
        };
        let mut runs: Vec<Run> = all.map(|number| run(model, number, &touched)).collect();
        let left = merge_runs(model, &mut runs, excess, &bounds);
        if left == excess {
            let reason = Reason::NothingToMerge { partitions, goal };
            refusals.add(Subject::Keyspace(keyspace.id()), reason);
        }
        let merged = runs.iter().filter(|run| run.sources.len() > 1);
        merges.extend(merged.map(|run| merge(model, run, partitions, goal)));
    }
    merges
}

/// Returns how many partitions a keyspace has after these steps and the reshapes in flight.
fn partitions_to_be(
    keyspace: &KeyspaceLayout,
    steps: &[&Step],
    in_flight: &[ReshapeSpec],
) -> usize {
    let steps = steps.iter().filter(|step| step.keyspace == keyspace.id());
    let more: usize = steps.map(|step| step.split_points.len()).sum();
    let begun = in_flight.iter().filter(|spec| spec.keyspace == keyspace.id());
    let begun: i64 =
        begun.map(|spec| (spec.split_points.len() + 1) as i64 - spec.sources.len() as i64).sum();
    ((keyspace.partition_count() + more) as i64 + begun).max(0) as usize
}

fn bounds(model: &Model<'_>, group: usize) -> Bounds {
    let options = model.options;
    let members: Vec<usize> =
        (0..model.shards.len()).filter(|number| model.shards[*number].group == group).collect();
    let load_is_noise = model.group_load(group) < options.load_min;
    let bytes_are_noise = !model.bytes_matter(&members);
    let is_fair = |shard: &Shard| {
        (load_is_noise || shard.load_times() <= options.imbalance_start)
            && (bytes_are_noise || shard.bytes_times() <= options.bytes_imbalance_start)
    };
    let settled = members.iter().all(|number| is_fair(&model.shards[*number]));
    Bounds { load_is_noise, bytes_are_noise, settled }
}

/// Returns the run of a single source.
fn run(model: &Model<'_>, number: usize, touched: &BTreeSet<PartitionId>) -> Run {
    let source = &model.sources[number];
    let draining = model.shards[source.owner].draining;
    Run {
        sources: number..number + 1,
        owner: source.owner,
        load: source.load,
        load_max: source.load_max,
        bytes: source.bytes,
        mergeable: source.is_free() && !draining && !touched.contains(&source.id),
    }
}

/// Merges at most `excess` times; returns how many merges are still wanted. Neighbours on one shard
/// come first, again and again, until nothing is left that could be merged: a plan after this one
/// would find nothing, either.
fn merge_runs(
    model: &mut Model<'_>,
    runs: &mut Vec<Run>,
    mut excess: usize,
    bounds: &Numbered<Bounds>,
) -> usize {
    loop {
        let before = excess;
        for across in [false, true] {
            let mut kept: Vec<Run> = Vec::with_capacity(runs.len());
            for run in runs.drain(..) {
                match kept.last_mut() {
                    Some(last)
                        if excess > 0 && fit(model, last, &run, across.then_some(bounds)) =>
                    {
                        join(model, last, run);
                        excess -= 1;
                    }
                    _ => kept.push(run),
                }
            }
            *runs = kept;
        }
        if excess == before || excess == 0 {
            return excess;
        }
    }
}

/// Returns true if two runs can be one; of different shards only if there are bounds for that.
fn fit(model: &Model<'_>, one: &Run, two: &Run, across: Option<&Numbered<Bounds>>) -> bool {
    let options = model.options;
    one.mergeable
        && two.mergeable
        && one.load_max + two.load_max <= options.merge_load_max
        && one.bytes.saturating_add(two.bytes) <= options.merge_bytes_max
        && (one.owner == two.owner
            || across.is_some_and(|bounds| fit_across(model, one, two, bounds)))
}

/// Returns true if the smaller of two runs can go to the owner of the larger.
fn fit_across(model: &Model<'_>, one: &Run, two: &Run, bounds: &Numbered<Bounds>) -> bool {
    let (larger, smaller) = if two.bytes > one.bytes { (two, one) } else { (one, two) };
    let (to, from) = (&model.shards[larger.owner], &model.shards[smaller.owner]);
    let (load, bytes) = (to.load + smaller.load, to.bytes + smaller.bytes as f64);
    let options = model.options;
    let bounds = bounds[to.group];
    let load_fits = bounds.load_is_noise || load <= options.imbalance_goal * to.fair_load;
    let bytes_fit =
        bounds.bytes_are_noise || bytes <= options.bytes_imbalance_goal() * to.fair_bytes;
    to.group == from.group
        && bounds.settled
        && (smaller.load <= 0.0 || load_fits)
        && (smaller.bytes == 0 || bytes_fit)
        && smaller.bytes as f64 <= to.space
}

/// Joins a run to the one before it, on the shard of the larger.
fn join(model: &mut Model<'_>, one: &mut Run, two: Run) {
    let (to, from) = if two.bytes > one.bytes { (&two, &*one) } else { (&*one, &two) };
    if from.owner != to.owner {
        let (load, bytes) = (from.load, from.bytes as f64);
        let shard = &mut model.shards[from.owner];
        shard.load = (shard.load - load).max(0.0);
        shard.bytes = (shard.bytes - bytes).max(0.0);
        let shard = &mut model.shards[to.owner];
        shard.load += load;
        shard.bytes += bytes;
        shard.space -= bytes;
    }
    one.owner = to.owner;
    one.sources.end = two.sources.end;
    one.load += two.load;
    one.load_max += two.load_max;
    one.bytes = one.bytes.saturating_add(two.bytes);
}

/// Returns the action that merges the sources of a run.
fn merge(model: &Model<'_>, run: &Run, partitions: usize, goal: usize) -> PlannedAction {
    let keyspace = model.sources[run.sources.start].keyspace;
    let sources = || run.sources.clone().map(|number| &model.sources[number]);
    let transfer = |source: &Source<'_>| Transfer {
        from: source.owner,
        to: run.owner,
        load: source.load,
        bytes: source.bytes as f64,
    };
    let leaving = sources().filter(|source| source.owner != run.owner);
    let transfers: Vec<Transfer> = leaving.map(transfer).collect();
    let moved_load = transfers.iter().map(|transfer| transfer.load).sum();
    let moved_bytes: f64 = transfers.iter().map(|transfer| transfer.bytes).sum();
    let step = Step {
        keyspace: keyspace.id(),
        sources: sources().map(|source| source.id).collect(),
        split_points: Vec::new(),
        owners: vec![model.shards[run.owner].id],
        kind: ReshapeKind::Merge,
        moved_bytes: moved_bytes as u64,
        bytes: run.bytes,
        reason: format!(
            "they had {:.1} operations a second at most and have {} together, and the keyspace has \
             {partitions} partitions, of {goal} wanted",
            run.load_max,
            human(run.bytes.into()),
        ),
    };
    let action = Action { step, cause: Cause::Merge, moved_load, gain: 0.0 };
    PlannedAction { action, transfers }
}
