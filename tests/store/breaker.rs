//! Goal: a shard that has failed is taken out of the running store, which serves the others as if nothing had
//! happened, and is taken back whole when it can be opened again; nothing of it is refused, shown or kept
//! longer than that takes. Method: a shard refuses everything that is to be applied as long as a file says
//! so (feature `failpoints`), which closes its engine after some seconds; child processes die at each step,
//! or leave out a protection. `tests/power/broken.rs` does the same with errors of the operating system.

use crate::basic::small;
use crate::churn::quick_directory;
use annulus::report::{Problem, ShardState};
use annulus::reshape::Job;
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, Error, ErrorKind, Keyspace, Result, ScanOptions, ShardId, Store};
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Three shards; the keys of a range keyspace that begin with 0, 1 and 2 are on the shards of that number.
fn open(directory: &Path) -> (Store, Keyspace) {
    let options = small().write_buffer_bytes(4 << 20).heat(None).hot_cache_bytes(1 << 20);
    let store = Store::builder(directory.join("store")).shards(3).options(options).open().unwrap();
    let spec = KeyspaceSpec::range().split_at(["1", "2"]);
    let rows = store.keyspace_or_create("rows", spec).unwrap();
    (store, rows)
}

/// The file because of which shard 1 refuses what is to be applied to it.
fn sick(directory: &Path) -> PathBuf {
    directory.join("store/shards/1/data/FAIL-apply")
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn state(store: &Store) -> ShardState {
    store.stats().unwrap().shards[1].health.state
}

/// Writes a batch to all shards, which shard 1 refuses, and waits until that is taken out.
fn fail(directory: &Path, store: &Store, rows: &Keyspace) {
    fs::write(sick(directory), "").unwrap();
    let mut batch = Batch::new();
    ["0/batch", "1/batch", "2/batch"].iter().for_each(|key| batch.put(rows, key, "in doubt"));
    assert_eq!(store.write(batch).unwrap_err().kind(), ErrorKind::InDoubt);
    assert_eq!(rows.get("1/batch").unwrap_err().kind(), ErrorKind::Busy);
    wait_until("it is taken out", || state(store) == ShardState::Failed);
}

fn mend(directory: &Path, store: &Store) {
    fs::remove_file(sick(directory)).unwrap();
    wait_until("it is taken back", || state(store) == ShardState::Serving);
}

#[track_caller]
fn is_out<T>(result: Result<T>) -> Error {
    let error = result.err().expect("it is refused");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:#}");
    assert!(error.to_string().contains("shard 1 was taken out"), "{error}");
    assert!(error.is_retryable(), "the store takes it back by itself");
    error
}

#[test]
fn a_shard_that_fails_is_refused_at_once_and_comes_back_whole() {
    let directory = quick_directory();
    let (store, rows) = open(directory.path());
    (0..300).for_each(|n| rows.put(format!("{}/{n:03}", n % 3), "before").unwrap());
    store.flush().unwrap();
    rows.put("1/001", "in memory only").unwrap();
    assert_eq!(rows.get("1/001").unwrap().unwrap(), "in memory only", "cached from now on");
    fail(directory.path(), &store, &rows);

    let error = is_out(rows.get("1/001"));
    assert!(format!("{error:#}").contains("apply"), "it says why: {error:#}");
    is_out(rows.put("1/001", "never"));
    is_out(rows.scan(..).and_then(Iterator::collect::<Result<Vec<_>>>));
    let mut batch = Batch::new();
    batch.put(&rows, "0/never", "");
    batch.put(&rows, "1/never", "");
    is_out(store.write(batch));
    assert!(rows.get("0/never").unwrap().is_none(), "all or nothing");

    // The others do what they did, snapshots and transactions included.
    let snapshot = store.snapshot().unwrap();
    assert_eq!(snapshot.get(&rows, "0/batch").unwrap().unwrap(), "in doubt");
    is_out(snapshot.get(&rows, "1/batch"));
    store.transact(|transaction| transaction.put(&rows, "0/later", "meanwhile")).unwrap();
    let mut scan = rows.scan_with(.., ScanOptions::new().leave_out_missing(true)).unwrap();
    assert_eq!(scan.by_ref().count(), 203);
    assert_eq!(scan.left_out().len(), 1);
    let stats = store.stats().unwrap();
    assert!(stats.shards[1].log_bytes_needed > 0, "the log is kept for it");
    let problems = store.verify().unwrap().problems;
    assert!(
        matches!(&problems[..], [Problem::Missing(it)] if it.shard == ShardId(1)),
        "{problems:?}"
    );
    drop((snapshot, scan));

    mend(directory.path(), &store);
    assert_eq!(rows.get("1/001").unwrap().unwrap(), "in memory only");
    assert_eq!(rows.get("1/batch").unwrap().unwrap(), "in doubt");
    assert_eq!(rows.scan("1/".."2/").unwrap().count(), 101);
    rows.put("1/after", "goes on").unwrap();
    store.snapshot().unwrap().get(&rows, "1/after").unwrap().unwrap();
    assert!(store.verify().unwrap().is_sound());
    // And again.
    fail(directory.path(), &store, &rows);
    is_out(rows.get("1/after"));
    mend(directory.path(), &store);
    assert_eq!(rows.get("1/after").unwrap().unwrap(), "goes on");
    store.close().unwrap();
    drop((store, rows));
    let (store, rows) = open(directory.path());
    assert!(store.recovery().missing.is_empty() && store.recovery().orphans.is_empty());
    assert_eq!(rows.scan("1/".."2/").unwrap().count(), 102);
}

/// No two engines are ever open on one directory: what was open before reads on, and the shard is opened
/// again when it has gone.
#[test]
fn what_is_held_from_before_reads_on_and_the_shard_waits_for_it() {
    let directory = quick_directory();
    let (store, rows) = open(directory.path());
    (0..300).for_each(|n| rows.put(format!("{}/{n:03}", n % 3), "before").unwrap());
    store.flush().unwrap();
    let snapshot = store.snapshot().unwrap();
    let mut scan = rows.scan(..).unwrap();
    scan.next_row().unwrap();
    let value = rows.get_with("1/001", annulus::ReadOptions::new().bypass_cache(true));
    let value = value.unwrap().unwrap();
    fail(directory.path(), &store, &rows);
    fs::remove_file(sick(directory.path())).unwrap();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(state(&store), ShardState::Failed);
    is_out(rows.get("1/001"));
    assert_eq!(snapshot.get(&rows, "1/001").unwrap().unwrap(), "before");
    assert!(snapshot.get(&rows, "1/batch").unwrap().is_none());
    drop(snapshot);
    assert!(scan.by_ref().map(Result::unwrap).count() >= 299);
    drop(scan);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(state(&store), ShardState::Failed, "a value is held");
    assert_eq!(value, "before");
    drop(value);
    wait_until("it is taken back", || state(&store) == ShardState::Serving);
    assert_eq!(rows.get("1/batch").unwrap().unwrap(), "in doubt");
}

/// Changes of the topology that do not concern the shard go on, and none gives away what is on it.
#[test]
fn reshapes_and_keyspaces_go_on_without_it() {
    let directory = quick_directory();
    let (store, rows) = open(directory.path());
    let gone = store.create_keyspace("gone", KeyspaceSpec::hash()).unwrap();
    (0..300).for_each(|n| rows.put(format!("{}/{n:03}", n % 3), "before").unwrap());
    (0..100).for_each(|n| gone.put(format!("{n}"), "gone").unwrap());
    fail(directory.path(), &store, &rows);
    let partitions = rows.stats().unwrap();
    let id = |owner: u32| partitions.iter().find(|it| it.owner == ShardId(owner)).unwrap().id;
    let job = |job: Result<Job>| job.and_then(|job| job.wait().map(drop));
    is_out(job(store.move_partition(id(1), ShardId(0))));
    is_out(job(store.move_partition(id(0), ShardId(1))));
    is_out(job(store.remove_shard(ShardId(1))));
    is_out(store.create_keyspace("hash", KeyspaceSpec::hash()));
    job(store.move_partition(id(0), ShardId(2))).unwrap();
    store.drop_keyspace("gone").unwrap();
    drop(gone);
    mend(directory.path(), &store);
    job(store.move_partition(id(1), ShardId(0))).unwrap();
    assert_eq!(rows.count().unwrap(), 303);
    assert!(store.verify().unwrap().is_sound());
    drop((store, rows));
    let (store, rows) = open(directory.path());
    assert!(store.recovery().orphans.is_empty(), "{:?}", store.recovery().orphans);
    assert_eq!(rows.count().unwrap(), 303);
}

const DIRECTORY: &str = "ANNULUS_TEST_BREAKER_DIRECTORY";

/// Shard 1 fails, much is written to the others, and shard 1 gets well.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let (store, rows) = open(&directory);
    fail(&directory, &store, &rows);
    let value = vec![b'.'; 64 << 10];
    (0..400).for_each(|n| rows.put(format!("2/bulk/{n}"), &value).unwrap());
    store.flush().unwrap();
    let skips_replay = std::env::var_os("ANNULUS_SKIP").is_some_and(|it| it == "take-back-replays");
    if std::env::var_os("ANNULUS_FAILPOINT").is_some() || skips_replay {
        mend(&directory, &store);
        let is_there = rows.get("1/batch").unwrap().is_some();
        fs::write(directory.join("seen"), is_there.to_string()).unwrap();
    }
    std::process::exit(0);
}

