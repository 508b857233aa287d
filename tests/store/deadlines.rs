//! Goal: a call with a deadline returns by it whatever hangs, says what it has waited for and whether a
//! write may still happen; and a shard that hangs stops no thread that works on others. Method: flushes
//! or reads of one shard, or syncs of the log, hang as long as a file says so (feature `failpoints`).
//! Progress is asserted, and no speed; what others get done meanwhile is printed.

use crate::basic::small;
use crate::churn::quick_directory;
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, Durability, Error, ErrorKind, Keyspace, Result, ShardId, Store};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A deadline that passes soon.
const SOON: Duration = Duration::from_millis(50);

/// Four shards; the keys that begin with 0, 1, 2 and 3 are on one each.
fn open(directory: &Path) -> (Store, Keyspace) {
    let options = small().write_buffer_bytes(4 << 20).heat(None).hot_cache_bytes(0);
    let store = Store::builder(directory.join("store")).shards(4).options(options).open().unwrap();
    let spec = KeyspaceSpec::range().split_at(["1", "2", "3"]);
    let rows = store.keyspace_or_create("rows", spec).unwrap();
    (store, rows)
}

fn owner(rows: &Keyspace, key: &str) -> ShardId {
    let placement = rows.placement();
    let partitioning = placement.partitioning();
    partitioning.owner(partitioning.find(key.as_bytes())).unwrap()
}

/// An operation on the files of a directory that hangs until this is dropped.
struct Hang(PathBuf);

impl Hang {
    fn of_shard(store: &Store, shard: ShardId, operation: &str) -> Self {
        let topology = store.topology();
        let directory = &topology.shard(shard).unwrap().directory;
        Self::set(&store.path().join(directory).join("data"), operation)
    }

    fn of_log(store: &Store) -> Self {
        Self::set(&store.stats().unwrap().log_copies[0].directory, "log-sync")
    }

    fn set(directory: &Path, operation: &str) -> Self {
        let file = directory.join(format!("HANG-{operation}"));
        fs::write(&file, "").unwrap();
        Self(file)
    }
}

