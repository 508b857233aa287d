//! Annulus against one plain RocksDB with the same cache and write buffer: ratios.
//!
//! ```text
//! cargo bench --bench versus                    everything, about fifteen minutes
//! cargo bench --bench versus -- get load        only the comparisons whose names contain these
//! cargo bench --bench versus -- open            what an opening takes: after a kill with 4 MB and
//!                                               with 256 MB in the log, and after a close
//! cargo bench --bench versus -- --quick         few rows and short rounds, to see whether it runs
//! ```
//!
//! Both sides are prepared in the same way and run in turns, A B B A …, in one process; each round
//! yields one ratio, so that a slow moment of the machine hits both sides. Where one side's flushes
//! and compactions would run into the other's turn, each turn has a separate store and nothing else
//! is open. Printed is the median of the ratios with its 95 %
//! interval, above 1 if Annulus is faster; then the same of processor time an operation, below 1 if
//! Annulus takes less.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a bench"
)]

#[path = "../support/arguments.rs"]
mod arguments;
mod openings;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/turns.rs"]
mod turns;

use annulus::placement::ARCS_PER_SHARD;
use annulus::{Batch, Durability, Keyspace, Store};
use arguments::Arguments;
use rocksdb::DB;
use std::time::Duration;
use support::{key, value, value_of};
use tempfile::TempDir;
use turns::{Measured, Measuring};

pub(crate) struct Settings {
    rows: u64,
    /// A turn of reads. Many short ones average a noisy machine better than a few long ones.
    turn: Duration,
    turns: usize,
    /// Comparisons whose turns create separate stores.
    loads: usize,
    /// What is in the log when an opening begins: little, and much.
    logged: [u64; 2],
    arguments: Arguments,
}

impl Settings {
    fn from_arguments() -> Self {
        let arguments = Arguments::read();
        if arguments.quick {
            let turn = Duration::from_millis(20);
            let logged = [1 << 20, 4 << 20];
            return Self { rows: 20_000, turn, turns: 4, loads: 2, logged, arguments };
        }
        let turn = Duration::from_millis(200);
        let logged = [4 << 20, 256 << 20];
        Self { rows: 1_000_000, turn, turns: 40, loads: 9, logged, arguments }
    }

    fn wants(&self, name: &str) -> bool {
        self.arguments.wants(name)
    }
}

fn rate(
    settings: &Settings,
    time: Duration,
    threads: u64,
    seed: usize,
    operation: impl Fn(u64) + Sync,
) -> Measured {
    turns::rate(settings.rows, time, threads, seed, operation)
}

/// Measures `threads` threads that divide rows among them, each row once.
fn rate_of_all(rows: u64, threads: u64, operation: impl Fn(u64) + Sync) -> Measured {
    let operation = &operation;
    let measuring = Measuring::begin();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || (thread..rows).step_by(threads as usize).for_each(operation));
        }
    });
    measuring.end(rows)
}

fn compare<T: Into<Measured>>(
    settings: &Settings,
    count: usize,
    name: &str,
    unit: &str,
    annulus: impl FnMut(usize) -> T,
    plain: impl FnMut(usize) -> T,
) {
    if settings.wants(name) {
        turns::compare(count, name, unit, annulus, plain);
    }
}

fn get(keyspace: &Keyspace, n: u64) {
    let found = keyspace.get(key(n)).unwrap();
    assert!(found.is_some_and(|found| found.len() == support::VALUE_BYTES));
}

fn plain_get(db: &DB, n: u64) {
    let found = db.get_pinned(key(n)).unwrap();
    assert!(found.is_some_and(|found| found.len() == support::VALUE_BYTES));
}

/// Loading rows into an empty store.
fn load<const BYTES: usize>(settings: &Settings, rows: u64) {
    for threads in [1, 2] {
        compare(
            settings,
            settings.loads,
            &format!("load {BYTES} B, {threads} threads"),
            "op/s",
            |_| {
                let directory = TempDir::new().unwrap();
                let path = directory.path().join("s");
                let (_store, keyspace) =
                    support::annulus(&path, 4, ARCS_PER_SHARD, support::options());
                let put = |n| keyspace.put(key(n), value_of::<BYTES>(n)).unwrap();
                rate_of_all(rows, threads, put)
            },
            |_| {
                let directory = TempDir::new().unwrap();
                let db = support::plain(directory.path(), support::WRITE_BUFFER_BYTES);
                rate_of_all(rows, threads, |n| db.put(key(n), value_of::<BYTES>(n)).unwrap())
            },
        );
    }
}

/// Loads of short and of long values, and overwriting all rows for a while.
fn writes(settings: &Settings) {
    load::<{ support::VALUE_BYTES }>(settings, settings.rows);
    load::<1000>(settings, settings.rows / 4);
    let options = support::options;
    // Long enough for flushes and compactions to be part of it.
    let time = 15 * settings.turn;
    for threads in [1, 2] {
        compare(
            settings,
            settings.loads.div_ceil(3),
            &format!("overwrite, {threads} threads"),
            "op/s",
            |turn| {
                let directory = TempDir::new().unwrap();
                let (_store, rows) =
                    support::annulus(&directory.path().join("s"), 4, ARCS_PER_SHARD, options());
                rate_of_all(settings.rows, 2, |n| rows.put(key(n), value(n)).unwrap());
                rate(settings, time, threads, turn, |n| rows.put(key(n), value(n ^ 1)).unwrap())
            },
            |turn| {
                let directory = TempDir::new().unwrap();
                let db = support::plain(directory.path(), support::WRITE_BUFFER_BYTES);
                rate_of_all(settings.rows, 2, |n| db.put(key(n), value(n)).unwrap());
                rate(settings, time, threads, turn, |n| db.put(key(n), value(n ^ 1)).unwrap())
            },
        );
    }
}

