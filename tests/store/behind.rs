//! Goal: a write that a shard refuses concerns its partition only, and the running store brings the
//! partition up when the shard takes writes again: whatever happens meanwhile, every write that was
//! acknowledged, and every one that is in the log, is there. Method: shards refuse everything that
//! is to be applied as long as a file says so (feature `failpoints`); the process dies in between;
//! and histories of keys are checked by the checker of `linear`.

use crate::basic::{reopen, small};
use crate::churn::{Enough, Stop, quick_directory, seed};
use crate::linear::checker::{Kind, Op, Outcome, Value, check};
use crate::reshape::{elsewhere, fill, rows};
use annulus::planner::Request;
use annulus::reshape::{Phase, ReshapeOptions, Throttle, Transport};
use annulus::topology::KeyspaceSpec;
use annulus::{
    Batch, Durability, Error, ErrorKind, Keyspace, Result, ShardId, ShardSpec, Store, Swap,
};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Three shards; the keys of a range keyspace that begin with 0, 1 and 2 are on one each.
fn open(directory: &Path) -> (Store, Keyspace) {
    let options = small().write_buffer_bytes(4 << 20).heat(None).hot_cache_bytes(1 << 20);
    let store = Store::builder(directory.join("store")).shards(3).options(options).open().unwrap();
    let spec = KeyspaceSpec::range().split_at(["1", "2"]);
    let keyspace = store.keyspace_or_create("rows", spec).unwrap();
    (store, keyspace)
}

fn owner(keyspace: &Keyspace, key: &str) -> ShardId {
    let placement = keyspace.placement();
    let partitioning = placement.partitioning();
    partitioning.owner(partitioning.find(key.as_bytes())).unwrap()
}

/// A shard that refuses to apply anything until this is dropped.
struct Sick(PathBuf);

impl Sick {
    fn new(store: &Store, shard: ShardId) -> Self {
        let directory = store.topology().shard(shard).unwrap().directory.clone();
        let file = store.path().join(directory).join("data/FAIL-apply");
        fs::write(&file, "").unwrap();
        Self(file)
    }
}

