//! The heaviest keys of recent time: Space-Saving over two windows.

use super::space_saving::SpaceSaving;
use std::time::Duration;

/// The heaviest keys of a stream over the last window.
///
/// Time is divided into windows, each with separate counters, of which two are kept: this one and
/// the last, which fades linearly as this one fills. A key that stops is therefore gone after two
/// windows at most.
///
/// An observation is amortised O(log k); a list is O(k log k). Memory is that of two
/// [`SpaceSaving`].
#[derive(Debug, Clone)]
pub(super) struct TopKeys {
    window: Duration,
    /// When the current window began.
    began: Duration,
    current: SpaceSaving,
    last: SpaceSaving,
    /// How much time `last` covers, in seconds.
    last_seconds: f64,
}

/// A key and what is known about its weight in the last window.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct KeyCount {
    /// The key.
    pub(super) key: Box<[u8]>,
    /// Its weight, by estimate: never too low.
    pub(super) count: f64,
    /// By how much the count may be too high.
    pub(super) error: f64,
    /// The count as a share of the whole stream.
    pub(super) share: f64,
}

/// What counts at a moment: all of `this`, and `last` as far as it has not faded.
struct Faded<'t> {
    this: Option<&'t SpaceSaving>,
    last: Option<&'t SpaceSaving>,
    left: f64,
}

impl TopKeys {
    /// Creates counters for a stream that begins at `born`. `window` is the length of a window,
    /// `capacity` the number of keys that are counted in each.
    pub(super) fn new(born: Duration, window: Duration, capacity: usize, seed: u64) -> Self {
        let empty = SpaceSaving::new(capacity, seed);
        let window = window.max(Duration::from_millis(1));
        Self { window, began: born, current: empty.clone(), last: empty, last_seconds: 0.0 }
    }

    /// Counts an observation of a key.
    pub(super) fn observe(&mut self, now: Duration, key: &[u8], weight: f64) {
        self.turn(now);
        self.current.observe(key, weight);
    }

    /// Counts an observation that has no key to report: for shares only.
    pub(super) fn pass(&mut self, now: Duration, weight: f64) {
        self.turn(now);
        self.current.pass(weight);
    }

    /// Begins the window that `now` lies in.
    fn turn(&mut self, now: Duration) {
        if now.saturating_sub(self.began) < self.window {
            return;
        }
        let over = self.windows_over(now);
        std::mem::swap(&mut self.current, &mut self.last);
        self.current.clear();
        if over > 1 {
            self.last.clear();
        }
        self.last_seconds = self.window.as_secs_f64();
        let late = now.saturating_sub(self.began).as_nanos() % self.window.as_nanos();
        self.began = now.saturating_sub(Duration::from_nanos(late as u64));
    }

    /// Returns how many windows have ended since the current one began.
    fn windows_over(&self, now: Duration) -> u128 {
        now.saturating_sub(self.began).as_nanos() / self.window.as_nanos()
    }

    /// Returns how much of the window that `now` lies in is left.
    fn left(&self, now: Duration) -> f64 {
        let into = now.saturating_sub(self.began).as_nanos() % self.window.as_nanos();
        1.0 - into as f64 / self.window.as_nanos() as f64
    }

