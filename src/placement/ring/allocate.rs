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

use super::quota::Ledger;
use super::segments::{Joiner, Segment};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// Gives `receiver` what it lacks, in about `pieces` new arcs.
pub(super) fn carve(
    segments: Vec<Segment>,
    ledger: &mut Ledger,
    receiver: usize,
    pieces: usize,
) -> Vec<Segment> {
    let untouched = Cuts::new(&segments, ledger, receiver, pieces);
    let mut sites = Sites::new(&untouched);
    let mut cuts = untouched.clone();
    // Cuts from left to right come out a little different from those tried in order of size, so a
    // few more sites may be needed.
    while cuts.missing > 0 && sites.choose_more(&mut cuts) {
        cuts = untouched.clone();
        sites.chosen.iter().for_each(|&site| cuts.cut(site));
    }
    let taken = cuts.taken;
    for (&index, cut) in &taken {
        if let Some(segment) = segments.get(index) {
            ledger.pass(segment.owner, receiver, cut.head + cut.tail);
        }
    }
    apply(segments, &taken, receiver)
}

/// What is taken from a segment.
#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    head: u128,
    tail: u128,
}

/// Cuts that are tried before the segments are changed.
#[derive(Debug, Clone)]
struct Cuts<'s> {
    segments: &'s [Segment],
    ledger: &'s Ledger,
    /// What the receiver still lacks.
    missing: u128,
    /// What a new arc should have.
    chunk: u128,
    /// What each member can still give.
    surplus: Vec<u128>,
    /// By segment.
    taken: BTreeMap<usize, Taken>,
}

impl<'s> Cuts<'s> {
    fn new(segments: &'s [Segment], ledger: &'s Ledger, receiver: usize, pieces: usize) -> Self {
        let missing = ledger.deficit(receiver);
        Self {
            segments,
            ledger,
            missing,
            chunk: missing.div_ceil(pieces.max(1) as u128).max(1),
            surplus: ledger.surpluses(),
            taken: BTreeMap::new(),
        }
    }

    /// What the owner of a segment can still give.
    fn surplus_at(&self, index: usize) -> u128 {
        let surplus = self.segments.get(index).and_then(|segment| self.surplus.get(segment.owner));
        surplus.copied().unwrap_or(0)
    }

    /// How much more can be taken from a segment.
    fn room_at(&self, index: usize) -> u128 {
        let room = self.segments.get(index).map_or(0, |&segment| self.ledger.room(segment));
        let cut = self.taken.get(&index).copied().unwrap_or_default();
        room.saturating_sub(cut.head + cut.tail)
    }

    /// Whether a segment's owner has something to give, and all of it fits into this segment.
    fn can_give_all(&self, index: usize) -> bool {
        let surplus = self.surplus_at(index);
        surplus > 0 && surplus <= self.room_at(index)
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
        let owner = self.segments.get(index).map(|segment| segment.owner);
        let Some(surplus) = owner.and_then(|owner| self.surplus.get_mut(owner)) else {
            return 0;
        };
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
        let Some((_, cut)) = taken.next_if(|(of, _)| **of == index) else {
            joiner.keep(segment);
            continue;
        };
        let len = segment.len - cut.head - cut.tail;
        joiner.insert(Segment { owner: receiver, len: cut.head });
        joiner.keep(Segment { len, ..segment });
        joiner.insert(Segment { owner: receiver, len: cut.tail });
    }
    joiner.finish()
}

/// Where a new arc is put: at the end of the segment `index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Site {
    index: usize,
    /// Whether the new arc goes on into the next segment.
    is_pair: bool,
}

/// By size, then first in token order.
type BySize = BinaryHeap<(u64, Reverse<usize>)>;

struct Sites {
    /// In token order.
    chosen: Vec<Site>,
    /// Two donors who both have little to give, by the smaller one of the two segments.
    pairs: BySize,
    /// Made when no pair is left.
    singles: Option<BySize>,
}

impl Sites {
    fn new(cuts: &Cuts<'_>) -> Self {
        let sizes: Vec<u64> = relative_sizes(cuts).collect();
        let next = sizes.iter().skip(1);
        let sites = sizes.iter().zip(next).enumerate();
        let pairs = sites.filter(|(index, (size, next))| {
            **size > 0 && **next > 0 && cuts.is_short(cuts.surplus_at(*index))
        });
        let pairs = pairs.map(|(index, (&size, &next))| (size.min(next), Reverse(index)));
        Self { chosen: Vec::new(), pairs: pairs.collect(), singles: None }
    }

    /// Chooses sites until `cuts` has nothing missing; whether any was found. Makes the cuts in
    /// `cuts` to see what is left.
    fn choose_more(&mut self, cuts: &mut Cuts<'_>) -> bool {
        let before = self.chosen.len();
        while cuts.missing > 0
            && let Some((_, Reverse(index))) = self.pairs.pop()
        {
            if cuts.can_give_all(index) && cuts.can_give_all(index + 1) {
                self.choose(Site { index, is_pair: true }, cuts);
            }
        }
        if cuts.missing > 0 {
            self.choose_singles(cuts);
        }
        self.chosen.sort_unstable();
        self.chosen.len() > before
    }

    fn choose_singles(&mut self, cuts: &mut Cuts<'_>) {
        let mut singles = self.singles.take().unwrap_or_else(|| {
            let sizes = relative_sizes(cuts).enumerate().filter(|(_, size)| *size > 0);
            sizes.map(|(index, size)| (size, Reverse(index))).collect()
        });
        while cuts.missing > 0
            && let Some((_, Reverse(index))) = singles.pop()
        {
            if cuts.surplus_at(index) > 0 {
                self.choose(Site { index, is_pair: false }, cuts);
            }
        }
        self.singles = Some(singles);
    }

    fn choose(&mut self, site: Site, cuts: &mut Cuts<'_>) {
        cuts.cut(site);
        self.chosen.push(site);
    }
}

/// The length of each segment in relation to the others of its owner, in millionths; 0 if its owner
/// has nothing to give.
fn relative_sizes(cuts: &Cuts<'_>) -> impl Iterator<Item = u64> {
    let scale = |(owner, &surplus): (usize, &u128)| {
        let account = cuts.ledger.account(owner);
        if surplus == 0 { 0.0 } else { 1e6 * account.arcs as f64 / account.owned as f64 }
    };
    let scales: Vec<f64> = cuts.surplus.iter().enumerate().map(scale).collect();
    // These operations on floats give the same on every machine.
    cuts.segments.iter().map(move |segment| {
        let scale = scales.get(segment.owner).copied().unwrap_or(0.0);
        (segment.len as f64 * scale) as u64
    })
}
