//! Rates that decay: how much per second, recently.

use serde::{Deserialize, Serialize};
use std::f64::consts::LN_2;
use std::time::Duration;

/// One value for each of the three half-lives.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Windows<T> {
    /// Seconds.
    pub short: T,
    /// A minute or so.
    pub medium: T,
    /// Ten minutes or so.
    pub long: T,
}

impl<T> Windows<T> {
    /// Applies a function to each value.
    #[must_use]
    pub fn map<U>(self, mut of: impl FnMut(T) -> U) -> Windows<U> {
        Windows { short: of(self.short), medium: of(self.medium), long: of(self.long) }
    }

    /// Applies a function to each pair of values.
    #[must_use]
    pub fn zip<U, V>(self, other: Windows<U>, mut of: impl FnMut(T, U) -> V) -> Windows<V> {
        Windows {
            short: of(self.short, other.short),
            medium: of(self.medium, other.medium),
            long: of(self.long, other.long),
        }
    }
}

/// What accesses have cost: in total, or per second.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Amounts {
    /// Reads; a scan is one.
    pub(crate) reads: f64,
    /// Writes.
    pub(crate) writes: f64,
    /// Rows that scans have read.
    pub(crate) rows: f64,
    /// Bytes read.
    pub(crate) read_bytes: f64,
    /// Bytes written.
    pub(crate) written_bytes: f64,
    /// Nanoseconds spent, over the accesses that were timed.
    pub(crate) nanos: f64,
    /// Accesses that were timed.
    pub(crate) timed: f64,
}

/// How many rows of a scan cost as much as one access.
const ROWS_PER_ACCESS: f64 = 16.0;

impl Amounts {
    /// Returns the load: accesses, where a scan counts 1 + rows / 16.
    pub(crate) fn load(&self) -> f64 {
        self.reads + self.writes + self.rows / ROWS_PER_ACCESS
    }

    /// Returns the nanoseconds of all accesses, from those of the timed ones.
    pub(super) fn nanos_of_all(&self) -> f64 {
        if self.timed > 0.0 { self.nanos / self.timed * (self.reads + self.writes) } else { 0.0 }
    }

    /// Returns `self × factor + other`.
    fn scaled_plus(&self, factor: f64, other: &Self) -> Self {
        Self {
            reads: self.reads * factor + other.reads,
            writes: self.writes * factor + other.writes,
            rows: self.rows * factor + other.rows,
            read_bytes: self.read_bytes * factor + other.read_bytes,
            written_bytes: self.written_bytes * factor + other.written_bytes,
            nanos: self.nanos * factor + other.nanos,
            timed: self.timed * factor + other.timed,
        }
    }

    fn scaled(&self, factor: f64) -> Self {
        self.scaled_plus(factor, &Self::default())
    }
}

/// Sums that decay exponentially, for three half-lives at once.
///
/// They decay when they are touched: nothing has to be done as time passes. A rate is the sum
/// divided by what the same decay would have left of one per second since the beginning, so that it
/// is right from the first second on. O(1) time; 176 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Rates {
    /// When the sums were touched, in seconds.
    at: f64,
    sums: Windows<Amounts>,
}

impl Rates {
    /// Adds amounts at `now`, and returns the factors by which the sums had decayed before.
    pub(super) fn add(
        &mut self,
        half_lives: &Windows<f64>,
        now: Duration,
        more: &Amounts,
    ) -> Windows<f64> {
        let decays = self.decays(half_lives, now);
        self.sums = self.sums.zip(decays, |sum, decay| sum.scaled_plus(decay, more));
        self.at = self.at.max(now.as_secs_f64());
        decays
    }

    /// Returns what is left at `now` of one at the last touch.
    fn decays(&self, half_lives: &Windows<f64>, now: Duration) -> Windows<f64> {
        let seconds = (now.as_secs_f64() - self.at).max(0.0);
        if seconds == 0.0 {
            return Windows { short: 1.0, medium: 1.0, long: 1.0 };
        }
        half_lives.map(|half_life| (-seconds / half_life).exp2())
    }

