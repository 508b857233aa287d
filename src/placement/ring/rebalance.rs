//! From unequal to exact shares with the least possible movement: one algorithm for a shard that
//! joins, one that leaves and one whose weight changes.
//!
//! Members that own more than their target are donors, those that own less are receivers; exactly
//! the sum of the surpluses changes owner, so no other algorithm moves less. Where a donor's arc
//! touches a receiver's, the boundary shifts. What is then still missing is taken from donors'
//! arcs.
//!
//! Shifting goes through the ring in token order and serves the left neighbour first. Taking for
//! one receiver (see `allocate`) follows the same order and rule. Therefore removing a shard
//! returns every token to the shard that it was taken from when the shard was added, and the number
//! of arcs does not creep up while shards join and leave.

use super::allocate;
use super::quota::Quotas;
use super::segments::{Joiner, Segment};
use std::cmp::Reverse;

/// Returns segments of which each member has its target. `wanted` is the number of arcs that each
/// member should have, which is met as far as exact shares and least movement allow. `targets` and
/// `wanted` have an entry for each member; the targets sum to what the segments sum to.
#[expect(clippy::indexing_slicing, reason = "there is a wanted number for each member")]
pub(super) fn balance(segments: Vec<Segment>, targets: &[u128], wanted: &[u32]) -> Vec<Segment> {
    let mut quotas = Quotas::new(&segments, targets);
    let mut segments = shift(segments, &mut quotas);
    let receivers = quotas.receivers();
    // A few receivers with many donors each get pieces of several donors; many receivers with few
    // donors each get pieces of one. The smaller side gets several.
    if receivers.len() <= quotas.donor_count() {
        for receiver in receivers {
            let have = quotas.quota(receiver).arcs;
            let pieces = (wanted[receiver] as usize).saturating_sub(have).max(1);
            segments = allocate::allocate(segments, &mut quotas, receiver, pieces);
        }
    }
    segments = distribute(segments, &mut quotas, Quotas::room);
    // Only when a donor has more arcs than it should have tokens is anything left to do here.
    distribute(segments, &mut quotas, |_, segment| segment.len)
}

/// Shifts the boundaries between donors and receivers, from left to right.
fn shift(segments: Vec<Segment>, quotas: &mut Quotas) -> Vec<Segment> {
    let mut shifted: Vec<Segment> = Vec::with_capacity(segments.len() + segments.len() / 4);
    let mut rest = segments.into_iter().peekable();
    while let Some(mut segment) = rest.next() {
        let owner = segment.owner;
        let is_receiver = |neighbour: Option<&Segment>| {
            neighbour.is_some_and(|neighbour| quotas.deficit(neighbour.owner) > 0)
        };
        if quotas.surplus(owner) > 0 && (is_receiver(shifted.last()) || is_receiver(rest.peek())) {
            let mut room = quotas.room(segment);
            for neighbour in [shifted.last_mut(), rest.peek_mut()].into_iter().flatten() {
                let tokens = quotas.transfer(owner, neighbour.owner, room);
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

/// Takes pieces for all receivers from the donors' largest arcs, each from a single arc where
/// possible: at most one piece for each receiver and one for each arc used.
fn distribute(
    segments: Vec<Segment>,
    quotas: &mut Quotas,
    room: impl Fn(&Quotas, Segment) -> u128,
) -> Vec<Segment> {
    let receivers = quotas.receivers();
    if receivers.is_empty() {
        return segments;
    }
    let donors =
        segments.iter().enumerate().filter(|(_, segment)| quotas.surplus(segment.owner) > 0);
    let mut sources: Vec<Source> = donors
        .map(|(index, &segment)| Source {
            index,
            owner: segment.owner,
            room: room(quotas, segment),
        })
        .collect();
    sources.sort_by_key(|source| (Reverse(source.room), source.index));

    let mut pieces: Vec<(usize, Segment)> = Vec::new();
    let mut sources = sources.into_iter();
    let mut source = sources.next();
    for owner in receivers {
        while let Some(from) = source.as_mut().filter(|_| quotas.deficit(owner) > 0) {
            let len = quotas.transfer(from.owner, owner, from.room);
            from.room -= len;
            if len > 0 {
                pieces.push((from.index, Segment { owner, len }));
            }
            if from.room == 0 || quotas.surplus(from.owner) == 0 {
                source = sources.next();
            }
        }
    }
    take_tails(segments, pieces)
}

struct Source {
    index: usize,
    owner: usize,
    room: u128,
}

/// Takes pieces off the tails of the segments with the given indices.
fn take_tails(segments: Vec<Segment>, mut pieces: Vec<(usize, Segment)>) -> Vec<Segment> {
    pieces.sort_by_key(|(index, _)| *index);
    let mut pieces = pieces.into_iter().peekable();
    let mut joiner = Joiner::new(segments.len() + pieces.len());
    for (index, segment) in segments.into_iter().enumerate() {
        let mut tail = Vec::new();
        while let Some((_, piece)) = pieces.next_if(|(of, _)| *of == index) {
            tail.push(piece);
        }
        let len = tail.iter().fold(segment.len, |len, piece| len - piece.len);
        joiner.keep(Segment { len, ..segment });
        tail.into_iter().for_each(|piece| joiner.insert(piece));
    }
    joiner.finish()
}
