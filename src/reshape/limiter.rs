//! The rate at which reshapes copy: a bound in bytes per second, and one that yields to the
//! application.

use super::foreground::Foreground;
use super::options::Throttle;
use crate::error::Result;
use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// How often the rate is adapted to the latencies.
const ADAPT_EVERY: Duration = Duration::from_millis(100);

/// The additive increase of each step, the lowest rate, and the initial rate.
const STEP_BYTES_PER_SECOND: f64 = 8e6;
const LEAST_BYTES_PER_SECOND: f64 = 1e6;
const FIRST_BYTES_PER_SECOND: f64 = 64e6;

/// The longest sleep between two checks whether the job was paused or aborted.
const NAP_MAX: Duration = Duration::from_millis(20);

/// A token bucket over all reshapes of a store, whose rate follows the throttle.
pub(crate) struct Pacer(Mutex<State>);

struct State {
    throttle: Throttle,
    /// The rate that the latencies allow.
    allowed: f64,
    /// How many bytes may be copied now; negative if more were copied than the rate allows.
    bytes: f64,
    filled: Instant,
    adapted: Instant,
}

impl Pacer {
    pub(crate) fn new(throttle: Throttle) -> Self {
        let now = Instant::now();
        Self(Mutex::new(State {
            throttle,
            allowed: FIRST_BYTES_PER_SECOND,
            bytes: 0.0,
            filled: now,
            adapted: now,
        }))
    }

    pub(crate) fn set(&self, throttle: Throttle) {
        self.0.lock().throttle = throttle;
    }

    pub(crate) fn throttle(&self) -> Throttle {
        self.0.lock().throttle
    }

    /// Accounts for bytes that were copied, and waits for as long as the rate requires. Ends early,
    /// with an error, if `checkpoint` returns one.
    pub(crate) fn took(
        &self,
        bytes: u64,
        foreground: &Foreground,
        checkpoint: &dyn Fn() -> Result<()>,
    ) -> Result<()> {
        let mut bytes = bytes as f64;
        loop {
            checkpoint()?;
            let wait = self.0.lock().take(std::mem::take(&mut bytes), foreground, Instant::now());
            if wait.is_zero() {
                return Ok(());
            }
            std::thread::sleep(wait.min(NAP_MAX));
        }
    }
}

impl State {
    fn take(&mut self, bytes: f64, foreground: &Foreground, now: Instant) -> Duration {
        if let Some(rise) = self.throttle.latency_rise_max
            && now.saturating_duration_since(self.adapted) >= ADAPT_EVERY
        {
            self.adapted = now;
            self.allowed = adapt(self.allowed, foreground.rise(), rise);
        }
        let Some(rate) = self.rate() else {
            (self.bytes, self.filled) = (0.0, now);
            return Duration::ZERO;
        };
        let elapsed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = now;
        // Unused time is worth a tenth of a second at most: no long burst after a pause.
        self.bytes = (self.bytes + elapsed * rate).min(rate / 10.0) - bytes;
        if self.bytes >= 0.0 { Duration::ZERO } else { Duration::from_secs_f64(-self.bytes / rate) }
    }

    fn rate(&self) -> Option<f64> {
        let fixed = self.throttle.bytes_per_second.map(|rate| rate as f64);
        let adapted = self.throttle.latency_rise_max.map(|_| self.allowed);
        match (fixed, adapted) {
            (Some(fixed), Some(adapted)) => Some(fixed.min(adapted)),
            (fixed, adapted) => fixed.or(adapted),
        }
    }
}

/// Returns the next rate: additive increase, multiplicative decrease (Chiu and Jain, 1989). `rise`
/// is the p99 latency as a multiple of what it was before, or `None` while that is unknown.
fn adapt(rate: f64, rise: Option<f64>, rise_max: f64) -> f64 {
    match rise {
        Some(rise) if rise > rise_max => (rate / 2.0).max(LEAST_BYTES_PER_SECOND),
        // Also where nothing is known: then no operation is waiting.
        _ => rate + STEP_BYTES_PER_SECOND,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_falls_fast_and_grows_slowly() {
        assert_eq!(adapt(64e6, Some(2.0), 1.5), 32e6);
        assert_eq!(adapt(64e6, Some(1.4), 1.5), 72e6);
        assert_eq!(adapt(64e6, None, 1.5), 72e6);
        assert_eq!(adapt(1e6, Some(9.0), 1.5), LEAST_BYTES_PER_SECOND);
    }

    #[test]
    fn a_bucket_lets_through_what_its_rate_allows() {
        let start = Instant::now();
        let throttle = Throttle { bytes_per_second: Some(1000), ..Throttle::default() };
        let mut state = State { throttle, allowed: 0.0, bytes: 0.0, filled: start, adapted: start };
        let foreground = Foreground::default();
        let mut now = start;
        for _ in 0..100 {
            now += state.take(100.0, &foreground, now);
        }
        let seconds = (now - start).as_secs_f64();
        assert!((9.8..=10.1).contains(&seconds), "10,000 bytes took {seconds} s");
        state.throttle = Throttle::default();
        assert!(state.take(1e12, &foreground, now).is_zero());
    }
}
