//! Goal: a store opens without a shard if it is allowed to, serves what is there, refuses the rest by
//! name, and takes the shard back with everything that was acknowledged for it: however often it is
//! opened meanwhile, however much is written, and wherever the process dies. Method: the directory of a
//! shard is moved away and back, replaced, or damaged; child processes die at chosen steps, or leave out
//! a protection (feature `failpoints`).

#[cfg(feature = "failpoints")]
mod crashes;
mod features;
mod forgotten;
mod returns;
mod ways;

use crate::basic::small;
use crate::churn::quick_directory;
use annulus::changes::{Change, ChangesFrom};
use annulus::report::{Problem, ShardState};
use annulus::topology::KeyspaceSpec;
use annulus::{
    Batch, CreateMode, Error, ErrorKind, Keyspace, Result, ScanOptions, ShardId, ShardSpec, Store,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn opened(directory: &Path, allow: bool) -> Result<(Store, Keyspace)> {
    let options = small().write_buffer_bytes(4 << 20).heat(None);
    let builder = Store::builder(directory.join("store")).options(options).shards(3);
    let store = builder.allow_missing_shards(allow).open()?;
    let spec = KeyspaceSpec::range().split_at(["1", "2"]);
    let rows = store.keyspace_or_create("rows", spec)?;
    Ok((store, rows))
}

fn open(directory: &Path) -> (Store, Keyspace) {
    opened(directory, false).unwrap()
}

fn open_without(directory: &Path) -> (Store, Keyspace) {
    let (store, rows) = opened(directory, true).unwrap();
    let missing: Vec<_> = store.recovery().missing.iter().map(|it| it.shard).collect();
    assert_eq!(missing, [ShardId(1)], "{:?}", store.recovery());
    (store, rows)
}

fn shard_directory(directory: &Path) -> PathBuf {
    directory.join("store/shards/1")
}

fn take_away(directory: &Path) {
    fs::rename(shard_directory(directory), directory.join("away")).unwrap();
}

fn bring_back(directory: &Path) {
    if directory.join("away").exists() {
        let _ = fs::remove_dir_all(shard_directory(directory));
        fs::rename(directory.join("away"), shard_directory(directory)).unwrap();
    }
}

/// Writes rows to each shard, of which some are in files, and leaves the store without closing it.
fn fill(directory: &Path) {
    let (store, rows) = open(directory);
    for n in 0..300 {
        rows.put(format!("{}/{n:03}", n % 3), "in files").unwrap();
    }
    store.flush().unwrap();
    for n in 300..600 {
        rows.put(format!("{}/{n:03}", n % 3), "in the log").unwrap();
    }
    rows.delete("1/001").unwrap();
}

/// Checks what `fill` has left on the shard that was away.
fn check_filled(rows: &Keyspace) {
    assert_eq!(rows.scan("1/".."2/").unwrap().count(), 199);
    assert!(rows.get("1/001").unwrap().is_none());
    assert_eq!(rows.get("1/004").unwrap().unwrap(), "in files");
    assert_eq!(rows.get("1/598").unwrap().unwrap(), "in the log");
}

#[track_caller]
fn is_unavailable<T>(result: Result<T>) -> Error {
    let error = result.err().expect("it is refused");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:#}");
    assert!(error.to_string().contains("shard 1 has been missing"), "{error}");
    error
}

#[test]
fn what_is_there_is_served_and_the_rest_is_refused_by_name() {
    let directory = quick_directory();
    fill(directory.path());
    take_away(directory.path());
    let refused = opened(directory.path(), false).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::NotFound, "{refused}");
    let (store, rows) = open_without(directory.path());

    assert_eq!(rows.get("0/300").unwrap().unwrap(), "in the log");
    rows.put("2/new", "meanwhile").unwrap();
    rows.delete_range("0/300".."0/400").unwrap();
    assert_eq!(rows.scan("2/"..).unwrap().count(), 201);
    let mut batch = Batch::new();
    batch.put(&rows, "0/b", "both");
    batch.put(&rows, "2/b", "both");
    store.write(batch).unwrap();

    let error = is_unavailable(rows.get("1/004"));
    assert!(error.to_string().contains("shards/1"), "it says why: {error}");
    is_unavailable(rows.put("1/004", "never"));
    is_unavailable(rows.compare_and_swap("1/004", None, Some(b"never")));
    is_unavailable(rows.update("1/004", |_| Some("never")));
    is_unavailable(rows.get_many(["0/004", "1/004"]));
    is_unavailable(rows.scan(..).and_then(Iterator::collect::<Result<Vec<_>>>));
    is_unavailable(rows.count());
    is_unavailable(rows.delete_range("0/500".."2/000"));
    let mut batch = Batch::new();
    batch.put(&rows, "0/never", "");
    batch.put(&rows, "1/never", "");
    is_unavailable(store.write(batch));
    let mut batch = Batch::new();
    batch.put(&rows, "0/never", "");
    batch.require(&rows, "1/never", annulus::Expect::Absent);
    is_unavailable(store.write_if(batch));
    is_unavailable(store.transact(|transaction| {
        transaction.put(&rows, "0/never", "")?;
        transaction.get(&rows, "1/004").map(drop)
    }));
    is_unavailable(store.transact(|transaction| {
        transaction.put(&rows, "0/never", "")?;
        transaction.put(&rows, "1/004", "never")
    }));
    assert!(rows.get("0/never").unwrap().is_none(), "all or nothing");

    let snapshot = store.snapshot().unwrap();
    rows.put("0/004", "later").unwrap();
    assert!(snapshot.get(&rows, "0/004").unwrap().is_none());
    is_unavailable(snapshot.get(&rows, "1/004"));
    is_unavailable(snapshot.get_many(&rows, ["0/004", "1/004"]));
    for reverse in [false, true] {
        let options = ScanOptions::new().leave_out_missing(true).reverse(reverse);
        for mut scan in [rows.scan_with(.., options), snapshot.scan_with(&rows, .., options)]
            .map(Result::unwrap)
        {
            let keys: Vec<_> = scan.by_ref().map(|row| row.unwrap().0).collect();
            assert!(keys.iter().all(|key| key[0] != b'1') && keys.len() > 300);
            let left_out = scan.left_out();
            assert_eq!(left_out.iter().map(|it| it.shard).collect::<Vec<_>>(), [ShardId(1)]);
            assert_eq!(left_out[0].error.kind(), ErrorKind::Unavailable);
        }
    }
    check_reports(&store);
    drop((store, rows, snapshot));

    bring_back(directory.path());
    let (store, rows) = open(directory.path());
    assert!(store.recovery().missing.is_empty());
    check_filled(&rows);
    assert_eq!(rows.get("2/new").unwrap().unwrap(), "meanwhile");
    assert_eq!(rows.get("0/004").unwrap().unwrap(), "later");
    assert!(store.verify().unwrap().is_sound());
}

