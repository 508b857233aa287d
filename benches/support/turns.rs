//! Two sides in turns: A B B A …, so that a slow moment of the machine hits both.
#![allow(dead_code, unreachable_pub, clippy::indexing_slicing, reason = "a part of each bench")]

#[path = "../../workload/src/compare/estimate.rs"]
mod estimate;

use estimate::Estimate;
use rustix::time::{ClockId, clock_gettime};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What one turn of a side has measured.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Operations a second, or another figure of which more is better.
    pub rate: f64,
    /// Microseconds of user and system time an operation, of all threads of the process.
    pub processor_us: Option<f64>,
}

impl From<f64> for Measured {
    fn from(rate: f64) -> Self {
        Self { rate, processor_us: None }
    }
}

/// What is measured from a moment on.
pub struct Measuring {
    begun: Instant,
    processor: Duration,
}

impl Measuring {
    pub fn begin() -> Self {
        Self { begun: Instant::now(), processor: processor_time() }
    }

    /// Returns what this many operations have taken.
    pub fn end(self, operations: u64) -> Measured {
        let (elapsed, processor) = (self.begun.elapsed(), processor_time() - self.processor);
        let operations = operations as f64;
        Measured {
            rate: operations / elapsed.as_secs_f64(),
            processor_us: Some(processor.as_secs_f64() * 1e6 / operations),
        }
    }
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Measures `threads` threads that repeat `operation` for some time, each with numbers below `rows`
/// of a separate random sequence.
pub fn rate(
    rows: u64,
    time: Duration,
    threads: u64,
    seed: usize,
    operation: impl Fn(u64) + Sync,
) -> Measured {
    let (operation, done) = (&operation, AtomicBool::new(false));
    let total = AtomicU64::new(0);
    let measuring = Measuring::begin();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (done, total) = (&done, &total);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed as u64 * 31 + thread);
                let mut operations = 0;
                while !done.load(Ordering::Relaxed) {
                    // Synced writes take milliseconds: check the flag often.
                    for _ in 0..8 {
                        operation(random.u64(..rows));
                    }
                    operations += 8;
                }
                total.fetch_add(operations, Ordering::Relaxed);
            });
        }
        std::thread::sleep(time);
        done.store(true, Ordering::Relaxed);
    });
    measuring.end(total.load(Ordering::Relaxed))
}

/// [Compares](compare) the [rates](rate) of two operations.
pub fn compare_rates(
    (rows, time, threads): (u64, Duration, u64),
    turns: usize,
    name: &str,
    one: impl Fn(u64) + Sync,
    other: impl Fn(u64) + Sync,
) {
    let rate_of = |turn, side: &(dyn Fn(u64) + Sync)| rate(rows, time, threads, turn, side);
    compare(turns, name, "op/s", |turn| rate_of(turn, &one), |turn| rate_of(turn, &other));
}

/// Runs both sides in turns and prints the ratio of their results, larger being better: the median
/// of the ratios of the turns, with its 95 % interval. Where processor time was measured, the same of
/// it follows: there, less is better.
pub fn compare<T: Into<Measured>>(
    turns: usize,
    name: &str,
    unit: &str,
    mut one: impl FnMut(usize) -> T,
    mut other: impl FnMut(usize) -> T,
) {
    // The first turn warms caches up, and does not count.
    let results: Vec<[Measured; 2]> = (0..=turns)
        .map(|turn| {
            if turn % 2 == 0 {
                let first = one(turn).into();
                [first, other(turn).into()]
            } else {
                let first = other(turn).into();
                [one(turn).into(), first]
            }
        })
        .skip(1)
        .collect();
    let rate = |side: usize| Estimate::of(results.iter().map(|sides| sides[side].rate));
    let processor =
        results.iter().filter_map(|[one, other]| Some(one.processor_us? / other.processor_us?));
    let (Some(ratio), Some(one), Some(other)) =
        (Estimate::of(results.iter().map(|[one, other]| one.rate / other.rate)), rate(0), rate(1))
    else {
        return;
    };
    let noise = if ratio.holds_one() { " noise" } else { "" };
    let processor = Estimate::of(processor)
        .map_or_else(String::new, |ratio| format!("   processor time {}", with_interval(ratio)));
    println!(
        "{name:<34} {}{noise:<6} {:>10.1} against {:>10.1} {unit}{processor}",
        with_interval(ratio),
        one.median,
        other.median,
    );
}

fn with_interval(Estimate { median, low, high }: Estimate) -> String {
    format!("{median:>6.3} [{low:.3} … {high:.3}]")
}