impl Drop for Sick {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

/// Calls until the partition that is concerned is not behind any more.
fn when_up<T>(call: impl Fn() -> Result<T>) -> T {
    let begun = Instant::now();
    loop {
        match call() {
            Ok(value) => return value,
            Err(error) => is_refused(&error),
        }
        assert!(begun.elapsed() < PATIENCE, "it is not brought up");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn is_refused(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::Busy, "{error:#}");
    assert!(error.is_retryable() && error.to_string().contains("brings it up"), "{error:#}");
}

fn is_in_doubt(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::InDoubt, "{error:#}");
}

/// Two shards refuse, one after the other gets well, and each brings its partitions back.
#[test]
fn each_shard_brings_its_partitions_back() {
    let directory = quick_directory();
    let (store, keyspace) = open(directory.path());
    let keys = ["0/a", "1/a", "2/a"];
    keys.iter().for_each(|key| keyspace.put(key, "before").unwrap());
    let [one, other] = [keys[0], keys[1]].map(|key| Sick::new(&store, owner(&keyspace, key)));
    let mut batch = Batch::new();
    keys.iter().for_each(|key| batch.put(&keyspace, key, "batch"));
    is_in_doubt(&store.write_with(batch, Durability::Synced).unwrap_err());
    is_refused(&keyspace.get(keys[0]).unwrap_err());
    is_refused(&keyspace.get(keys[1]).unwrap_err());
    assert_eq!(keyspace.get(keys[2]).unwrap().unwrap(), "batch");
    drop(one);
    assert_eq!(when_up(|| keyspace.get(keys[0])).unwrap(), "batch");
    is_refused(&keyspace.put(keys[1], "never").unwrap_err());
    is_refused(&store.snapshot().map(drop).unwrap_err());
    keyspace.put(keys[0], "later").unwrap();
    drop(other);
    assert_eq!(when_up(|| keyspace.get(keys[1])).unwrap(), "batch");
    let snapshot = store.snapshot().unwrap();
    assert_eq!(snapshot.get(&keyspace, keys[0]).unwrap().unwrap(), "later");
    assert_eq!(snapshot.get(&keyspace, keys[1]).unwrap().unwrap(), "batch");
    assert!(store.verify().unwrap().is_sound());
}

/// What was open before a partition fell behind shows what it did, while it is behind and after.
#[test]
fn snapshots_and_scans_from_before_stay_as_they_are() {
    let directory = quick_directory();
    let (store, keyspace) = open(directory.path());
    for n in 0..300 {
        keyspace.put(format!("{}/{n:03}", n % 3), "before").unwrap();
    }
    let snapshot = store.snapshot().unwrap();
    let mut scan = keyspace.scan(..).unwrap();
    scan.next_row().unwrap();
    let sick = Sick::new(&store, owner(&keyspace, "1/"));
    is_in_doubt(&keyspace.delete_range("1/".."1/2").unwrap_err());
    let all = || snapshot.scan(&keyspace, ..).unwrap().count();
    assert_eq!(all(), 300);
    drop(sick);
    assert!(when_up(|| keyspace.get("1/001")).is_none());
    assert_eq!(all(), 300);
    assert_eq!(snapshot.get(&keyspace, "1/001").unwrap().unwrap(), "before");
    // It comes to the partition only now.
    let left = scan.map(Result::unwrap).filter(|(key, _)| key.starts_with(b"1/")).count();
    assert_eq!(left, keyspace.scan("1/".."2").unwrap().count());
}

/// A reshape whose source falls behind on the way ends, and leaves it as it is; when it is up again,
/// it can be reshaped.
#[test]
fn a_reshape_of_a_partition_that_falls_behind_ends() {
    let directory = quick_directory();
    let (store, _) = open(directory.path());
    let range = store.create_keyspace("range", KeyspaceSpec::range()).unwrap();
    fill(&store, &range);
    let source = range.stats().unwrap()[0].clone();
    let request = Request::Move { partition: source.id, to: elsewhere(source.owner) };
    let options = ReshapeOptions::new().transport(Transport::Copy);
    store.set_throttle(Throttle::new().bytes_per_second(1000)).unwrap();
    let job = store.start_with(&request, options).unwrap();
    let begun = Instant::now();
    while matches!(job.progress().phase, Phase::Queued | Phase::Prepared) {
        assert!(begun.elapsed() < PATIENCE, "it does not begin");
        std::thread::sleep(Duration::from_millis(1));
    }
    let sick = Sick::new(&store, source.owner);
    is_in_doubt(&range.put("n", "late").unwrap_err());
    drop(sick);
    assert_eq!(when_up(|| range.get("n")).unwrap(), "late");
    range.put("o", "later").unwrap();
    let before = rows(&range);
    store.set_throttle(Throttle::default()).unwrap();
    let error = job.wait().unwrap_err();
    assert!(format!("{error:#}").contains("is behind the log"), "{error:#}");
    assert_eq!(rows(&range), before);
    store.start_with(&request, options).unwrap().wait().unwrap();
    assert_eq!(rows(&range), before);
    assert!(store.verify().unwrap().is_sound());
    drop((range, store));
    let (store, _) = open(directory.path());
    assert_eq!(rows(&store.keyspace("range").unwrap()), before);
}

/// A keyspace can be dropped while one of its partitions is behind, which then keeps nothing.
#[test]
fn a_keyspace_with_a_partition_that_is_behind_can_be_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let store = reopen(&directory);
    let keyspace = store.create_keyspace("range", KeyspaceSpec::range()).unwrap();
    let sick = Sick::new(&store, owner(&keyspace, "a"));
    is_in_doubt(&keyspace.put("a", "").unwrap_err());
    store.drop_keyspace("range").unwrap();
    assert_eq!(keyspace.get("a").unwrap_err().kind(), ErrorKind::Closed);
    drop(sick);
    let again = store.create_keyspace("range", KeyspaceSpec::range()).unwrap();
    again.put("a", "new").unwrap();
    store.flush().unwrap();
    store.close().unwrap();
    drop((keyspace, again, store));
    let store = reopen(&directory);
    assert_eq!(store.recovery().replayed.records, 0);
    assert_eq!(store.keyspace("range").unwrap().get("a").unwrap().unwrap(), "new");
}

