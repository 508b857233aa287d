//! Profiles: how the load of a partition is spread over its keys or tokens, according to samples.

use super::SplitOptions;
use super::split_position::lies_in;
use crate::placement::PartitionRange;
use crate::topology::SplitPoint;
use serde::{Deserialize, Serialize};

/// One sampled read or write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Its key in a range keyspace, its token in a hash keyspace.
    pub at: SplitPoint,
    /// How much load it stands for, in any unit that the samples of a profile share.
    pub weight: f64,
    /// Whether it was a write.
    pub write: bool,
}

/// One sampled scan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScanSample {
    /// The first key or token that it touched.
    pub from: SplitPoint,
    /// The last one.
    pub to: SplitPoint,
    /// How much load it stands for, in any unit that the scans of a profile share.
    pub weight: f64,
}

/// The load of a partition by place: a place is a key in a range keyspace, a token in a hash
/// keyspace. It knows only what was sampled, so it cuts only where samples lie.
///
/// ```
/// use annulus::heat::{Profile, Sample};
/// use annulus::topology::SplitPoint;
///
/// let key = |key: &str| SplitPoint::Key(key.as_bytes().into());
/// let sample = |at, weight| Sample { at: key(at), weight, write: false };
/// let profile =
///     Profile::new(vec![sample("m", 2.0), sample("c", 1.0), sample("t", 1.0)], Vec::new());
/// assert_eq!(profile.share_before(&key("m")), 0.25);
/// assert_eq!(profile.cut_at(0.7), Some((key("t"), 0.75)));
/// assert_eq!(profile.heaviest(), Some((key("m"), 0.5)));
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(from = "Samples", into = "Samples")]
pub struct Profile {
    samples: Vec<Sample>,
    scans: Vec<ScanSample>,
    /// The sampled places, ascending.
    places: Vec<Place>,
    weight: f64,
    /// The sum of the squares of the weights.
    squares: f64,
    heaviest: Option<usize>,
    rising: Rising,
    scan_starts: Ends,
    scan_ends: Ends,
}

/// The samples that a profile is built from and serialised as.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Samples {
    samples: Vec<Sample>,
    scans: Vec<ScanSample>,
}

/// A sampled place.
#[derive(Debug, Clone, PartialEq)]
struct Place {
    /// The first of its samples.
    sample: usize,
    /// The weight of all places before this one.
    before: f64,
    /// The same of the squares of their samples' weights.
    squares_before: f64,
}

/// The weight of the writes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Rising {
    writes: f64,
    /// Of those that went beyond everything before them.
    beyond: f64,
}

/// The scans by one of their ends, ascending, with the weight up to and including each of them.
#[derive(Debug, Clone, PartialEq, Default)]
struct Ends(Vec<(usize, f64)>);

impl Profile {
    /// Returns a profile of these samples, in the order in which they arrived. A sample whose
    /// weight is not a positive number is left out; a scan's ends may be passed in either order.
    /// O(n log n).
    #[must_use]
    pub fn new(mut samples: Vec<Sample>, mut scans: Vec<ScanSample>) -> Self {
        samples.retain(|sample| sample.weight.is_finite() && sample.weight > 0.0);
        scans.retain(|scan| scan.weight.is_finite() && scan.weight > 0.0);
        for scan in scans.iter_mut().filter(|scan| scan.from > scan.to) {
            std::mem::swap(&mut scan.from, &mut scan.to);
        }
        let mut profile = Self { rising: rising(&samples), ..Self::default() };
        profile.scan_starts = Ends::new(&scans, |scan| &scan.from);
        profile.scan_ends = Ends::new(&scans, |scan| &scan.to);
        profile.samples = samples;
        profile.scans = scans;
        profile.index();
        profile
    }

    /// Sorts the samples by place.
    fn index(&mut self) {
        let mut order: Vec<(usize, &Sample)> = self.samples.iter().enumerate().collect();
        order.sort_by(|(_, one), (_, other)| one.at.cmp(&other.at));
        let mut last: Option<&SplitPoint> = None;
        for (index, sample) in order {
            if last != Some(&sample.at) {
                let (before, squares_before) = (self.weight, self.squares);
                self.places.push(Place { sample: index, before, squares_before });
                last = Some(&sample.at);
            }
            self.weight += sample.weight;
            self.squares += sample.weight * sample.weight;
        }
        let weights = (0..self.places.len()).map(|place| (place, self.place_weight(place)));
        let heavier = |one: (usize, f64), two: (usize, f64)| if two.1 > one.1 { two } else { one };
        self.heaviest = weights.reduce(heavier).map(|(place, _)| place);
    }

    /// Returns how many samples it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Returns true if it has no samples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Returns how many samples of equal weight would tell as much as these do: the square of the
    /// sum of the weights by the sum of their squares (Kish, *Survey Sampling*, 1965).
    #[must_use]
    pub fn effective(&self) -> f64 {
        self.effective_between(0, self.places.len())
    }

