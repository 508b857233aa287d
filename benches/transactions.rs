//! What transactions, updates and counters cost: ratios to what they consist of, and to the
//! optimistic transactions of one RocksDB.
//!
//! ```text
//! cargo bench --bench transactions                everything, about five minutes
//! cargo bench --bench transactions -- update      only the comparisons whose names contain this
//! cargo bench --bench transactions -- --quick     few rows and short rounds, to see whether it runs
//! ```
//!
//! Both sides run in turns, A B B A …, in one process, on rows that are all in memory, without the
//! cache of hot keys; each round yields one ratio. Printed is the median of the ratios with its
//! 95 % interval. Of a transaction to its parts, 0.667 means that it takes 1.5 times as long. A
//! transaction has two reads and two writes of other keys; over four shards, it has one of them on
//! each, or several. With eight threads, each has keys of its own. `OptimisticTransactionDB` is one
//! RocksDB with the same cache and write buffer; its reads are `get_for_update`, which it checks at
//! the commit.

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

use annulus::{Batch, Isolation, Keyspace, Store, TransactionOptions};
use arguments::Arguments;
use rocksdb::{OptimisticTransactionDB, SingleThreaded};
use std::time::Duration;
use support::{key, value};
use tempfile::TempDir;

type Peer = OptimisticTransactionDB<SingleThreaded>;

struct Settings {
    rows: u64,
    turn: Duration,
    turns: usize,
    arguments: Arguments,
}

impl Settings {
    fn from_arguments() -> Self {
        let arguments = Arguments::read();
        let (rows, millis, turns) =
            if arguments.quick { (5_000, 20, 4) } else { (100_000, 200, 30) };
        Self { rows, turn: Duration::from_millis(millis), turns, arguments }
    }

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

/// A store, loaded.
fn loaded(settings: &Settings, directory: &TempDir, shards: u32) -> (Store, Keyspace) {
    let path = directory.path().join(format!("{shards} shards"));
    let (store, rows) = support::annulus(&path, shards, 4, support::options());
    (0..settings.rows).for_each(|n| rows.put(key(n), value(n)).unwrap());
    (store, rows)
}

fn loaded_peer(settings: &Settings, directory: &TempDir) -> Peer {
    let options = support::plain_options(support::WRITE_BUFFER_BYTES);
    let db = Peer::open(&options, directory.path().join("peer")).unwrap();
    (0..settings.rows).for_each(|n| db.put(key(n), value(n)).unwrap());
    db
}

/// The keys of a transaction: two that it reads, and two that it writes.
fn keys(settings: &Settings, n: u64) -> [[u8; 16]; 4] {
    let step = settings.rows / 4;
    [0, 1, 2, 3].map(|part| key((n + part * step) % settings.rows))
}

fn transaction(store: &Store, rows: &Keyspace, keys: &[[u8; 16]; 4], isolation: Isolation) {
    let value = value(1);
    let tx = store.begin_with(TransactionOptions::new().isolation(isolation)).unwrap();
    for key in &keys[..2] {
        assert!(tx.get(rows, key).unwrap().is_some());
    }
    for key in &keys[2..] {
        tx.put(rows, key, value).unwrap();
    }
    tx.commit().unwrap();
}

fn gets_and_batch(store: &Store, rows: &Keyspace, keys: &[[u8; 16]; 4]) {
    let value = value(1);
    for key in &keys[..2] {
        assert!(rows.get(key).unwrap().is_some());
    }
    batch(store, rows, keys, &value);
}

fn batch(store: &Store, rows: &Keyspace, keys: &[[u8; 16]; 4], value: &[u8]) {
    let mut batch = Batch::new();
    keys[2..].iter().for_each(|key| batch.put(rows, key, value));
    store.write(batch).unwrap();
}

fn peer_transaction(db: &Peer, keys: &[[u8; 16]; 4]) {
    let value = value(1);
    let tx = db.transaction();
    for key in &keys[..2] {
        assert!(tx.get_pinned_for_update(key, false).unwrap().is_some());
    }
    for key in &keys[2..] {
        tx.put(key, value).unwrap();
    }
    tx.commit().unwrap();
}

fn one_thread(settings: &Settings, directory: &TempDir) {
    for shards in [1, 4] {
        let (store, rows) = loaded(settings, directory, shards);
        for isolation in [Isolation::Serializable, Isolation::Snapshot] {
            let name = format!("{isolation:?}, {shards} shards / gets, batch");
            settings.compare(
                &name,
                1,
                |n| transaction(&store, &rows, &keys(settings, n), isolation),
                |n| gets_and_batch(&store, &rows, &keys(settings, n)),
            );
        }
        if shards == 1 {
            let db = loaded_peer(settings, directory);
            settings.compare(
                "1 shard / OptimisticTransactionDB",
                1,
                |n| transaction(&store, &rows, &keys(settings, n), Isolation::Serializable),
                |n| peer_transaction(&db, &keys(settings, n)),
            );
        }
    }
}

fn eight_threads(settings: &Settings, directory: &TempDir) {
    let (store, rows) = loaded(settings, directory, 4);
    let db = loaded_peer(settings, directory);
    // Random numbers of different threads seldom meet, and a conflict is run again.
    let retried = |n: u64| {
        let keys = keys(settings, n);
        let value = value(1);
        let run = |tx: &annulus::Transaction| {
            for key in &keys[..2] {
                assert!(tx.get(&rows, key)?.is_some());
            }
            keys[2..].iter().try_for_each(|key| tx.put(&rows, key, value))
        };
        store.transact(run).unwrap();
    };
    settings.compare("8 threads / gets, batch", 8, retried, |n| {
        gets_and_batch(&store, &rows, &keys(settings, n));
    });
    settings.compare("8 threads / OptimisticTransactionDB", 8, retried, |n| {
        let (keys, value) = (keys(settings, n), value(1));
        loop {
            let tx = db.transaction();
            for key in &keys[..2] {
                assert!(tx.get_pinned_for_update(key, false).unwrap().is_some());
            }
            keys[2..].iter().for_each(|key| tx.put(key, value).unwrap());
            if tx.commit().is_ok() {
                return;
            }
        }
    });
}

fn single_keys(settings: &Settings, directory: &TempDir) {
    let (_store, rows) = loaded(settings, directory, 4);
    settings.compare(
        "update / get and put",
        1,
        |n| {
            rows.update(key(n), |old| old.map(<[u8]>::to_vec)).unwrap();
        },
        |n| {
            let old = rows.get(key(n)).unwrap().map(|old| old.to_vec());
            rows.put(key(n), old.unwrap()).unwrap();
        },
    );
    let counter = |n: u64| [&b"counter"[..], &(n % 1000).to_be_bytes()].concat();
    (0..1000).for_each(|n| rows.put(counter(n), [0; 8]).unwrap());
    settings.compare(
        "add / get and put",
        1,
        |n| {
            rows.add(counter(n), 1).unwrap();
        },
        |n| {
            let old = rows.get(counter(n)).unwrap().unwrap();
            let old = i64::from_le_bytes(old[..].try_into().unwrap());
            rows.put(counter(n), (old + 1).to_le_bytes()).unwrap();
        },
    );
}

fn main() {
    let settings = Settings::from_arguments();
    println!("{:<34} {:>6}  [95 % interval]     medians", "transactions / …", "median");
    for part in [single_keys, one_thread, eight_threads] {
        let directory = TempDir::new().unwrap();
        part(&settings, &directory);
    }
}
