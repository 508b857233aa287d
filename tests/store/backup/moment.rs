//! Goal: a backup is one moment: a prefix of everything that was written, over keyspaces and shards, while
//! writers and reshapes go on. Method: writers put one row after the other, each only after the one
//! before, alternately in two keyspaces, and batches over both; what was acknowledged before the backup
//! and begun after it is noted. Each backup is restored elsewhere and must have exactly the first rows of
//! each writer, up to one that lies between the two.

use super::{assert_sound, restored};
use crate::basic::{both, quick_store};
use crate::churn::{Churn, Stop, seed};
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, Keyspace, Store};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const WRITERS: usize = 3;
const BACKUPS: u64 = 6;

/// How far a writer is: rows that it has begun to put, and those that were acknowledged.
#[derive(Default)]
struct Writer {
    begun: AtomicU64,
    acknowledged: AtomicU64,
}

fn key(writer: usize, n: u64) -> String {
    // Spread over the ranges.
    let letter = char::from(b'a' + (n % 26) as u8);
    format!("{letter}/{writer}/{n:08}")
}

impl Writer {
    fn run(&self, number: usize, keyspaces: &[Keyspace; 2], store: &Store, stop: &AtomicBool) {
        let padding = vec![b'.'; 300];
        for n in 0.. {
            if stop.load(Ordering::Acquire) {
                return;
            }
            self.begun.store(n + 1, Ordering::Release);
            // The first writer puts single rows; those of the others are batches over both keyspaces.
            if number == 0 {
                keyspaces[n as usize % 2].put(key(number, n), &padding).unwrap();
            } else {
                let mut batch = Batch::new();
                keyspaces.iter().for_each(|it| batch.put(it, key(number, n), &padding));
                store.write(batch).unwrap();
            }
            self.acknowledged.store(n + 1, Ordering::Release);
            if n % 16 == 0 {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
    }
}

/// Returns how many rows of a writer a store has, which must be its first ones.
fn rows_of(store: &Store, number: usize) -> u64 {
    let keyspaces = both(store);
    let has = |n: u64| {
        let there = keyspaces.each_ref().map(|it| it.get(key(number, n)).unwrap().is_some());
        if number == 0 {
            return there[n as usize % 2];
        }
        assert_eq!(there[0], there[1], "a batch of writer {number} in part, row {n}");
        there[0]
    };
    let rows = (0..).take_while(|n| has(*n)).count() as u64;
    let all: usize = keyspaces
        .iter()
        .map(|it| it.scan(..).unwrap().map(Result::unwrap))
        .flat_map(|rows| {
            rows.filter(|(key, _)| key[2..].starts_with(format!("{number}/").as_bytes()))
        })
        .count();
    let copies = if number == 0 { 1 } else { 2 };
    assert_eq!(all as u64, rows * copies, "a later row of writer {number} without row {rows}");
    rows
}

/// What changes the topology while backups are made.
enum Changes {
    None,
    Reshapes,
    Keyspaces,
}

/// Creates keyspaces and drops them.
fn come_and_go(store: &Store, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        store.create_keyspace("passing", KeyspaceSpec::hash().arcs_per_shard(1)).unwrap();
        store.drop_keyspace("passing").unwrap();
    }
}

fn run(changes: Changes) {
    let (directory, store) = quick_store();
    let backups = directory.path().join("backups");
    let keyspaces = both(&store);
    let writers: [Writer; WRITERS] = Default::default();
    let stop = AtomicBool::new(false);
    let mut noted = Vec::new();
    std::thread::scope(|scope| {
        let _stop = Stop(&stop);
        for (number, writer) in writers.iter().enumerate() {
            let (store, keyspaces, stop) = (&store, &keyspaces, &stop);
            scope.spawn(move || writer.run(number, keyspaces, store, stop));
        }
        let (changed, stopped) = (&store, &stop);
        match changes {
            Changes::None => {}
            Changes::Reshapes => {
                let mut churn = Churn::new(seed()).shards_percent(20);
                scope.spawn(move || churn.run(changed, stopped));
            }
            Changes::Keyspaces => {
                scope.spawn(move || come_and_go(changed, stopped));
            }
        }
        let read = |of: fn(&Writer) -> &AtomicU64| {
            writers.each_ref().map(|writer| of(writer).load(Ordering::Acquire))
        };
        for _ in 0..BACKUPS {
            std::thread::sleep(std::time::Duration::from_millis(60));
            let before = read(|it| &it.acknowledged);
            let backup = store.backup(&backups).unwrap();
            noted.push((backup.number, before, read(|it| &it.begun)));
        }
    });
    assert_sound(&backups);
    for (number, before, after) in noted {
        let path = directory.path().join(format!("copy-{number}"));
        let copy = restored(&backups, &path, Some(number));
        for writer in 0..WRITERS {
            let rows = rows_of(&copy, writer);
            let possible = before[writer]..=after[writer];
            assert!(possible.contains(&rows), "backup {number}: {rows} rows, {possible:?}");
        }
        copy.close().unwrap();
        drop(copy);
        std::fs::remove_dir_all(path).unwrap();
    }
}

#[test]
fn a_backup_is_one_moment_while_writers_go_on() {
    run(Changes::None);
}

#[test]
fn a_backup_is_one_moment_while_partitions_move_and_shards_come_and_go() {
    run(Changes::Reshapes);
}

#[test]
fn a_backup_is_one_moment_while_keyspaces_come_and_go() {
    run(Changes::Keyspaces);
}

/// Without each of the steps that its argument needs, the tests above fail.
#[cfg(feature = "failpoints")]
#[test]
fn each_protection_is_needed() {
    let still = "backup::moment::a_backup_is_one_moment_while_writers_go_on";
    let moving =
        "backup::moment::a_backup_is_one_moment_while_partitions_move_and_shards_come_and_go";
    for (skipped, test) in [("backup-pin", still), ("backup-cut", still), ("backup-epoch", moving)]
    {
        let fails = (0..6).any(|_| {
            let output = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", test, "--test-threads=1"])
                .env("ANNULUS_SKIP", skipped)
                .env("ANNULUS_MEMTABLE_BYTES", "65536")
                .output()
                .unwrap();
            !output.status.success()
        });
        assert!(fails, "{skipped} is not needed");
    }
}
