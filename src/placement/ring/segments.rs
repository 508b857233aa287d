//! Segments: the arcs of a ring as lengths, which edits can change in place.

use super::member::Members;
use super::{Ring, RingArc};
use crate::id::ShardId;

/// An arc without its position: the lengths before it sum to its first token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    /// The index of a member.
    pub(super) owner: usize,
    /// How many tokens; up to 2^64.
    pub(super) len: u128,
}

/// Returns the arcs of `ring`, with owners as indices of `members`, which must have all of them.
pub(super) fn from_ring(ring: &Ring, members: &Members) -> Vec<Segment> {
    let segment =
        |arc: RingArc| Segment { owner: members.index_of_owner(arc.owner), len: arc.range.width() };
    ring.arcs().map(segment).collect()
}

/// Returns the boundaries and owners of segments, which sum to 2^64.
pub(super) fn into_arcs(segments: Vec<Segment>, members: &Members) -> (Vec<u64>, Vec<ShardId>) {
    let mut start = 0;
    let positioned = |segment: Segment| {
        let arc = (start as u64, members.id(segment.owner));
        start += segment.len;
        arc
    };
    segments.into_iter().filter(|segment| segment.len > 0).map(positioned).unzip()
}

/// Builds segments from old ones and new pieces. A piece next to a segment of its own owner becomes
/// part of it; two old segments stay two, because that boundary may have been asked for.
pub(super) struct Joiner {
    segments: Vec<Segment>,
    /// Whether the last segment ends with a piece.
    after_piece: bool,
}

impl Joiner {
    pub(super) fn new(capacity: usize) -> Self {
        Self { segments: Vec::with_capacity(capacity), after_piece: false }
    }

    /// Adds what is left of an old segment.
    pub(super) fn keep(&mut self, segment: Segment) {
        if segment.len > 0 {
            self.add(segment, self.after_piece);
            self.after_piece = false;
        }
    }

    /// Adds a piece.
    pub(super) fn insert(&mut self, piece: Segment) {
        if piece.len > 0 {
            self.add(piece, true);
            self.after_piece = true;
        }
    }

    fn add(&mut self, segment: Segment, join: bool) {
        match self.segments.last_mut() {
            Some(last) if join && last.owner == segment.owner => last.len += segment.len,
            _ => self.segments.push(segment),
        }
    }

    pub(super) fn finish(self) -> Vec<Segment> {
        self.segments
    }
}