impl Drop for Hang {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

fn is_late(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error:#}");
    assert!(error.is_retryable());
}

/// Writes to a shard whose flushes hang until its writers would have to wait.
fn stall(rows: &Keyspace, prefix: &str) -> Error {
    let value = vec![7; 64 << 10];
    for n in 0..10_000 {
        let put = rows.with_timeout(SOON).put(format!("{prefix}/{n:05}"), &value);
        if let Err(error) = put {
            return error;
        }
    }
    panic!("a shard whose flushes hang takes everything");
}

fn when<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whoever waits for a shard whose disk takes nothing is told so at its deadline, and nothing was
/// written; others go on, also with snapshots and batches.
#[test]
fn a_shard_that_takes_nothing_is_named_at_the_deadline() {
    let directory = quick_directory();
    let (store, rows) = open(directory.path());
    let shard = owner(&rows, "1");
    let hang = Hang::of_shard(&store, shard, "flush");
    let error = stall(&rows, "1");
    is_late(&error);
    let (named, nothing) = (format!("shard {shard}"), "nothing was written");
    assert!(error.to_string().contains(&named) && error.to_string().contains(nothing), "{error}");
    let begun = Instant::now();
    let late = rows.with_timeout(SOON);
    is_late(&late.delete("1/a").unwrap_err());
    is_late(&late.add("1/n", 1).unwrap_err());
    is_late(&late.put_with("1/a", "", Durability::Synced).unwrap_err());
    let mut batch = Batch::new();
    batch.put(&rows, "0/a", "");
    batch.put(&rows, "1/a", "");
    is_late(&store.with_timeout(SOON).write(batch).unwrap_err());
    let put = |tx: &annulus::Transaction| tx.put(&rows, "1/a", "");
    is_late(&store.with_timeout(SOON).transact(put).unwrap_err());
    is_late(&store.with_timeout(SOON).flush().unwrap_err());
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
    assert!(!rows.contains("0/a").unwrap() && !rows.contains("1/a").unwrap());
    // Others, without deadlines.
    rows.put("0/b", "").unwrap();
    let mut batch = Batch::new();
    ["0/c", "2/c", "3/c"].iter().for_each(|key| batch.put(&rows, key, ""));
    store.write(batch).unwrap();
    let snapshot = store.snapshot().unwrap();
    assert!(snapshot.get(&rows, "3/c").unwrap().is_some());
    assert!(rows.get("1/00000").unwrap().is_some(), "what is in memory can be read");
    drop(hang);
    when("it takes writes again", || rows.with_timeout(SOON).put("1/a", "later").ok());
    assert_eq!(
        store.stats().unwrap().shards.iter().map(|it| it.partitions_behind).sum::<usize>(),
        0
    );
    assert!(store.verify().unwrap().is_sound());
}

/// A synced write whose deadline passes while the log hangs may still happen, and says so; one that has
/// not begun by then never happens.
#[test]
fn a_write_that_may_still_happen_says_so() {
    let directory = quick_directory();
    let (store, rows) = open(directory.path());
    rows.put("0/a", "before").unwrap();
    let hang = Hang::of_log(&store);
    let late = || rows.with_timeout(SOON);
    let in_doubt = |error: Error| {
        assert_eq!(error.kind(), ErrorKind::InDoubt, "{error:#}");
        assert!(
            !error.is_retryable() && error.to_string().contains("still take effect"),
            "{error}"
        );
    };
    in_doubt(late().put_with("0/a", "after", Durability::Synced).unwrap_err());
    // It owns its key until it is done; its value is not seen before it is synced.
    is_late(&late().put("0/a", "later").unwrap_err());
    assert_eq!(rows.get("0/a").unwrap().unwrap(), "before");
    in_doubt(late().delete_with("1/a", Durability::Synced).unwrap_err());
    in_doubt(late().add_with("2/n", 5, Durability::Synced).unwrap_err());
    let swap = late().compare_and_swap_with("3/a", None, Some(b"swapped"), Durability::Synced);
    in_doubt(swap.unwrap_err());
    let mut batch = Batch::new();
    batch.put(&rows, "0/b", "batch");
    batch.put(&rows, "1/b", "batch");
    in_doubt(store.with_timeout(SOON).write_with(batch, Durability::Synced).unwrap_err());
    is_late(&store.with_timeout(SOON).sync().unwrap_err());
    // Writers inside keep a snapshot waiting, and it keeps others waiting for a while only.
    is_late(&store.with_timeout(SOON).snapshot().unwrap_err());
    rows.put("3/other", "").unwrap();
    is_late(&store.with_timeout(SOON).close().unwrap_err());
    drop((hang, rows, store));
    let opened =
        when("the close ends", || match Store::builder(directory.path().join("store")).open() {
            Ok(store) => Some(store),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::InUse, "{error:#}");
                None
            }
        });
    drop(opened);
}

/// A batch that waits for a key which hangs does not keep others from its other keys, though it waits
/// without end.
#[test]
fn a_batch_that_waits_passes_its_waiting_on_to_no_one() {
    let directory = quick_directory();
    let (store, rows) = open(directory.path());
    let hang = Hang::of_log(&store);
    let synced = rows.with_timeout(SOON).put_with("1/a", "synced", Durability::Synced);
    assert_eq!(synced.unwrap_err().kind(), ErrorKind::InDoubt);
    std::thread::scope(|scope| {
        let batch = scope.spawn(|| {
            let mut batch = Batch::new();
            ["0/a", "1/a", "2/a"].iter().for_each(|key| batch.put(&rows, key, "batch"));
            store.write(batch)
        });
        std::thread::sleep(SOON);
        for n in 0..10 {
            rows.put("0/a", format!("{n}")).unwrap();
            rows.put("2/a", format!("{n}")).unwrap();
        }
        assert!(!batch.is_finished());
        assert_eq!(rows.get("0/a").unwrap().unwrap(), "9");
        drop(hang);
        batch.join().unwrap().unwrap();
    });
    let values = rows.scan(..).unwrap().map(|row| row.unwrap().1);
    assert!(values.eq(["batch"; 3].map(|value| value.as_bytes().to_vec())));
}