    /// Returns how many scans it has.
    #[must_use]
    pub fn scan_count(&self) -> usize {
        self.scans.len()
    }

    /// Returns how many different places were sampled.
    #[must_use]
    pub fn place_count(&self) -> usize {
        self.places.len()
    }

    /// Returns the share of the load that lies before `at`, from 0 to 1; 0 if there are no samples.
    /// O(log n).
    #[must_use]
    pub fn share_before(&self, at: &SplitPoint) -> f64 {
        self.share_before_place(self.place_at(at))
    }

    /// Returns a place other than the first sampled one, chosen so that the share of the load
    /// before it is nearest to `share`, and that share. `None` if fewer than two places were
    /// sampled. O(log n).
    #[must_use]
    pub fn cut_at(&self, share: f64) -> Option<(SplitPoint, f64)> {
        let place = self.nearest_place(share, 1, self.places.len())?;
        Some((self.place(place)?.clone(), self.share_before_place(place)))
    }

    /// Returns the place with the most load, the first of equal ones, and its share. O(1).
    #[must_use]
    pub fn heaviest(&self) -> Option<(SplitPoint, f64)> {
        let (place, share) = self.heaviest_place()?;
        Some((self.place(place)?.clone(), share))
    }

    /// Returns the share of the scans that a cut at `at` would cut: those that touch places on both
    /// sides. 0 if there are no scans. O(log n).
    #[must_use]
    pub fn scans_cut(&self, at: &SplitPoint) -> f64 {
        let begun = self.scan_starts.before(&self.scans, at, |scan| &scan.from);
        let ended = self.scan_ends.before(&self.scans, at, |scan| &scan.to);
        let all = self.scan_starts.0.last().map_or(0.0, |(_, weight)| *weight);
        if all > 0.0 { ((begun - ended) / all).clamp(0.0, 1.0) } else { 0.0 }
    }

    /// Returns the share of the sampled writes, by weight, that went beyond every place sampled
    /// before them: near 1 where keys are only ever appended, near 0 where writes go anywhere. The
    /// very first sample goes beyond nothing. O(1).
    #[must_use]
    pub fn rising_share(&self) -> f64 {
        share(self.rising.beyond, self.rising.writes)
    }

    /// Returns the share of the load that those writes make up. O(1).
    #[must_use]
    pub fn rising_load_share(&self) -> f64 {
        share(self.rising.beyond, self.weight)
    }

    /// Returns the shares of the load to come that the parts between `split_points` will have: one
    /// more than split points, which must ascend. They are those of the samples, except where keys
    /// are appended, as [`decide`](super::decide) sees it by its default options: then what is
    /// written [beyond everything](Self::rising_load_share) will be in the last part. O(split
    /// points × log n).
    #[must_use]
    pub fn expected_shares(&self, split_points: &[SplitPoint]) -> Vec<f64> {
        let rising = if self.is_appended() { self.rising_load_share() } else { 0.0 };
        let ends = split_points.iter().map(|cut| self.share_before(cut)).chain([1.0]);
        let mut before = 0.0;
        let mut shares: Vec<f64> =
            ends.map(|end| (1.0 - rising) * (end - std::mem::replace(&mut before, end))).collect();
        if let Some(last) = shares.last_mut() {
            *last += rising;
        }
        shares
    }

    fn is_appended(&self) -> bool {
        let options = SplitOptions::default();
        matches!(self.last_place(), Some(SplitPoint::Key(_)))
            && self.rising_share() >= options.rising_share_min
            && self.rising_load_share() >= 1.0 - options.half_share_max
    }

    /// Returns the greatest sampled place. O(1).
    #[must_use]
    pub(crate) fn last_place(&self) -> Option<&SplitPoint> {
        self.place(self.places.len().checked_sub(1)?)
    }

    /// Returns the samples that lie in `range`, and the scans that touch it, as a profile. O(n log
    /// n).
    #[must_use]
    pub fn within(&self, range: &PartitionRange) -> Self {
        let samples = self.samples.iter().filter(|sample| lies_in(&sample.at, range));
        let scans = self.scans.iter().filter(|scan| touches(scan, range));
        Self::new(samples.cloned().collect(), scans.cloned().collect())
    }

    /// Returns the samples, in the order in which they arrived.
    #[must_use]
    pub fn samples(&self) -> impl ExactSizeIterator<Item = &Sample> {
        self.samples.iter()
    }

    /// Returns the index of the place with the most load, and its share.
    pub(crate) fn heaviest_place(&self) -> Option<(usize, f64)> {
        let place = self.heaviest?;
        Some((place, self.place_weight(place) / self.weight))
    }

    /// Returns the index of the first place before which there is at least `share` of the load.
    pub(crate) fn place_at_share(&self, share: f64) -> usize {
        self.places.partition_point(|place| place.before < share * self.weight)
    }

