//! The times at which operations should start, if there is a target rate.

use std::time::{Duration, Instant};

/// A sleep may last this much longer; the rest is spent spinning.
const SLACK: Duration = Duration::from_micros(70);

/// The schedule of one thread: the threads take turns, so that all together start evenly.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    started: Instant,
    /// Seconds between two operations of all threads.
    step: f64,
    next: u64,
    threads: u64,
}

impl Pace {
    pub(super) fn new(started: Instant, rate: f64, thread: usize, threads: usize) -> Self {
        Self { started, step: 1.0 / rate, next: thread as u64, threads: threads as u64 }
    }

    /// Returns when the next operation should start.
    pub(super) fn next(&mut self) -> Instant {
        let at = self.started + Duration::from_secs_f64(self.next as f64 * self.step);
        self.next += self.threads;
        at
    }

    /// Waits until a moment, unless it has passed.
    pub(super) fn wait_until(moment: Instant) {
        loop {
            let left = moment.saturating_duration_since(Instant::now());
            if left > SLACK {
                std::thread::sleep(left - SLACK);
            } else if left.is_zero() {
                return;
            } else {
                std::hint::spin_loop();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_take_turns() {
        let now = Instant::now();
        let mut threads = [0, 1, 2].map(|thread| Pace::new(now, 1000.0, thread, 3));
        let starts = (0..4).flat_map(|_| threads.each_mut().map(Pace::next));
        for (number, start) in (0..).zip(starts) {
            let due = Duration::from_millis(number);
            let at = start - now;
            assert!(at.abs_diff(due) < Duration::from_micros(1), "{number}: {at:?}");
        }
    }
}
