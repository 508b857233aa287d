//! A shard that cannot apply what is in the log.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::topology::KeyspaceSpec;
use crate::{Batch, ErrorKind, Keyspace, Options, Prefix, Store};
use std::path::{Path, PathBuf};

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

#[test]
fn a_write_that_a_shard_refuses_stands_and_only_its_partition_is_behind() {
    let directory = tempfile::tempdir().unwrap();
    let (store, rows) = open(directory.path());
    rows.put("1/a", "before").unwrap();
    let file = make_sick(directory.path(), 1);
    let error = rows.put("1/a", "after").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InDoubt, "{error}");
    assert!(error.to_string().contains("shard 1"), "{error}");

    // Neither the old value is shown nor another written, whether the shard is well again or not.
    std::fs::remove_file(file).unwrap();
    let refused = |error: crate::Error| {
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        assert!(error.to_string().contains("of shard 1 is behind the log"), "{error}");
    };
    refused(rows.get("1/a").unwrap_err());
    refused(rows.get("1/other").unwrap_err());
    refused(rows.put("1/other", "").unwrap_err());
    refused(rows.compare_and_swap("1/other", None, Some(b"")).unwrap_err());
    refused(rows.scan(..).err().unwrap());
    refused(store.snapshot().err().unwrap());
    let mut batch = Batch::new();
    batch.put(&rows, "0/b", "b");
    batch.put(&rows, "1/b", "b");
    refused(store.write(batch).unwrap_err());
    assert!(rows.get("0/b").unwrap().is_none());

    rows.put("0/a", "zero").unwrap();
    rows.put("2/a", "two").unwrap();
    store.flush().unwrap();
    drop((store, rows));
    assert_eq!(values(&open(directory.path()).1), ["zero", "after", "two"]);
}

/// What the sick shard lacks of a batch comes with the next opening; the others have it at once. The
/// log is kept for it although every file is written, even if the store is closed.
#[test]
fn a_batch_that_one_shard_refuses_is_whole_after_the_next_opening() {
    for closed in [false, true] {
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
        std::fs::remove_file(file).unwrap();
        assert_eq!(rows.get("0/a").unwrap().unwrap(), b"zero");
        assert!(rows.get("2/a").unwrap().is_none());
        assert_eq!(rows.get("2/b").unwrap().unwrap(), b"two");
        assert_eq!(rows.get("1/a").unwrap_err().kind(), ErrorKind::Io);
        if closed {
            store.close().unwrap();
        } else {
            store.flush().unwrap();
        }
        drop((store, rows));
        let (store, rows) = open(directory.path());
        assert!(store.recovery().replayed.records > 0);
        assert_eq!(values(&rows), ["zero", "before", "one", "two"]);
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