fn reads(settings: &Settings) {
    if !settings.wants("get") {
        return;
    }
    let directory = TempDir::new().unwrap();
    // A quarter of the rows, so that most of them have been flushed by either side: a row in memory
    // takes longer to find than one in a file whose blocks are cached.
    let write_buffer = support::WRITE_BUFFER_BYTES / 4;
    let options = support::options().write_buffer_bytes(write_buffer);
    let (store, rows) =
        support::annulus(&directory.path().join("annulus"), 4, ARCS_PER_SHARD, options);
    let db = support::plain(&directory.path().join("plain"), write_buffer);
    rate_of_all(settings.rows, 2, |n| rows.put(key(n), value(n)).unwrap());
    rate_of_all(settings.rows, 2, |n| db.put(key(n), value(n)).unwrap());
    let gets = |threads: u64, what: &str| {
        compare(
            settings,
            settings.turns,
            &format!("get, {threads} threads, {what}"),
            "op/s",
            |turn| rate(settings, settings.turn, threads, turn, |n| get(&rows, n)),
            |turn| rate(settings, settings.turn, threads, turn, |n| plain_get(&db, n)),
        );
    };
    // Compactions that the load left behind.
    std::thread::sleep(15 * settings.turn);
    gets(1, "as written");
    gets(2, "as written");
    store.flush().unwrap();
    db.flush().unwrap();
    std::thread::sleep(15 * settings.turn);
    gets(1, "from files");
    gets(2, "from files");
}

/// Writes that wait for the disk, of one thread and of several that share syncs.
fn synced_writes(settings: &Settings) {
    if !settings.wants("synced") {
        return;
    }
    let directory = TempDir::new().unwrap();
    let (_store, rows) =
        support::annulus(&directory.path().join("annulus"), 4, ARCS_PER_SHARD, support::options());
    let db = support::plain(&directory.path().join("plain"), support::WRITE_BUFFER_BYTES);
    let synced = support::synced();
    for threads in [1, 2, 8] {
        compare(
            settings,
            settings.turns / 2,
            &format!("put synced, {threads} threads"),
            "op/s",
            |turn| {
                rate(settings, 2 * settings.turn, threads, turn, |n| {
                    rows.put_with(key(n), value(n), Durability::Synced).unwrap();
                })
            },
            |turn| {
                rate(settings, 2 * settings.turn, threads, turn, |n| {
                    db.put_opt(key(n), value(n), &synced).unwrap();
                })
            },
        );
    }
}

/// What it costs that the rows of a batch are on several shards. The names say which side is which:
/// both are Annulus.
fn batches(settings: &Settings) {
    if !settings.wants("batch") {
        return;
    }
    const ROWS: u64 = 8;
    let directory = TempDir::new().unwrap();
    let (several, over_four) =
        support::annulus(&directory.path().join("four"), 4, ARCS_PER_SHARD, support::options());
    let (single, on_one) =
        support::annulus(&directory.path().join("one"), 1, ARCS_PER_SHARD, support::options());
    let write = |store: &Store, keyspace: &Keyspace, n: u64| {
        let mut batch = Batch::new();
        for row in n..n + ROWS {
            batch.put(keyspace, key(row), value(row));
        }
        store.write(batch).unwrap();
    };
    compare(
        settings,
        settings.turns,
        "batch of 8 over 4 shards / over 1",
        "batches/s",
        |turn| rate(settings, settings.turn, 1, turn, |n| write(&several, &over_four, n)),
        |turn| rate(settings, settings.turn, 1, turn, |n| write(&single, &on_one, n)),
    );
}

/// One shard of one arc is one RocksDB column family: what differs is routing and bookkeeping.
fn overhead(settings: &Settings) {
    if !settings.wants("overhead") {
        return;
    }
    let directory = TempDir::new().unwrap();
    let (store, rows) =
        support::annulus(&directory.path().join("annulus"), 1, 1, support::options());
    let db = support::plain(&directory.path().join("plain"), support::WRITE_BUFFER_BYTES);
    let count = settings.rows / 10;
    for n in 0..count {
        rows.put(key(n), value(n)).unwrap();
        db.put(key(n), value(n)).unwrap();
    }
    store.flush().unwrap();
    db.flush().unwrap();
    compare(
        settings,
        2 * settings.turns,
        "overhead of a cached get",
        "op/s",
        |turn| rate(settings, settings.turn, 1, turn, |n| get(&rows, n % count)),
        |turn| rate(settings, settings.turn, 1, turn, |n| plain_get(&db, n % count)),
    );
    compare(
        settings,
        settings.turns,
        "overhead of a put",
        "op/s",
        |turn| {
            rate(settings, settings.turn, 1, turn, |n| rows.put(key(n % 1000), value(1)).unwrap())
        },
        |turn| rate(settings, settings.turn, 1, turn, |n| db.put(key(n % 1000), value(1)).unwrap()),
    );
}

fn main() {
    if openings::is_child() {
        return openings::leave_writes_in_the_log();
    }
    let settings = Settings::from_arguments();
    println!("{:<34} {:>6} [95 % interval]", "annulus / plain RocksDB", "ratio");
    overhead(&settings);
    reads(&settings);
    synced_writes(&settings);
    batches(&settings);
    writes(&settings);
    openings::compare_all(&settings);
}
