//! The latencies of the application's reads and writes, while partitions are reshaped and
//! otherwise.

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Latencies above this count as equal to it.
const NANOS_MAX: u64 = 60_000_000_000;

/// A p99 of fewer samples is meaningless.
const SAMPLES_MIN: u64 = 100;

/// How often the usual latency is measured while nothing is reshaped.
const USUAL_EVERY: Duration = Duration::from_secs(1);

/// Latencies of the application's operations, now and when nothing was reshaped.
#[derive(Default)]
pub(crate) struct Foreground {
    window: Mutex<Option<Window>>,
    /// How many reshapes are running.
    reshapes: AtomicUsize,
}

struct Window {
    nanos: Histogram<u32>,
    since: Instant,
    /// The last p99 while nothing was reshaped, and the last while something was.
    usual: Option<u64>,
    present: Option<u64>,
}

/// A reshape that is running: latencies meanwhile are not the usual ones.
pub(crate) struct Disturbance<'a>(&'a Foreground);

impl Drop for Disturbance<'_> {
    fn drop(&mut self) {
        self.0.close_window();
        self.0.reshapes.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Foreground {
    /// Records how long the operations of a [sample](crate::sampling) took.
    pub(crate) fn record(&self, latencies: impl IntoIterator<Item = Duration>) {
        let mut window = self.window.lock();
        if window.is_none() {
            *window = Window::new();
        }
        let Some(window) = window.as_mut() else { return };
        for latency in latencies {
            let nanos = u64::try_from(latency.as_nanos()).unwrap_or(NANOS_MAX);
            window.nanos.saturating_record(nanos.clamp(1, NANOS_MAX));
        }
        if self.reshapes.load(Ordering::Acquire) == 0 && window.since.elapsed() >= USUAL_EVERY {
            window.close(false);
        }
    }

    /// Returns a guard; until it is dropped, latencies count as those of an application that is
    /// disturbed.
    pub(crate) fn disturb(&self) -> Disturbance<'_> {
        self.close_window();
        self.reshapes.fetch_add(1, Ordering::AcqRel);
        Disturbance(self)
    }

    fn close_window(&self) {
        let disturbed = self.reshapes.load(Ordering::Acquire) > 0;
        if let Some(window) = self.window.lock().as_mut() {
            window.close(disturbed);
        }
    }

    /// Returns the p99 since the last call as a multiple of the usual one, or `None` if too little
    /// is known.
    pub(crate) fn rise(&self) -> Option<f64> {
        let mut window = self.window.lock();
        let window = window.as_mut()?;
        window.close(true);
        // Taken only once: an application that has gone idle is not slow.
        Some(window.present.take()? as f64 / window.usual? as f64)
    }
}

impl Window {
    fn new() -> Option<Self> {
        let nanos = Histogram::new_with_bounds(1, NANOS_MAX, 2).ok()?;
        Some(Self { nanos, since: Instant::now(), usual: None, present: None })
    }

    /// Takes the p99 of the samples and begins a new window, if there are enough of them; otherwise
    /// they are kept.
    fn close(&mut self, disturbed: bool) {
        if self.nanos.len() < SAMPLES_MIN {
            return;
        }
        let p99 = Some(self.nanos.value_at_quantile(0.99).max(1));
        if disturbed {
            self.present = p99;
        } else {
            self.usual = p99;
        }
        self.nanos.reset();
        self.since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rise_compares_with_the_time_before() {
        let foreground = Foreground::default();
        let record = |micros, times| {
            foreground.record((0..times).map(|_| Duration::from_micros(micros)));
        };
        record(10, SAMPLES_MIN);
        assert_eq!(foreground.rise(), None, "nothing is known of the time before");
        let foreground = Foreground::default();
        let record = |micros, times| {
            foreground.record((0..times).map(|_| Duration::from_micros(micros)));
        };
        record(10, SAMPLES_MIN);
        let _disturbance = foreground.disturb();
        record(30, SAMPLES_MIN);
        let rise = foreground.rise().unwrap();
        assert!((2.9..=3.1).contains(&rise), "{rise}");
        record(10, SAMPLES_MIN / 2);
        assert_eq!(foreground.rise(), None, "too few samples say nothing");
    }
}
