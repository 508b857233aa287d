//! What a reader of changes costs writers, and how fast it reads.
//!
//! ```text
//! cargo bench --bench changes                      everything, about two minutes
//! cargo bench --bench changes -- put               only what has this in its name
//! cargo bench --bench changes -- --quick           short rounds, to see whether it runs
//! ```
//!
//! Costs are ratios of two stores that run in turns in one process: the median with its 95 % interval.
//! Above 1 the first one, which has the reader, is faster. Rows have 216 bytes. `put` has one writer,
//! `idle` is a reader that is open and not asked, `waits` one that waits for each commit, `buffered`
//! one that takes what is not synced.

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

use annulus::changes::ChangesFrom;
use annulus::{Batch, Durability, Keyspace, Store};
use arguments::Arguments;
use std::time::{Duration, Instant};
use support::{key, value};
use tempfile::TempDir;
use turns::{compare, rate};

const ROWS: u64 = 100_000;
/// The last key of a turn.
const END: &[u8] = b"end";

fn main() {
    let arguments = Arguments::read();
    let (turn, turns) = match arguments.quick {
        true => (Duration::from_millis(20), 4),
        false => (Duration::from_millis(200), 40),
    };
    let directory = TempDir::new().unwrap();
    let open =
        |name: &str| support::annulus(&directory.path().join(name), 4, 4, support::options());
    let sides = [open("with"), open("without")];
    let put = |(_, rows): &(Store, Keyspace), turn_number: usize| {
        rate(ROWS, turn, 1, turn_number, |n| rows.put(key(n), value(7)).unwrap())
    };
    for (name, durability, waits) in [
        ("put, idle", Durability::Synced, false),
        ("put, waits, buffered", Durability::Buffered, true),
        ("put, waits", Durability::Synced, true),
    ] {
        if !arguments.wants(name) {
            continue;
        }
        let (store, rows) = &sides[0];
        compare(
            turns,
            name,
            "puts/s",
            |turn| {
                let changes = store.changes().durability(durability).open().unwrap();
                if !waits {
                    return put(&sides[0], turn);
                }
                std::thread::scope(|scope| {
                    let mut changes = changes;
                    let is_end = |change: annulus::changes::Change<'_>| change.key() == END;
                    scope.spawn(move || {
                        changes.find(|commit| commit.as_ref().unwrap().changes().any(is_end))
                    });
                    let rate = put(&sides[0], turn);
                    rows.put(END, "").unwrap();
                    rate
                })
            },
            |turn| put(&sides[1], turn),
        );
    }
    if arguments.wants("read") {
        read(&sides[1]);
    }
}

/// Reads back single puts and batches of sixteen.
fn read((store, rows): &(Store, Keyspace)) {
    for (name, at_once) in [("read, single puts", 1), ("read, batches of 16", 16)] {
        let from = store.log_end();
        for first in (0..ROWS).step_by(at_once) {
            let mut batch = Batch::new();
            (first..first + at_once as u64).for_each(|n| batch.put(rows, key(n), value(n)));
            store.write(batch).unwrap();
        }
        store.sync().unwrap();
        let mut rates: Vec<f64> = (0..5)
            .map(|_| {
                let mut changes = store.changes().from(from).open().unwrap();
                let (begun, mut read, mut bytes) = (Instant::now(), 0, 0);
                while let Some(commit) = changes.try_next().unwrap() {
                    for change in commit.changes() {
                        read += 1;
                        bytes += change.key().len();
                    }
                }
                assert!(read >= ROWS && bytes > 0);
                read as f64 / begun.elapsed().as_secs_f64()
            })
            .collect();
        rates.sort_by(f64::total_cmp);
        println!("{name:<34} {:>10.0} changes/s", rates[rates.len() / 2]);
    }
    let earliest = store.changes().from(ChangesFrom::Earliest).open().unwrap();
    assert!(earliest.bytes_behind() > 0);
}
