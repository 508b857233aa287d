//! The cost of seeing where the load falls, how soon it is seen, and what the cache of hot keys
//! gains.
//!
//! ```text
//! cargo bench --bench heat                      everything, about three minutes
//! cargo bench --bench heat -- tracking          only what has this in its name
//! cargo bench --bench heat -- --quick           short rounds, to see whether it runs
//! ```
//!
//! Costs and gains are ratios of two stores that run in turns in one process: the median with its
//! 95 % interval. Above 1 the first one is faster.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a bench"
)]

#[path = "support/arguments.rs"]
mod arguments;
#[path = "support/mod.rs"]
mod support;
#[path = "support/turns.rs"]
mod turns;

use annulus::heat::{HeatEvent, HeatOptions};
use annulus::reshape::Event;
use annulus::topology::KeyspaceSpec;
use annulus::{Keyspace, Options, Store};
use arguments::Arguments;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::{key, value};
use tempfile::TempDir;
use turns::{compare, rate};

struct Settings {
    rows: u64,
    turn: Duration,
    turns: usize,
    arguments: Arguments,
}

impl Settings {
    fn from_arguments() -> Self {
        let arguments = Arguments::read();
        if arguments.quick {
            let turn = Duration::from_millis(20);
            return Self { rows: 20_000, turn, turns: 4, arguments };
        }
        Self { rows: 1_000_000, turn: Duration::from_millis(200), turns: 100, arguments }
    }
}

/// Ranks of a Zipf distribution with exponent 0.99, drawn beforehand: drawing costs as much as a
/// cached read.
fn zipf(items: u64, draws: usize, seed: u64) -> Vec<u32> {
    let mut sum = 0.0;
    let cumulated: Vec<f64> = (1..=items)
        .map(|rank| {
            sum += (rank as f64).powf(-0.99);
            sum
        })
        .collect();
    let mut random = fastrand::Rng::with_seed(seed);
    (0..draws)
        .map(|_| {
            let at = random.f64() * sum;
            cumulated.partition_point(|below| *below <= at) as u32
        })
        .collect()
}

fn get(keyspace: &Keyspace, n: u64) {
    let found = keyspace.get(key(n)).unwrap();
    assert!(found.is_some_and(|found| found.len() == support::VALUE_BYTES));
}

/// Makes a store with rows in files, which are then in the cache.
fn filled(directory: &TempDir, name: &str, rows: u64, options: Options) -> (Store, Keyspace) {
    let (store, keyspace) = support::annulus(&directory.path().join(name), 4, 16, options);
    for n in 0..rows {
        keyspace.put(key(n), value(n)).unwrap();
    }
    store.flush().unwrap();
    (store, keyspace)
}

/// The same operations with and without counting them.
fn tracking(settings: &Settings) {
    if !settings.arguments.wants("tracking") {
        return;
    }
    let (directory, rows) = (TempDir::new().unwrap(), settings.rows / 10);
    let options = support::options;
    let (_counts, with) = filled(&directory, "with", rows, options());
    let (_plain, without) = filled(&directory, "without", rows, options().heat(None));
    // What this bench cannot distinguish from nothing.
    let (_other, neither) = filled(&directory, "neither", rows, options().heat(None));
    compare(
        settings.turns,
        "tracking: neither, gets, 2 threads",
        "op/s",
        |turn| rate(rows, settings.turn, 2, turn, |n| get(&neither, n)),
        |turn| rate(rows, settings.turn, 2, turn, |n| get(&without, n)),
    );
    for threads in [1, 2] {
        compare(
            settings.turns,
            &format!("tracking, gets, {threads} threads"),
            "op/s",
            |turn| rate(rows, settings.turn, threads, turn, |n| get(&with, n)),
            |turn| rate(rows, settings.turn, threads, turn, |n| get(&without, n)),
        );
    }
    compare(
        settings.turns / 2,
        "tracking, puts, 2 threads",
        "op/s",
        |turn| rate(rows, settings.turn, 2, turn, |n| with.put(key(n % 1000), value(1)).unwrap()),
        |turn| {
            rate(rows, settings.turn, 2, turn, |n| without.put(key(n % 1000), value(1)).unwrap())
        },
    );
}

