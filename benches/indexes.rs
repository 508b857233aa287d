//! What secondary indexes cost: ratios to the batches of rows and entries that an application would
//! write by itself, knowing what it writes over.
//!
//! ```text
//! cargo bench --bench indexes                everything, about three minutes
//! cargo bench --bench indexes -- insert      only the comparisons whose names contain this
//! cargo bench --bench indexes -- --quick     few rows and short rounds, to see whether it runs
//! ```
//!
//! Both sides run in turns, A B B A …, in one process, on four shards, with rows that are all in
//! memory, without the cache of hot keys; each round yields one ratio. Printed is the median of the
//! ratios with its 95 % interval: 0.833 means that the index takes 1.2 times as long as the batch. The
//! index is by the first 8 bytes of the value. Rows are in a hash keyspace, entries, on both sides, in
//! a range keyspace with one partition.
//!
//! *insert* writes rows that are new, one at a time, and a batch of row and entry on the other side;
//! *change* writes over a row with another index key, and a batch of the row, the entry that goes and
//! the one that comes; *same key* writes over a row that keeps its index key, and a put. *rows* reads 50
//! rows in the order of the index, and 50 rows of a range keyspace that has them in this order.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs, reason = "a bench")]

#[path = "support/arguments.rs"]
mod arguments;
#[path = "support/mod.rs"]
mod support;
#[path = "support/turns.rs"]
mod turns;

use annulus::index::IndexSpec;
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, Index, Keyspace, ScanOptions, Store};
use arguments::Arguments;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::{VALUE_BYTES, key, value};
use tempfile::TempDir;

const INDEX_KEY_BYTES: usize = 8;

struct Settings {
    rows: u64,
    turn: Duration,
    turns: usize,
    arguments: Arguments,
}

impl Settings {
    fn compare(
        &self,
        name: &str,
        threads: u64,
        one: impl Fn(u64) + Sync,
        other: impl Fn(u64) + Sync,
    ) {
        if self.arguments.wants(name) {
            let sides = (self.rows, self.turn, threads);
            turns::compare_rates(sides, self.turns, name, one, other);
        }
    }
}

/// A value whose index key is `tag`, in no order.
fn tagged(tag: u64) -> [u8; VALUE_BYTES] {
    let mut value = value(tag);
    value.iter_mut().zip(key(tag)).take(INDEX_KEY_BYTES).for_each(|(to, from)| *to = from);
    value
}

fn index_key(value: &[u8]) -> &[u8] {
    value.get(..INDEX_KEY_BYTES).unwrap()
}

struct Sides {
    store: Store,
    indexed: Keyspace,
    index: Index,
    rows: Keyspace,
    entries: Keyspace,
}

impl Sides {
    fn new(directory: &TempDir, unique: bool) -> Self {
        let (store, rows) = support::annulus(directory.path(), 4, 4, support::options());
        let spec = KeyspaceSpec::hash().arcs_per_shard(4);
        let indexed = store.keyspace_or_create("indexed", spec).unwrap();
        let spec = IndexSpec::new("tag", 1, |_key, value| [index_key(value).to_vec()]);
        let index = indexed.index(if unique { spec.unique() } else { spec }).unwrap();
        index.build().unwrap();
        let entries = store.keyspace_or_create("entries", KeyspaceSpec::range()).unwrap();
        Self { store, indexed, index, rows, entries }
    }

    /// Writes row and entries by hand; `old` is the index key that goes.
    fn batch(&self, key: &[u8], value: &[u8], old: Option<&[u8]>) {
        let mut batch = Batch::new();
        batch.put(&self.rows, key, value);
        if let Some(old) = old {
            batch.delete(&self.entries, [old, key].concat());
        }
        batch.put(&self.entries, [index_key(value), key].concat(), []);
        self.store.write(batch).unwrap();
    }
}

