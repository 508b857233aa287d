//! Cold and small neighbours become one.

use super::compile::{Draft, Shift};
use super::model::{Model, Shard, Source, State};
use super::refusal::{Reason, Refusals, Subject};
use super::{Action, Cause};
use crate::planner::Step;
use crate::planner::format::human;
use crate::topology::ReshapeKind;
use std::collections::BTreeSet;
use std::ops::Range;

/// What merges across the shards of a group must mind.
#[derive(Clone, Copy, Default)]
struct Bounds {
    /// Whether load, and bytes, are so little that they may lie anywhere.
    load_is_noise: bool,
    bytes_are_noise: bool,
    /// Whether no shard has so much that it should give some. One that should and cannot, for want
    /// of room elsewhere, would find room in the next plan where a merge made it in this one.
    settled: bool,
}

/// Neighbouring sources that are to be one.
struct Run {
    sources: Range<usize>,
    owner: usize,
    load: f64,
    load_max: f64,
    bytes: u64,
    /// Whether it can be merged with another.
    mergeable: bool,
}

impl Model<'_> {
    /// Merges what is cold and small, keyspace by keyspace, as long as one has more partitions
    /// than its goal. `drafts` are what is done besides; what they concern is left alone.
    pub(super) fn merge(
        &mut self,
        drafts: &[Draft],
        in_flight: &[crate::topology::ReshapeSpec],
        refusals: &mut Refusals,
    ) -> Vec<Draft> {
        let shards = self.shards.iter().filter(|shard| !shard.draining).count();
        let goal = (self.options.partitions_per_shard_goal as usize).saturating_mul(shards);
        let steps = drafts.iter().map(|draft| &draft.action.step);
        let touched: BTreeSet<_> = steps.clone().flat_map(|step| step.sources.clone()).collect();
        let mut merged = Vec::new();
        let bounds = self.bounds();
        let mut first = 0;
        while let Some(source) = self.sources.get(first) {
            let keyspace = source.keyspace;
            let all = first..first + keyspace.partition_count();
            first = all.end;
            let more: usize = steps
                .clone()
                .filter(|step| step.keyspace == keyspace.id())
                .map(|step| step.split_points.len())
                .sum();
            let begun = in_flight.iter().filter(|spec| spec.keyspace == keyspace.id());
            let begun =
                begun.map(|spec| (spec.split_points.len() + 1) as i64 - spec.sources.len() as i64);
            let partitions = ((all.len() + more) as i64 + begun.sum::<i64>()).max(0) as usize;
            let Some(excess) = partitions.checked_sub(goal).filter(|excess| *excess > 0) else {
                continue;
            };
            let mut runs: Vec<Run> = all.filter_map(|index| self.run(index, &touched)).collect();
            let left = self.merge_runs(&mut runs, excess, &bounds);
            if left == excess {
                let reason = Reason::NothingToMerge { partitions, goal };
                refusals.add(Subject::Keyspace(keyspace.id()), reason);
            }
            let drafted = runs.iter().filter_map(|run| self.merged(run, partitions, goal));
            merged.extend(drafted);
        }
        merged
    }

    /// Of each group.
    fn bounds(&self) -> Vec<Bounds> {
        let groups = self.shards.iter().map(|shard| shard.group + 1).max().unwrap_or(0);
        let bounds = |group| {
            let members = (0..self.shards.len())
                .filter(|it| self.shards.get(*it).is_some_and(|shard| shard.group == group));
            let members: Vec<usize> = members.collect();
            let load_is_noise = self.group_load(group) < self.options.load_min;
            let bytes_are_noise = !self.bytes_matter(&members);
            let fair = |shard: &Shard| {
                (load_is_noise || shard.load_times() <= self.options.imbalance_start)
                    && (bytes_are_noise
                        || shard.bytes_times() <= self.options.bytes_imbalance_start)
            };
            let settled = members.iter().filter_map(|it| self.shards.get(*it)).all(fair);
            Bounds { load_is_noise, bytes_are_noise, settled }
        };
        (0..groups).map(bounds).collect()
    }

    fn run(&self, index: usize, touched: &BTreeSet<crate::id::PartitionId>) -> Option<Run> {
        let source = self.sources.get(index)?;
        let owner = self.shards.get(source.owner)?;
        Some(Run {
            sources: index..index + 1,
            owner: source.owner,
            load: source.load,
            load_max: source.load_max,
            bytes: source.bytes,
            mergeable: source.state == State::Free
                && !owner.draining
                && !touched.contains(&source.id),
        })
    }

    /// Merges at most `excess` times; returns how often it still should. Neighbours on one shard
    /// come first, again and again, until nothing is left that could be merged: a plan after this
    /// one would find nothing either.
    fn merge_runs(&mut self, runs: &mut Vec<Run>, mut excess: usize, bounds: &[Bounds]) -> usize {
        loop {
            let before = excess;
            for across in [false, true] {
                let mut kept: Vec<Run> = Vec::with_capacity(runs.len());
                for run in runs.drain(..) {
                    match kept.last_mut() {
                        Some(last)
                            if excess > 0 && self.fit(last, &run, across.then_some(bounds)) =>
                        {
                            self.join(last, run);
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

    fn fit(&self, one: &Run, two: &Run, across: Option<&[Bounds]>) -> bool {
        let options = self.options;
        one.mergeable
            && two.mergeable
            && one.load_max + two.load_max <= options.merge_load_max
            && one.bytes.saturating_add(two.bytes) <= options.merge_bytes_max
            && (one.owner == two.owner
                || across.is_some_and(|bounds| self.can_join(one, two, bounds)))
    }

    /// Whether the smaller of two runs can go to the owner of the larger.
    fn can_join(&self, one: &Run, two: &Run, bounds: &[Bounds]) -> bool {
        let (larger, smaller) = if two.bytes > one.bytes { (two, one) } else { (one, two) };
        let shards = (self.shards.get(larger.owner), self.shards.get(smaller.owner));
        let (Some(to), Some(from)) = shards else { return false };
        let (load, bytes) = (to.load + smaller.load, to.bytes + smaller.bytes as f64);
        let options = self.options;
        let bounds = bounds.get(to.group).copied().unwrap_or_default();
        let load_fits = bounds.load_is_noise || load <= options.imbalance_goal * to.fair_load;
        let bytes_fit =
            bounds.bytes_are_noise || bytes <= options.bytes_imbalance_goal() * to.fair_bytes;
        to.group == from.group
            && bounds.settled
            && (smaller.load <= 0.0 || load_fits)
            && (smaller.bytes == 0 || bytes_fit)
            && smaller.bytes as f64 <= to.space
    }

    fn join(&mut self, one: &mut Run, two: Run) {
        let (to, from) = if two.bytes > one.bytes { (&two, &*one) } else { (&*one, &two) };
        let owner = to.owner;
        if from.owner != owner {
            let (load, bytes, left) = (from.load, from.bytes as f64, from.owner);
            if let Some(shard) = self.shards.get_mut(left) {
                shard.load = (shard.load - load).max(0.0);
                shard.bytes = (shard.bytes - bytes).max(0.0);
            }
            if let Some(shard) = self.shards.get_mut(owner) {
                shard.load += load;
                shard.bytes += bytes;
                shard.space -= bytes;
            }
        }
        one.owner = owner;
        one.sources.end = two.sources.end;
        one.load += two.load;
        one.load_max += two.load_max;
        one.bytes = one.bytes.saturating_add(two.bytes);
    }

    fn merged(&self, run: &Run, partitions: usize, goal: usize) -> Option<Draft> {
        let sources: Vec<&Source<'_>> =
            self.sources.get(run.sources.clone()).filter(|it| it.len() > 1)?.iter().collect();
        let keyspace = sources.first()?.keyspace;
        let goes = sources.iter().filter(|source| source.owner != run.owner);
        let shifts: Vec<Shift> = goes
            .map(|source| Shift {
                from: source.owner,
                to: run.owner,
                load: source.load,
                bytes: source.bytes as f64,
            })
            .collect();
        let moved_load = shifts.iter().map(|shift| shift.load).sum();
        let moved_bytes: f64 = shifts.iter().map(|shift| shift.bytes).sum();
        let step = Step {
            keyspace: keyspace.id(),
            sources: sources.iter().map(|source| source.id).collect(),
            split_points: Vec::new(),
            owners: vec![self.shards.get(run.owner)?.id],
            kind: ReshapeKind::Merge,
            moved_bytes: moved_bytes as u64,
            bytes: run.bytes,
            reason: format!(
                "they had {:.1} operations a second at most and have {} together, and the \
                 keyspace has {partitions} partitions, of {goal} wanted",
                run.load_max,
                human(run.bytes.into()),
            ),
        };
        let action = Action { step, cause: Cause::Merge, moved_load, gain: 0.0 };
        Some(Draft { action, shifts })
    }
}
