//! Advice on whether and where to split a partition for its load.

mod options;
mod text;

pub use options::SplitOptions;
pub(crate) use options::within;

use super::Profile;
use super::split_position::{can_split_at, lies_in, next};
use crate::placement::PartitionRange;
use crate::topology::SplitPoint;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What to do with a partition. Shares are of its load, from 0 to 1. As text, it is one line that
/// states the reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SplitDecision {
    /// Into two halves of its load.
    Median {
        /// Where.
        at: SplitPoint,
        /// The share before it.
        left_share: f64,
        /// The share of the scans that it cuts.
        scans_cut: f64,
    },
    /// One key or token carries so much that there are no halves: it gets a partition of its own.
    Isolate {
        /// The key or token.
        place: SplitPoint,
        /// Its share.
        share: f64,
        /// The place and the one right after it, as far as they are not edges of the partition
        /// anyway: one cut or two.
        #[serde(rename = "cuts")]
        split_points: Vec<SplitPoint>,
        /// The greatest share of the scans that one of the cuts cuts.
        scans_cut: f64,
    },
    /// Keys are appended: any cut among those that exist would leave all new ones on one side. The
    /// cut goes after them, and new keys fall into a fresh partition that can be anywhere.
    Ahead {
        /// Right after the last sampled key.
        at: SplitPoint,
        /// The share of the writes that went beyond everything before them.
        rising_share: f64,
        /// The share of the load that those writes make up, which follows the fresh partition.
        load_share: f64,
    },
    /// The profile says too little.
    NotEnough {
        /// What it is worth, in samples of equal weight.
        samples: f64,
        /// What it should be worth.
        wanted: u32,
    },
    /// No split would help.
    WouldNotHelp {
        /// Why.
        reason: NoSplitReason,
    },
}

/// Why no split would help.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NoSplitReason {
    /// There is too little load.
    Cold {
        /// The partition's load, in operations a second.
        load: f64,
        /// The least that is split.
        wanted: f64,
    },
    /// The partition is one key or token.
    Alone {
        /// It.
        place: SplitPoint,
    },
    /// One key or token stands in the way of all halves, but carries too little to be isolated.
    InTheWay {
        /// It.
        place: SplitPoint,
        /// Its share.
        share: f64,
        /// The least share that is isolated.
        wanted: f64,
    },
    /// Every cut that would help cuts too many scans.
    CutsScans {
        /// The least share of the scans that a cut would cut.
        scans_cut: f64,
        /// The most that is allowed.
        most: f64,
    },
}

/// Decides whether and where to split a partition that covers `range` and has `load` operations a
/// second, by a `profile` of that load; samples outside of the range do not count. It looks, in
/// this order, for
///
/// 1. an edge at which keys are appended ([`Ahead`](SplitDecision::Ahead)), if at least as much of
///    the load is appended as the smaller half must have;
/// 2. a cut that leaves neither half too much ([`Median`](SplitDecision::Median)): of those the one
///    that cuts the fewest scans, in whole per cent, and of these the one nearest to the middle;
/// 3. the key or token that is in the way of such a cut ([`Isolate`](SplitDecision::Isolate)).
///
/// O(n log n) in the number of samples; O(n) if none lies outside of the range.
///
/// ```
/// use annulus::heat::{Profile, Sample, SplitDecision, SplitOptions, decide};
/// use annulus::placement::{Token, TokenRange};
/// use annulus::topology::SplitPoint;
///
/// let token = |n: u64| Sample { at: SplitPoint::Token(Token(n)), weight: 1.0, write: false };
/// let even = Profile::new((0..100).map(|n| token(n * 37 % 100)).collect(), Vec::new());
/// let range = TokenRange::WHOLE.into();
/// let decision = decide(&even, &range, 5000.0, &SplitOptions::default());
/// assert_eq!(
///     decision.to_string(),
///     "split at token 0000000000000032: 50.0 % of the load lies before it, and it cuts 0.0 % of \
///      the scans"
/// );
/// // A token with half of the load, in the middle.
/// let hot = (0..200).map(|n| token(if n % 2 == 0 { 50 } else { n }));
/// let hot = Profile::new(hot.collect(), Vec::new());
/// let decision = decide(&hot, &range, 5000.0, &SplitOptions::default());
/// assert!(matches!(decision, SplitDecision::Isolate { split_points, .. } if split_points.len() == 2));
/// ```
#[must_use]
pub fn decide(
    profile: &Profile,
    range: &PartitionRange,
    load: f64,
    options: &SplitOptions,
) -> SplitDecision {
    if let Some(place) = only_place(range) {
        return no_help(NoSplitReason::Alone { place });
    }
    if load.is_nan() || load < options.load_min {
        return no_help(NoSplitReason::Cold { load, wanted: options.load_min });
    }
    let profile = inside(profile, range);
    let (samples, wanted) = (profile.effective(), options.samples_min);
    // Sums of equal weights may be off by a rounding error.
    if samples < f64::from(wanted) - 1e-6 {
        return SplitDecision::NotEnough { samples, wanted };
    }
    ahead(&profile, range, options).unwrap_or_else(|| {
        let [from, to] = halves(&profile, options);
        if from < to {
            median(&profile, range, [from, to], options)
        } else {
            isolate(&profile, range, from, options)
        }
    })
}

