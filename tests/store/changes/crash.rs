//! Consumers whose process is killed: nothing is missed, and where the position is committed with the
//! work, nothing counts twice.

use crate::basic::{both, small};
use crate::churn::{quick_directory, seed};
use annulus::changes::{Change, ChangesFrom, Commit};
use annulus::log::Position;
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, Consumer, Durability, ErrorKind, Keyspace, Store};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const DIRECTORY: &str = "ANNULUS_TEST_CHANGES_DIRECTORY";

fn open(directory: &Path) -> Store {
    let options = small().heat(None);
    Store::builder(directory.join("store")).shards(2).options(options).open().unwrap()
}

/// A keyspace with a sum of all numbers, and one with a row for each number.
fn derived(store: &Store) -> Keyspace {
    store.keyspace_or_create("derived", KeyspaceSpec::range()).unwrap()
}

/// Not a test in itself: writes numbers, sums them up in another thread, and notes them in a file in
/// a third, until it is killed.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let store = open(&directory);
    let [hash, range] = both(&store);
    let sum = derived(&store);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let last = number(range.get("last").unwrap().as_deref());
            for n in last + 1.. {
                let mut batch = Batch::new();
                batch.put(&hash, (n % 100).to_string(), n.to_string());
                batch.put(&range, "last", n.to_string());
                let durability = match n % 50 {
                    0 => Durability::Synced,
                    _ => Durability::Buffered,
                };
                store.write_with(batch, durability).unwrap();
                if n % 500 == 0 {
                    store.flush().unwrap();
                }
            }
        });
        scope.spawn(|| {
            let consumer = store.consumer_or_create("sum", ChangesFrom::Earliest).unwrap();
            let mut changes = consumer.changes().unwrap().keyspace(&hash).open().unwrap();
            loop {
                add(&store, &sum, &consumer, &changes.next().unwrap().unwrap());
            }
        });
        scope.spawn(|| {
            let consumer = store.consumer_or_create("notes", ChangesFrom::Earliest).unwrap();
            let mut notes =
                std::fs::OpenOptions::new().create(true).append(true).open(directory.join("notes"));
            let notes = notes.as_mut().unwrap();
            let changes = consumer.changes().unwrap().keyspace(&hash).open().unwrap();
            for commit in changes.map(Result::unwrap) {
                for change in commit.changes() {
                    let Change::Put { value, .. } = change else { panic!() };
                    notes.write_all(&number(Some(value)).to_le_bytes()).unwrap();
                }
                consumer.commit(commit.end()).unwrap();
            }
        });
        // Two readers of one consumer, who do not know of each other.
        for _ in 0..2 {
            scope.spawn(|| {
                let consumer = store.consumer_or_create("total", ChangesFrom::Earliest).unwrap();
                let mut changes = consumer.changes().unwrap().keyspace(&hash).open().unwrap();
                let mut from = changes.watermark();
                loop {
                    let commit = changes.next().unwrap().unwrap();
                    from = add_within(&store, &sum, &consumer, from, &commit);
                }
            });
        }
    });
}

fn number(value: Option<&[u8]>) -> u64 {
    value.map_or(0, |value| std::str::from_utf8(value).unwrap().parse().unwrap())
}

/// Adds the numbers of a commit to the sum, and commits the position with it.
fn add(store: &Store, sum: &Keyspace, consumer: &Consumer, commit: &Commit) {
    let mut batch = Batch::new();
    let mut present = number(sum.get("sum").unwrap().as_deref());
    for change in commit.changes() {
        let Change::Put { value, .. } = change else { panic!() };
        present += number(Some(value));
    }
    batch.put(sum, "sum", present.to_string());
    consumer.commit_in(&mut batch, commit.end());
    store.write(batch).unwrap();
}

/// Adds the numbers of a commit to the total, and commits the position in the same transaction; unless
/// the other reader has. Returns where it ends.
fn add_within(
    store: &Store,
    sum: &Keyspace,
    consumer: &Consumer,
    from: Position,
    commit: &Commit,
) -> Position {
    let added = store.transact(|tx| {
        let mut present = number(tx.get(sum, "total")?.as_deref());
        for change in commit.changes() {
            let Change::Put { value, .. } = change else { panic!() };
            present += number(Some(value));
        }
        tx.put(sum, "total", present.to_string())?;
        consumer.commit_within(tx, from..commit.end())
    });
    match added {
        Err(error) if error.kind() == ErrorKind::Gone => {}
        added => added.unwrap(),
    }
    commit.end()
}

