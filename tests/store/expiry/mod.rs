//! Rows that expire, under a clock that the test sets.

mod model;
mod moment;
mod once;
mod protections;
mod reclaim;
mod swaps;

use crate::basic::small;
use crate::churn::quick_directory;
use annulus::changes::{Change, ChangesFrom};
use annulus::clock::{Clock, ManualClock};
use annulus::reshape::{Check, ReshapeOptions, Transport};
use annulus::topology::KeyspaceSpec;
use annulus::{
    Batch, CreateMode, Durability, ErrorKind, Expect, Isolation, Keyspace, MemoryRead, Options,
    ShardId, Store, TransactionOptions,
};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn clock() -> ManualClock {
    ManualClock::at(UNIX_EPOCH + 500_000 * HOUR)
}

fn open(path: &Path, clock: &ManualClock, options: Options) -> Store {
    Store::builder(path).shards(3).options(options).clock(clock.clone()).open().unwrap()
}

/// Returns a store with a keyspace of each kind whose rows live for an hour.
fn with_rows(path: &Path, clock: &ManualClock) -> (Store, [Keyspace; 2]) {
    let store = open(path, clock, small());
    let range = KeyspaceSpec::range().split_at(["m"]).time_to_live(HOUR);
    let specs = [KeyspaceSpec::from(KeyspaceSpec::hash().time_to_live(HOUR)), range.into()];
    let names = ["hash", "range"];
    let mut specs = specs.into_iter();
    let keyspaces =
        names.map(|name| store.keyspace_or_create(name, specs.next().unwrap()).unwrap());
    (store, keyspaces)
}

fn text(value: Option<annulus::Value>) -> Option<String> {
    value.map(|value| String::from_utf8(value.to_vec()).unwrap())
}

fn keys(keyspace: &Keyspace) -> Vec<String> {
    let rows = keyspace.scan(..).unwrap().map(|row| String::from_utf8(row.unwrap().0).unwrap());
    rows.collect()
}

/// A scan may outlive its snapshot, and opens partitions when it comes to them.
#[test]
fn a_scan_keeps_the_moment_of_a_snapshot_that_is_gone() {
    let (directory, clock) = (quick_directory(), clock());
    let builder = Store::builder(directory.path().join("store")).shards(2);
    let store = builder.clock(clock.clone()).open().unwrap();
    let spec = KeyspaceSpec::range().split_at(["m"]).time_to_live(HOUR);
    let rows = store.create_keyspace("rows", spec).unwrap();
    for key in ["a", "b", "x", "y"] {
        rows.put(key, key).unwrap();
    }
    let mut scan = store.snapshot().unwrap().scan(&rows, ..).unwrap();
    scan.next().unwrap().unwrap();
    clock.advance(2 * HOUR);
    rows.reclaim_expired().unwrap();
    let left: Vec<_> = scan.map(|row| row.unwrap().0).collect();
    assert_eq!(left, [b"b", b"x", b"y"]);
    rows.reclaim_expired().unwrap();
    assert_eq!(rows.count().unwrap(), 0);
}

