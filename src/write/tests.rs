//! A shard that cannot apply what is in the log.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::BringUp;
use crate::latch::{Current as _, stripe_set};
use crate::log::Operation;
use crate::topology::KeyspaceSpec;
use crate::{Batch, ErrorKind, Keyspace, Options, Prefix, Store};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn open(directory: &Path) -> (Store, Keyspace) {
    let options = Options { heat: None, ..Options::default() };
    let store = Store::builder(directory.join("store")).shards(3).options(options).open().unwrap();
    let spec = KeyspaceSpec::range().split_at(["1", "2"]);
    let rows = store.keyspace_or_create("rows", spec).unwrap();
    (store, rows)
}

/// Makes a shard refuse all writes as long as this file exists.
fn make_sick(directory: &Path, shard: u32) -> PathBuf {
    let file = directory.join(format!("store/shards/{shard}/data/FAIL-apply"));
    std::fs::write(&file, "").unwrap();
    file
}

fn values(rows: &Keyspace) -> Vec<String> {
    rows.scan(..).unwrap().map(|row| String::from_utf8(row.unwrap().1).unwrap()).collect()
}

/// Checks the refusal of a partition that is behind.
fn is_behind(error: &crate::Error) {
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    assert!(error.is_retryable());
    assert!(error.to_string().contains("of shard 1 is behind the log"), "{error}");
}

/// Waits until the partition of a key serves again.
fn wait_for(rows: &Keyspace, key: &str) {
    let begun = Instant::now();
    while let Err(error) = rows.get(key) {
        is_behind(&error);
        assert!(begun.elapsed() < Duration::from_secs(60), "{error}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_write_that_a_shard_refuses_stands_and_only_its_partition_is_behind() {
    let directory = tempfile::tempdir().unwrap();
    let (store, rows) = open(directory.path());
    rows.put("1/a", "before").unwrap();
    let file = make_sick(directory.path(), 1);
    let error = rows.put("1/a", "after").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InDoubt, "{error}");
    assert!(!error.is_retryable());
    assert!(error.to_string().contains("shard 1"), "{error}");

    // Neither the old value is shown nor another written.
    is_behind(&rows.get("1/a").unwrap_err());
    is_behind(&rows.get("1/other").unwrap_err());
    is_behind(&rows.put("1/other", "").unwrap_err());
    is_behind(&rows.compare_and_swap("1/other", None, Some(b"")).unwrap_err());
    is_behind(&rows.scan(..).err().unwrap());
    is_behind(&store.snapshot().err().unwrap());
    is_behind(&store.verify().err().unwrap());
    let mut batch = Batch::new();
    batch.put(&rows, "0/b", "b");
    batch.put(&rows, "1/b", "b");
    is_behind(&store.write(batch).unwrap_err());
    assert!(rows.get("0/b").unwrap().is_none());
    let stats = store.stats().unwrap();
    let behind: Vec<_> = stats.shards.iter().map(|shard| shard.partitions_behind).collect();
    assert_eq!(behind, [0, 1, 0]);

    rows.put("0/a", "zero").unwrap();
    rows.put("2/a", "two").unwrap();
    store.flush().unwrap();
    std::fs::remove_file(file).unwrap();
    wait_for(&rows, "1/a");
    assert_eq!(values(&rows), ["zero", "after", "two"]);
    assert!(rows.compare_and_swap("1/a", Some(b"after"), Some(b"later")).unwrap().is_swapped());
    assert_eq!(store.snapshot().unwrap().get(&rows, "1/a").unwrap().unwrap(), b"later");
    assert!(store.verify().unwrap().is_sound());
    assert!(store.stats().unwrap().shards.iter().all(|shard| shard.partitions_behind == 0));
    drop((store, rows));
    assert_eq!(values(&open(directory.path()).1), ["zero", "later", "two"]);
}

/// What the sick shard lacks of a batch comes when it is well again, or with the next opening; the
/// others have it at once. The log is kept for it although every file is written, even if the store
/// is closed.
#[test]
fn a_batch_that_one_shard_refuses_is_whole_in_the_end() {
    for (closed, healed) in [(false, false), (true, false), (false, true), (true, true)] {
        let directory = tempfile::tempdir().unwrap();
        let (store, rows) = open(directory.path());
        for key in ["0/a", "1/a", "2/a", "2/z"] {
            rows.put(key, "before").unwrap();
        }
        let file = make_sick(directory.path(), 1);
        let mut batch = Batch::new();
        batch.put(&rows, "0/a", "zero");
        batch.put(&rows, "1/b", "one");
        batch.delete_range(&rows, Prefix::new("2/"));
        batch.put(&rows, "2/b", "two");
        let error = store.write(batch).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InDoubt, "{error}");
        assert_eq!(rows.get("0/a").unwrap().unwrap(), b"zero");
        assert!(rows.get("2/a").unwrap().is_none());
        assert_eq!(rows.get("2/b").unwrap().unwrap(), b"two");
        is_behind(&rows.get("1/a").unwrap_err());
        if healed {
            std::fs::remove_file(&file).unwrap();
            wait_for(&rows, "1/a");
            assert_eq!(values(&rows), ["zero", "before", "one", "two"]);
        }
        if closed {
            store.close().unwrap();
        } else {
            store.flush().unwrap();
        }
        drop((store, rows));
        let _ = std::fs::remove_file(file);
        let (store, rows) = open(directory.path());
        assert!(healed || store.recovery().replayed.records > 0);
        assert_eq!(values(&rows), ["zero", "before", "one", "two"]);
    }
}