fn run(directory: &Path, variable: &str, value: &str) -> std::process::ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "breaker::child", "--nocapture", "--test-threads=1"]);
    command.env(DIRECTORY, directory).env(variable, value);
    command.env("ANNULUS_LOG_SEGMENT_BYTES", "65536");
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
}

/// The next opening has everything, wherever the process dies.
#[test]
fn a_process_may_die_at_every_step() {
    let steps = [
        "take-out-before-views",
        "take-back-after-open",
        "take-back-after-replay",
        "take-back-before-views",
        "none",
    ];
    std::thread::scope(|scope| {
        for step in steps {
            scope.spawn(move || {
                let directory = quick_directory();
                let (store, rows) = open(directory.path());
                rows.put("1/001", "in memory only").unwrap();
                drop((store, rows));
                let status = run(directory.path(), "ANNULUS_FAILPOINT", step);
                assert_eq!(status.signal(), (step != "none").then_some(6), "{step}: {status}");
                let _ = fs::remove_file(sick(directory.path()));
                let (store, rows) = open(directory.path());
                assert_eq!(rows.get("1/001").unwrap().unwrap(), "in memory only", "{step}");
                for key in ["0/batch", "1/batch", "2/batch"] {
                    assert_eq!(rows.get(key).unwrap().unwrap(), "in doubt", "{step}: {key}");
                }
                assert!(store.verify().unwrap().is_sound());
            });
        }
    });
}

