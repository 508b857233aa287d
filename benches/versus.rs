//! Annulus against one plain RocksDB with the same cache and write buffer: ratios.
//!
//! ```text
//! cargo bench --bench versus                    everything, about six minutes
//! cargo bench --bench versus -- get put         only the comparisons whose names contain these
//! cargo bench --bench versus -- --quick         few rows and short rounds: does it run?
//! ```
//!
//! Both sides are prepared alike and run in turns, A B A B …, in one process; each round gives
//! one ratio, so that a slow moment of the machine hits both sides. Printed is the median of the
//! ratios with the least and the greatest. Above 1 Annulus is faster.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a bench"
)]

#[path = "support/mod.rs"]
mod support;

use annulus::{Durability, Keyspace, Options};
use rocksdb::DB;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::{key, value};
use tempfile::TempDir;

struct Settings {
    rows: u64,
    round: Duration,
    rounds: usize,
    wal_bytes: u64,
    filters: Vec<String>,
}

impl Settings {
    fn from_arguments() -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
        let quick = arguments.iter().any(|a| a == "--quick" || a == "--test");
        let filters = arguments.into_iter().filter(|a| !a.starts_with("--")).collect();
        if quick {
            let round = Duration::from_millis(50);
            return Self { rows: 20_000, round, rounds: 3, wal_bytes: 4 << 20, filters };
        }
        let round = Duration::from_millis(1500);
        Self { rows: 1_000_000, round, rounds: 9, wal_bytes: 256 << 20, filters }
    }

    fn wants(&self, name: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| name.contains(filter.as_str()))
    }
}

/// Operations a second of `threads` threads that repeat `operation` with row numbers of their own
/// random sequence for one round.
fn rate(settings: &Settings, threads: u64, seed: u64, operation: impl Fn(u64) + Sync) -> f64 {
    let (operation, done) = (&operation, AtomicBool::new(false));
    let total = AtomicU64::new(0);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (done, total, rows) = (&done, &total, settings.rows);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed * 31 + thread);
                let mut operations = 0;
                while !done.load(Ordering::Relaxed) {
                    // Synced writes take milliseconds: look at the flag often.
                    for _ in 0..8 {
                        operation(random.u64(..rows));
                    }
                    operations += 8;
                }
                total.fetch_add(operations, Ordering::Relaxed);
            });
        }
        std::thread::sleep(settings.round);
        done.store(true, Ordering::Relaxed);
    });
    total.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs both sides in turns and prints the ratio of their results, larger being better.
fn compare(settings: &Settings, name: &str, unit: &str, mut sides: impl FnMut(usize) -> [f64; 2]) {
    if !settings.wants(name) {
        return;
    }
    let mut results: Vec<[f64; 2]> = (0..settings.rounds).map(&mut sides).collect();
    // The first round warms caches up.
    if results.len() > 3 {
        results.remove(0);
    }
    let mut ratios: Vec<f64> = results.iter().map(|[annulus, plain]| annulus / plain).collect();
    let [mut annulus, mut plain]: [Vec<f64>; 2] =
        [0, 1].map(|side| results.iter().map(|result| result[side]).collect());
    let ratio = median(&mut ratios);
    println!(
        "{name:<34} {ratio:>6.3}  [{:.3} … {:.3}]   {:>10.0} against {:>10.0} {unit}",
        ratios[0],
        ratios[ratios.len() - 1],
        median(&mut annulus),
        median(&mut plain),
    );
}

fn get(keyspace: &Keyspace, n: u64) {
    let found = keyspace.get(key(n)).unwrap();
    assert!(found.is_some_and(|found| found.len() == support::VALUE_BYTES));
}

fn plain_get(db: &DB, n: u64) {
    let found = db.get_pinned(key(n)).unwrap();
    assert!(found.is_some_and(|found| found.len() == support::VALUE_BYTES));
}