/// What a partition has got late is in memory only, although its files were written later than the
/// record: the log is kept until a flush has taken it there.
#[test]
fn the_log_is_kept_for_what_was_applied_late() {
    for written_before in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let (store, rows) = open(directory.path());
        let catalog = &store.core().catalog;
        if written_before {
            rows.put("1/b", "before").unwrap();
        }
        let missing = catalog.log.end();
        let file = make_sick(directory.path(), 1);
        rows.put("1/a", "late").unwrap_err();
        rows.put("0/a", "elsewhere").unwrap();
        store.flush().unwrap();
        assert!(catalog.log.first() <= missing, "while it is missing");
        std::fs::remove_file(file).unwrap();
        wait_for(&rows, "1/a");
        for _ in 0..2 {
            catalog.release_log();
            // Its mark says from where on the next opening replays.
            store.sync().unwrap();
            rows.put("0/a", "elsewhere").unwrap();
        }
        let expected = values(&rows);
        assert_eq!(rows.get("1/a").unwrap().unwrap(), b"late");
        drop((store, rows));
        let (store, rows) = open(directory.path());
        assert_eq!(values(&rows), expected);
        store.flush().unwrap();
        let catalog = &store.core().catalog;
        catalog.release_log();
        assert!(catalog.log.first() > missing, "and no longer");
    }
}

/// A write that has found the partition current goes on when another one has failed: it may apply
/// what it has appended after later writes of its key, if these are let in before it has ended.
#[test]
fn a_partition_is_brought_up_when_no_write_is_in_progress() {
    let directory = tempfile::tempdir().unwrap();
    let (store, rows) = open(directory.path());
    let catalog = &store.core().catalog;
    let view = rows.view();
    let partition = view.partition(1).unwrap();
    let in_progress = partition.state.latch.own(b"1/b", None);
    let file = make_sick(directory.path(), 1);
    let other = (0..)
        .map(|n| format!("1/{n}"))
        .find(|key| stripe_set(key.as_bytes()) != stripe_set(b"1/b"));
    rows.put(other.unwrap(), "refused").unwrap_err();
    std::fs::remove_file(file).unwrap();
    let mut bring_up = BringUp::default();
    for _ in 0..20 {
        assert_eq!(bring_up.look(catalog), 0);
        is_behind(&rows.get("1/b").unwrap_err());
    }
    drop(in_progress);
    wait_for(&rows, "1/b");
    assert_eq!(values(&rows), ["refused"]);
    // Another state serves: what was read from this one does not count.
    assert!(!partition.is_current().unwrap());
    assert!(partition.check_up_to_date().is_err(), "a reshape of it ends");
}

/// A past bug: of two writes that failed at the same time the later one could be noted first, and
/// the log was kept from that one on.
#[test]
fn writes_that_fail_at_the_same_time_are_noted_in_any_order() {
    let directory = tempfile::tempdir().unwrap();
    let (store, rows) = open(directory.path());
    let catalog = &store.core().catalog;
    let keyspace = rows.id();
    let append = |key: &'static [u8]| {
        let operation = Operation::Put { keyspace, key, value: key };
        catalog.log.append(std::iter::once(operation)).unwrap()
    };
    let (first, second) = (append(b"1/a"), append(b"1/b"));
    let view = rows.view();
    let cause = crate::Error::new(ErrorKind::Io, "refused");
    for in_flight in [second, first] {
        view.partition(1).unwrap().fall_behind(in_flight.start(), &cause);
    }
    catalog.note_behind();
    wait_for(&rows, "1/a");
    assert_eq!(values(&rows), ["1/a", "1/b"]);
}

/// With a protection left out, the test that relies on it must fail.
#[test]
fn a_missing_protection_is_noticed() {
    for (test, skipped) in [
        ("the_log_is_kept_for_what_was_applied_late", "behind-keeps-log"),
        ("the_log_is_kept_for_what_was_applied_late", "behind-position"),
        ("a_partition_is_brought_up_when_no_write_is_in_progress", "behind-drain"),
    ] {
        for (skip, passes) in [("", true), (skipped, false)] {
            let output = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", &format!("write::tests::{test}")])
                .env("ANNULUS_SKIP", skip)
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(text.contains("running 1 test"), "{text}");
            assert_eq!(output.status.success(), passes, "{test} without `{skip}`: {text}");
        }
    }
}

/// A range without an end has one in the log, that of its greatest key: what was put later stands,
/// however the log is replayed.
#[test]
fn ranges_without_an_end_are_replayed_as_they_were_made() {
    let directory = tempfile::tempdir().unwrap();
    let (store, rows) = open(directory.path());
    for key in ["0", "1", "2"] {
        rows.put(key, "gone").unwrap();
    }
    let mut batch = Batch::new();
    batch.put(&rows, "2/x", "gone");
    batch.delete_range(&rows, "0/"..);
    batch.put(&rows, "1/a", "same batch");
    store.write(batch).unwrap();
    rows.delete_range("9"..).unwrap();
    rows.put("2/y", "later").unwrap();
    let before = values(&rows);
    assert_eq!(before, ["gone", "same batch", "later"]);
    drop((store, rows));
    for _ in 0..2 {
        assert_eq!(values(&open(directory.path()).1), before);
    }
}
