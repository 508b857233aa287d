//! Goal: what is built on rows keeps its promises while a shard is missing, and when it is back: rows that
//! expire, indexes, consumers of changes, and a mirror of the log. Method: each is filled, loses a shard, is
//! used, and gets the shard again.

use super::returns::wait_until_back;
use super::*;
use annulus::clock::ManualClock;
use annulus::index::IndexSpec;
use annulus::{LogMirror, Options};
use std::time::UNIX_EPOCH;

const HOUR: Duration = Duration::from_secs(3600);

fn options() -> Options {
    small().write_buffer_bytes(4 << 20).heat(None)
}

/// Rows on the missing shard expire as the others do: none is there again that had expired when it came
/// back, and none goes before.
#[test]
fn rows_that_expire() {
    let directory = quick_directory();
    let clock = ManualClock::at(UNIX_EPOCH + 500_000 * HOUR);
    let open = |allow| {
        let builder = Store::builder(directory.path().join("store")).shards(3).options(options());
        let store = builder.clock(clock.clone()).allow_missing_shards(allow).open().unwrap();
        let spec = KeyspaceSpec::range().split_at(["1", "2"]).time_to_live(2 * HOUR);
        let rows = store.keyspace_or_create("rows", spec).unwrap();
        (store, rows)
    };
    let (store, rows) = open(false);
    for letter in ["0", "1", "2"] {
        rows.put(format!("{letter}/in-files"), "2 hours").unwrap();
    }
    store.flush().unwrap();
    for letter in ["0", "1", "2"] {
        rows.put(format!("{letter}/in-log"), "2 hours").unwrap();
        rows.put_for(format!("{letter}/long"), "9 hours", 9 * HOUR).unwrap();
    }
    drop((store, rows));
    take_away(directory.path());
    let (store, rows) = open(true);
    clock.advance(HOUR);
    rows.put("0/later", "2 hours").unwrap();
    let mut scan = rows.scan_with(.., ScanOptions::new().leave_out_missing(true)).unwrap();
    assert_eq!(scan.by_ref().count(), 7);
    drop(scan);
    clock.advance(HOUR + Duration::from_secs(1));
    rows.reclaim_expired().unwrap();
    let mut scan = rows.scan_with(.., ScanOptions::new().leave_out_missing(true)).unwrap();
    assert_eq!(scan.by_ref().count(), 3);
    drop(scan);
    bring_back(directory.path());
    wait_until_back(&store);
    let keys = |rows: &Keyspace| {
        let rows = rows.scan(..).unwrap().map(|row| String::from_utf8(row.unwrap().0).unwrap());
        rows.collect::<Vec<_>>()
    };
    let left = ["0/later", "0/long", "1/long", "2/long"];
    assert_eq!(keys(&rows), left);
    rows.reclaim_expired().unwrap();
    assert_eq!(keys(&rows), left);
    drop((store, rows));
    let (store, rows) = open(false);
    assert_eq!(keys(&rows), left);
    assert!(store.verify().unwrap().is_sound());
    clock.advance(18 * HOUR);
    assert_eq!(rows.count().unwrap(), 0);
}

