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
    let mut sites = Sites::new(&untouched);
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

    /// Whether so little is not worth an arc of its own.
    fn is_short(&self, tokens: u128) -> bool {
        tokens < self.chunk - self.chunk / 4
    }

    /// Makes a new arc at the end of the segment `site`, if that can give anything.
    fn cut(&mut self, site: usize) {
        let surplus = self.surplus_at(site);
        let pieces = ((surplus + self.chunk / 2) / self.chunk).max(1);
        let tail = self.take(site, surplus.div_ceil(pieces));
        if let Some(cut) = self.segments.get_mut(site) {
            cut.tail += tail;
        }
        if tail > 0 && self.is_short(tail) && self.surplus_at(site) == 0 {
            let surplus = self.surplus_at(site + 1);
            let all = tail + surplus <= self.chunk + self.chunk / 2;
            let head = self.take(site + 1, if all { surplus } else { self.chunk - tail });
            if let Some(cut) = self.segments.get_mut(site + 1) {
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

/// The segments after which new arcs are put.
struct Sites {
    /// In token order.
    chosen: Vec<usize>,
    /// By length, then first in token order.
    by_size: BinaryHeap<(u128, Reverse<usize>)>,
    /// Passed over because the arc would be short and its right neighbour has nothing to add.
    /// In order of size.
    alone: Vec<usize>,
}

impl Sites {
    fn new(cuts: &Cuts) -> Self {
        let segments = cuts.segments.iter().enumerate();
        let donors = segments.filter(|(_, cut)| cut.room > 0);
        Self {
            chosen: Vec::new(),
            by_size: donors.map(|(index, cut)| (cut.segment.len, Reverse(index))).collect(),
            alone: Vec::new(),
        }
    }

    /// Chooses sites until `cuts` has nothing missing; whether any was found. Makes the cuts in
    /// `cuts` to see what is left.
    fn choose_more(&mut self, cuts: &mut Cuts) -> bool {
        let before = self.chosen.len();
        while cuts.missing > 0 {
            let Some((_, Reverse(site))) = self.by_size.pop() else {
                break;
            };
            let surplus = cuts.surplus_at(site);
            let neighbour = cuts.surplus_at(site + 1);
            let same = |cuts: &Cuts| owner(cuts, site) == owner(cuts, site + 1);
            if cuts.is_short(surplus) && (neighbour == 0 || same(cuts)) {
                self.alone.push(site);
            } else {
                self.choose(site, cuts);
            }
        }
        for site in std::mem::take(&mut self.alone) {
            if cuts.missing > 0 && cuts.surplus_at(site) > 0 {
                self.choose(site, cuts);
            } else {
                self.alone.push(site);
            }
        }
        self.chosen.sort_unstable();
        self.chosen.len() > before
    }

    fn choose(&mut self, site: usize, cuts: &mut Cuts) {
        cuts.cut(site);
        self.chosen.push(site);
    }
}

fn owner(cuts: &Cuts, index: usize) -> Option<usize> {
    cuts.segments.get(index).map(|cut| cut.segment.owner)
}