fn store_against_plain(settings: &Settings) {
    let directory = TempDir::new().unwrap();
    let (store, rows) =
        support::annulus(&directory.path().join("annulus"), 4, 16, support::options());
    let db = support::plain(&directory.path().join("plain"), support::WRITE_BUFFER_BYTES);
    for n in 0..settings.rows {
        rows.put(key(n), value(n)).unwrap();
        db.put(key(n), value(n)).unwrap();
    }
    for threads in [1, 2] {
        compare(settings, &format!("put, {threads} threads"), "op/s", |round| {
            [
                rate(settings, threads, round as u64, |n| rows.put(key(n), value(n ^ 1)).unwrap()),
                rate(settings, threads, round as u64, |n| db.put(key(n), value(n ^ 1)).unwrap()),
            ]
        });
    }
    let both_get = |settings: &Settings, threads: u64, round: usize| {
        [
            rate(settings, threads, round as u64, |n| get(&rows, n)),
            rate(settings, threads, round as u64, |n| plain_get(&db, n)),
        ]
    };
    for threads in [1, 2] {
        let name = format!("get, {threads} threads, as written");
        compare(settings, &name, "op/s", |round| both_get(settings, threads, round));
    }
    store.flush().unwrap();
    db.flush().unwrap();
    db.compact_range::<&[u8], &[u8]>(None, None);
    std::thread::sleep(settings.round);
    for threads in [1, 2] {
        let name = format!("get, {threads} threads, block cache");
        compare(settings, &name, "op/s", |round| both_get(settings, threads, round));
    }
    let synced = support::synced();
    compare(settings, "put synced, 8 threads", "op/s", |round| {
        [
            rate(settings, 8, round as u64, |n| {
                rows.put_with(key(n), value(n), Durability::Synced).unwrap();
            }),
            rate(settings, 8, round as u64, |n| db.put_opt(key(n), value(n), &synced).unwrap()),
        ]
    });
}

/// One shard of one arc is one RocksDB column family: what differs is routing and bookkeeping.
fn overhead(settings: &Settings) {
    let directory = TempDir::new().unwrap();
    let (_store, rows) =
        support::annulus(&directory.path().join("annulus"), 1, 1, support::options());
    let db = support::plain(&directory.path().join("plain"), support::WRITE_BUFFER_BYTES);
    let count = settings.rows / 10;
    for n in 0..count {
        rows.put(key(n), value(n)).unwrap();
        db.put(key(n), value(n)).unwrap();
    }
    compare(settings, "overhead of a get, 1 thread", "op/s", |round| {
        [
            rate(settings, 1, round as u64, |n| get(&rows, n % count)),
            rate(settings, 1, round as u64, |n| plain_get(&db, n % count)),
        ]
    });
    compare(settings, "overhead of a put, 1 thread", "op/s", |round| {
        [
            rate(settings, 1, round as u64, |n| rows.put(key(n), value(n)).unwrap()),
            rate(settings, 1, round as u64, |n| db.put(key(n), value(n)).unwrap()),
        ]
    });
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

/// Opening what a crash left: a copy of the directories while the writes are only in the logs.
fn opening(settings: &Settings) {
    if !settings.wants("open after a crash") && !settings.wants("open after a close") {
        return;
    }
    let directory = TempDir::new().unwrap();
    let live = directory.path().join("live");
    std::fs::create_dir(&live).unwrap();
    let large = 1 << 30;
    let options = Options { write_buffer_bytes: large, ..support::options() };
    let (store, rows) = support::annulus(&live.join("annulus"), 4, 16, options.clone());
    let db = support::plain(&live.join("plain"), large);
    for n in 0..settings.wal_bytes / (16 + support::VALUE_BYTES as u64) {
        rows.put(key(n), value(n)).unwrap();
        db.put(key(n), value(n)).unwrap();
    }
    let open_both = |image: &Path, round: usize| {
        let crashed = directory.path().join(format!("round-{round}"));
        copy(image, &crashed);
        let started = Instant::now();
        let opened = support::annulus(&crashed.join("annulus"), 4, 16, options.clone());
        let annulus = started.elapsed();
        let started = Instant::now();
        let plain = support::plain(&crashed.join("plain"), large);
        let plain_took = started.elapsed();
        get(&opened.1, 5);
        plain_get(&plain, 5);
        drop((opened, plain));
        std::fs::remove_dir_all(crashed).unwrap();
        // A rate, so that larger is better.
        [1.0 / annulus.as_secs_f64(), 1.0 / plain_took.as_secs_f64()]
    };
    compare(settings, "open after a crash", "opens/s", |round| open_both(&live, round));
    store.close().unwrap();
    drop((store, rows));
    db.flush().unwrap();
    drop(db);
    compare(settings, "open after a close", "opens/s", |round| open_both(&live, round));
}

fn main() {
    let settings = Settings::from_arguments();
    println!("{:<34} {:>6}  [least … greatest]   medians", "annulus / plain RocksDB", "median");
    store_against_plain(&settings);
    overhead(&settings);
    opening(&settings);
}
