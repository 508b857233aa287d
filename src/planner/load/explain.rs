//! Explanations of why a shard still has too much when nothing more is done.

use super::model::{Model, Source, State};
use super::numbered::Numbered;
use super::receivers::Rank;
use super::refusal::{EXPLAINED, Reason, Subject};
use super::targets::targets;
use std::cmp::Reverse;

/// Returns what cannot leave the shards of a group that have more load than a plan begins at:
/// single places, and what must not be touched now.
pub(super) fn what_stays(model: &Model<'_>, group: usize) -> Vec<(Subject, Reason)> {
    let members = model.members(group);
    let start = model.options.imbalance_start;
    let is_worst = |number: &usize| model.shards[*number].load_times() > start;
    let worst: Vec<usize> = members.iter().copied().filter(is_worst).collect();
    if worst.is_empty() {
        return Vec::new();
    }
    let by_owner = model.pieces_by_owner();
    let targets: Numbered<f64> = targets(model, &members, &by_owner);
    let mut refused = Vec::new();
    for shard in worst {
        refused.extend(one_key(model, shard, targets[shard], &by_owner[shard]));
        refused.extend(untouched(model, shard));
    }
    refused
}

/// Returns the piece that is a single place and makes up all that its shard should have.
fn one_key(
    model: &Model<'_>,
    shard: usize,
    target: f64,
    pieces: &[usize],
) -> Option<(Subject, Reason)> {
    let fair = model.shards[shard].fair_load;
    let mut pieces = pieces.iter().map(|number| &model.pieces[*number]);
    let piece = pieces.find(|piece| piece.atom >= target && target > fair)?;
    let subject = Subject::Partition(model.source_of(piece).id);
    Some((subject, Reason::OneKey { load: piece.atom, fair }))
}

/// Returns the partitions with the most load that must not be touched now.
fn untouched(model: &Model<'_>, shard: usize) -> Vec<(Subject, Reason)> {
    if model.shards[shard].fixed_load <= 0.0 {
        return Vec::new();
    }
    let is_busy = |it: &&Source<'_>| it.owner == shard && !it.is_free() && it.load > 0.0;
    let mut sources: Vec<&Source<'_>> = model.sources.iter().filter(is_busy).collect();
    sources.sort_by_key(|source| (Reverse(Rank(source.load)), source.id));
    let wanted = model.options.cool_down;
    let reason = |source: &Source<'_>| match source.state {
        State::CoolsDown { rested } => Reason::CoolsDown { rested, wanted },
        State::Free | State::InFlight => Reason::InFlight { load: source.load },
    };
    let largest = sources.into_iter().take(EXPLAINED);
    largest.map(|source| (Subject::Partition(source.id), reason(source))).collect()
}