/// What the log has is applied before the shard serves again: with that left out, a part of a batch is
/// missing.
#[test]
fn a_missing_replay_is_noticed() {
    for (variable, value, is_whole) in
        [("ANNULUS_FAILPOINT", "none", "true"), ("ANNULUS_SKIP", "take-back-replays", "false")]
    {
        let directory = quick_directory();
        drop(open(directory.path()));
        assert!(run(directory.path(), variable, value).success(), "{value}");
        assert_eq!(fs::read_to_string(directory.path().join("seen")).unwrap(), is_whole, "{value}");
    }
}

/// The log is kept for a shard that is out although nothing else needs it: with that left out, what was in
/// memory only is gone.
#[test]
fn a_missing_protection_is_noticed() {
    for (protection, is_kept) in [("none", true), ("missing-keeps-log", false)] {
        let directory = quick_directory();
        let (store, rows) = open(directory.path());
        rows.put("1/001", "in memory only").unwrap();
        drop((store, rows));
        assert!(run(directory.path(), "ANNULUS_SKIP", protection).success(), "{protection}");
        fs::remove_file(sick(directory.path())).unwrap();
        let (_store, rows) = open(directory.path());
        let found = rows.get("1/batch").unwrap();
        assert_eq!(found.is_some(), is_kept, "{protection}");
    }
}