/// Returns the profile without what lies outside of the range.
fn inside<'p>(profile: &'p Profile, range: &PartitionRange) -> Cow<'p, Profile> {
    let ends = [profile.place(0), profile.last_place()];
    if ends.into_iter().flatten().all(|place| lies_in(place, range)) {
        Cow::Borrowed(profile)
    } else {
        Cow::Owned(profile.within(range))
    }
}

/// Returns a cut after the appended keys.
pub(crate) fn ahead(
    profile: &Profile,
    range: &PartitionRange,
    options: &SplitOptions,
) -> Option<SplitDecision> {
    let (rising_share, load_share) = (profile.rising_share(), profile.rising_load_share());
    // Tokens do not rise, unless keys are chosen to make them.
    let appended = matches!(range, PartitionRange::Keys(_))
        && rising_share >= options.rising_share_min
        && load_share >= 1.0 - options.half_share_max;
    let at = profile.last_place().filter(|_| appended).and_then(next)?;
    can_split_at(&at, range).then_some(SplitDecision::Ahead { at, rising_share, load_share })
}

/// Returns the indices of the places at which neither half is too large: from the first up to, not
/// including, the second. If there are none, both are the index of the first place after.
fn halves(profile: &Profile, options: &SplitOptions) -> [usize; 2] {
    // For shares that are exactly on the bound apart from rounding.
    let slack = 1e-9;
    let least = profile.place_at_share(1.0 - options.half_share_max - slack);
    let most = profile.place_at_share(options.half_share_max + slack);
    [least.max(1), most.max(1)]
}

fn median(
    profile: &Profile,
    range: &PartitionRange,
    [from, to]: [usize; 2],
    options: &SplitOptions,
) -> SplitDecision {
    let mut best: Option<(f64, f64, &SplitPoint, f64)> = None;
    for index in from..to {
        let Some(at) = profile.place(index).filter(|at| can_split_at(at, range)) else { continue };
        let (left_share, scans_cut) = (profile.share_before_place(index), profile.scans_cut(at));
        let rank = ((scans_cut * 100.0).round(), (left_share - 0.5).abs());
        if best.is_none_or(|(scans, distance, ..)| rank < (scans, distance)) {
            best = Some((rank.0, rank.1, at, left_share));
        }
    }
    let Some((_, _, at, left_share)) = best else {
        return isolate(profile, range, to, options);
    };
    let scans_cut = profile.scans_cut(at);
    if scans_cut > options.scans_cut_max {
        return no_help(NoSplitReason::CutsScans { scans_cut, most: options.scans_cut_max });
    }
    SplitDecision::Median { at: at.clone(), left_share, scans_cut }
}

/// Returns a split that isolates the place before the one with the index `behind`.
fn isolate(
    profile: &Profile,
    range: &PartitionRange,
    behind: usize,
    options: &SplitOptions,
) -> SplitDecision {
    let index = behind.saturating_sub(1);
    let Some(place) = profile.place(index) else {
        return SplitDecision::NotEnough { samples: 0.0, wanted: options.samples_min };
    };
    let share = profile.share_before_place(index + 1) - profile.share_before_place(index);
    let place = place.clone();
    if share < options.isolate_share_min {
        let wanted = options.isolate_share_min;
        return no_help(NoSplitReason::InTheWay { place, share, wanted });
    }
    let around = around(&place, range);
    let scans_cut = around.iter().map(|at| profile.scans_cut(at)).fold(0.0, f64::max);
    if scans_cut > options.scans_cut_max {
        return no_help(NoSplitReason::CutsScans { scans_cut, most: options.scans_cut_max });
    }
    SplitDecision::Isolate { place, share, split_points: around, scans_cut }
}

/// Returns the cuts that leave a place alone.
fn around(place: &SplitPoint, range: &PartitionRange) -> Vec<SplitPoint> {
    [Some(place.clone()), next(place)]
        .into_iter()
        .flatten()
        .filter(|at| can_split_at(at, range))
        .collect()
}

/// Returns the place that the range consists of, if that is one.
pub(crate) fn only_place(range: &PartitionRange) -> Option<SplitPoint> {
    let first = match range {
        PartitionRange::Tokens(range) => SplitPoint::Token(range.start),
        PartitionRange::Keys(range) => SplitPoint::Key(range.start.clone()),
    };
    let second = next(&first);
    second.is_none_or(|second| !lies_in(&second, range)).then_some(first)
}

const fn no_help(reason: NoSplitReason) -> SplitDecision {
    SplitDecision::WouldNotHelp { reason }
}
