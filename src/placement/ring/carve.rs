//! Cutting arcs for one receiver out of those of many donors.
//!
//! A new arc is put at the end of a donor's arc, at its *site*, and takes its tokens from the tail
//! of that arc. If the donor's surplus is used up and the new arc is still short, it goes on
//! into the head of the next arc: with more donors than arcs wanted, all of whom must give, a new
//! arc serves two of them.
//!
//! The sites are chosen by size: the largest arcs first. The cuts are then made from left to right,
//! and nothing is taken to the right of a site before the donor on its left is used up for good. So
//! when the receiver leaves, going from left to right and serving the left neighbour
//! first returns every token to its donor.

use super::ledger::Ledger;
use super::segments::{Joiner, Segment};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Gives `receiver` what it lacks, in about `pieces` new arcs.
pub(super) fn carve(
    segments: Vec<Segment>,
    ledger: &mut Ledger,
    receiver: usize,
    pieces: usize,
) -> Vec<Segment> {
    let missing = ledger.deficit(receiver);
    let untouched = Cuts {
        missing,
        chunk: missing.div_ceil(pieces.max(1) as u128).max(1),
        surplus: ledger.surpluses(),
        segments: segments.iter().map(|&segment| Cut::new(segment, ledger)).collect(),
    };
    let mut sites = Sites::new(&untouched, ledger);
    let mut cuts = untouched.clone();
    // Cuts from left to right come out a little different from those tried in order of size, so a
    // few more sites may be needed.
    while cuts.missing > 0 && sites.choose_more(&mut cuts) {
        cuts = untouched.clone();
        sites.chosen.iter().for_each(|&site| cuts.cut(site));
    }
    for cut in &cuts.segments {
        ledger.pass(cut.segment.owner, receiver, cut.head + cut.tail);
    }
    cuts.apply(receiver)
}

#[derive(Debug, Clone)]
struct Cuts {
    /// What the receiver still lacks.
    missing: u128,
    /// What a new arc should have.
    chunk: u128,
    /// What each member can still give.
    surplus: Vec<u128>,
    segments: Vec<Cut>,
}

/// A segment and what is taken from it.
#[derive(Debug, Clone, Copy)]
struct Cut {
    segment: Segment,
    /// How much more can be taken.
    room: u128,
    head: u128,
    tail: u128,
}

impl Cut {
    fn new(segment: Segment, ledger: &Ledger) -> Self {
        Self { segment, room: ledger.room(segment), head: 0, tail: 0 }
    }
}

impl Cuts {
    fn surplus_at(&self, index: usize) -> u128 {
        let cut = self.segments.get(index);
        let surplus = cut.and_then(|cut| self.surplus.get(cut.segment.owner));
        surplus.copied().unwrap_or(0)
    }

    /// Whether a segment's owner has something to give, and it fits into this segment.
    fn can_give_all(&self, index: usize) -> bool {
        let surplus = self.surplus_at(index);
        surplus > 0 && self.segments.get(index).is_some_and(|cut| surplus <= cut.room)
    }

    /// Whether so little is not worth an arc of its own.
    fn is_short(&self, tokens: u128) -> bool {
        tokens < self.chunk - self.chunk / 4
    }

    /// Makes a new arc at a site, if that can give anything.
    fn cut(&mut self, site: Site) {
        let surplus = self.surplus_at(site.index);
        let pieces = ((surplus + self.chunk / 2) / self.chunk).max(1);
        let tail = self.take(site.index, surplus.div_ceil(pieces));
        if let Some(cut) = self.segments.get_mut(site.index) {
            cut.tail += tail;
        }
        if site.is_pair && tail > 0 && self.surplus_at(site.index) == 0 {
            let next = site.index + 1;
            let surplus = self.surplus_at(next);
            let all = tail + surplus <= self.chunk + self.chunk / 2;
            let rest = self.chunk.saturating_sub(tail);
            let head = self.take(next, if all { surplus } else { rest });
            if let Some(cut) = self.segments.get_mut(next) {
                cut.head += head;
            }
        }
    }

    /// Takes `most` tokens from a segment, or as many as can be given and are still missing.
    fn take(&mut self, index: usize, most: u128) -> u128 {
        let Some(cut) = self.segments.get_mut(index) else {
            return 0;
        };
        let Some(surplus) = self.surplus.get_mut(cut.segment.owner) else {
            return 0;
        };
        let tokens = most.min(*surplus).min(cut.room).min(self.missing);
        *surplus -= tokens;
        cut.room -= tokens;
        self.missing -= tokens;
        tokens
    }

    fn apply(self, receiver: usize) -> Vec<Segment> {
        let mut joiner = Joiner::new(self.segments.len() * 2);
        for Cut { segment, head, tail, .. } in self.segments {
            let piece = |len| Segment { owner: receiver, len };
            let len = segment.len - head - tail;
            joiner.insert(piece(head));
            joiner.keep(Segment { len, ..segment });
            joiner.insert(piece(tail));
        }
        joiner.finish()
    }
}

/// Where a new arc is put: at the end of the segment `index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Site {
    index: usize,
    /// Whether the new arc goes on into the next segment.
    is_pair: bool,
}

/// By size, then first in token order.
type BySize = BinaryHeap<(u128, Reverse<usize>)>;

struct Sites {
    /// In token order.
    chosen: Vec<Site>,
    /// Two donors who both have little to give, by the smaller one of the two segments.
    pairs: BySize,
    singles: BySize,
}

impl Sites {
    fn new(cuts: &Cuts, ledger: &Ledger) -> Self {
        let sizes: Vec<u128> = cuts.segments.iter().map(|cut| relative_size(cut, ledger)).collect();
        let next = sizes.iter().skip(1).chain(&[0]);
        let sites = sizes.iter().zip(next).enumerate();
        let pairs = sites.clone().filter(|(index, _)| cuts.is_short(cuts.surplus_at(*index)));
        let pairs = pairs.map(|(index, (&size, &next))| (size.min(next), Reverse(index)));
        let singles = sites.map(|(index, (&size, _))| (size, Reverse(index)));
        Self {
            chosen: Vec::new(),
            pairs: pairs.filter(|(size, _)| *size > 0).collect(),
            singles: singles.filter(|(size, _)| *size > 0).collect(),
        }
    }

    /// Chooses sites until `cuts` has nothing missing; whether any was found. Makes the cuts in
    /// `cuts` to see what is left.
    fn choose_more(&mut self, cuts: &mut Cuts) -> bool {
        let before = self.chosen.len();
        while cuts.missing > 0
            && let Some((_, Reverse(index))) = self.pairs.pop()
        {
            if cuts.can_give_all(index) && cuts.can_give_all(index + 1) {
                self.choose(Site { index, is_pair: true }, cuts);
            }
        }
        while cuts.missing > 0
            && let Some((_, Reverse(index))) = self.singles.pop()
        {
            if cuts.surplus_at(index) > 0 {
                self.choose(Site { index, is_pair: false }, cuts);
            }
        }
        self.chosen.sort_unstable();
        self.chosen.len() > before
    }

    fn choose(&mut self, site: Site, cuts: &mut Cuts) {
        cuts.cut(site);
        self.chosen.push(site);
    }
}

/// The length of a segment in relation to the others of its owner; 0 if nothing can be cut from it.
fn relative_size(cut: &Cut, ledger: &Ledger) -> u128 {
    if cut.room == 0 {
        return 0;
    }
    let account = ledger.account(cut.segment.owner);
    // 2^64 tokens times 2^24 arcs leave 40 bits.
    ((cut.segment.len * account.arcs as u128) << 32) / account.owned.max(1)
}
