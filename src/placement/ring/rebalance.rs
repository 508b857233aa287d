//! From unequal to exact shares with the least possible movement: one algorithm for a shard that
//! comes, one that goes and one whose weight changes.
//!
//! Members that own more than their target are donors, those that own less are receivers; exactly
//! the sum of the surpluses changes owner, so no other algorithm moves less. Where a donor's arc
//! touches a receiver's, the boundary shifts. What is then still missing is cut from donors' arcs.
//!
//! Shifting goes through the ring in token order and serves the left neighbour first. Cutting for
//! one receiver (see `carve`) goes in the same order by the same rule. Therefore removing a
//! shard gives every token back to whom it was taken from when the shard was added, and the number
//! of arcs does not creep up while shards come and go.

use super::allocate;
use super::quota::Ledger;
use super::segments::{Joiner, Segment};
use std::cmp::Reverse;

/// Gives each member its target. `wanted` is the number of arcs that each member should have, which
/// is met as far as exact shares and least movement allow. `targets` and `wanted` have an
/// entry for each member; the targets sum to what the segments sum to.
pub(super) fn balance(segments: Vec<Segment>, targets: &[u128], wanted: &[u32]) -> Vec<Segment> {
    let mut ledger = Ledger::new(&segments, targets);
    let mut segments = shift(segments, &mut ledger);
    let receivers = ledger.receivers();
    // A few receivers with many donors each get pieces of several donors; many receivers with few
    // donors each get pieces of one. The fewer get the more.
    if receivers.len() <= ledger.donor_count() {
        for receiver in receivers {
            let have = ledger.account(receiver).arcs;
            let wanted = wanted.get(receiver).map_or(1, |&arcs| arcs as usize);
            let pieces = wanted.saturating_sub(have).max(1);
            segments = allocate::carve(segments, &mut ledger, receiver, pieces);
        }
    }
    segments = hand_out(segments, &mut ledger, Ledger::room);
    // Only when a donor has more arcs than it should have tokens is anything left to do here.
    hand_out(segments, &mut ledger, |_, segment| segment.len)
}

/// Shifts the boundaries between donors and receivers, from left to right.
fn shift(segments: Vec<Segment>, ledger: &mut Ledger) -> Vec<Segment> {
    let mut shifted: Vec<Segment> = Vec::with_capacity(segments.len() + segments.len() / 4);
    let mut rest = segments.into_iter().peekable();
    while let Some(mut segment) = rest.next() {
        let owner = segment.owner;
        let is_receiver = |neighbour: Option<&Segment>| {
            neighbour.is_some_and(|neighbour| ledger.deficit(neighbour.owner) > 0)
        };
        if ledger.surplus(owner) > 0 && (is_receiver(shifted.last()) || is_receiver(rest.peek())) {
            let mut room = ledger.room(segment);
            for neighbour in [shifted.last_mut(), rest.peek_mut()].into_iter().flatten() {
                let tokens = ledger.pass(owner, neighbour.owner, room);
                neighbour.len += tokens;
                segment.len -= tokens;
                room -= tokens;
            }
        }
        if segment.len > 0 {
            shifted.push(segment);
        }
    }
    shifted
}

/// Cuts pieces for all receivers from the donors' largest arcs, each from a single arc where
/// possible: at most one piece for each receiver and one for each arc used.
fn hand_out(
    segments: Vec<Segment>,
    ledger: &mut Ledger,
    room: impl Fn(&Ledger, Segment) -> u128,
) -> Vec<Segment> {
    let receivers = ledger.receivers();
    if receivers.is_empty() {
        return segments;
    }
    let donors =
        segments.iter().enumerate().filter(|(_, segment)| ledger.surplus(segment.owner) > 0);
    let mut sources: Vec<Source> = donors
        .map(|(index, &segment)| Source {
            index,
            owner: segment.owner,
            room: room(ledger, segment),
        })
        .collect();
    sources.sort_by_key(|source| (Reverse(source.room), source.index));

    let mut pieces: Vec<(usize, Segment)> = Vec::new();
    let mut sources = sources.into_iter();
    let mut source = sources.next();
    for owner in receivers {
        while let Some(from) = source.as_mut().filter(|_| ledger.deficit(owner) > 0) {
            let len = ledger.pass(from.owner, owner, from.room);
            from.room -= len;
            if len > 0 {
                pieces.push((from.index, Segment { owner, len }));
            }
            if from.room == 0 || ledger.surplus(from.owner) == 0 {
                source = sources.next();
            }
        }
    }
    cut_tails(segments, pieces)
}

struct Source {
    index: usize,
    owner: usize,
    room: u128,
}

/// Cuts pieces off the tails of the segments with the given indices.
fn cut_tails(segments: Vec<Segment>, mut pieces: Vec<(usize, Segment)>) -> Vec<Segment> {
    pieces.sort_by_key(|(index, _)| *index);
    let mut pieces = pieces.into_iter().peekable();
    let mut cut = Joiner::new(segments.len() + pieces.len());
    for (index, segment) in segments.into_iter().enumerate() {
        let mut tail = Vec::new();
        while let Some((_, piece)) = pieces.next_if(|(of, _)| *of == index) {
            tail.push(piece);
        }
        let len = tail.iter().fold(segment.len, |len, piece| len - piece.len);
        cut.keep(Segment { len, ..segment });
        tail.into_iter().for_each(|piece| cut.insert(piece));
    }
    cut.finish()
}
