//! Redistribution of heat when partitions change, from those that are gone to their successors.

use super::HeatOptions;
use super::keyspace::{KeyspaceHeat, numbers};
use super::partition::{PartitionHeat, find};
use super::random::Mixed;
use super::rates::Windows;
use crate::id::{PartitionId, ShardId};
use crate::placement::PartitionRange;
use crate::topology::{KeyspaceLayout, Partitioning, ReshapeKind, SplitPoint};
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

/// A change between two versions of a keyspace.
pub(super) struct Changed {
    pub(super) kind: ReshapeKind,
    /// The indices of what it changed, in the new version.
    pub(super) now: Range<usize>,
}

impl KeyspaceHeat {
    /// Follows a later version of the keyspace. O(partitions); only those that differ do work.
    #[expect(clippy::indexing_slicing, reason = "ranges of what differs are those of partitions")]
    pub(super) fn follow(
        &mut self,
        options: &HeatOptions,
        half_lives: &Windows<f64>,
        next: &Arc<KeyspaceLayout>,
    ) -> Vec<Changed> {
        if Arc::ptr_eq(&self.keyspace, next) {
            return Vec::new();
        }
        let before = std::mem::replace(&mut self.keyspace, Arc::clone(next));
        let partitions = std::mem::replace(&mut self.partitions, numbers(next));
        let differing = differing(&partitions, &self.partitions);
        let mut changes = moved(&partitions, &self.partitions, differing.is_empty());
        if differing.is_empty() {
            return changes;
        }
        for (was, now) in differing {
            for index in was.clone() {
                let (id, _) = partitions[index];
                self.hot.remove(&id);
                // One that was never touched has nothing to redistribute.
                if let Some(heat) = self.touched.remove(&id) {
                    self.redistribute(options, half_lives, &before.range(index), *heat);
                }
            }
            let kind = if now.len() < was.len() { ReshapeKind::Merge } else { ReshapeKind::Split };
            changes.push(Changed { kind, now });
        }
        self.renumber();
        changes
    }

    /// Updates the index of each touched partition.
    fn renumber(&mut self) {
        for (index, (id, _)) in self.partitions.iter().enumerate() {
            if let Some(heat) = self.touched.get_mut(id) {
                heat.index = index;
            }
        }
        let touched = &self.touched;
        self.changed.retain(|id| touched.contains_key(id));
    }

    /// Divides what is known of a partition with this range among its successors: samples by their
    /// places, rates by the weight of the samples.
    #[expect(clippy::indexing_slicing, reason = "successors are partitions, each with a part")]
    pub(super) fn redistribute(
        &mut self,
        options: &HeatOptions,
        half_lives: &Windows<f64>,
        range: &PartitionRange,
        mut heat: PartitionHeat,
    ) {
        let successors = intersecting(self.keyspace.partitioning(), range);
        let within = |index: usize| index.clamp(successors.start, successors.end.saturating_sub(1));
        let at = heat.samples.last_at();
        let (samples, scans) = heat.take_samples();
        let mut parts: Vec<_> = successors.clone().map(|_| (0.0, Vec::new(), Vec::new())).collect();
        for item in samples.drain() {
            let index = within(find(self.keyspace.partitioning(), &item.value.at));
            let (weight, items, _) = &mut parts[index - successors.start];
            *weight += item.weight_at(at, f64::INFINITY);
            items.push(item);
        }
        for item in scans.drain() {
            let end =
                |at: &SplitPoint| within(find(self.keyspace.partitioning(), at)) - successors.start;
            // A scan across a split point becomes a scan on both sides of it.
            let crossed = parts.iter_mut().take(end(&item.value.to) + 1);
            for (_, _, items) in crossed.skip(end(&item.value.from)) {
                items.push(item.with(item.value.clone()));
            }
        }
        let weights: Vec<f64> = parts.iter().map(|(weight, ..)| *weight).collect();
        let shares = shares(self.keyspace.partitioning(), range, &successors, &weights);
        for ((index, share), (_, samples, scans)) in successors.zip(shares).zip(parts) {
            let (id, _) = self.partitions[index];
            if share == 0.0 && scans.is_empty() {
                continue;
            }
            let successor = self.touched.entry(id);
            let successor = successor.or_insert_with(|| PartitionHeat::new(options).into());
            successor.index = index;
            successor.absorb(half_lives, &heat.part(options, share));
            successor.samples.absorb(samples);
            successor.scans.absorb(scans);
            if !std::mem::replace(&mut successor.changed, true) {
                self.changed.push(id);
            }
        }
    }
}