const DIRECTORY: &str = "ANNULUS_TEST_BEHIND_DIRECTORY";

/// Not a test in itself: the process that dies, at a failpoint while it brings a partition up, or
/// some time afterwards.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let (store, keyspace) = open(&directory);
    let keys = ["0/a", "1/a", "2/a"];
    keyspace.put("1/before", "acknowledged").unwrap();
    keys.iter().for_each(|key| keyspace.put(key, "before").unwrap());
    let sick = Sick::new(&store, owner(&keyspace, "1/a"));
    let mut batch = Batch::new();
    keys.iter().for_each(|key| batch.put(&keyspace, key, "batch"));
    batch.delete(&keyspace, "1/before");
    is_in_doubt(&store.write(batch).unwrap_err());
    // What it had is in files now, and what it lacks is not.
    store.flush().unwrap();
    drop(sick);
    let put = || keyspace.put("1/later", "acknowledged");
    when_up(put);
    fs::write(directory.join("up"), "").unwrap();
    // So that the log is released as far as it may be.
    for n in 0..10 {
        keyspace.put(format!("2/{n}"), vec![b'.'; 16 << 10]).unwrap();
        std::thread::sleep(Duration::from_millis(60));
    }
    store.sync().unwrap();
    std::process::abort();
}

#[test]
fn a_process_may_die_at_any_step() {
    // The last one is passed by none.
    for place in
        ["bring-up-before-apply", "bring-up-after-apply", "bring-up-after-put-back", "nowhere"]
    {
        let directory = quick_directory();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "behind::child", "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, directory.path())
            .env("ANNULUS_FAILPOINT", place)
            .env("ANNULUS_LOG_SEGMENT_BYTES", "65536")
            .env("ANNULUS_LOG_BYTES_MAX", "262144")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(6), "{place}: {text}");
        let later = directory.path().join("up").exists();
        // Where it serves again, a write may be faster than the end of the process.
        let may = matches!(place, "bring-up-after-put-back" | "nowhere");
        assert!(later || place != "nowhere", "{place}: {text}");
        assert!(!later || may, "{place}: {text}");
        // It may have died before the shard was well again.
        for shard in 0..3 {
            let _ = fs::remove_file(
                directory.path().join(format!("store/shards/{shard}/data/FAIL-apply")),
            );
        }
        let (store, keyspace) = open(directory.path());
        for key in ["0/a", "1/a", "2/a"] {
            assert_eq!(keyspace.get(key).unwrap().unwrap(), "batch", "{place}, {key}");
        }
        assert!(keyspace.get("1/before").unwrap().is_none());
        assert!(!later || keyspace.get("1/later").unwrap().unwrap() == "acknowledged");
        assert!(store.verify().unwrap().is_sound());
    }
}

/// Keys of the three partitions.
const KEYS: [&str; 9] = ["0/a", "0/b", "0/c", "1/a", "1/b", "1/c", "2/a", "2/b", "2/c"];
const EPISODES: usize = 12;

struct World<'a> {
    store: &'a Store,
    keyspace: &'a Keyspace,
    clock: Instant,
    next_value: AtomicU64,
    in_doubt: AtomicU64,
}

fn decode(value: Option<&[u8]>) -> Value {
    value.map(|value| u64::from_le_bytes(value.try_into().unwrap()))
}