    /// Returns the index of the first place that is not before `at`.
    pub(crate) fn place_at(&self, at: &SplitPoint) -> usize {
        self.places.partition_point(|place| self.at(place).is_some_and(|it| it < at))
    }

    /// Returns the place with this index, in ascending order.
    pub(crate) fn place(&self, index: usize) -> Option<&SplitPoint> {
        self.at(self.places.get(index)?)
    }

    /// Returns the share of the load before the place with this index; 1 after the last one.
    pub(crate) fn share_before_place(&self, index: usize) -> f64 {
        match self.places.get(index) {
            Some(place) => place.before / self.weight,
            None if self.places.is_empty() => 0.0,
            None => 1.0,
        }
    }

    /// Returns, of the places with the indices `from..to`, the one before which the share is
    /// nearest to `share`; the first of two that are equally near.
    pub(crate) fn nearest_place(&self, share: f64, from: usize, to: usize) -> Option<usize> {
        let wanted = share * self.weight;
        let range = self.places.get(from..to).filter(|range| !range.is_empty())?;
        let above = from + range.partition_point(|place| place.before < wanted);
        let distance = |index: &usize| (self.share_before_place(*index) - share).abs();
        let below = above.checked_sub(1).filter(|below| *below >= from);
        let above = Some(above).filter(|above| *above < to);
        match (below, above) {
            (Some(below), Some(above)) if distance(&above) < distance(&below) => Some(above),
            (below, above) => below.or(above),
        }
    }

    /// Returns what the samples of the places with the indices `from..to` are
    /// [worth](Self::effective).
    pub(crate) fn effective_between(&self, from: usize, to: usize) -> f64 {
        let sums = |index| {
            let place = self.places.get(index);
            place.map_or([self.weight, self.squares], |it: &Place| [it.before, it.squares_before])
        };
        let ([weight, squares], [weight_to, squares_to]) = (sums(from), sums(to));
        let (weight, squares) = (weight_to - weight, squares_to - squares);
        share(weight * weight, squares)
    }

    fn place_weight(&self, index: usize) -> f64 {
        let before =
            |index| self.places.get(index).map_or(self.weight, |place: &Place| place.before);
        before(index + 1) - before(index)
    }

    fn at(&self, place: &Place) -> Option<&SplitPoint> {
        self.samples.get(place.sample).map(|sample| &sample.at)
    }
}

impl From<Samples> for Profile {
    fn from(Samples { samples, scans }: Samples) -> Self {
        Self::new(samples, scans)
    }
}

impl From<Profile> for Samples {
    fn from(Profile { samples, scans, .. }: Profile) -> Self {
        Self { samples, scans }
    }
}

impl Ends {
    fn new(scans: &[ScanSample], end: impl Fn(&ScanSample) -> &SplitPoint) -> Self {
        let mut order: Vec<(usize, &ScanSample)> = scans.iter().enumerate().collect();
        order.sort_by(|(_, one), (_, other)| end(one).cmp(end(other)));
        let mut sum = 0.0;
        let summed = order.into_iter().map(|(index, scan)| {
            sum += scan.weight;
            (index, sum)
        });
        Self(summed.collect())
    }

    /// Returns the weight of the scans whose end lies before `at`.
    fn before(
        &self,
        scans: &[ScanSample],
        at: &SplitPoint,
        end: impl Fn(&ScanSample) -> &SplitPoint,
    ) -> f64 {
        let before = |index: usize| scans.get(index).is_some_and(|scan| end(scan) < at);
        let count = self.0.partition_point(|(index, _)| before(*index));
        let last = count.checked_sub(1).and_then(|last| self.0.get(last));
        last.map_or(0.0, |(_, weight)| *weight)
    }
}

fn rising(samples: &[Sample]) -> Rising {
    let mut rising = Rising::default();
    let mut greatest: Option<&SplitPoint> = None;
    for sample in samples {
        let beyond = greatest.is_none_or(|greatest| sample.at > *greatest);
        if sample.write {
            rising.writes += sample.weight;
            rising.beyond += if beyond && greatest.is_some() { sample.weight } else { 0.0 };
        }
        greatest = if beyond { Some(&sample.at) } else { greatest };
    }
    rising
}

fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn touches(scan: &ScanSample, range: &PartitionRange) -> bool {
    let (starts_before_end, ends_after_start) = match (range, &scan.from, &scan.to) {
        (PartitionRange::Tokens(range), SplitPoint::Token(from), SplitPoint::Token(to)) => {
            (range.end.is_none_or(|end| *from < end), *to >= range.start)
        }
        (PartitionRange::Keys(range), SplitPoint::Key(from), SplitPoint::Key(to)) => {
            (range.end.as_ref().is_none_or(|end| from < end), *to >= range.start)
        }
        _ => (false, false),
    };
    starts_before_end && ends_after_start
}
