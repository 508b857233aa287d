//! How much of the log is kept for those that read changes, and what they get beyond it.

use super::words;
use crate::basic::{apart, log_files, small};
use crate::churn::quick_directory;
use annulus::changes::{ChangesFrom, MissingChanges};
use annulus::topology::KeyspaceSpec;
use annulus::{ErrorKind, Keyspace, Options, Store};
use std::path::Path;
use std::time::{Duration, Instant};

/// Segments that a few hundred rows fill.
const SMALL: (&str, &str) = ("ANNULUS_LOG_SEGMENT_BYTES", "65536");
const SEGMENT: u64 = 65536;

fn options() -> Options {
    small().heat(None)
}

fn open(path: &Path, options: Options) -> (Store, Keyspace) {
    let store = Store::builder(path).shards(2).options(options).open().unwrap();
    let rows = store.keyspace_or_create("rows", KeyspaceSpec::range()).unwrap();
    (store, rows)
}

fn fill(rows: &Keyspace, numbers: std::ops::Range<u32>) {
    numbers.for_each(|n| rows.put(n.to_string(), [b'.'; 1000]).unwrap());
}

/// Waits until something is so.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn count(store: &Store, consumer: &str) -> usize {
    store.sync().unwrap();
    let mut changes = store.consumer(consumer).unwrap().changes().unwrap().open().unwrap();
    std::iter::from_fn(|| changes.try_next().unwrap()).count()
}

#[test]
fn the_log_is_kept_for_a_consumer_and_not_replayed_for_it() {
    if !apart(
        "changes::retention::the_log_is_kept_for_a_consumer_and_not_replayed_for_it",
        &[SMALL],
    ) {
        return;
    }
    let directory = quick_directory();
    let path = directory.path().join("store");
    let (store, rows) = open(&path, options());
    fill(&rows, 0..10);
    store.consumer_or_create("slow", ChangesFrom::Now).unwrap();
    let kept = store.log_begin();
    for round in 0..5 {
        fill(&rows, round * 200..(round + 1) * 200);
        store.flush().unwrap();
    }
    // Time for the thread that would free it.
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(store.log_begin(), kept);
    assert!(log_files(&path).len() >= 15);
    store.close().unwrap();
    drop((rows, store));
    for _ in 0..2 {
        let (store, rows) = open(&path, options());
        assert_eq!(store.recovery().replayed.records, 0, "{:?}", store.recovery());
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(store.log_begin(), kept);
        assert_eq!(count(&store, "slow"), 1000);
        store.flush().unwrap();
        drop((rows, store));
    }
    let (store, rows) = open(&path, options());
    let slow = store.consumer("slow").unwrap();
    slow.commit(store.log_end()).unwrap();
    until("what it has read is freed", || store.log_begin() > kept && log_files(&path).len() < 6);
    fill(&rows, 0..500);
    assert_eq!(count(&store, "slow"), 500);
    store.delete_consumer("slow").unwrap();
    store.flush().unwrap();
    until("nothing is kept for none", || log_files(&path).len() < 6);
    assert!(store.consumers().unwrap().is_empty());
}

#[test]
fn a_consumer_that_is_left_behind_is_told_what_is_missing() {
    if !apart(
        "changes::retention::a_consumer_that_is_left_behind_is_told_what_is_missing",
        &[SMALL],
    ) {
        return;
    }
    let directory = quick_directory();
    let path = directory.path().join("store");
    let bound = 5 * SEGMENT;
    let (store, rows) = open(&path, options().changes_keep_bytes(bound));
    let slow = store.consumer_or_create("slow", ChangesFrom::Now).unwrap();
    let mut reader = slow.changes().unwrap().open().unwrap();
    let from = slow.position().unwrap();
    fill(&rows, 0..1000);
    store.flush().unwrap();
    until("the log is released beyond the bound", || store.log_begin() > from);
    let kept = store.log_end().get() - store.log_begin().get();
    assert!((bound - SEGMENT..bound + 2 * SEGMENT).contains(&kept), "{kept}");
    let error = slow.changes().unwrap().open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Gone, "{error}");
    let missing = *MissingChanges::of(&error).unwrap();
    assert_eq!((missing.from, missing.until), (from, store.log_begin()));
    for text in [from.to_string(), missing.until.to_string(), "changes_keep_bytes".to_owned()] {
        assert!(error.to_string().contains(&text), "{error}");
    }
    // One that was reading has a segment to its end, and then learns the same.
    let error = loop {
        match reader.try_next() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it came to the end"),
            Err(error) => break error,
        }
    };
    assert_eq!(MissingChanges::of(&error).unwrap().until, store.log_begin(), "{error}");
    slow.commit(missing.until).unwrap();
    assert!((200..500).contains(&count(&store, "slow")));
    store.close().unwrap();
    drop((reader, slow, rows, store));
    let (store, _rows) = open(&path, options().changes_keep_bytes(0));
    store.flush().unwrap();
    until("the bound of this opening counts", || {
        store.consumer("slow").unwrap().changes().unwrap().open().is_err()
    });
}

#[test]
fn records_that_are_too_old_are_not_kept() {
    if !apart("changes::retention::records_that_are_too_old_are_not_kept", &[SMALL]) {
        return;
    }
    let directory = quick_directory();
    let path = directory.path().join("store");
    let (store, rows) = open(&path, options().changes_keep_for(Duration::from_millis(1)));
    let slow = store.consumer_or_create("slow", ChangesFrom::Now).unwrap();
    fill(&rows, 0..500);
    std::thread::sleep(Duration::from_millis(20));
    store.flush().unwrap();
    until("it is freed", || log_files(&path).len() < 6);
    assert_eq!(slow.changes().unwrap().open().unwrap_err().kind(), ErrorKind::Gone);
}

/// A reader without a name holds the log as long as it is there; one that begins at the oldest change
/// gets it, however the log is freed meanwhile.
#[test]
fn readers_hold_what_they_have_not_read() {
    if !apart("changes::retention::readers_hold_what_they_have_not_read", &[SMALL]) {
        return;
    }
    let directory = quick_directory();
    let path = directory.path().join("store");
    let (store, rows) = open(&path, options());
    let mut reader = store.changes().open().unwrap();
    fill(&rows, 0..1000);
    store.flush().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert!(log_files(&path).len() >= 15);
    for n in 0..1000 {
        let commit = reader.try_next().unwrap().unwrap();
        assert!(words(&commit)[0].starts_with(&format!("{n}=")));
    }
    until("it has moved on", || {
        rows.put("more", "").unwrap();
        log_files(&path).len() < 6
    });
    fill(&rows, 0..500);
    let begin = store.log_begin();
    let held = store.changes().from(begin).open().unwrap();
    store.flush().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(store.log_begin() <= begin);
    drop((held, reader));
    store.flush().unwrap();
    until("nothing is held any more", || log_files(&path).len() < 6);

    let error = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..20 {
                fill(&rows, round..round + 100);
                store.flush().unwrap();
            }
        });
        while !writer.is_finished() {
            let mut earliest = match store.changes().from(ChangesFrom::Earliest).open() {
                Ok(earliest) => earliest,
                Err(error) => return Some(error),
            };
            if let Err(error) = earliest.try_next() {
                return Some(error);
            }
        }
        None
    });
    assert!(error.is_none(), "{error:?}");
}
