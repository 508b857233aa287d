//! How many calls a shard works on at the same time: adapted to their latency. Pure.

use std::time::Duration;

/// How many calls are averaged before the limit is adapted, at least.
const WINDOW: u32 = 16;

/// How much longer than at their best calls may take before they count as waiting for one another:
/// latency is not the same each time.
const TOLERANCE: f64 = 1.5;

/// After how many windows the best latency is measured again, with half as many calls: a disk that has
/// become slow for other reasons is not to be taken for one that is asked for too much.
const PROBE_AFTER: u32 = 300;

/// The limit of a shard, as TCP Vegas decides on a window: from the best latency and the present one
/// follows how many of the calls in progress wait for others, and these are to be a few.
#[derive(Debug, Clone)]
pub(crate) struct Limit {
    least: f64,
    most: f64,
    limit: f64,
    /// What calls take at their best, in seconds; infinite before there was a window.
    best: f64,
    probe: Probe,
    /// The present window: how many calls, what they took together, and how many were in progress at most.
    calls: u32,
    took: f64,
    in_flight: u32,
}

/// Where the measuring of the best latency is.
#[derive(Debug, Clone, Copy)]
enum Probe {
    /// After so many windows.
    After(u32),
    /// The calls that began before end; the limit is to be this again.
    Settles(f64),
    Measures(f64),
}

impl Limit {
    /// Begins with `first`, and stays within bounds.
    pub(crate) fn new(first: u32, least: u32, most: u32) -> Self {
        Self {
            least: f64::from(least),
            most: f64::from(most),
            limit: f64::from(first.clamp(least, most)),
            best: f64::INFINITY,
            probe: Probe::After(PROBE_AFTER),
            calls: 0,
            took: 0.0,
            in_flight: 0,
        }
    }

    /// Returns how many calls there may be at the same time.
    pub(crate) fn get(&self) -> u32 {
        self.limit as u32
    }

    /// Returns what calls take at their best; zero if that is not known yet.
    pub(crate) fn best(&self) -> Duration {
        Duration::try_from_secs_f64(self.best).unwrap_or_default()
    }

    /// Notes how long a call took, with so many in progress, itself included.
    pub(crate) fn note(&mut self, took: Duration, in_flight: u32) {
        self.calls += 1;
        self.took += took.as_secs_f64();
        self.in_flight = self.in_flight.max(in_flight);
        if self.calls >= WINDOW.max(self.limit as u32 / 4) {
            let now = (self.took / f64::from(self.calls)).max(1e-9);
            let in_flight = std::mem::take(&mut self.in_flight);
            (self.calls, self.took) = (0, 0.0);
            self.adapt(now, f64::from(in_flight));
        }
    }

    fn adapt(&mut self, now: f64, in_flight: f64) {
        // The latency says nothing about a limit that is not used.
        let is_used = in_flight >= self.limit / 2.0;
        match self.probe {
            Probe::Settles(before) => self.probe = Probe::Measures(before),
            Probe::Measures(before) => {
                (self.best, self.limit) = (now, before);
                self.probe = Probe::After(PROBE_AFTER);
            }
            Probe::After(0) if is_used => {
                self.probe = Probe::Settles(self.limit);
                self.limit = (self.limit / 2.0).max(self.least);
            }
            Probe::After(windows) => {
                self.probe = Probe::After(windows.saturating_sub(1));
                self.best = self.best.min(now);
                if is_used {
                    self.move_towards(now);
                }
            }
        }
    }

    fn move_towards(&mut self, now: f64) {
        let waiting = self.limit * (1.0 - (TOLERANCE * self.best / now).min(1.0));
        let step = self.limit.log10().max(1.0);
        if waiting > self.limit / 2.0 {
            self.limit *= 0.8;
        } else if waiting > 3.0 * step {
            self.limit -= step;
        } else if waiting <= step {
            self.limit += 2.0 * step;
        }
        self.limit = self.limit.clamp(self.least, self.most);
    }
}

#[cfg(test)]
mod tests {
    //! Goal: the limit comes near to what a server does well, from wherever it begins, stays within its
    //! bounds, and recovers. Method: a server that works on so many calls at the same time, each for a
    //! time, and lets the others wait for one another.

    use super::*;
    use proptest::prelude::*;

    const CALL: f64 = 0.001;

    /// Lets a server that can do `capacity` calls at once work through many calls, as many at the same time
    /// as the limit says, but no more than are offered.
    fn serve(limit: &mut Limit, capacity: u32, offered: u32, calls: u32) {
        for _ in 0..calls {
            let in_flight = limit.get().min(offered);
            let waits = (f64::from(in_flight) / f64::from(capacity)).max(1.0);
            limit.note(Duration::from_secs_f64(CALL * waits), in_flight);
        }
    }

    proptest! {
        #[test]
        fn it_stays_within_its_bounds(
            first in 1_u32..500,
            calls in proptest::collection::vec((0_u64..10_000_000_000, 1_u32..1000), 0..600),
        ) {
            let mut limit = Limit::new(first, 2, 200);
            for (nanos, in_flight) in calls {
                limit.note(Duration::from_nanos(nanos), in_flight);
                prop_assert!((2..=200).contains(&limit.get()));
            }
        }

        /// Of a server whose latency has been seen without overload, it admits what the server does well, and
        /// no multiple of it, however much is offered.
        #[test]
        fn it_finds_what_a_server_does_well(capacity in 4_u32..100, times in 5_u32..100) {
            let mut limit = Limit::new(4, 2, 10_000);
            serve(&mut limit, capacity, capacity, 2_000);
            serve(&mut limit, capacity, capacity * times, 20_000);
            let found = limit.get();
            prop_assert!(found >= capacity, "{} of {}", found, capacity);
            prop_assert!(found <= capacity * 4 + 8, "{} of {}", found, capacity);
        }
    }

    /// A disk that gets slow, and well again.
    #[test]
    fn it_shrinks_when_calls_take_longer_and_grows_again() {
        let mut limit = Limit::new(4, 2, 1000);
        serve(&mut limit, 64, 1000, 5_000);
        let well = limit.get();
        serve(&mut limit, 4, 1000, 3_000);
        let slow = limit.get();
        serve(&mut limit, 64, 1000, 40_000);
        assert!(slow < well / 2 && limit.get() >= well / 2, "{well}, {slow}, {}", limit.get());
    }

    #[test]
    fn a_limit_that_is_not_used_stays() {
        let mut limit = Limit::new(50, 2, 1000);
        serve(&mut limit, 100, 3, 5_000);
        assert_eq!(limit.get(), 50);
    }
}