/// A row is written with its entries or not at all, so an index agrees with its rows whichever of them are
/// on the missing shard.
#[test]
fn indexes() {
    let directory = quick_directory();
    let spec = || IndexSpec::new("values", 1, |_key, value: &[u8]| Some(value.to_vec()));
    let (store, rows) = open(directory.path());
    let index = rows.index(spec()).unwrap();
    index.build().unwrap();
    for n in 0..60 {
        rows.put(format!("{}/{n:03}", n % 3), format!("value {}", n % 20)).unwrap();
    }
    drop((store, rows, index));
    take_away(directory.path());
    let (store, rows) = open_without(directory.path());
    let Ok(index) = rows.index(spec()) else {
        // The marker is on the missing shard: writes are refused, so nothing falls apart.
        assert_eq!(rows.put("0/new", "x").unwrap_err().kind(), ErrorKind::Busy);
        drop((store, rows));
        bring_back(directory.path());
        let (_store, rows) = open(directory.path());
        let index = rows.index(spec()).unwrap();
        assert!(index.verify().unwrap().is_sound());
        return;
    };
    let (mut written, mut refused) = (0, 0);
    for n in 0..60 {
        let key = format!("{}/new-{n:03}", n % 3);
        match rows.put(&key, format!("other {n}")) {
            Ok(()) => written += 1,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:#}");
                refused += 1;
            }
        }
    }
    assert!(refused >= 20, "a row or an entry is on the missing shard");
    bring_back(directory.path());
    wait_until_back(&store);
    assert!(index.verify().unwrap().is_sound());
    assert_eq!(rows.count().unwrap(), 60 + written);
    rows.put("1/new", "after").unwrap();
    assert_eq!(index.keys("after").unwrap(), [b"1/new"]);
    assert!(store.verify().unwrap().is_sound());
}

/// A consumer gets each write once, also those of the missing shard that it had not read, wherever its
/// position is stored.
#[test]
fn consumers() {
    let directory = quick_directory();
    let (store, rows) = open(directory.path());
    let names: Vec<String> = (0..12).map(|n| format!("consumer-{n}")).collect();
    for name in &names {
        store.consumer_or_create(name, ChangesFrom::Now).unwrap();
    }
    for n in 0..30 {
        rows.put(format!("{}/{n:03}", n % 3), "before").unwrap();
    }
    store.sync().unwrap();
    drop((store, rows));
    take_away(directory.path());
    let (store, rows) = open_without(directory.path());
    rows.put("0/meanwhile", "on").unwrap();
    store.sync().unwrap();
    store.flush().unwrap();
    let read = |store: &Store, name: &str| -> Result<Vec<String>> {
        let consumer = store.consumer(name)?;
        let mut changes = consumer.changes()?.open()?;
        let mut keys = Vec::new();
        while let Some(commit) = changes.next_timeout(Duration::from_millis(100))? {
            for change in commit.changes() {
                if let Change::Put { key, .. } = change {
                    keys.push(String::from_utf8(key.to_vec()).unwrap());
                }
            }
            consumer.commit(commit.end())?;
        }
        Ok(keys)
    };
    let mut later = Vec::new();
    for name in &names {
        match read(&store, name) {
            Ok(keys) => assert_eq!(keys.len(), 31, "{name}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:#}");
                later.push(name);
            }
        }
    }
    bring_back(directory.path());
    wait_until_back(&store);
    rows.put("1/after", "back").unwrap();
    store.sync().unwrap();
    for name in &names {
        let wanted = if later.contains(&name) { 32 } else { 1 };
        assert_eq!(read(&store, name).unwrap().len(), wanted, "{name}");
    }
}

/// Either copy of the log suffices for the return of the shard.
#[test]
fn a_mirror_of_the_log() {
    for lost in ["log", "log-mirror"] {
        let directory = quick_directory();
        let path = directory.path().join("store");
        let open = |allow| {
            let options = options().log_mirror(LogMirror::at("log-mirror"));
            let builder = Store::builder(&path).shards(3).options(options);
            let store = builder.allow_missing_shards(allow).open().unwrap();
            let spec = KeyspaceSpec::range().split_at(["1", "2"]);
            let rows = store.keyspace_or_create("rows", spec).unwrap();
            (store, rows)
        };
        let (store, rows) = open(false);
        (0..30).for_each(|n| rows.put(format!("{}/{n:03}", n % 3), "before").unwrap());
        drop((store, rows));
        take_away(directory.path());
        for _ in 0..2 {
            let (store, rows) = open(true);
            rows.put("0/meanwhile", "on").unwrap();
            store.flush().unwrap();
            store.close().unwrap();
        }
        fs::remove_dir_all(path.join(lost)).unwrap();
        drop(open(true));
        bring_back(directory.path());
        let (store, rows) = open(false);
        assert_eq!(rows.count().unwrap(), 31);
        assert!(store.verify().unwrap().is_sound());
    }
}