#[test]
fn an_expired_row_is_gone_at_once_for_every_call() {
    let (directory, clock) = (quick_directory(), clock());
    let (store, keyspaces) = with_rows(&directory.path().join("store"), &clock);
    for rows in &keyspaces {
        rows.put("a", "one").unwrap();
        rows.put_for("b", "two", 3 * HOUR).unwrap();
        // So often that it is in the cache of hot keys.
        for _ in 0..5 {
            assert_eq!(text(rows.get("a").unwrap()).as_deref(), Some("one"));
        }
        let before = store.snapshot().unwrap();
        let from_memory = [rows.get_from_memory("a"), before.get_from_memory(rows, "a")];
        for read in from_memory {
            assert!(matches!(read.unwrap(), MemoryRead::Value(value) if *value == *b"one"));
        }
        clock.advance(HOUR - Duration::from_millis(1));
        assert_eq!(keys(rows), ["a", "b"]);
        clock.advance(Duration::from_millis(1));
        assert!(rows.get("a").unwrap().is_none() && !rows.contains("a").unwrap());
        assert!(matches!(rows.get_from_memory("a").unwrap(), MemoryRead::Absent));
        let at_present = store.snapshot().unwrap().get_from_memory(rows, "a").unwrap();
        assert!(matches!(at_present, MemoryRead::Absent));
        drop(before);
        let many = rows.get_many(["a", "b"]).unwrap().into_iter().map(text).collect::<Vec<_>>();
        assert_eq!(many, [None, Some("two".to_owned())]);
        assert_eq!(keys(rows), ["b"]);
        assert_eq!(rows.count().unwrap(), 1);
        let reverse = rows.scan_with(.., annulus::ScanOptions::new().reverse(true)).unwrap();
        assert_eq!(reverse.count(), 1);
        assert!(!rows.compare_and_swap("a", Some(b"one"), None).unwrap().is_swapped());
        assert!(rows.update("a", |old| old.map(<[u8]>::to_vec)).unwrap().is_none());
        let mut batch = Batch::new();
        batch.require(rows, "a", Expect::Absent);
        batch.require(rows, "b", Expect::Value(b"two"));
        batch.put(rows, "c", "three");
        assert!(store.write_if(batch).unwrap().is_written());
        assert!(rows.put_if_absent("a", "again").unwrap().is_swapped());
        let found = rows.put_if_absent("a", "third").unwrap().found();
        assert_eq!(text(found).as_deref(), Some("again"));
        let transaction = store.begin().unwrap();
        assert_eq!(text(transaction.get(rows, "a").unwrap()).as_deref(), Some("again"));
        transaction.rollback();
        assert_eq!(rows.add("n", 5).unwrap(), 5);
        let mut batch = Batch::new();
        batch.add(rows, "n", 2);
        store.write(batch).unwrap();
        assert_eq!(rows.add("n", 0).unwrap(), 7);
        clock.advance(HOUR);
        assert_eq!(rows.add("n", 1).unwrap(), 1, "an expired counter begins at zero");
        let mut batch = Batch::new();
        batch.put_for(rows, "n", 40_i64.to_le_bytes(), SECOND);
        batch.add(rows, "n", 2);
        store.write(batch).unwrap();
        assert_eq!(rows.add("n", 0).unwrap(), 42);
    }
}

#[test]
fn a_snapshot_keeps_its_moment_and_compactions_leave_what_it_reads() {
    let (directory, clock) = (quick_directory(), clock());
    let (store, keyspaces) = with_rows(&directory.path().join("store"), &clock);
    for rows in &keyspaces {
        for n in 0..50 {
            rows.put(format!("old {n}"), "value").unwrap();
            rows.put_for(format!("new {n}"), "value", 2 * HOUR).unwrap();
        }
        clock.advance(HOUR + SECOND);
        let snapshot = store.snapshot().unwrap();
        clock.advance(HOUR);
        rows.put("later", "value").unwrap();
        rows.reclaim_expired().unwrap();
        assert_eq!(keys(rows), ["later"]);
        assert_eq!(snapshot.scan(rows, ..).unwrap().count(), 50, "what has not expired by then");
        assert!(snapshot.get(rows, "new 7").unwrap().is_some());
        assert!(snapshot.get(rows, "old 7").unwrap().is_none());
        let many = snapshot.get_many(rows, ["new 7", "old 7"]).unwrap();
        assert!(many[0].is_some() && many[1].is_none());
        let held = stats(&store, rows);
        // A compaction may come to a row more than once.
        assert!(held.rows_reclaimed == 50 && held.rows_held >= 50, "{held:?}");
        drop(snapshot);
        rows.reclaim_expired().unwrap();
        assert_eq!(stats(&store, rows).rows_reclaimed, 100);
        assert!(stats(&store, rows).bytes_reclaimed > 1000);
    }
}

fn stats(store: &Store, keyspace: &Keyspace) -> annulus::report::ExpiryStats {
    let stats = store.stats().unwrap().keyspaces;
    stats.into_iter().find(|it| it.name == keyspace.name()).unwrap().expiry.unwrap()
}

