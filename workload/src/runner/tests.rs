//! The runner on engines of which everything is known.

use super::{Length, Outcome, Run, load, max_over_mean};
use crate::chooser::Distribution;
use crate::engine::{Description, Engine, Event, Result};
use crate::growth::Growth;
use crate::keys::Keys;
use crate::operations::Kind;
use crate::values::{ValueBytes, Values};
use crate::workload::Workload;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Right, unless every nth read should be wrong.
#[derive(Default)]
struct Tree {
    rows: RwLock<BTreeMap<Vec<u8>, Vec<u8>>>,
    reads: AtomicU64,
    wrong_every: Option<u64>,
    fails_after: Option<u64>,
    slow: Option<Duration>,
    events: AtomicU64,
}

impl Engine for Tree {
    fn describe(&self) -> Description {
        Description::default()
    }

    fn get(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<()> {
        let read = self.reads.fetch_add(1, Ordering::Relaxed);
        self.slow.into_iter().for_each(std::thread::sleep);
        if self.fails_after.is_some_and(|reads| read >= reads) {
            return Err("the disk is gone".into());
        }
        let rows = self.rows.read().unwrap();
        let wrong = self.wrong_every.is_some_and(|every| read.is_multiple_of(every));
        let value =
            if wrong { rows.values().find(|v| Some(*v) != rows.get(key)) } else { rows.get(key) };
        value.map(Vec::as_slice).map(found);
        Ok(())
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.rows.write().unwrap().insert(key.to_vec(), value.to_vec());
        Ok(())
    }

    fn scan(&self, from: &[u8], rows: usize, row: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let all = self.rows.read().unwrap();
        all.range(from.to_vec()..).take(rows).for_each(|(key, value)| row(key, value));
        Ok(())
    }

    fn event(&self, _: Event) -> Result<bool> {
        self.events.fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }

    fn shard_of(&self, key: &[u8]) -> Option<(usize, usize)> {
        Some((usize::from(key[4] > b'4'), 2))
    }
}

const RECORDS: u64 = 2000;

fn go_on(_: f64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

struct Bench {
    tree: Tree,
    values: Values,
    growth: Growth,
}

impl Bench {
    fn new(tree: Tree) -> Self {
        let values = Values::new(ValueBytes::Uniform(20, 80));
        let bench = Self { tree, values, growth: Growth::new(0, 3) };
        let loaded =
            load(&bench.tree, &bench.growth, RECORDS, &bench.run(Workload::A), &mut go_on).unwrap();
        assert_eq!(loaded.records, (0, RECORDS));
        assert_eq!(bench.tree.rows.read().unwrap().len() as u64, RECORDS);
        bench
    }

    fn run(&self, workload: Workload) -> Run<'_> {
        Run {
            mix: workload.mix(),
            distribution: workload.distribution(),
            keys: Keys::default(),
            values: &self.values,
            threads: 3,
            length: Length::Operations(5000),
            warm_up_percent: 10,
            rate: None,
            seed: 5,
            event: None,
            hotspot_at: None,
            interval: Duration::from_millis(20),
        }
    }

    fn go(&self, run: &Run<'_>) -> Result<Outcome> {
        super::run(&self.tree, &self.growth, run, &mut go_on)
    }
}

#[test]
fn every_workload_runs_and_reads_what_was_written() {
    let bench = Bench::new(Tree::default());
    const OPERATIONS: u64 = 5000;
    for workload in Workload::ALL {
        let outcome =
            bench.go(&Run { length: Length::Operations(OPERATIONS), ..bench.run(workload) });
        let outcome = outcome.unwrap();
        assert_eq!(outcome.operations, OPERATIONS, "{workload}");
        assert_eq!(outcome.wrong_reads, 0, "{workload}");
        assert_eq!(outcome.latencies.len(), OPERATIONS);
        assert_eq!(
            outcome.kinds.iter().map(|(_, latencies)| latencies.len()).sum::<u64>(),
            OPERATIONS
        );
        let shown: f64 = outcome.intervals.iter().map(|i| i.ops_per_s * i.seconds).sum();
        assert!((shown - OPERATIONS as f64).abs() < 1.0, "{shown}");
        let inserted = outcome.kinds.iter().find(|(kind, _)| *kind == Kind::Insert);
        let inserted = inserted.map_or(0, |(_, latencies)| latencies.len());
        let (before, after) = outcome.records;
        // Those of the warm-up exist, too.
        assert!(
            (inserted..=inserted + inserted / 4 + 40).contains(&(after - before)),
            "{workload}"
        );
        assert_eq!(outcome.rows > 0, workload == Workload::E);
    }
    let rows = bench.tree.rows.read().unwrap().len() as u64;
    assert_eq!(rows, bench.growth.readable());
    assert!(rows > RECORDS);
}

/// One thread, since the favourite of the latest distribution is what was inserted last: if one of
/// several threads is stopped in the middle of an insert, it keeps its favourite for that long.
#[test]
fn favourites_even_out_over_shards() {
    let bench = Bench::new(Tree::default());
    for workload in Workload::ALL {
        let length = Length::Operations(20_000);
        let outcome = bench.go(&Run { threads: 1, length, ..bench.run(workload) }).unwrap();
        assert!((1.0..1.3).contains(&max_of(&outcome)), "{:?}", outcome.shard_operations);
    }
}

fn max_of(outcome: &Outcome) -> f64 {
    max_over_mean(&outcome.shard_operations).unwrap()
}

#[test]
fn a_seed_gives_the_same_counts_again() {
    let counts = |seed| {
        let bench = Bench::new(Tree::default());
        let outcome = bench.go(&Run { seed, ..bench.run(Workload::A) }).unwrap();
        let kinds = outcome.kinds.iter();
        kinds.map(|(kind, latencies)| (*kind, latencies.len())).collect::<Vec<_>>()
    };
    let seeds = || [1, 2, 3, 4].map(counts);
    let once = seeds();
    assert_eq!(once, seeds());
    assert!(once.iter().any(|counts| *counts != once[0]), "{once:?}");
}

#[test]
fn wrong_values_are_noticed() {
    let bench = Bench::new(Tree { wrong_every: Some(10), ..Tree::default() });
    let run = Run { warm_up_percent: 0, ..bench.run(Workload::C) };
    let outcome = bench.go(&run).unwrap();
    assert_eq!(outcome.wrong_reads, 500);
}

#[test]
fn lost_records_are_noticed() {
    let bench = Bench::new(Tree::default());
    let uniform = Distribution::Uniform;
    bench.tree.rows.write().unwrap().retain(|key, _| key[22] != b'7');
    let reads = bench.go(&Run { distribution: uniform, ..bench.run(Workload::C) }).unwrap();
    assert!((350..=650).contains(&reads.wrong_reads), "{}", reads.wrong_reads);
    let scans = bench.go(&Run { distribution: uniform, ..bench.run(Workload::E) }).unwrap();
    assert!((350..=650).contains(&scans.wrong_reads), "{}", scans.wrong_reads);
}

#[test]
fn an_error_ends_the_run() {
    let bench = Bench::new(Tree { fails_after: Some(700), ..Tree::default() });
    let error = bench.go(&bench.run(Workload::C)).unwrap_err();
    assert_eq!(error.to_string(), "the disk is gone");
    assert!(bench.tree.reads.load(Ordering::Relaxed) < 5000);
}

#[test]
fn a_break_ends_the_run() {
    let slow = Some(Duration::from_micros(200));
    let bench = Bench::new(Tree { slow, ..Tree::default() });
    let run = Run { length: Length::Time(Duration::from_secs(3600)), ..bench.run(Workload::C) };
    let run = Run { warm_up_percent: 0, ..run };
    let stop = &mut |_, _| ControlFlow::Break(());
    let outcome = super::run(&bench.tree, &bench.growth, &run, stop).unwrap();
    assert!(outcome.stopped);
}

#[test]
fn a_stall_is_charged_to_all_that_had_to_wait() {
    // Ten thousand operations a second are requested, and less than two thousand are possible: at
    // the end, an operation is late by most of the time that the run has taken.
    let bench = Bench::new(Tree { slow: Some(Duration::from_micros(500)), ..Tree::default() });
    let run = Run {
        threads: 1,
        rate: Some(10_000.0),
        length: Length::Operations(400),
        warm_up_percent: 0,
        ..bench.run(Workload::C)
    };
    let outcome = bench.go(&run).unwrap();
    let late = outcome.latencies.max() as f64 / 1e9;
    let due = 399.0 / 10_000.0;
    let elapsed = outcome.elapsed.as_secs_f64();
    assert!((late - (elapsed - due)).abs() < 0.002 * elapsed + 1e-6, "{late} {elapsed}");
}

#[test]
fn events_happen_once_and_are_timed() {
    let bench = Bench::new(Tree::default());
    let run =
        Run { event: Some((50, Event::Move)), hotspot_at: Some(50), ..bench.run(Workload::B) };
    let outcome = bench.go(&run).unwrap();
    let event = outcome.event.unwrap();
    assert!(event.began_s <= event.ended_s);
    assert_eq!(bench.tree.events.load(Ordering::Relaxed), 1);
}
