//! New arcs for one receiver, out of those of many donors.
//!
//! A new arc is put at the end of a donor's arc, at its *site*, and takes its tokens from the tail
//! of that arc. If the donor's surplus is used up and the new arc is still short, it continues into
//! the head of the next arc: with more donors than arcs wanted, all of which must contribute, a new
//! arc takes from two of them.
//!
//! The sites are chosen by size: the largest arcs first. The tokens are then taken from left to
//! right, and nothing is taken to the right of a site before the donor on its left is used up for
//! good. So when the receiver leaves, going from left to right and serving the left neighbour first
//! returns every token to its donor.

use super::quota::Quotas;
use super::segments::{Joiner, Segment};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// Allocates to `receiver` what it lacks, in about `pieces` new arcs.
#[expect(clippy::indexing_slicing, reason = "sites are segments")]
pub(super) fn allocate(
    segments: Vec<Segment>,
    quotas: &mut Quotas,
    receiver: usize,
    pieces: usize,
) -> Vec<Segment> {
    let untouched = Allocation::new(&segments, quotas, receiver, pieces);
    let mut sites = Sites::new(&untouched);
    let mut allocation = untouched.clone();
    // What is taken from left to right differs a little from what was tried in order of size, so a
    // few more sites may be needed.
    while allocation.missing > 0 && sites.choose_more(&mut allocation) {
        allocation = untouched.clone();
        sites.chosen.iter().for_each(|&site| allocation.add(site));
    }
    let taken = allocation.taken;
    for (&index, from) in &taken {
        quotas.transfer(segments[index].owner, receiver, from.head + from.tail);
    }
    apply(segments, &taken, receiver)
}

/// What is taken from a segment.
#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    head: u128,
    tail: u128,
}

/// An allocation that is tried before the segments are changed.
#[derive(Debug, Clone)]
struct Allocation<'s> {
    segments: &'s [Segment],
    quotas: &'s Quotas,
    /// What the receiver still lacks.
    missing: u128,
    /// What a new arc should have.
    chunk: u128,
    /// The tokens that each member can still give.
    surplus: Vec<u128>,
    /// By segment.
    taken: BTreeMap<usize, Taken>,
}

#[expect(clippy::indexing_slicing, reason = "segments, and their owners, have indices")]
impl<'s> Allocation<'s> {
    fn new(segments: &'s [Segment], quotas: &'s Quotas, receiver: usize, pieces: usize) -> Self {
        let missing = quotas.deficit(receiver);
        Self {
            segments,
            quotas,
            missing,
            chunk: missing.div_ceil(pieces.max(1) as u128).max(1),
            surplus: quotas.surpluses(),
            taken: BTreeMap::new(),
        }
    }

    /// Returns what the owner of a segment can still give.
    fn surplus_at(&self, index: usize) -> u128 {
        self.surplus[self.segments[index].owner]
    }

    /// Returns how much more can be taken from a segment.
    fn room_at(&self, index: usize) -> u128 {
        let room = self.quotas.room(self.segments[index]);
        // Nothing is noted where nothing was taken.
        let taken = self.taken.get(&index).copied().unwrap_or_default();
        room.saturating_sub(taken.head + taken.tail)
    }

    /// Returns true if a segment's owner has something to give, and all of it fits into this
    /// segment.
    fn can_give_all(&self, index: usize) -> bool {
        let surplus = self.surplus_at(index);
        surplus > 0 && surplus <= self.room_at(index)
    }

    /// Returns true if so few tokens are not worth a separate arc.
    fn is_short(&self, tokens: u128) -> bool {
        tokens < self.chunk - self.chunk / 4
    }

    /// Makes a new arc at a site, if that can give anything.
    fn add(&mut self, site: Site) {
        let surplus = self.surplus_at(site.index);
        let pieces = ((surplus + self.chunk / 2) / self.chunk).max(1);
        let tail = self.take(site.index, surplus.div_ceil(pieces));
        self.taken.entry(site.index).or_default().tail += tail;
        if site.is_pair && tail > 0 && self.surplus_at(site.index) == 0 {
            let next = site.index + 1;
            let surplus = self.surplus_at(next);
            let all = tail + surplus <= self.chunk + self.chunk / 2;
            let rest = self.chunk.saturating_sub(tail);
            let head = self.take(next, if all { surplus } else { rest });
            self.taken.entry(next).or_default().head += head;
        }
    }