/// What a store says of a shard that it does without.
fn check_reports(store: &Store) {
    let stats = store.stats().unwrap();
    let states: Vec<_> = stats.shards.iter().map(|shard| shard.health.state).collect();
    assert_eq!(states, [ShardState::Serving, ShardState::Missing, ShardState::Serving]);
    assert!(stats.shards[1].health.reason.as_ref().unwrap().contains("shards/1"));
    let missing = stats.keyspaces.iter().flat_map(|it| &it.partitions).filter(|it| it.missing);
    assert!(missing.map(|it| it.owner).eq([ShardId(1)]));
    let problems = store.verify().unwrap().problems;
    assert!(
        matches!(&problems[..], [Problem::Missing(it)] if it.shard == ShardId(1)),
        "{problems:?}"
    );
}

/// No change of the topology gives away what is missing; what does not concern it goes on.
#[test]
fn nothing_of_it_is_given_away() {
    let directory = quick_directory();
    fill(directory.path());
    take_away(directory.path());
    let (store, rows) = open_without(directory.path());
    let partitions = rows.stats().unwrap();
    let id = |owner: u32| partitions.iter().find(|it| it.owner == ShardId(owner)).unwrap().id;
    let job = |job: Result<annulus::reshape::Job>| job.and_then(|job| job.wait().map(drop));
    let before = store.topology().epoch();
    is_unavailable(job(store.move_partition(id(1), ShardId(0))));
    is_unavailable(job(store.move_partition(id(0), ShardId(1))));
    is_unavailable(job(store.split(id(1), annulus::planner::SplitAt::Middle)));
    is_unavailable(job(store.merge(partitions[0].id, partitions[1].id)));
    is_unavailable(job(store.add_shard(ShardSpec::new("shards/3"))));
    is_unavailable(job(store.remove_shard(ShardId(1))));
    is_unavailable(job(store.remove_shard(ShardId(0))));
    is_unavailable(job(store.set_weight(ShardId(1), 2)));
    is_unavailable(store.rebalancer().plan());
    is_unavailable(store.create_keyspace("hash", KeyspaceSpec::hash()));
    assert_eq!(store.topology().epoch(), before, "nothing was committed");

    let to = if partitions[0].owner == ShardId(0) { ShardId(2) } else { ShardId(0) };
    let there = partitions.iter().find(|it| it.owner != ShardId(1) && it.owner != to).unwrap();
    job(store.move_partition(there.id, to)).unwrap();
    drop((store, rows));
    bring_back(directory.path());
    let (store, rows) = open(directory.path());
    check_filled(&rows);
    assert_eq!(rows.count().unwrap(), 599);
    assert!(store.verify().unwrap().is_sound());
}

