//! Two sides in turns: A B B A …, so that a slow moment of the machine hits both.
#![allow(dead_code, unreachable_pub, clippy::indexing_slicing, reason = "a part of each bench")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Returns operations a second of `threads` threads that repeat `operation` for some time, each
/// with numbers below `rows` of a separate random sequence.
pub fn rate(
    rows: u64,
    time: Duration,
    threads: u64,
    seed: usize,
    operation: impl Fn(u64) + Sync,
) -> f64 {
    let (operation, done) = (&operation, AtomicBool::new(false));
    let total = AtomicU64::new(0);
    let started = Instant::now();
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
    total.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64()
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
/// of the ratios with the quartiles.
pub fn compare(
    turns: usize,
    name: &str,
    unit: &str,
    mut one: impl FnMut(usize) -> f64,
    mut other: impl FnMut(usize) -> f64,
) {
    // The first turn warms caches up, and does not count.
    let results: Vec<[f64; 2]> = (0..=turns)
        .map(|turn| {
            if turn % 2 == 0 {
                let first = one(turn);
                [first, other(turn)]
            } else {
                let first = other(turn);
                [one(turn), first]
            }
        })
        .skip(1)
        .collect();
    let sorted = |value: &dyn Fn(&[f64; 2]) -> f64| {
        let mut values: Vec<f64> = results.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let quartile = |values: &[f64], of: usize| values[(values.len() - 1) * of / 4];
    let ratios = sorted(&|[one, other]| one / other);
    println!(
        "{name:<34} {:>6.3}  [{:.3} … {:.3}]   {:>10.1} against {:>10.1} {unit}",
        quartile(&ratios, 2),
        quartile(&ratios, 1),
        quartile(&ratios, 3),
        quartile(&sorted(&|[one, _]| *one), 2),
        quartile(&sorted(&|[_, other]| *other), 2),
    );
}