    /// Takes `most` tokens from a segment, or as many as can be given and are still missing.
    fn take(&mut self, index: usize, most: u128) -> u128 {
        let room = self.room_at(index);
        let surplus = &mut self.surplus[self.segments[index].owner];
        let tokens = most.min(*surplus).min(room).min(self.missing);
        *surplus -= tokens;
        self.missing -= tokens;
        tokens
    }
}

fn apply(segments: Vec<Segment>, taken: &BTreeMap<usize, Taken>, receiver: usize) -> Vec<Segment> {
    let mut joiner = Joiner::new(segments.len() + taken.len());
    let mut taken = taken.iter().peekable();
    for (index, segment) in segments.into_iter().enumerate() {
        let Some((_, from)) = taken.next_if(|(of, _)| **of == index) else {
            joiner.keep(segment);
            continue;
        };
        let len = segment.len - from.head - from.tail;
        joiner.insert(Segment { owner: receiver, len: from.head });
        joiner.keep(Segment { len, ..segment });
        joiner.insert(Segment { owner: receiver, len: from.tail });
    }
    joiner.finish()
}

/// Where a new arc is put: at the end of the segment `index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Site {
    index: usize,
    /// Whether the new arc continues into the next segment.
    is_pair: bool,
}

/// By size, then first in token order.
type BySize = BinaryHeap<(u64, Reverse<usize>)>;

struct Sites {
    /// In token order.
    chosen: Vec<Site>,
    /// Two donors that both have little to give, by the smaller one of the two segments.
    pairs: BySize,
    /// Made when no pair is left.
    singles: Option<BySize>,
}

impl Sites {
    fn new(allocation: &Allocation<'_>) -> Self {
        let sizes: Vec<u64> = relative_sizes(allocation).collect();
        let next = sizes.iter().skip(1);
        let sites = sizes.iter().zip(next).enumerate();
        let pairs = sites.filter(|(index, (size, next))| {
            **size > 0 && **next > 0 && allocation.is_short(allocation.surplus_at(*index))
        });
        let pairs = pairs.map(|(index, (&size, &next))| (size.min(next), Reverse(index)));
        Self { chosen: Vec::new(), pairs: pairs.collect(), singles: None }
    }

    /// Chooses sites until `allocation` has nothing missing; returns whether any was found.
    fn choose_more(&mut self, allocation: &mut Allocation<'_>) -> bool {
        let before = self.chosen.len();
        while allocation.missing > 0
            && let Some((_, Reverse(index))) = self.pairs.pop()
        {
            if allocation.can_give_all(index) && allocation.can_give_all(index + 1) {
                self.choose(Site { index, is_pair: true }, allocation);
            }
        }
        if allocation.missing > 0 {
            self.choose_singles(allocation);
        }
        self.chosen.sort_unstable();
        self.chosen.len() > before
    }

    fn choose_singles(&mut self, allocation: &mut Allocation<'_>) {
        let mut singles = self.singles.take().unwrap_or_else(|| {
            let sizes = relative_sizes(allocation).enumerate().filter(|(_, size)| *size > 0);
            sizes.map(|(index, size)| (size, Reverse(index))).collect()
        });
        while allocation.missing > 0
            && let Some((_, Reverse(index))) = singles.pop()
        {
            if allocation.surplus_at(index) > 0 {
                self.choose(Site { index, is_pair: false }, allocation);
            }
        }
        self.singles = Some(singles);
    }

    fn choose(&mut self, site: Site, allocation: &mut Allocation<'_>) {
        allocation.add(site);
        self.chosen.push(site);
    }
}

/// Returns the length of each segment in relation to the others of its owner, in millionths; 0 if
/// its owner has nothing to give.
#[expect(clippy::indexing_slicing, reason = "there is a scale for each owner")]
fn relative_sizes(allocation: &Allocation<'_>) -> impl Iterator<Item = u64> {
    let scale = |(owner, &surplus): (usize, &u128)| {
        let quota = allocation.quotas.quota(owner);
        if surplus == 0 { 0.0 } else { 1e6 * quota.arcs as f64 / quota.owned as f64 }
    };
    let scales: Vec<f64> = allocation.surplus.iter().enumerate().map(scale).collect();
    // These operations on floats have the same result on every machine.
    allocation
        .segments
        .iter()
        .map(move |segment| (segment.len as f64 * scales[segment.owner]) as u64)
}