    fn faded(&self, now: Duration) -> Faded<'_> {
        let (this, last) = match self.windows_over(now) {
            0 => (Some(&self.current), Some(&self.last)),
            1 => (None, Some(&self.current)),
            _ => (None, None),
        };
        Faded { this, last, left: self.left(now) }
    }

    /// Returns how much time the counts cover, in seconds: one window, less at the beginning.
    pub(super) fn seconds(&self, now: Duration) -> f64 {
        let window = self.window.as_secs_f64();
        let left = self.left(now);
        let last = if self.windows_over(now) == 0 { self.last_seconds } else { window };
        // The first observations of a stream arrive at its very beginning: their rate is then
        // computed as if they had taken a millisecond.
        ((1.0 - left) * window + left * last).max(0.001)
    }

    /// Returns the weight of the stream in the time that the counts cover.
    pub(super) fn total(&self, now: Duration) -> f64 {
        self.faded(now).sum(SpaceSaving::total, 1.0)
    }

    /// Returns how many observations of equal weight would tell as much as those there were: `(Σw)²
    /// / Σw²`.
    pub(super) fn samples(&self, now: Duration) -> f64 {
        let faded = self.faded(now);
        let squares = faded.sum(SpaceSaving::squares, faded.left);
        if squares > 0.0 { faded.sum(SpaceSaving::total, 1.0).powi(2) / squares } else { 0.0 }
    }

    /// Returns the heaviest keys, the heaviest first.
    pub(super) fn list(&self, now: Duration, limit: usize) -> Vec<KeyCount> {
        self.above(now, 0.0, limit)
    }

    /// Returns the keys with at least this share of the stream, the heaviest first.
    pub(super) fn above(&self, now: Duration, share: f64, limit: usize) -> Vec<KeyCount> {
        let faded = self.faded(now);
        let total = faded.sum(SpaceSaving::total, 1.0);
        if total <= 0.0 {
            return Vec::new();
        }
        let mut keys = faded.counts();
        keys.retain(|(_, count, _)| *count > 0.0 && *count >= share * total);
        keys.sort_by(|one, other| other.1.total_cmp(&one.1).then_with(|| one.0.cmp(other.0)));
        keys.truncate(limit);
        let key_count = |(key, count, error): (&[u8], f64, f64)| KeyCount {
            key: key.into(),
            count,
            error,
            share: (count / total).min(1.0),
        };
        keys.into_iter().map(key_count).collect()
    }

    /// Returns one key. For one that is not counted, the count and its error are upper bounds.
    pub(super) fn get(&self, now: Duration, key: &[u8]) -> KeyCount {
        let faded = self.faded(now);
        let of = |window: Option<&SpaceSaving>| {
            window.map_or((0.0, 0.0), |window| {
                window.get(key).unwrap_or_else(|| (window.unseen_max(), window.unseen_max()))
            })
        };
        let (this, last) = (of(faded.this), of(faded.last));
        let count = this.0 + faded.left * last.0;
        let total = faded.sum(SpaceSaving::total, 1.0);
        let share = if total > 0.0 { (count / total).min(1.0) } else { 0.0 };
        KeyCount { key: key.into(), count, error: this.1 + faded.left * last.1, share }
    }

    /// Takes over what was counted elsewhere, as the window before the one that begins at `now`.
    pub(super) fn restore(&mut self, now: Duration, counts: &TopState) {
        self.current.clear();
        let keys = counts.keys.iter().map(|(key, count, error)| (&**key, *count, *error));
        self.last.restore(keys, counts.total, counts.squares);
        self.last_seconds = counts.seconds;
        self.began = now;
    }

    pub(super) fn export(&self, now: Duration) -> TopState {
        let faded = self.faded(now);
        let keys = self.list(now, usize::MAX).into_iter();
        TopState {
            keys: keys.map(|key| (key.key, key.count, key.error)).collect(),
            total: faded.sum(SpaceSaving::total, 1.0),
            squares: faded.sum(SpaceSaving::squares, faded.left),
            seconds: self.seconds(now),
        }
    }
}

/// The counts of a moment, to be kept in a file.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct TopState {
    keys: Vec<(Box<[u8]>, f64, f64)>,
    total: f64,
    squares: f64,
    seconds: f64,
}

impl<'t> Faded<'t> {
    /// Returns the sum over both windows, where the last one counts as far as it has not faded, times
    /// `also`.
    fn sum(&self, of: impl Fn(&SpaceSaving) -> f64, also: f64) -> f64 {
        self.this.map_or(0.0, &of) + self.left * also * self.last.map_or(0.0, &of)
    }

    /// Returns every key that is counted in either window. A window that does not count it bounds
    /// it by its least counter, which is added to its count and its error.
    fn counts(&self) -> Vec<(&'t [u8], f64, f64)> {
        let unseen = |window: Option<&SpaceSaving>| window.map_or(0.0, SpaceSaving::unseen_max);
        let (unseen_this, unseen_last) = (unseen(self.this), unseen(self.last));
        let this = self.this.into_iter().flat_map(SpaceSaving::iter).map(|(key, count, error)| {
            let last = self.last.and_then(|last| last.get(key));
            let (more, error_more) = last.unwrap_or((unseen_last, unseen_last));
            (key, count + self.left * more, error + self.left * error_more)
        });
        let only_last = self.last.into_iter().flat_map(SpaceSaving::iter);
        let only_last = only_last
            .filter(|(key, ..)| self.this.is_none_or(|this| this.get(key).is_none()))
            .map(|(key, count, error)| {
                (key, self.left * count + unseen_this, self.left * error + unseen_this)
            });
        this.chain(only_last).collect()
    }
}