impl World<'_> {
    fn now(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_nanos()).unwrap()
    }

    /// Returns the moment of the end of a call; the last of all if no one knows whether and when it
    /// takes effect; none if it was refused.
    fn end<T>(&self, result: &Result<T>) -> Option<u64> {
        match result {
            Ok(_) => Some(self.now()),
            Err(error) if error.kind() == ErrorKind::InDoubt => {
                self.in_doubt.fetch_add(1, Ordering::Relaxed);
                Some(u64::MAX)
            }
            Err(error) => {
                is_refused(error);
                None
            }
        }
    }

    /// Makes one call, and returns what it did to which keys.
    fn call(&self, thread: u32, random: &mut fastrand::Rng) -> Vec<(usize, Op)> {
        let key = random.usize(..KEYS.len());
        let (name, value) = (KEYS[key], self.next_value.fetch_add(1, Ordering::Relaxed));
        let bytes = value.to_le_bytes();
        let start = self.now();
        let op = |end, kind| Op { thread, start, end, kind };
        let write = Kind::Write { value: Some(value) };
        match random.u32(..12) {
            0..=4 => {
                let read = self.keyspace.get(name);
                let end = self.end(&read);
                let kind = Kind::Read { value: decode(read.ok().flatten().as_deref()) };
                end.map(|end| (key, op(end, kind))).into_iter().collect()
            }
            5..=7 => {
                let end = self.end(&self.keyspace.put(name, bytes));
                end.map(|end| (key, op(end, write))).into_iter().collect()
            }
            8 => {
                let end = self.end(&self.keyspace.delete_range(name..=name));
                end.map(|end| (key, op(end, Kind::Write { value: None }))).into_iter().collect()
            }
            9 => {
                let swap = self.keyspace.compare_and_swap(name, None, Some(&bytes));
                let end = self.end(&swap);
                let outcome = match swap {
                    Ok(Swap::Found(found)) => Outcome::Found(decode(found.as_deref())),
                    _ => Outcome::Swapped,
                };
                let (expected, new) = (None, Some(value));
                let kind = Kind::CompareAndSwap { expected, new, outcome };
                end.map(|end| (key, op(end, kind))).into_iter().collect()
            }
            10 => {
                let keys = [key, (key + 4) % KEYS.len()];
                let mut batch = Batch::new();
                keys.iter().for_each(|key| batch.put(self.keyspace, KEYS[*key], bytes));
                let end = self.end(&self.store.write_with(batch, Durability::Synced));
                end.into_iter().flat_map(|end| keys.map(|key| (key, op(end, write)))).collect()
            }
            _ => {
                let rows: Result<Vec<_>> = self.keyspace.scan(..).and_then(|scan| scan.collect());
                let Some(end) = self.end(&rows) else { return Vec::new() };
                let rows: BTreeMap<_, _> = rows.unwrap().into_iter().collect();
                let read = |(key, name): (usize, &&str)| {
                    let value = decode(rows.get(name.as_bytes()).map(Vec::as_slice));
                    (key, op(end, Kind::Read { value }))
                };
                KEYS.iter().enumerate().map(read).collect()
            }
        }
    }
}

/// Shards refuse for some milliseconds, again and again, while threads read and write.
#[test]
fn keys_stay_linearizable_while_partitions_fall_behind_and_come_back() {
    let mut random = fastrand::Rng::with_seed(seed());
    let directory = quick_directory();
    let (store, keyspace) = open(directory.path());
    let world = World {
        store: &store,
        keyspace: &keyspace,
        clock: Instant::now(),
        next_value: AtomicU64::new(1),
        in_doubt: AtomicU64::new(0),
    };
    let stop = AtomicBool::new(false);
    let mut histories: Vec<Vec<Op>> = vec![Vec::new(); KEYS.len()];
    std::thread::scope(|scope| {
        let stopped = Stop(&stop);
        let (world, stop) = (&world, &stop);
        let callers: Vec<_> = (0..4)
            .map(|thread| {
                let mut random = random.fork();
                scope.spawn(move || {
                    let _stop = Stop(stop);
                    let mut history = Vec::new();
                    while !stop.load(Ordering::Acquire) {
                        history.extend(world.call(thread, &mut random));
                        std::thread::sleep(Duration::from_micros(random.u64(..300)));
                    }
                    history
                })
            })
            .collect();
        let (enough, mut episodes) = (Enough::new(), 0);
        while !enough.is_reached(episodes >= EPISODES) && !stop.load(Ordering::Acquire) {
            episodes += episode(world, &mut random);
        }
        drop(stopped);
        for (key, op) in callers.into_iter().flat_map(|caller| caller.join().unwrap()) {
            histories[key].push(op);
        }
        println!("{episodes} episodes, {} writes in doubt", world.in_doubt.load(Ordering::Relaxed));
    });
    let settled: Vec<Value> =
        KEYS.iter().map(|key| decode(when_up(|| keyspace.get(key)).as_deref())).collect();
    let end = world.now();
    for ((history, value), key) in histories.iter_mut().zip(&settled).zip(KEYS) {
        let kind = Kind::Read { value: *value };
        history.push(Op { thread: 9, start: end, end: end + 1, kind });
        check(None, history).unwrap_or_else(|violation| panic!("key {key}: {violation}"));
    }
    assert!(store.verify().unwrap().is_sound());
    drop((keyspace, store));
    // The log, replayed, yields what the running store had.
    let (_store, keyspace) = open(directory.path());
    for (key, value) in KEYS.iter().zip(settled) {
        assert_eq!(decode(keyspace.get(key).unwrap().as_deref()), value, "{key}");
    }
}