    /// Returns the amounts per second at `now`, of sums that began `age` ago.
    pub(super) fn per_second(
        &self,
        half_lives: &Windows<f64>,
        now: Duration,
        age: Duration,
    ) -> Windows<Amounts> {
        let decays = self.decays(half_lives, now);
        let seconds = half_lives.map(|half_life| seconds_counted(half_life, age));
        self.sums.zip(decays.zip(seconds, |decay, seconds| decay / seconds), |sum, factor| {
            sum.scaled(factor)
        })
    }

    /// Returns a fraction of the sums.
    pub(super) fn part(&self, share: f64) -> Self {
        Self { at: self.at, sums: self.sums.map(|sum| sum.scaled(share)) }
    }

    /// Adds the sums of another instance.
    pub(super) fn absorb(&mut self, half_lives: &Windows<f64>, other: &Self) {
        let at = self.at.max(other.at);
        let now = Duration::try_from_secs_f64(at).unwrap_or_default();
        let (mine, theirs) = (self.decays(half_lives, now), other.decays(half_lives, now));
        let theirs = other.sums.zip(theirs, |sum, decay| sum.scaled(decay));
        let sums = self.sums.zip(mine, |sum, decay| sum.scaled(decay));
        *self = Self { at, sums: sums.zip(theirs, |sum, more| sum.scaled_plus(1.0, &more)) };
    }

    /// Returns sums that yield these rates at `now`, if they began `age` ago.
    pub(super) fn of(
        half_lives: &Windows<f64>,
        now: Duration,
        age: Duration,
        rates: &Windows<Amounts>,
    ) -> Self {
        let seconds = half_lives.map(|half_life| seconds_counted(half_life, age));
        Self { at: now.as_secs_f64(), sums: rates.zip(seconds, |rate, s| rate.scaled(s)) }
    }
}

/// Returns what decay would have left, at the end of `age`, of one per second: the time that
/// counts.
pub(super) fn seconds_counted(half_life: f64, age: Duration) -> f64 {
    let lives = age.as_secs_f64() / half_life;
    // `1 - 2^-lives`, exact for small ones. As in the keys' windows, a millisecond at least.
    (half_life / LN_2 * -(-lives * LN_2).exp_m1()).max(0.001)
}

/// One decaying sum, and the sum of the squares of what it is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sum {
    pub(super) amount: f64,
    pub(super) squares: f64,
    at: f64,
}

impl Sum {
    /// Returns a sum that yields this rate at `now`, if it began `age` ago, as if from accesses of
    /// weight 1.
    pub(super) fn of(half_life: f64, now: Duration, age: Duration, rate: f64) -> Self {
        let amount = rate * seconds_counted(half_life, age);
        Self { amount, squares: amount, at: now.as_secs_f64() }
    }

    pub(super) fn add(&mut self, half_life: f64, now: Duration, more: f64) {
        *self = self.at(half_life, now);
        self.amount += more;
        self.squares += more * more;
    }

    pub(super) fn absorb(&mut self, half_life: f64, other: &Self) {
        let at = self.at.max(other.at);
        let (mine, theirs) = (self.at_seconds(half_life, at), other.at_seconds(half_life, at));
        let (amount, squares) = (mine.amount + theirs.amount, mine.squares + theirs.squares);
        *self = Self { amount, squares, at };
    }

    pub(super) fn at(&self, half_life: f64, now: Duration) -> Self {
        self.at_seconds(half_life, now.as_secs_f64())
    }

    fn at_seconds(&self, half_life: f64, seconds: f64) -> Self {
        let at = seconds.max(self.at);
        if at == self.at {
            return *self;
        }
        let decay = ((self.at - at) / half_life).exp2();
        Self { amount: self.amount * decay, squares: self.squares * decay * decay, at }
    }
}