/// Returns the share of each successor: in proportion to the samples; without samples, to the
/// tokens; otherwise evenly.
fn shares(
    partitioning: &Partitioning,
    range: &PartitionRange,
    successors: &Range<usize>,
    weights: &[f64],
) -> Vec<f64> {
    let all: f64 = weights.iter().sum();
    if all > 0.0 {
        return weights.iter().map(|weight| weight / all).collect();
    }
    let width = |index| match (range, partitioning.range(index)) {
        (PartitionRange::Tokens(range), Some(PartitionRange::Tokens(successor))) => {
            let wider = range.width().max(1) as f64;
            let over = successor.start.max(range.start);
            let end = [successor.end, range.end].into_iter().flatten().min();
            crate::placement::TokenRange::new(over, end).width() as f64 / wider
        }
        _ => 1.0,
    };
    let widths: Vec<f64> = successors.clone().map(width).collect();
    let all: f64 = widths.iter().sum();
    widths.iter().map(|width| width / all).collect()
}

/// Returns the indices of the partitions that share tokens or keys with a range.
pub(super) fn intersecting(partitioning: &Partitioning, range: &PartitionRange) -> Range<usize> {
    let start = match range {
        PartitionRange::Tokens(range) => SplitPoint::Token(range.start),
        PartitionRange::Keys(range) => SplitPoint::Key(range.start.clone()),
    };
    let first = find(partitioning, &start);
    let touches = |index: &usize| partitioning.range(*index).is_some_and(|s| s.intersects(range));
    let more = (first + 1..partitioning.len()).take_while(touches).count();
    first..first + 1 + more
}

type Partitions = [(PartitionId, ShardId)];

/// Returns the partitions that exist before and after, with different owners. `aligned`: each has
/// the index that it had.
fn moved(before: &Partitions, after: &Partitions, aligned: bool) -> Vec<Changed> {
    let owners: HashMap<PartitionId, ShardId, Mixed> =
        if aligned { HashMap::default() } else { before.iter().copied().collect() };
    let was = |index: usize, id: PartitionId| match aligned {
        true => before.get(index).map(|(_, owner)| *owner),
        false => owners.get(&id).copied(),
    };
    let moves = after
        .iter()
        .enumerate()
        .filter(|(index, (id, owner))| was(*index, *id).is_some_and(|before| before != *owner));
    moves.map(|(index, _)| Changed { kind: ReshapeKind::Move, now: index..index + 1 }).collect()
}

/// Returns where the two differ in their numbers: what is gone, and what has replaced it.
fn differing(before: &Partitions, after: &Partitions) -> Vec<(Range<usize>, Range<usize>)> {
    let same = |(one, other): &(&(PartitionId, ShardId), &(PartitionId, ShardId))| one.0 == other.0;
    let head = before.iter().zip(after).take_while(same).count();
    let ((_, was), (_, now)) = (before.split_at(head), after.split_at(head));
    let tail = was.iter().rev().zip(now.iter().rev()).take_while(same).count();
    let ids = |list: &Partitions| -> Vec<PartitionId> {
        list.iter().take(list.len() - tail).map(|(id, _)| *id).collect()
    };
    let (was, now) = (ids(was), ids(now));
    let [old, new] = [&was, &now].map(|ids| ids.iter().copied().collect::<BTreeSet<_>>());
    let (mut i, mut j) = (0, 0);
    let mut groups = Vec::new();
    while i < was.len() || j < now.len() {
        let gone = was.iter().skip(i).take_while(|id| !new.contains(id)).count();
        let come = now.iter().skip(j).take_while(|id| !old.contains(id)).count();
        if gone + come > 0 {
            groups.push((head + i..head + i + gone, head + j..head + j + come));
        }
        // Also skip the one that is in both.
        (i, j) = (i + gone + 1, j + come + 1);
    }
    groups
}