/// The newest version of a row expires, and older ones, which never would, are in lower levels.
#[test]
fn no_older_version_comes_back() {
    let (directory, clock) = (quick_directory(), clock());
    let path = directory.path().join("store");
    let store = open(&path, &clock, small());
    let spec = KeyspaceSpec::range().time_to_live_by_put();
    let rows = store.create_keyspace("rows", spec).unwrap();
    assert_eq!(rows.time_to_live().unwrap().default_lifetime(), None);
    for n in 0..300 {
        rows.put(format!("{n:03}"), "old").unwrap();
    }
    rows.reclaim_expired().unwrap();
    let snapshot = store.snapshot().unwrap();
    for n in 0..300 {
        rows.put_for(format!("{n:03}"), "new", SECOND).unwrap();
        if n % 100 == 99 {
            store.flush().unwrap();
        }
    }
    clock.advance(SECOND);
    assert_eq!(rows.count().unwrap(), 0);
    rows.reclaim_expired().unwrap();
    assert_eq!(rows.count().unwrap(), 0, "while a snapshot has the older versions");
    assert_eq!(snapshot.scan(&rows, ..).unwrap().count(), 300);
    drop(snapshot);
    rows.reclaim_expired().unwrap();
    assert_eq!(rows.count().unwrap(), 0);
    // As after an end of the process, and then after a close.
    drop((store, rows));
    for _ in 0..2 {
        let store = open(&path, &clock, small());
        assert_eq!(store.keyspace("rows").unwrap().count().unwrap(), 0);
        store.close().unwrap();
    }
}

#[test]
fn a_transaction_meets_a_conflict_when_a_row_has_expired_that_it_has_read() {
    let (directory, clock) = (quick_directory(), clock());
    let (store, keyspaces) = with_rows(&directory.path().join("store"), &clock);
    let serializable = TransactionOptions::new();
    let snapshot = TransactionOptions::new().isolation(Isolation::Snapshot);
    for rows in &keyspaces {
        for how in ["get", "get_many", "scan", "forgotten scan", "other", "snapshot"] {
            rows.put("a", "one").unwrap();
            rows.put_for("z", "two", 9 * HOUR).unwrap();
            let options = if how == "snapshot" { snapshot } else { serializable };
            let transaction = store.begin_with(options).unwrap();
            match how {
                "get_many" => drop(transaction.get_many(rows, ["a", "z"]).unwrap()),
                "scan" => assert_eq!(transaction.scan(rows, ..).unwrap().count(), 2),
                "forgotten scan" => {
                    let mut scan = transaction.scan(rows, ..).unwrap();
                    assert!(scan.next_row().unwrap().is_some());
                    assert!(scan.next_row().unwrap().is_some());
                    std::mem::forget(scan);
                }
                "other" => assert!(transaction.get(rows, "z").unwrap().is_some()),
                _ => assert!(transaction.get(rows, "a").unwrap().is_some()),
            }
            transaction.put_for(rows, "result", how, 5 * SECOND).unwrap();
            clock.advance(HOUR);
            assert!(!rows.contains("a").unwrap());
            if how != "forgotten scan" {
                let seen = transaction.get(rows, "result").unwrap();
                assert_eq!(text(seen).as_deref(), Some(how));
            }
            let committed = transaction.commit();
            if ["other", "snapshot"].contains(&how) {
                committed.unwrap();
                assert!(rows.contains("result").unwrap());
                clock.advance(5 * SECOND);
            } else {
                assert_eq!(committed.unwrap_err().kind(), ErrorKind::Conflict, "{how}");
            }
            assert!(!rows.contains("result").unwrap());
        }
    }
}

#[test]
fn reshapes_find_no_difference_while_rows_expire_and_are_reclaimed() {
    let (directory, clock) = (quick_directory(), clock());
    let (store, keyspaces) = with_rows(&directory.path().join("store"), &clock);
    for transport in [Transport::Copy, Transport::Link] {
        for rows in &keyspaces {
            for n in 0..200 {
                rows.put_for(format!("{n:03}"), "short", SECOND).unwrap();
                rows.put(format!("m{n:03}"), "long").unwrap();
            }
            store.flush().unwrap();
            clock.advance(2 * SECOND);
            for n in 0..50 {
                rows.put_for(format!("{n:03}"), "in memory", SECOND).unwrap();
            }
            clock.advance(2 * SECOND);
            let options = ReshapeOptions::new().check(Check::Full).transport(transport);
            let partition = rows.placement().partitions().next().unwrap();
            let to = ShardId((partition.owner.0 + 1) % 3);
            let request = annulus::planner::Request::Move { partition: partition.id, to };
            store.start_with(&request, options).unwrap().wait().unwrap();
            assert_eq!(rows.count().unwrap(), 200);
            rows.reclaim_expired().unwrap();
            assert_eq!(rows.count().unwrap(), 200);
            clock.advance(2 * HOUR);
            assert_eq!(rows.count().unwrap(), 0);
            rows.reclaim_expired().unwrap();
            assert_eq!(rows.count_estimated().unwrap(), 0, "the filter is set on targets, too");
        }
    }
}

