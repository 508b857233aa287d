//! Transactions that are run once for a key: under repeats, at the same time, and through ends of
//! the process.

use super::{HOUR, SECOND, clock, open};
use crate::basic::small;
use crate::churn::quick_directory;
use annulus::changes::ChangesFrom;
use annulus::topology::KeyspaceSpec;
use annulus::{Durability, ErrorKind, Options, Store, TransactionOptions};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

#[test]
fn a_repeat_gets_the_response_and_does_nothing_until_it_is_forgotten() {
    let (directory, clock) = (quick_directory(), clock());
    let path = directory.path().join("store");
    let mut store = open(&path, &clock, small());
    let runs = AtomicU32::new(0);
    let call = |store: &Store| {
        let counters = store.keyspace_or_create("counters", KeyspaceSpec::hash()).unwrap();
        let once = store.transact_once("request 1", HOUR, |tx| {
            runs.fetch_add(1, Ordering::Relaxed);
            Ok(format!("now {}", tx.add(&counters, "n", 1)?))
        });
        let once = once.unwrap();
        (String::from_utf8(once.response).unwrap(), once.repeated)
    };
    assert_eq!(call(&store), ("now 1".to_owned(), false));
    for close in [false, true, false] {
        assert_eq!(call(&store), ("now 1".to_owned(), true));
        if close {
            store.close().unwrap();
        }
        drop(store);
        store = open(&path, &clock, small());
    }
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    clock.advance(HOUR - SECOND);
    assert!(call(&store).1);
    clock.advance(SECOND);
    assert_eq!(call(&store), ("now 2".to_owned(), false), "it was kept for an hour");
    // The keyspace is the store's own.
    assert_eq!(store.keyspaces().len(), 1);
    let from = store.changes().from(ChangesFrom::Earliest).durability(Durability::Buffered);
    let mut changes = from.open().unwrap();
    while let Some(commit) = changes.next_timeout(Duration::ZERO).unwrap() {
        assert_eq!(commit.changes().count(), 1, "{commit:?}");
    }
}

#[test]
fn what_fails_is_not_kept() {
    let (directory, clock) = (quick_directory(), clock());
    let store = open(&directory.path().join("store"), &clock, small());
    let rows = store.create_keyspace("rows", KeyspaceSpec::hash()).unwrap();
    let aborted = store.transact_once("a", HOUR, |tx| {
        tx.put(&rows, "a", "value")?;
        Err::<Vec<u8>, _>(tx.abort("not now"))
    });
    assert_eq!(aborted.unwrap_err().kind(), ErrorKind::Aborted);
    assert!(!rows.contains("a").unwrap());
    assert!(!store.transact_once("a", HOUR, |_| Ok("done")).unwrap().repeated);
    // Another key, and an empty response, which is one.
    assert!(!store.transact_once("b", HOUR, |_| Ok("")).unwrap().repeated);
    let again = store.transact_once("b", HOUR, |_| Ok("other")).unwrap();
    assert!(again.repeated && again.response.is_empty());
    let never = store.transact_once("c", Duration::ZERO, |_| Ok("")).unwrap_err();
    assert_eq!(never.kind(), ErrorKind::InvalidArgument);
}

#[test]
fn of_many_at_the_same_time_one_takes_effect() {
    let (directory, clock) = (quick_directory(), clock());
    let store = open(&directory.path().join("store"), &clock, small());
    let counters = store.create_keyspace("counters", KeyspaceSpec::hash()).unwrap();
    let firsts = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let (store, counters, firsts) = (&store, &counters, &firsts);
            scope.spawn(move || {
                for request in 0..60 {
                    let synced = TransactionOptions::new().durability(Durability::Synced);
                    let options = if thread % 2 == 0 { synced } else { TransactionOptions::new() };
                    let key = format!("request {request}");
                    let once = store.transact_once_with(options, &key, HOUR, |tx| {
                        // Its own counter, and one that all share.
                        tx.add(counters, "all", 1)?;
                        Ok(format!("{key}: {}", tx.add(counters, &key, 1)?))
                    });
                    let once = once.unwrap();
                    assert_eq!(once.response, format!("{key}: 1").into_bytes());
                    firsts.fetch_add(u32::from(!once.repeated), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(firsts.into_inner(), 60);
    assert_eq!(counters.add("all", 0).unwrap(), 60);
}

const DIRECTORY: &str = "ANNULUS_TEST_ONCE_DIRECTORY";
const REQUESTS: u32 = 40;

fn small_log() -> Options {
    small().durability(Durability::Buffered)
}

/// Sends all requests; each is counted in its own counter and in all of them, and puts a row that
/// expires.
fn send(store: &Store) {
    let counters = store.keyspace_or_create("counters", KeyspaceSpec::hash()).unwrap();
    let sessions = KeyspaceSpec::hash().time_to_live(HOUR);
    let sessions = store.keyspace_or_create("sessions", sessions).unwrap();
    for request in 0..REQUESTS {
        let key = format!("{request}");
        let once = store.transact_once(&key, 1000 * HOUR, |tx| {
            tx.put_for(&sessions, &key, "session", 24 * HOUR)?;
            tx.put_for(&sessions, format!("short {key}"), "session", SECOND)?;
            Ok(tx.add(&counters, "all", 1)?.to_string())
        });
        assert_eq!(once.unwrap().response, (request + 1).to_string().into_bytes());
    }
}

/// Not a test in itself: the process that dies.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let clock = clock();
    let path = std::path::Path::new(&directory).join("store");
    let store = open(&path, &clock, small_log());
    send(&store);
    clock.advance(2 * SECOND);
    let sessions = store.keyspace("sessions").unwrap();
    sessions.reclaim_expired().unwrap();
    store.close().unwrap();
}

#[cfg(feature = "failpoints")]
#[test]
fn requests_take_effect_once_and_rows_stay_expired_wherever_the_process_dies() {
    let places = [
        "write-before-log@10",
        "write-after-log@11",
        "batch-between-shards@3",
        "keyspace-after-partitions@3",
        "topology-after-commit@3",
        "expiry-begin@1",
        "expiry-begin@2",
        "expiry-removed@1",
        "expiry-removed@2",
        "opening-after-replay@1",
    ];
    for places in [&places[..], &["expiry-removed@3", "write-after-log@39"]] {
        let directory = quick_directory();
        for place in places {
            let child = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "expiry::once::child", "--nocapture", "--test-threads=1"])
                .env(DIRECTORY, directory.path())
                .env("ANNULUS_FAILPOINT", place)
                .output()
                .unwrap();
            let signal = std::os::unix::process::ExitStatusExt::signal(&child.status);
            // A later run has nothing left to do at some of the places.
            assert!(child.status.success() || signal == Some(6), "{place}: {child:?}");
        }
        let clock = clock();
        let store = open(&directory.path().join("store"), &clock, small_log());
        send(&store);
        let counters = store.keyspace("counters").unwrap();
        assert_eq!(counters.add("all", 0).unwrap(), i64::from(REQUESTS));
        // More than a child's clock has gone on.
        clock.advance(10 * SECOND);
        let sessions = store.keyspace("sessions").unwrap();
        assert_eq!(sessions.count().unwrap(), u64::from(REQUESTS), "the short ones have expired");
        sessions.reclaim_expired().unwrap();
        assert_eq!(sessions.count().unwrap(), u64::from(REQUESTS));
        assert!(store.verify().unwrap().is_sound());
    }
}