/// Left out one at a time, each of them is missed: the test ends otherwise, or not at all.
#[test]
fn each_protection_is_missed() {
    const LONGEST: Duration = Duration::from_secs(30);
    let run = |protection: &str, test: &str| {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", test, "--test-threads=1"]).env("ANNULUS_SKIP", protection);
        child.stdout(Stdio::null()).stderr(Stdio::null());
        let (mut child, begun) = (child.spawn().unwrap(), Instant::now());
        while begun.elapsed() < LONGEST {
            if let Some(status) = child.try_wait().unwrap() {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        false
    };
    let named = "deadlines::a_shard_that_takes_nothing_is_named_at_the_deadline";
    let in_doubt = "deadlines::a_write_that_may_still_happen_says_so";
    let batch = "deadlines::a_batch_that_waits_passes_its_waiting_on_to_no_one";
    let log = "disks::a_log_without_room_refuses_the_puts_of_all_shards";
    std::thread::scope(|scope| {
        let run = &run;
        let missed = [
            ("ask-for-room", named),
            ("gate-patience", in_doubt),
            ("give-stripes-back", batch),
            ("disk-reserve", log),
        ]
        .map(|(protection, test)| (protection, scope.spawn(move || run(protection, test))));
        for (protection, passed) in missed {
            assert!(!passed.join().unwrap(), "{protection} is not missed");
        }
    });
}

/// All that was late, and in the log, happens when the log goes on.
#[test]
fn what_may_still_happen_happens() {
    let directory = quick_directory();
    let (store, rows) = open(directory.path());
    let hang = Hang::of_log(&store);
    for n in 0..20 {
        let put =
            rows.with_timeout(SOON / 10).put_with(format!("{}/{n}", n % 4), "", Durability::Synced);
        assert_eq!(put.unwrap_err().kind(), ErrorKind::InDoubt);
    }
    assert_eq!(rows.count().unwrap(), 0);
    drop(hang);
    when("all are there", || (rows.count().unwrap() == 20).then_some(()));
    store.sync().unwrap();
    assert_eq!(store.snapshot().unwrap().scan(&rows, ..).unwrap().count(), 20);
}

/// A read that its disk does not answer is given up; what memory has is read. A disk that hangs occupies
/// a bounded number of threads, and none of other shards'.
#[test]
fn a_read_that_hangs_is_given_up() {
    let directory = quick_directory();
    let (store, rows) = open(directory.path());
    for key in ["0/a", "1/a", "2/a"] {
        rows.put(key, "value").unwrap();
    }
    store.flush().unwrap();
    rows.put("1/memory", "value").unwrap();
    drop(store);
    drop(rows);
    let (store, rows) = open(directory.path());
    rows.put("1/memory", "value").unwrap();
    let shard = owner(&rows, "1");
    let hang = Hang::of_shard(&store, shard, "read");
    for _ in 0..20 {
        let error = rows.with_timeout(SOON / 10).get("1/a").err().unwrap();
        is_late(&error);
        assert!(error.to_string().contains(&format!("shard {shard}")), "{error}");
    }
    is_late(&rows.with_timeout(SOON).get_many(["0/a", "1/a"]).err().unwrap());
    is_late(&rows.with_timeout(SOON).scan("1"..).err().unwrap());
    let in_time = rows.with_timeout(PATIENCE);
    assert_eq!(in_time.get("1/memory").unwrap().unwrap(), "value");
    assert_eq!(in_time.get("0/a").unwrap().unwrap(), "value");
    assert_eq!(in_time.get_many(["0/a", "2/a"]).unwrap().iter().flatten().count(), 2);
    drop(hang);
    assert_eq!(in_time.get("1/a").unwrap().unwrap(), "value");
    assert_eq!(in_time.scan(..).unwrap().count(), 4);
}

/// What threads get done.
#[derive(Default)]
struct Work {
    done: [AtomicU64; 4],
    ended: AtomicBool,
}

impl Work {
    /// Writes to one shard, and now and then to all others that do not hang, or takes a snapshot; without
    /// deadlines.
    fn on(&self, store: &Store, rows: &Keyspace, mine: usize, others: &[usize]) -> Result<()> {
        let mut n = 0_u64;
        while !self.ended.load(Ordering::Relaxed) {
            n += 1;
            rows.put(format!("{mine}/{}", n % 500), [1; 100])?;
            if n.is_multiple_of(64) {
                let mut batch = Batch::new();
                others.iter().for_each(|shard| batch.put(rows, format!("{shard}/{n}"), ""));
                store.write(batch)?;
            }
            if n.is_multiple_of(512) {
                drop(store.snapshot()?);
                assert!(rows.get(format!("{mine}/{}", n % 500))?.is_some());
            }
            self.done[mine].fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Returns what each shard's thread gets done in a time.
    fn during(&self, time: Duration) -> [u64; 4] {
        let count = || [0, 1, 2, 3].map(|shard| self.done[shard].load(Ordering::Relaxed));
        let before = count();
        std::thread::sleep(time);
        let after = count();
        [0, 1, 2, 3].map(|shard| after[shard] - before[shard])
    }
}

/// One of four shards hangs; threads that work on the others go on, with batches and snapshots, though
/// writers of the hanging one, batches with it, and a flush wait without end.
#[test]
fn a_shard_that_hangs_stops_none_of_the_others() {
    const TIME: Duration = Duration::from_millis(800);
    let directory = quick_directory();
    let (store, rows) = open(directory.path());
    let shard = owner(&rows, "3");
    let (work, value) = (Work::default(), vec![7; 16 << 10]);
    std::thread::scope(|scope| {
        for mine in 0..3 {
            let (work, store, rows) = (&work, &store, &rows);
            scope.spawn(move || work.on(store, rows, mine, &[0, 1, 2]).unwrap());
        }
        // Two who write to the shard itself, and two with batches over it and another one.
        for writer in 0..4_u32 {
            let (work, store, rows, value) = (&work, &store, &rows, &value);
            scope.spawn(move || {
                for n in 0_u32.. {
                    if work.ended.load(Ordering::Relaxed) {
                        break;
                    }
                    let mut batch = Batch::new();
                    batch.put(rows, format!("3/{writer}/{}", n % 100), value);
                    if writer >= 2 {
                        batch.put(rows, format!("0/batch/{writer}"), "");
                    }
                    store.write(batch).unwrap();
                    work.done[3].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let before = work.during(TIME);
        let hang = Hang::of_shard(&store, shard, "flush");
        when("its writers wait", || (work.during(Duration::from_millis(50))[3] == 0).then_some(()));
        let flushes = {
            let store = &store;
            scope.spawn(move || store.flush())
        };
        let during = work.during(TIME);
        assert!(!flushes.is_finished());
        drop(hang);
        when("it goes on", || (work.during(Duration::from_millis(20))[3] > 0).then_some(()));
        flushes.join().unwrap().unwrap();
        work.ended.store(true, Ordering::Relaxed);
        let sum = |done: &[u64; 4]| done.iter().take(3).sum::<u64>();
        let share = sum(&during) as f64 / sum(&before) as f64;
        println!(
            "before {before:?}, while one hangs {during:?}: {share:.2} times as much on the others"
        );
        assert!(during.iter().take(3).all(|done| *done > 50), "{during:?}");
        assert_eq!(during[3], 0, "the shard hangs");
    });
    assert!(store.verify().unwrap().is_sound());
}