#[test]
fn what_is_put_for_a_time_needs_a_keyspace_for_it() {
    let (directory, clock) = (quick_directory(), clock());
    let (store, _) = with_rows(&directory.path().join("store"), &clock);
    let plain = store.create_keyspace("plain", KeyspaceSpec::hash()).unwrap();
    let mut batch = Batch::new();
    batch.put_for(&plain, "a", "value", HOUR);
    let transaction = store.begin().unwrap();
    let mut until = Batch::new();
    until.put_until(&plain, "a", "value", None);
    let refused = [
        plain.put_for("a", "value", HOUR),
        plain.put_until("a", "value", None),
        store.write(batch),
        store.write(until),
        transaction.put_for(&plain, "a", "value", HOUR),
        transaction.put_until(&plain, "a", "value", clock.now() + HOUR),
        plain.reclaim_expired(),
    ];
    for refused in refused {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains("`plain`"), "{error}");
    }
    let bad = KeyspaceSpec::hash().time_to_live(Duration::ZERO);
    assert_eq!(store.create_keyspace("no", bad).unwrap_err().kind(), ErrorKind::InvalidArgument);
    let other = store.keyspace_or_create("hash", KeyspaceSpec::hash()).unwrap_err();
    assert_eq!(other.kind(), ErrorKind::InvalidArgument);
    assert!(other.to_string().contains("rows expire after 3600s"), "{other}");
    let other = KeyspaceSpec::hash().time_to_live(2 * HOUR);
    assert!(store.keyspace_or_create("hash", other).is_err());
}

#[test]
fn a_feed_has_nothing_of_expiry_and_old_values_without_their_times() {
    let (directory, clock) = (quick_directory(), clock());
    let (store, [rows, _]) = with_rows(&directory.path().join("store"), &clock);
    rows.log_old_values(true).unwrap();
    rows.put("a", "one").unwrap();
    rows.put("a", "two").unwrap();
    clock.advance(HOUR);
    rows.reclaim_expired().unwrap();
    let mut batch = Batch::new();
    batch.put(&rows, "a", "three");
    batch.put(&rows, "a", "four");
    store.write(batch).unwrap();
    let from = store.changes().from(ChangesFrom::Earliest).durability(Durability::Buffered);
    let mut changes = from.open().unwrap();
    let mut seen = Vec::new();
    while let Some(commit) = changes.next_timeout(Duration::ZERO).unwrap() {
        for change in commit.changes() {
            let Change::Put { value, old, .. } = change else { panic!("{change:?}") };
            seen.push(format!("{} {old:?}", value.escape_ascii()));
        }
    }
    let value = |text: &str| format!("Value({:?})", text.as_bytes());
    let expected = [
        "one Absent".to_owned(),
        format!("two {}", value("one")),
        "three Absent".to_owned(),
        format!("four {}", value("three")),
    ];
    assert_eq!(seen, expected);
}