/// Makes a shard sick for some milliseconds, with a flush at some moment; returns when all is well
/// again. Returns 1 if a write was refused.
fn episode(world: &World<'_>, random: &mut fastrand::Rng) -> usize {
    let pause = |random: &mut fastrand::Rng, most| {
        std::thread::sleep(Duration::from_millis(random.u64(1..most)));
    };
    let before = world.in_doubt.load(Ordering::Relaxed);
    let sick = Sick::new(world.store, owner(world.keyspace, random.choice(KEYS).unwrap()));
    pause(random, 20);
    if random.bool() {
        world.store.flush().unwrap();
    }
    pause(random, 10);
    drop(sick);
    if random.bool() {
        world.store.flush().unwrap();
    }
    KEYS.iter().for_each(|key| drop(when_up(|| world.keyspace.get(key))));
    pause(random, 50);
    usize::from(world.in_doubt.load(Ordering::Relaxed) > before)
}

/// Where RocksDB itself refuses: the disk of one shard is full. Flushes fail, then writes; when
/// there is room, RocksDB recovers by itself, and then its partitions come back. Needs a directory
/// on a small file system: `mount -t tmpfs -o size=32m none DIR`, and `ANNULUS_TEST_SMALL_DISK=DIR`.
#[test]
#[ignore = "needs a small file system"]
fn a_shard_whose_disk_was_full_comes_back() {
    let Some(small_disk) = std::env::var_os("ANNULUS_TEST_SMALL_DISK").map(PathBuf::from) else {
        return;
    };
    let shard = tempfile::tempdir_in(small_disk).unwrap();
    let directory = quick_directory();
    let options = small().write_buffer_bytes(4 << 20).heat(None).disk_reserve(0);
    let builder = Store::builder(directory.path().join("store")).options(options);
    let builder = builder.shard(ShardSpec::new("shards/0"));
    let store = builder.shard(ShardSpec::new(shard.path().join("shard"))).open().unwrap();
    let spec = KeyspaceSpec::range().split_at(["1"]);
    let keyspace = store.create_keyspace("rows", spec).unwrap();
    let full = (0..2).find(|n| owner(&keyspace, &format!("{n}/")) == ShardId(1)).unwrap();
    let ballast = shard.path().join("ballast");
    fs::write(&ballast, vec![1; 20 << 20]).unwrap();
    let mut random = fastrand::Rng::with_seed(seed());
    let mut expected = BTreeMap::new();
    let error = loop {
        let (key, value) = (format!("{full}/{}", random.u32(..2000)), random.u64(..));
        let bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(9000).collect();
        let written = keyspace.put(&key, &bytes);
        expected.insert(key, bytes);
        keyspace.put(format!("{}/{value}", 1 - full), "on").unwrap();
        assert!(expected.len() < 1990, "the disk is too large");
        if let Err(error) = written {
            break error;
        }
    };
    is_in_doubt(&error);
    println!("after {} keys: {error:#}", expected.len());
    let any = expected.keys().next().unwrap();
    is_refused(&keyspace.get(any).unwrap_err());
    keyspace.put(format!("{}/later", 1 - full), "on").unwrap();
    let begun = Instant::now();
    fs::remove_file(&ballast).unwrap();
    when_up(|| keyspace.get(any));
    println!("back {:?} after there was room", begun.elapsed());
    for (key, value) in &expected {
        assert_eq!(keyspace.get(key).unwrap().as_deref(), Some(&value[..]), "{key}");
    }
    assert!(store.verify().unwrap().is_sound());
    store.close().unwrap();
}