/// The log is kept for it over any number of openings, closes and flushes, and goes when it is back.
#[test]
fn it_comes_back_whole_however_much_happens_meanwhile() {
    let directory = quick_directory();
    fill(directory.path());
    take_away(directory.path());
    let mut log_bytes = 0;
    for round in 0..4 {
        let (store, rows) = open_without(directory.path());
        let value = vec![b'.'; 64 << 10];
        (0..400).for_each(|n| rows.put(format!("2/bulk/{round}/{n}"), &value).unwrap());
        store.flush().unwrap();
        log_bytes = store.stats().unwrap().log_bytes;
        if round % 2 == 0 {
            store.close().unwrap();
        }
    }
    bring_back(directory.path());
    let (store, rows) = open(directory.path());
    check_filled(&rows);
    assert_eq!(rows.scan("2/bulk/".."2/bulk0").unwrap().count(), 1600);
    store.flush().unwrap();
    let after = store.stats().unwrap().log_bytes;
    assert!(
        after < log_bytes / 2 || log_bytes < 129 << 20,
        "{after} of {log_bytes} bytes are kept"
    );
    store.close().unwrap();
    drop((store, rows));
    // And again: nothing is left of the first time.
    take_away(directory.path());
    drop(open_without(directory.path()));
    bring_back(directory.path());
    check_filled(&open(directory.path()).1);
}

/// A keyspace that is dropped meanwhile is dropped on the shard when that is back, and none that has
/// its partitions elsewhere is disturbed. What is read from the log is there, also of the shard.
#[test]
fn keyspaces_come_and_go_and_changes_are_read_meanwhile() {
    let directory = quick_directory();
    fill(directory.path());
    let (store, rows) = open(directory.path());
    let gone = store.create_keyspace("gone", KeyspaceSpec::hash()).unwrap();
    (0..100).for_each(|n| gone.put(format!("{n}"), "gone").unwrap());
    rows.put("1/last", "in the log").unwrap();
    drop((store, rows, gone));
    take_away(directory.path());
    let (store, rows) = open_without(directory.path());
    store.drop_keyspace("gone").unwrap();
    rows.put("0/after", "").unwrap();
    let mut changes = store.changes().from(ChangesFrom::Earliest).keyspace(&rows).open().unwrap();
    let mut keys = Vec::new();
    while !keys.contains(&b"0/after".to_vec()) {
        let commit = changes.next_timeout(Duration::from_secs(60)).unwrap().expect("there is more");
        for change in commit.changes() {
            if let Change::Put { key, .. } = change {
                keys.push(key.to_vec());
            }
        }
    }
    assert!(keys.contains(&b"1/last".to_vec()), "also what concerns the shard");
    drop(changes);
    store.close().unwrap();
    drop((store, rows));
    bring_back(directory.path());
    let (store, rows) = open(directory.path());
    assert!(store.keyspace("gone").is_err());
    assert!(!store.recovery().orphans.is_empty(), "its partitions go now");
    assert_eq!(rows.get("1/last").unwrap().unwrap(), "in the log");
    assert!(store.verify().unwrap().is_sound());
}

/// Opening read-only finds the same, and changes nothing.
#[test]
fn a_reader_does_without_it_too() {
    let directory = quick_directory();
    fill(directory.path());
    take_away(directory.path());
    drop(open_without(directory.path()));
    let builder = || Store::builder(directory.path().join("store")).create(CreateMode::Never);
    builder().read_only(true).open().unwrap_err();
    let store = builder().read_only(true).allow_missing_shards(true).open().unwrap();
    let rows = store.keyspace("rows").unwrap();
    assert_eq!(rows.get("0/300").unwrap().unwrap(), "in the log");
    assert!(!is_unavailable(rows.get("1/004")).is_retryable(), "nothing takes it back");
    assert_eq!(store.recovery().missing.len(), 1);
    drop((store, rows));
    bring_back(directory.path());
    let store = builder().read_only(true).open().unwrap();
    check_filled(&store.keyspace("rows").unwrap());
}