/// One key gets half of all reads, with and without the cache of hot keys; the other half goes to
/// keys that are read more or less often, or all equally.
fn hot_key(settings: &Settings) {
    if !settings.arguments.wants("hot key") {
        return;
    }
    let (directory, rows) = (TempDir::new().unwrap(), settings.rows / 10);
    let options = support::options;
    let cached = options().hot_cache_bytes(64 << 20);
    let (store, with) = filled(&directory, "with", rows, cached);
    let (_plain, without) = filled(&directory, "without", rows, options());
    let skewed = zipf(rows, 1 << 20, 7);
    let zipf = |n: u64| u64::from(skewed[n as usize % skewed.len()]);
    let alone = |_| 0;
    let uniform = |n| n % rows;
    let others: [(&str, &(dyn Fn(u64) -> u64 + Sync)); 3] =
        [("half Zipf", &zipf), ("half uniform", &uniform), ("nothing else", &alone)];
    for (name, other) in others {
        let pick = |n: u64| if n.is_multiple_of(2) { 0 } else { other(n >> 1) };
        let draws = 1 << 40;
        compare(
            settings.turns / 2,
            &format!("hot key, and {name}, 2 threads"),
            "op/s",
            |turn| rate(draws, settings.turn, 2, turn, |n| get(&with, pick(n))),
            |turn| rate(draws, settings.turn, 2, turn, |n| get(&without, pick(n))),
        );
    }
    // The cost where it cannot help.
    compare(
        settings.turns / 2,
        "hot key: none, 2 threads",
        "op/s",
        |turn| rate(rows, settings.turn, 2, turn, |n| get(&with, n)),
        |turn| rate(rows, settings.turn, 2, turn, |n| get(&without, n)),
    );
    println!("    {:?}", store.hot_cache_stats().unwrap());
}

/// Measures how soon a key that takes a fifth of the load is reported, and how soon it is reported
/// to have cooled; and how many of the ten most read keys are found in the first second.
fn detection(settings: &Settings) {
    if !settings.arguments.wants("detection") {
        return;
    }
    let (directory, rounds) = (TempDir::new().unwrap(), if settings.turns > 10 { 5 } else { 1 });
    for round in 0..rounds {
        let events: Arc<Mutex<Vec<(Instant, HeatEvent)>>> = Arc::default();
        let told = Arc::clone(&events);
        let store = Store::builder(directory.path().join(format!("{round}")))
            .options(support::options().heat(HeatOptions::default()))
            .listener(move |event| {
                if let Event::Heat(event) = event {
                    told.lock().unwrap().push((Instant::now(), event.clone()));
                }
            })
            .open()
            .unwrap();
        let keyspace = store.create_keyspace("rows", KeyspaceSpec::hash()).unwrap();
        let skewed = zipf(settings.rows, 1 << 21, round);
        let (hot, done) = (AtomicBool::new(false), AtomicBool::new(false));
        let reads = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for thread in 0..2 {
                let (keyspace, skewed, hot, done, reads) =
                    (&keyspace, &skewed, &hot, &done, &reads);
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(round * 2 + thread);
                    while !done.load(Ordering::Relaxed) {
                        let key = if hot.load(Ordering::Relaxed) && random.u32(..5) == 0 {
                            format!("{:08}", u32::MAX)
                        } else {
                            format!("{:08}", skewed[random.usize(..skewed.len())])
                        };
                        keyspace.get(key).unwrap();
                        reads.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(950));
            let found = keyspace.hot_keys(10).reads;
            let right = found.iter().filter(|found| found.key[..] < b"00000010"[..]).count();
            let begun = Instant::now();
            hot.store(true, Ordering::Relaxed);
            let heated = until(
                &events,
                |event| matches!(event, HeatEvent::KeyHot(event) if event.key.starts_with(b"4294")),
            );
            hot.store(false, Ordering::Relaxed);
            let stopped = Instant::now();
            let cooled = until(
                &events,
                |event| matches!(event, HeatEvent::KeyCooled(event) if event.key.starts_with(b"4294")),
            );
            done.store(true, Ordering::Relaxed);
            println!(
                "detection: {right} of the top 10 in the first second; a key of 20 % reported after {:.0} ms, its end {:.0} ms after it ({:.0} reads/s)",
                (heated - begun).as_secs_f64() * 1e3,
                (cooled - stopped).as_secs_f64() * 1e3,
                reads.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64().max(1.0),
            );
        });
    }
}

/// Returns when an event arrived.
fn until(
    events: &Mutex<Vec<(Instant, HeatEvent)>>,
    wanted: impl Fn(&HeatEvent) -> bool,
) -> Instant {
    loop {
        if let Some((at, _)) = events.lock().unwrap().iter().find(|(_, event)| wanted(event)) {
            return *at;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn main() {
    let settings = Settings::from_arguments();
    println!("{:<34} {:>6}  [95 % interval]     medians", "with / without", "median");
    tracking(&settings);
    hot_key(&settings);
    detection(&settings);
}