fn inserts(settings: &Settings) {
    for (unique, threads) in [(false, 1), (true, 1), (false, 8)] {
        let directory = TempDir::new().unwrap();
        let sides = Sides::new(&directory, unique);
        let (one, other) = (AtomicU64::new(0), AtomicU64::new(0));
        let unique = if unique { ", unique" } else { "" };
        settings.compare(
            &format!("insert{unique}, {threads} threads"),
            threads,
            |_| {
                let n = one.fetch_add(1, Ordering::Relaxed);
                sides.indexed.put(key(n), tagged(n)).unwrap();
            },
            |_| {
                let n = other.fetch_add(1, Ordering::Relaxed);
                sides.batch(&key(n), &tagged(n), None);
            },
        );
    }
}

fn overwrites(settings: &Settings) {
    let directory = TempDir::new().unwrap();
    let sides = Sides::new(&directory, false);
    for n in 0..settings.rows {
        sides.indexed.put(key(n), tagged(n)).unwrap();
        sides.batch(&key(n), &tagged(n), None);
    }
    // The application knows what it writes over: a row's tag goes back and forth.
    let turns: Vec<AtomicU64> = (0..settings.rows).map(|_| AtomicU64::new(0)).collect();
    let tag = |n: u64, flip: u64| n + (flip & 1) * settings.rows;
    let flip = |n: u64| turns.get(usize::try_from(n).unwrap()).unwrap();
    let indexed: Vec<AtomicU64> = (0..settings.rows).map(|_| AtomicU64::new(0)).collect();
    settings.compare(
        "change, 1 threads",
        1,
        |n| {
            let times = indexed.get(usize::try_from(n).unwrap()).unwrap();
            let times = times.fetch_add(1, Ordering::Relaxed);
            sides.indexed.put(key(n), tagged(tag(n, times + 1))).unwrap();
        },
        |n| {
            let times = flip(n).fetch_add(1, Ordering::Relaxed);
            let old = tagged(tag(n, times));
            sides.batch(&key(n), &tagged(tag(n, times + 1)), Some(index_key(&old)));
        },
    );
    for n in 0..settings.rows {
        sides.indexed.put(key(n), tagged(n)).unwrap();
    }
    settings.compare(
        "same key / put, 1 threads",
        1,
        |n| sides.indexed.put(key(n), tagged(n)).unwrap(),
        |n| sides.rows.put(key(n), tagged(n)).unwrap(),
    );
}

fn reads(settings: &Settings) {
    let directory = TempDir::new().unwrap();
    let sides = Sides::new(&directory, false);
    let ordered = sides.store.keyspace_or_create("ordered", KeyspaceSpec::range()).unwrap();
    for n in 0..settings.rows {
        sides.indexed.put(key(n), tagged(n)).unwrap();
        ordered.put([index_key(&tagged(n)), &key(n)].concat(), tagged(n)).unwrap();
    }
    let first = ScanOptions::new().limit(50);
    settings.compare(
        "rows / scan of a range keyspace",
        1,
        |n| {
            let found = sides.index.rows_with(index_key(&tagged(n)).., first).unwrap();
            assert!(found.map(Result::unwrap).count() > 0);
        },
        |n| {
            let found = ordered.scan_with(index_key(&tagged(n)).., first).unwrap();
            assert!(found.map(Result::unwrap).count() > 0);
        },
    );
    if settings.arguments.wants("build") {
        let begun = Instant::now();
        sides.index.rebuild().unwrap();
        let rate = settings.rows as f64 / begun.elapsed().as_secs_f64();
        println!("{:<34} {rate:>10.0} rows/s, one thread", "build");
    }
}

fn main() {
    let arguments = Arguments::read();
    let (rows, millis, turns) = if arguments.quick { (5_000, 20, 4) } else { (50_000, 200, 20) };
    let settings = Settings { rows, turn: Duration::from_millis(millis), turns, arguments };
    println!("{:<34} {:>6}  [95 % interval]     medians", "an index / by hand", "median");
    inserts(&settings);
    overwrites(&settings);
    reads(&settings);
}
