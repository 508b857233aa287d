//! Writes that do not wait: they are made where all that they need is free, and are nothing otherwise.

use crate::basic::{both, quick_store, reopen, small};
use crate::churn::quick_directory;
use annulus::index::IndexSpec;
use annulus::topology::KeyspaceSpec;
use annulus::{Durability, ErrorKind, Keyspace, LogAccess, Store, Transaction, TransactionOptions};
use std::sync::mpsc::channel;
use std::time::Duration;

#[test]
fn a_write_at_once_is_a_write_like_any_other() {
    let (directory, store) = quick_store();
    for rows in both(&store) {
        let changes = store.changes().keyspace(&rows).durability(Durability::Buffered);
        let mut changes = changes.open().unwrap();
        for n in 0..500 {
            assert!(rows.put_at_once(format!("{n}"), "value").unwrap());
        }
        assert!(rows.delete_at_once("7").unwrap() && rows.delete_at_once("no row").unwrap());
        assert!(rows.put_at_once("8", "other").unwrap());
        assert_eq!(rows.get("8").unwrap().unwrap(), "other");
        let commits = std::iter::from_fn(|| changes.try_next().unwrap());
        assert_eq!(commits.count(), 503);
        let long = "k".repeat(1 << 20);
        assert_eq!(rows.put_at_once(long, "").unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    drop(store);
    let store = reopen(&directory);
    for rows in both(&store) {
        assert_eq!(rows.count().unwrap(), 499);
        assert_eq!(rows.get("8").unwrap().unwrap(), "other");
        assert!(rows.get("7").unwrap().is_none());
    }
    let [rows, _] = both(&store);
    store.close().unwrap();
    assert_eq!(rows.put_at_once("9", "").unwrap_err().kind(), ErrorKind::Closed);
}

fn is_refused(rows: &Keyspace) {
    assert!(!rows.put_at_once("key", "value").unwrap());
    assert!(!rows.delete_at_once("key").unwrap());
}

fn is_made(rows: &Keyspace) {
    assert!(rows.put_at_once("key", "value").unwrap());
    assert!(rows.delete_at_once("key").unwrap());
}

#[test]
fn what_would_have_to_wait_is_not_written() {
    let (_directory, store) = quick_store();
    for rows in both(&store) {
        // Another write of the key; one of another key is in no one's way.
        let ((began, begun), (end, ended)) = (channel(), channel::<()>());
        std::thread::scope(|scope| {
            let rows = &rows;
            scope.spawn(move || {
                let wait = |_: Option<&[u8]>| {
                    began.send(()).unwrap();
                    ended.recv().unwrap();
                    None::<Vec<u8>>
                };
                rows.update("key", wait).unwrap()
            });
            begun.recv().unwrap();
            is_refused(rows);
            assert!((0..64).any(|n| rows.put_at_once(format!("{n}"), "").unwrap()));
            end.send(()).unwrap();
        });
        is_made(&rows);
        // A transaction that has the store to itself; its own thread may write.
        let alone = TransactionOptions::new().exclusive_after(0);
        let run = |tx: &Transaction| {
            tx.put(&rows, "other", "")?;
            is_made(&rows);
            std::thread::scope(|scope| drop(scope.spawn(|| is_refused(&rows))));
            Ok(())
        };
        store.transact_with(alone, run).unwrap();
        is_made(&rows);
        rows.log_old_values(true).unwrap();
        assert!(!rows.put_at_once("key", "value").unwrap());
        rows.log_old_values(false).unwrap();
        assert!(!rows.put_at_once("key", [0; (32 << 10) + 1]).unwrap());
        assert!(rows.put_at_once("key", [0; 32 << 10]).unwrap());
        rows.index(IndexSpec::new("none", 1, |_, _| None::<Vec<u8>>)).unwrap();
        assert!(!rows.put_at_once("new", "value").unwrap() && !rows.contains("new").unwrap());
        rows.drop_index("none").unwrap();
        assert!(rows.put_at_once("new", "value").unwrap());
    }
}

#[test]
fn a_log_that_is_written_by_calls_of_the_system_may_have_to_wait() {
    let directory = quick_directory();
    let options = small().log_access(LogAccess::Written);
    let builder = Store::builder(directory.path().join("store")).shards(2);
    let store = builder.options(options).open().unwrap();
    let rows = store.create_keyspace("rows", KeyspaceSpec::hash()).unwrap();
    assert!(!rows.put_at_once("key", "value").unwrap() && !rows.contains("key").unwrap());
}

#[test]
fn rows_that_are_put_at_once_expire() {
    let (_directory, store) = quick_store();
    let spec = KeyspaceSpec::hash().time_to_live(Duration::from_secs(3600));
    let rows = store.create_keyspace("expiring", spec).unwrap();
    assert!(rows.put_at_once("key", "value").unwrap());
    let mut scan = rows.scan(..).unwrap();
    let (_, value, until) = scan.next_row_until().unwrap().unwrap();
    assert!(value == b"value" && until.is_some());
}
