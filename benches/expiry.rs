//! What rows that expire cost: where there are none, and where there are.
//!
//! ```text
//! cargo bench --bench expiry                everything, about four minutes
//! cargo bench --bench expiry -- off         only the comparisons whose names contain this
//! cargo bench --bench expiry -- --quick     few rows and short rounds, to see whether it runs
//! ```
//!
//! Both sides run in turns, A B B A …, in one process, on four shards, with rows that are all in memory,
//! without the cache of hot keys; each round yields one ratio. Printed is the median of the ratios with
//! its 95 % interval: above 1 the first side is faster.
//!
//! *off* are calls on a keyspace without a time to live, in a store that has another one with it, to the
//! same calls in a store that has none: what is to show no cost. *on* are calls on a keyspace with a time
//! to live to the same on one without it, in one store: each value has eight bytes more, each read asks
//! for the time.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs, reason = "a bench")]

#[path = "support/arguments.rs"]
mod arguments;
#[path = "support/mod.rs"]
mod support;
#[path = "support/turns.rs"]
mod turns;

use annulus::topology::KeyspaceSpec;
use annulus::{Batch, Keyspace, ScanOptions, Store};
use arguments::Arguments;
use std::time::Duration;
use support::{key, value};
use tempfile::TempDir;

struct Settings {
    rows: u64,
    turn: Duration,
    turns: usize,
    arguments: Arguments,
}

impl Settings {
    fn compare(&self, name: &str, one: impl Fn(u64) + Sync, other: impl Fn(u64) + Sync) {
        if self.arguments.wants(name) {
            turns::compare_rates((self.rows, self.turn, 1), self.turns, name, one, other);
        }
    }

    fn fill(&self, rows: &Keyspace) {
        (0..self.rows).for_each(|n| rows.put(key(n), value(n)).unwrap());
    }
}

/// A store with its keyspace of plain rows, and one of the same rows that expire in a day.
fn with_expiring(settings: &Settings, directory: &TempDir) -> (Store, Keyspace, Keyspace) {
    let (store, rows) = support::annulus(&directory.path().join("with"), 4, 4, support::options());
    let day = Duration::from_secs(86_400);
    let spec = KeyspaceSpec::hash().arcs_per_shard(4).time_to_live(day);
    let expiring = store.keyspace_or_create("expiring", spec).unwrap();
    settings.fill(&rows);
    settings.fill(&expiring);
    (store, rows, expiring)
}

/// A store with two keyspaces of plain rows.
fn without(settings: &Settings, directory: &TempDir) -> (Store, Keyspace) {
    let (store, rows) =
        support::annulus(&directory.path().join("without"), 4, 4, support::options());
    let spec = KeyspaceSpec::hash().arcs_per_shard(4);
    let others = store.keyspace_or_create("others", spec).unwrap();
    settings.fill(&rows);
    settings.fill(&others);
    (store, rows)
}

/// The calls that are compared.
#[derive(Clone, Copy)]
enum Call {
    Get,
    Put,
    Batch,
    Scan,
    Update,
    Transaction,
}

const CALLS: [(&str, Call); 6] = [
    ("get", Call::Get),
    ("put", Call::Put),
    ("batch of 2", Call::Batch),
    ("scan of 50", Call::Scan),
    ("update", Call::Update),
    ("transaction", Call::Transaction),
];

impl Call {
    fn make(self, store: &Store, rows: &Keyspace, n: u64) {
        match self {
            Self::Get => assert!(rows.get(key(n)).unwrap().is_some()),
            Self::Put => rows.put(key(n), value(7)).unwrap(),
            Self::Batch => {
                let mut batch = Batch::new();
                batch.put(rows, key(n), value(7));
                batch.put(rows, key(n / 2), value(8));
                store.write(batch).unwrap();
            }
            Self::Scan => {
                let first = ScanOptions::new().limit(50);
                assert!(rows.scan_with(key(n).., first).unwrap().count() > 0);
            }
            Self::Update => {
                rows.update(key(n), |old| old.map(<[u8]>::to_vec)).unwrap();
            }
            Self::Transaction => {
                let tx = store.begin().unwrap();
                assert!(tx.get(rows, key(n)).unwrap().is_some());
                tx.put(rows, key(n / 2), value(7)).unwrap();
                tx.commit().unwrap();
            }
        }
    }
}

fn main() {
    let arguments = Arguments::read();
    let (rows, millis, turns) = if arguments.quick { (5_000, 20, 4) } else { (100_000, 200, 40) };
    let settings = Settings { rows, turn: Duration::from_millis(millis), turns, arguments };
    let directory = TempDir::new().unwrap();
    let (store, plain, expiring) = with_expiring(&settings, &directory);
    let (other_store, other) = without(&settings, &directory);
    for (name, call) in CALLS {
        settings.compare(
            &format!("off, {name}"),
            |n| call.make(&store, &plain, n),
            |n| call.make(&other_store, &other, n),
        );
    }
    for (name, call) in CALLS {
        settings.compare(
            &format!("on, {name}"),
            |n| call.make(&store, &expiring, n),
            |n| call.make(&store, &plain, n),
        );
    }
}