/// Puts rows in each way there is to say how long they live.
fn put_in_each_way(store: &Store, rows: &Keyspace, now: SystemTime) {
    rows.put("default", "").unwrap();
    rows.put_for("for", "", 3 * HOUR).unwrap();
    rows.put_until_with("until", "", now + 4 * HOUR, Durability::Synced).unwrap();
    rows.put_until("ever", "", None).unwrap();
    rows.put_until("past", "", now).unwrap();
    let mut batch = Batch::new();
    batch.put_until(rows, "batch", "", now + 5 * HOUR + Duration::from_nanos(1));
    batch.add(rows, "counter", 1);
    store.write(batch).unwrap();
    store.transact(|tx| tx.put_until(rows, "transaction", "", now + 6 * HOUR)).unwrap();
    let typed = rows.typed::<String, String>();
    store
        .transact(|tx| {
            typed.within(tx).put_for("typed for", &String::new(), 7 * HOUR)?;
            typed.within(tx).put_until("typed until", &String::new(), now + 8 * HOUR)
        })
        .unwrap();
    typed.put_for("typed later", &String::new(), 9 * HOUR).unwrap();
    let mut batch = Batch::new();
    typed.put_for_in(&mut batch, "typed batch", &String::new(), 10 * HOUR).unwrap();
    typed.put_until_in(&mut batch, "typed end", &String::new(), None).unwrap();
    store.write(batch).unwrap();
}

/// Mirrors of the feed lose each row when the original does, one of them in another store. They write
/// each commit half an hour late.
#[test]
fn a_mirror_of_a_feed_loses_rows_when_the_original_does() {
    let (directory, clock) = (quick_directory(), clock());
    let (store, [rows, mirror]) = with_rows(&directory.path().join("store"), &clock);
    let (other, [elsewhere, _]) = with_rows(&directory.path().join("other"), &clock);
    let changes = store.changes().keyspace(&rows).durability(Durability::Buffered);
    let mut changes = changes.open().unwrap();
    let now = clock.now();
    put_in_each_way(&store, &rows, now);
    assert!(!rows.contains("past").unwrap());
    clock.advance(HOUR / 2);
    let mut seen = Vec::new();
    while let Some(commit) = changes.try_next().unwrap() {
        let (mut here, mut there) = (Batch::new(), Batch::new());
        for change in commit.changes() {
            let Change::Put { key, value, expires, .. } = change else { panic!("{change:?}") };
            here.put_until(&mirror, key, value, expires);
            there.put_until(&elsewhere, key, value, expires);
            seen.push(expires.map(|at| at.duration_since(now).unwrap()));
        }
        store.write(here).unwrap();
        other.write(there).unwrap();
    }
    let hours = |hours: u32| Some(hours * HOUR);
    let expected = [
        hours(1),
        hours(3),
        hours(4),
        None,
        hours(0),
        Some(5 * HOUR + Duration::from_millis(1)),
        hours(1),
        hours(6),
        hours(7),
        hours(8),
        hours(9),
        hours(10),
        None,
    ];
    // Those of a transaction are in the order of their keys.
    assert_eq!(seen, expected);
    for hour in 0..12 {
        let there = keys(&rows);
        assert_eq!((keys(&mirror), keys(&elsewhere)), (there.clone(), there), "hour {hour}");
        clock.advance(HOUR / 2);
        rows.reclaim_expired().unwrap();
        clock.advance(HOUR / 2);
    }
    assert_eq!(rows.count().unwrap(), 2);
    let mut scan = mirror.scan(..).unwrap();
    let mut until = Vec::new();
    while let Some((_, _, at)) = scan.next_row_until().unwrap() {
        until.push(at);
    }
    assert_eq!(until, [None, None]);
}

#[test]
fn rows_stay_expired_after_a_restart_with_the_clock_set_back() {
    let (directory, clock) = (quick_directory(), clock());
    let path = directory.path().join("store");
    let (store, [rows, _]) = with_rows(&path, &clock);
    rows.put("a", "value").unwrap();
    clock.advance(HOUR);
    assert!(!rows.contains("a").unwrap());
    drop(rows);
    store.close().unwrap();
    drop(store);
    clock.rewind(2 * HOUR);
    let (store, [rows, _]) = with_rows(&path, &clock);
    assert!(!rows.contains("a").unwrap());
    drop((store, rows));
    let read_only = Store::builder(&path).read_only(true).create(CreateMode::Never);
    let store = read_only.clock(clock.clone()).open().unwrap();
    let rows = store.keyspace("hash").unwrap();
    assert!(!rows.contains("a").unwrap() && rows.count().unwrap() == 0);
    assert_eq!(rows.time_to_live().unwrap().default_lifetime(), Some(HOUR));
}