fn check(directory: &Path) -> u64 {
    let store = open(directory);
    let [hash, range] = both(&store);
    let last = number(range.get("last").unwrap().as_deref());
    // What was not consumed yet is, from where the positions are.
    let consumer = store.consumer_or_create("sum", ChangesFrom::Earliest).unwrap();
    let mut changes = consumer.changes().unwrap().keyspace(&hash).open().unwrap();
    store.sync().unwrap();
    while let Some(commit) = changes.try_next().unwrap() {
        add(&store, &derived(&store), &consumer, &commit);
        store.sync().unwrap();
    }
    let consumer = store.consumer_or_create("total", ChangesFrom::Earliest).unwrap();
    let mut changes = consumer.changes().unwrap().keyspace(&hash).open().unwrap();
    let mut from = changes.watermark();
    while let Some(commit) = changes.try_next().unwrap() {
        from = add_within(&store, &derived(&store), &consumer, from, &commit);
        store.sync().unwrap();
    }
    for name in ["sum", "total"] {
        let sum = number(derived(&store).get(name).unwrap().as_deref());
        assert_eq!(sum, last * (last + 1) / 2, "{name}: each of {last} numbers exactly once");
    }

    let notes = std::fs::read(directory.join("notes")).unwrap_or_default();
    let noted = notes.chunks_exact(8).map(|it| u64::from_le_bytes(it.try_into().unwrap()));
    let mut noted: BTreeSet<u64> = noted.collect();
    let consumer = store.consumer_or_create("notes", ChangesFrom::Earliest).unwrap();
    let mut changes = consumer.changes().unwrap().keyspace(&hash).open().unwrap();
    while let Some(commit) = changes.try_next().unwrap() {
        for change in commit.changes() {
            let Change::Put { value, .. } = change else { panic!() };
            noted.insert(number(Some(value)));
        }
    }
    assert!(noted.into_iter().eq(1..=last), "at least once each of {last}");
    assert!(store.verify().unwrap().is_sound());
    last
}

#[test]
fn consumers_that_are_killed_miss_nothing_and_count_nothing_twice() {
    let mut random = fastrand::Rng::with_seed(seed());
    let directory = quick_directory();
    drop(both(&open(directory.path())));
    let rounds = std::env::var("ANNULUS_KILLS").ok().and_then(|it| it.parse().ok()).unwrap_or(8);
    let mut last = 0;
    for _ in 0..rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "changes::crash::child", "--test-threads=1"])
            .env(DIRECTORY, directory.path())
            .env("ANNULUS_LOG_SEGMENT_BYTES", "65536")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(random.u64(300..1200)));
        assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        last = check(directory.path()).max(last);
    }
    assert!(last > 500, "{last}");
}

/// At each step of the first use, and of the release of the log.
#[test]
fn consumers_that_die_at_each_step_miss_nothing() {
    let places = [
        "write-after-log@1",
        "write-after-log@9",
        "write-after-sync@2",
        "batch-between-shards@3",
        "log-before-release@1",
        "log-free@1",
        "log-free@3",
        "log-recycle@1",
        "opening-after-replay@1",
    ];
    // The last of these is the keyspace of the consumers.
    let first_use =
        ["keyspace-after-partitions@1", "topology-after-commit@2", "write-after-sync@1"];
    let directory = quick_directory();
    drop(both(&open(directory.path())));
    for place in first_use.into_iter().chain(places) {
        let first = first_use.contains(&place).then(quick_directory);
        let directory = first.as_ref().unwrap_or(&directory);
        if first.is_some() {
            drop(both(&open(directory.path())));
        }
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "changes::crash::child", "--test-threads=1"])
            .env(DIRECTORY, directory.path())
            .env("ANNULUS_LOG_SEGMENT_BYTES", "65536")
            .env("ANNULUS_FAILPOINT", place)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if begun.elapsed() > Duration::from_secs(60) {
                child.kill().unwrap();
                panic!("{place} was not passed");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let status = child.wait().unwrap();
        assert!(!status.success(), "{place} was not passed");
        check(directory.path());
    }
}
