//! Shedding bytes: off the shards that have too many, with the least load.

use super::model::{Model, Piece, Purpose};
use super::receivers::{Rank, Receivers, why_not_hold};
use super::refusal::{Reason, Subject};
use super::targets::targets;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// How many of the shards with the fewest bytes are tried before a piece stays.
const ASKED: usize = 8;

/// Moves whole pieces off the shards of a group that have too many bytes, the coldest first, to
/// the shards with the fewest for their weight. Returns whether anything moved, and what was
/// refused.
pub(super) fn round(model: &mut Model<'_>, group: usize) -> (bool, Vec<(Subject, Reason)>) {
    let members = model.members(group);
    let (start, goal) = (model.options.bytes_imbalance_start, model.options.bytes_imbalance_goal());
    let donors = by_bytes(model, &members);
    let worst = donors.last().map_or(0.0, |(Rank(times), _)| *times);
    if worst <= start || !model.bytes_matter(&members) {
        return (false, Vec::new());
    }
    let by_owner = model.pieces_by_owner();
    let receivers = (model.group_load(group) >= model.options.load_min).then(|| {
        let targets = targets(model, &members, &by_owner);
        Receivers::new(model, &members, targets)
    });
    let (count, mut refused) = (model.moves.len(), Vec::new());
    for (Rank(before), donor) in donors.into_iter().rev() {
        if before <= goal {
            break;
        }
        relieve(model, donor, &by_owner[donor], &members, receivers.as_ref());
        let shard = &model.shards[donor];
        let times = shard.bytes_times();
        if times > start {
            refused.push((Subject::Shard(shard.id), Reason::NoBytesMove { times, start }));
        }
    }
    (model.moves.len() > count, refused)
}

/// Returns shards in the order of their bytes for their weight, the fewest first.
fn by_bytes(model: &Model<'_>, members: &[usize]) -> Vec<(Rank, usize)> {
    let rank = |shard: &usize| (Rank(model.shards[*shard].bytes_times()), *shard);
    let mut ranks: Vec<(Rank, usize)> = members.iter().map(rank).collect();
    ranks.sort_unstable();
    ranks
}

/// Moves pieces off a shard until it has no more bytes than a plan aims at.
fn relieve(
    model: &mut Model<'_>,
    donor: usize,
    pieces: &[usize],
    members: &[usize],
    loads: Option<&Receivers>,
) {
    let goal = model.options.bytes_imbalance_goal();
    let mut coldest: Vec<usize> = pieces.to_vec();
    coldest.sort_by_cached_key(|number| {
        let piece = &model.pieces[*number];
        (Rank(piece.load / piece.bytes.max(1.0)), Reverse(Rank(piece.bytes)), *number)
    });
    let mut takers: BTreeSet<(Rank, usize)> =
        by_bytes(model, members).into_iter().filter(|(_, it)| *it != donor).collect();
    for number in coldest {
        let (piece, shard) = (&model.pieces[number], &model.shards[donor]);
        if shard.bytes <= goal * shard.fair_bytes {
            return;
        }
        let before = shard.bytes_times();
        let least = model.options.gain_min * shard.fair_bytes / 16.0;
        if piece.bytes < least || piece.owner != donor {
            continue;
        }
        let fits = |it: &&(Rank, usize)| takes(model, piece, it.1, before, loads);
        let Some((rank, taker)) = takers.iter().take(ASKED).find(fits).copied() else { continue };
        model.move_piece(number, taker, Purpose::Bytes);
        takers.remove(&(rank, taker));
        takers.insert((Rank(model.shards[taker].bytes_times()), taker));
    }
}

/// Returns true if a shard takes a piece for its bytes: it ends within what a plan aims at, or at
/// least better than the donor was; and its load stays in bounds.
fn takes(
    model: &Model<'_>,
    piece: &Piece,
    taker: usize,
    before: f64,
    loads: Option<&Receivers>,
) -> bool {
    let shard = &model.shards[taker];
    let after = (shard.bytes + piece.bytes) / shard.fair_bytes;
    let gain_min = model.options.gain_min;
    let has_room = || loads.is_none_or(|loads| piece.load <= loads.room(model, taker));
    (after <= model.options.bytes_imbalance_goal() || after <= before - gain_min)
        && (piece.load <= 0.0 || has_room())
        && why_not_hold(model, piece, taker).is_none()
}
