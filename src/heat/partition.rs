//! Heat of a partition that has been touched.

use super::profile::{Profile, Sample, ScanSample};
use super::random::Random;
use super::rates::{Amounts, Rates, Sum, Windows};
use super::reservoir::Reservoir;
use super::split_position::lies_in;
use super::{HeatOptions, Observation, Operation};
use crate::placement::{PartitionRange, Token};
use crate::topology::{Partitioning, SplitPoint};
use std::time::Duration;

/// The rates of a partition, and samples of what it is asked for.
#[derive(Debug, Clone)]
pub(super) struct PartitionHeat {
    pub(super) rates: Rates,
    /// The load, over the short half-life, to tell a hot partition from a lucky draw of samples.
    pub(super) load: Sum,
    pub(super) samples: Reservoir<Place>,
    pub(super) scans: Reservoir<Ends>,
    /// Its index in the keyspace.
    pub(super) index: usize,
    /// Whether it was touched since the last tick.
    pub(super) changed: bool,
}

/// The place of a sampled operation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    pub(super) at: SplitPoint,
    pub(super) write: bool,
}

/// The places between which a scan ran.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ends {
    pub(super) from: SplitPoint,
    pub(super) to: SplitPoint,
}

/// A sampled observation, and all that a partition needs to take it in.
pub(super) struct Touch<'o> {
    pub(super) now: Duration,
    pub(super) partitioning: &'o Partitioning,
    pub(super) observation: &'o Observation<'o>,
    pub(super) key_bytes_max: usize,
    pub(super) half_lives: Windows<f64>,
    /// The logarithm of an exponential number, which decides what is sampled.
    pub(super) ln_draw: f64,
}

impl PartitionHeat {
    pub(super) fn new(options: &HeatOptions) -> Self {
        Self {
            rates: Rates::default(),
            load: Sum::default(),
            samples: Reservoir::new(options.samples_per_partition),
            scans: Reservoir::new(options.scans_per_partition()),
            index: 0,
            changed: false,
        }
    }

    /// Records an operation.
    pub(super) fn touch(&mut self, touch: &Touch<'_>, amounts: &Amounts, random: &mut Random) {
        let load = amounts.load();
        self.rates.add(&touch.half_lives, touch.now, amounts);
        self.load.add(touch.half_lives.short, touch.now, load);
        let at = touch.now.as_secs_f64() / touch.half_lives.medium;
        if let Operation::Scan { last, .. } = touch.observation.kind {
            // A scan's load lies between its ends. How it is spread there is not known, so half of
            // the scans count at one end and half at the other.
            let end = if random.next() & 1 == 0 { touch.observation.key } else { last };
            self.samples.offer(at, load, touch.ln_draw, || touch.place(end));
            self.scans.offer(at, load, random.ln_exponential(), || touch.ends(last));
        } else {
            let key = touch.observation.key;
            self.samples.offer(at, load, touch.ln_draw, || touch.place(key));
        }
    }

    /// Returns the samples as a profile, with their weights at the last of them.
    pub(super) fn profile(&self, range: &PartitionRange) -> Profile {
        let (samples, scans) = self.export(self.samples.last_at(), range);
        Profile::new(samples, scans)
    }

    /// Returns the samples with their weights at `at`, in half-lives.
    pub(super) fn export(&self, at: f64, range: &PartitionRange) -> (Vec<Sample>, Vec<ScanSample>) {
        let samples = self.samples.weighted(at).map(|(place, weight)| Sample {
            at: clamped(&place.at, range),
            weight,
            write: place.write,
        });
        let scans = self.scans.weighted(at).map(|(ends, weight)| ScanSample {
            from: clamped(&ends.from, range),
            to: clamped(&ends.to, range),
            weight,
        });
        (samples.collect(), scans.collect())
    }

    /// Returns a part of the sums, without samples.
    pub(super) fn part(&self, options: &HeatOptions, share: f64) -> Self {
        let mut load = self.load;
        load.amount *= share;
        // Each of the accesses that it is the sum of lies in one part.
        load.squares *= share;
        Self { rates: self.rates.part(share), load, ..Self::new(options) }
    }

    /// Takes the samples out, leaving none.
    pub(super) fn take_samples(&mut self) -> (Reservoir<Place>, Reservoir<Ends>) {
        (self.samples.take(), self.scans.take())
    }

    /// Adds the sums of another partition.
    pub(super) fn absorb(&mut self, half_lives: &Windows<f64>, other: &Self) {
        self.rates.absorb(half_lives, &other.rates);
        self.load.absorb(half_lives.short, &other.load);
    }
}

impl Touch<'_> {
    /// Returns the place of a key, cut off at the length that is kept.
    pub(super) fn place(&self, key: &[u8]) -> Place {
        let write = matches!(self.observation.kind, Operation::Write);
        Place { at: place_of(self.partitioning, key, self.key_bytes_max), write }
    }

    /// Returns where a scan ran. In a hash keyspace, one whose ends have the same token read what
    /// has that token; any other read the arc whole.
    fn ends(&self, last: &[u8]) -> Ends {
        let place = |key| place_of(self.partitioning, key, self.key_bytes_max);
        let (from, to) = (place(self.observation.key), place(last));
        if from == to || matches!(from, SplitPoint::Key(_)) {
            return Ends { from, to };
        }
        // Clamped to the partition when it is asked for.
        Ends { from: SplitPoint::Token(Token(0)), to: SplitPoint::Token(Token(u64::MAX)) }
    }
}

fn place_of(partitioning: &Partitioning, key: &[u8], key_bytes_max: usize) -> SplitPoint {
    match partitioning.token(key) {
        Some(token) => SplitPoint::Token(token),
        None => SplitPoint::Key(key.get(..key_bytes_max).unwrap_or(key).into()),
    }
}

/// Returns the place, or the end of the range that is next to it: places of keys that were cut
/// short, and ends of scans, may lie outside.
pub(super) fn clamped(at: &SplitPoint, range: &PartitionRange) -> SplitPoint {
    if lies_in(at, range) {
        return at.clone();
    }
    match (range, at) {
        (PartitionRange::Tokens(range), SplitPoint::Token(token)) => {
            let last = range.end.map_or(u64::MAX, |end| end.0.saturating_sub(1));
            SplitPoint::Token(Token(token.0.clamp(range.start.0, last.max(range.start.0))))
        }
        (PartitionRange::Keys(range), SplitPoint::Key(key)) if **key < *range.start => {
            SplitPoint::Key(range.start.clone())
        }
        (PartitionRange::Keys(range), SplitPoint::Key(_)) => {
            let last = range.end.as_deref().map_or(Box::default(), key_before);
            SplitPoint::Key(last.max(range.start.clone()))
        }
        _ => at.clone(),
    }
}

/// Returns a key before `end`, and after nearly all others that are before it: there is no last
/// one.
fn key_before(end: &[u8]) -> Box<[u8]> {
    match end.split_last() {
        None => Box::default(),
        Some((0, before)) => before.into(),
        Some((last, before)) => [before, &[last - 1], &[0xff; 8]].concat().into(),
    }
}

/// Returns the index of the partition that a place lies in.
pub(super) fn find(partitioning: &Partitioning, at: &SplitPoint) -> usize {
    match (partitioning, at) {
        (Partitioning::Hash { ring, .. }, SplitPoint::Token(token)) => ring.arc_of(*token),
        (Partitioning::Range { map, .. }, SplitPoint::Key(key)) => map.find(key),
        // A damaged file may have places of the other kind: the first partition keeps those.
        _ => 0,
    }
}
