//! A store that is asked for a hundred times what it can do: what gets done in time, what is refused,
//! what is late, how much memory calls take, and how soon it is as before.
//!
//! ```text
//! cargo bench --bench overload                    everything, about half a minute
//! cargo bench --bench overload -- --quick         a fifth of it, to see whether it runs
//! ```
//!
//! Each thread makes one call after the other: half of them gets, half puts of 1 KiB, of which one in
//! eight is synced; each with a deadline of 50 ms from its begin. *Good* is what was done by then. First as
//! few threads as get the most done; then 200, without and with `Options::overload`; then the few again.
//! A thread that is refused waits as long as the store asks for.

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

use annulus::{Durability, ErrorKind, Keyspace, OverloadOptions, Store};
use arguments::Arguments;
use hdrhistogram::Histogram;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_millis(50);
const FLOOD: usize = 200;
const ROWS: u64 = 50_000;

fn main() {
    let arguments = Arguments::read();
    let time = Duration::from_millis(if arguments.quick { 600 } else { 3_000 });
    let directory = tempfile::tempdir().unwrap();
    for overload in [None, Some(OverloadOptions::new().memory_max(8 << 20))] {
        let name = if overload.is_some() { "with" } else { "without" };
        if !arguments.wants(name) {
            continue;
        }
        println!("{name} limits");
        measure(&directory.path().join(name), overload, time);
    }
}

fn measure(path: &Path, overload: Option<OverloadOptions>, time: Duration) {
    let options = support::options().overload(overload);
    let (store, rows) = support::annulus(path, 4, 4, options);
    (0..ROWS).for_each(|n| rows.put(support::key(n), support::value_of::<1024>(n)).unwrap());
    let few = [1, 2, 4, 8].map(|threads| (threads, run(&store, &rows, threads, time / 2)));
    let best = few.iter().max_by_key(|(_, done)| done.good).unwrap();
    let peak = best.1.good as f64 / best.1.time.as_secs_f64();
    best.1.print(&format!("{} threads", best.0), peak);
    run(&store, &rows, FLOOD, time).print(&format!("{FLOOD} threads"), peak);
    for after in ["just after", "later"] {
        run(&store, &rows, best.0, time / 4).print(&format!("{} threads, {after}", best.0), peak);
    }
}

/// What threads got done.
struct Done {
    time: Duration,
    good: u64,
    refused: u64,
    /// Calls that ended at their deadline, without effect or in doubt.
    given_up: u64,
    /// Calls that took over a tenth longer than their deadline.
    late: u64,
    took: Histogram<u64>,
    bytes_max: usize,
}

impl Done {
    fn new(time: Duration) -> Self {
        let took = Histogram::new(3).unwrap();
        Self { time, good: 0, refused: 0, given_up: 0, late: 0, took, bytes_max: 0 }
    }

    fn add(&mut self, other: &Self) {
        self.good += other.good;
        self.refused += other.refused;
        self.given_up += other.given_up;
        self.late += other.late;
        self.took.add(&other.took).unwrap();
    }

    fn print(&self, name: &str, peak: f64) {
        let per_second = |count: u64| count as f64 / self.time.as_secs_f64();
        let calls = self.good + self.refused + self.given_up + self.late;
        println!(
            "  {name:24} good {:8.0}/s ({:4.2} of the best)  refused {:7.0}/s  given up {:6.0}/s  late \
             {:.3} %  p50 {:.2} ms  p99 {:.1} ms  most bytes in calls {}",
            per_second(self.good),
            per_second(self.good) / peak,
            per_second(self.refused),
            per_second(self.given_up),
            100.0 * self.late as f64 / calls.max(1) as f64,
            self.took.value_at_quantile(0.5) as f64 / 1e3,
            self.took.value_at_quantile(0.99) as f64 / 1e3,
            self.bytes_max,
        );
    }
}

fn run(store: &Store, rows: &Keyspace, threads: usize, time: Duration) -> Done {
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let started: Vec<_> =
            (0..threads).map(|_| scope.spawn(|| work(rows, &ended, Done::new(time)))).collect();
        let (begun, mut bytes_max) = (Instant::now(), 0);
        while begun.elapsed() < time {
            std::thread::sleep(Duration::from_millis(20));
            bytes_max = bytes_max.max(store.stats().unwrap().call_bytes);
        }
        ended.store(true, Ordering::Relaxed);
        let mut all = Done::new(begun.elapsed());
        started.into_iter().for_each(|thread| all.add(&thread.join().unwrap()));
        all.bytes_max = bytes_max;
        all
    })
}

fn work(rows: &Keyspace, ended: &AtomicBool, mut done: Done) -> Done {
    let mut random = fastrand::Rng::new();
    while !ended.load(Ordering::Relaxed) {
        let (key, begun) = (support::key(random.u64(..ROWS)), Instant::now());
        let in_time = rows.with_deadline(begun + DEADLINE);
        let returned = match random.u8(..16) {
            0..8 => in_time.get(key).map(drop),
            8 => in_time.put_with(key, [1; 1024], Durability::Synced),
            _ => in_time.put(key, [1; 1024]),
        };
        let took = begun.elapsed();
        if took > DEADLINE + DEADLINE / 10 {
            done.late += 1;
        }
        match returned {
            Ok(()) if took <= DEADLINE => {
                done.good += 1;
                done.took.record(took.as_micros() as u64).unwrap();
            }
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Overloaded => {
                done.refused += 1;
                std::thread::sleep(error.retry_after().unwrap());
            }
            Err(error) => {
                let kinds = [ErrorKind::DeadlineExceeded, ErrorKind::InDoubt];
                assert!(kinds.contains(&error.kind()), "{error:#}");
                done.given_up += 1;
            }
        }
    }
    done
}
