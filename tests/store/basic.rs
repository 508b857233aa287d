//! Each call of the public API does what its documentation says.

use crate::churn::quick_directory;
use annulus::placement::HashPart;
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, Durability, ErrorKind, Options, ReadOptions, ScanOptions, Store, Swap};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

pub(crate) fn small() -> Options {
    Options::new().cache_bytes(8 << 20).write_buffer_bytes(8 << 20).arcs_per_shard(3)
}

pub(crate) fn store() -> (TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = reopen(&directory);
    (directory, store)
}

/// The same, where syncs are cheap: for tests that make many.
pub(crate) fn quick_store() -> (TempDir, Store) {
    let directory = quick_directory();
    let store = reopen(&directory);
    (directory, store)
}

pub(crate) fn reopen(directory: &TempDir) -> Store {
    Store::builder(directory.path().join("store")).shards(3).options(small()).open().unwrap()
}

/// Runs the test of this name a second time, in a process of its own with these variables of the
/// environment. Returns true there: the caller is to go on; and false here, once it has passed.
pub(crate) fn apart(test: &str, variables: &[(&str, &str)]) -> bool {
    const INSIDE: &str = "ANNULUS_TEST_APART";
    if std::env::var(INSIDE).is_ok_and(|inside| inside == test) {
        return true;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, test)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}\n{log}");
    print!("{text}");
    false
}

/// Returns the files of a store's log, in their order.
pub(crate) fn log_files(store: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(store.join("log")).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|file| file.extension().is_some_and(|end| end == "log")).collect();
    files.sort();
    files
}

/// Returns where the content of a file of the log ends: it has its full size from the beginning.
pub(crate) fn end_of_log(file: &Path) -> u64 {
    let content = std::fs::read(file).unwrap();
    content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
}

/// Returns the last file of a log that has records.
pub(crate) fn last_log(store: &Path) -> PathBuf {
    let files = log_files(store);
    // The header has a page.
    files.into_iter().rfind(|file| end_of_log(file) > 4096).unwrap()
}

/// Creates one keyspace of each kind.
pub(crate) fn both(store: &Store) -> [annulus::Keyspace; 2] {
    [
        store.keyspace_or_create("hash", KeyspaceSpec::hash()).unwrap(),
        store.keyspace_or_create("range", KeyspaceSpec::range().split_at(["d", "m"])).unwrap(),
    ]
}

fn keys(rows: annulus::Scan) -> Vec<String> {
    rows.map(|row| String::from_utf8(row.unwrap().0).unwrap()).collect()
}

#[test]
fn put_get_delete() {
    let (directory, store) = store();
    for keyspace in both(&store) {
        keyspace.put("key", "value").unwrap();
        keyspace.put("", "").unwrap();
        assert_eq!(keyspace.get("key").unwrap().unwrap(), "value");
        assert_eq!(keyspace.get("").unwrap().unwrap(), "");
        assert!(keyspace.get("other").unwrap().is_none());
        keyspace.delete("key").unwrap();
        assert!(!keyspace.contains("key").unwrap());
        assert!(keyspace.contains("").unwrap());
    }
    store.close().unwrap();
    drop(store);
    let store = reopen(&directory);
    for keyspace in both(&store) {
        assert_eq!(keys(keyspace.scan(..).unwrap()), [""]);
    }
}

#[test]
fn get_many_keeps_the_order_of_the_keys() {
    let (_directory, store) = store();
    for keyspace in both(&store) {
        for n in 0..100 {
            keyspace.put(format!("{n:03}"), n.to_string()).unwrap();
        }
        let asked: Vec<String> = (0..120).rev().step_by(7).map(|n| format!("{n:03}")).collect();
        let found = keyspace.get_many(&asked).unwrap();
        for (key, value) in asked.iter().zip(found) {
            let n: u32 = key.parse().unwrap();
            assert_eq!(value.as_deref(), (n < 100).then(|| n.to_string().into_bytes()).as_deref());
        }
    }
}

#[test]
fn scans_take_any_bounds_in_both_directions() {
    let (_directory, store) = store();
    for keyspace in both(&store) {
        for key in ["a", "b", "ba", "c", "d", "m", "z", "\u{ff}"] {
            keyspace.put(key, key).unwrap();
        }
        let scan = |bounds: (Bound<&str>, Bound<&str>)| keys(keyspace.scan(bounds).unwrap());
        assert_eq!(keys(keyspace.scan("b".."d").unwrap()), ["b", "ba", "c"]);
        assert_eq!(keys(keyspace.scan("b"..="d").unwrap()), ["b", "ba", "c", "d"]);
        assert_eq!(scan((Bound::Excluded("b"), Bound::Included("m"))), ["ba", "c", "d", "m"]);
        assert_eq!(keys(keyspace.scan(.."b").unwrap()), ["a"]);
        assert_eq!(keys(keyspace.scan("b".."b").unwrap()), [""; 0]);
        assert_eq!(keys(keyspace.scan("n"..).unwrap()), ["z", "\u{ff}"]);
        let reverse = ScanOptions::new().reverse(true);
        assert_eq!(keys(keyspace.scan_with("b"..="d", reverse).unwrap()), ["d", "c", "ba", "b"]);
        assert_eq!(keys(keyspace.scan_with(.., reverse.limit(2)).unwrap()), ["\u{ff}", "z"]);
        assert_eq!(keys(keyspace.scan_prefix("b").unwrap()), ["b", "ba"]);
        assert_eq!(keys(keyspace.scan_prefix("").unwrap()).len(), 8);
        assert_eq!(keyspace.count().unwrap(), 8);
        keyspace.put([0xff, 0xff, 1], "").unwrap();
        assert_eq!(keyspace.scan_prefix([0xff]).unwrap().count(), 1);
        let of_snapshot = store.snapshot().unwrap().scan_prefix(&keyspace, "b").unwrap();
        assert_eq!(keys(of_snapshot), ["b", "ba"]);
    }
}

#[test]
fn a_scan_outlives_the_store_and_its_changes() {
    let (_directory, store) = store();
    let [hash, range] = both(&store);
    for n in 0..50 {
        hash.put(format!("{n:02}"), "old").unwrap();
        range.put(format!("{n:02}"), "old").unwrap();
    }
    let snapshot = store.snapshot().unwrap();
    let mut of_hash = hash.scan(..).unwrap();
    let of_range = snapshot.scan(&range, ..).unwrap();
    assert!(of_hash.next_row().unwrap().is_some());
    hash.delete_range(..).unwrap();
    range.put("00", "new").unwrap();
    store.drop_keyspace("hash").unwrap();
    store.drop_keyspace("range").unwrap();
    let held = snapshot.get(&range, "07").unwrap().unwrap();
    drop((store, hash, range, snapshot));
    assert_eq!(of_hash.count(), 49);
    assert!(of_range.map(Result::unwrap).all(|(_, value)| value == b"old"));
    assert_eq!(held, "old");
}

/// A past bug: a scan of ranges opened each partition only if its keyspace was still there, and so
/// failed half way when the keyspace was dropped.
#[test]
fn a_scan_over_ranges_goes_on_after_a_drop() {
    let (_directory, store) = store();
    let [_, range] = both(&store);
    for key in ["a", "e", "z"] {
        range.put(key, "").unwrap();
    }
    let mut scan = range.scan(..).unwrap();
    assert!(scan.next_row().unwrap().is_some());
    store.drop_keyspace("range").unwrap();
    assert_eq!(keys(scan), ["e", "z"]);
    assert_eq!(range.scan(..).unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn delete_range_takes_what_it_names_and_no_more() {
    let (_directory, store) = store();
    for keyspace in both(&store) {
        let fill = || (0..100).for_each(|n| keyspace.put(format!("{n:02}"), "").unwrap());
        fill();
        keyspace.delete_range("10".."20").unwrap();
        assert_eq!(keyspace.count().unwrap(), 90);
        keyspace.delete_range("90"..).unwrap();
        assert_eq!(keyspace.count().unwrap(), 80);
        keyspace.delete_range(..="05").unwrap();
        assert_eq!(keys(keyspace.scan(.."20").unwrap()), ["06", "07", "08", "09"]);
        keyspace.delete_range(..).unwrap();
        assert_eq!(keyspace.count().unwrap(), 0);
        fill();
        let mut batch = Batch::new();
        batch.put(&keyspace, "zz", "put and deleted");
        batch.delete_range(&keyspace, "50"..);
        batch.put(&keyspace, "60", "put after");
        store.write(batch).unwrap();
        assert_eq!(keyspace.count().unwrap(), 51);
        assert_eq!(keyspace.get("60").unwrap().unwrap(), "put after");
    }
}

#[test]
fn compare_and_swap_and_put_if_absent() {
    let (_directory, store) = store();
    for keyspace in both(&store) {
        assert!(keyspace.put_if_absent("k", "1").unwrap().is_swapped());
        assert_eq!(keyspace.put_if_absent("k", "2").unwrap().found().unwrap(), "1");
        match keyspace.compare_and_swap("k", Some(b"9"), Some(b"3")).unwrap() {
            Swap::Found(Some(found)) => assert_eq!(found, "1"),
            other => panic!("{other:?}"),
        }
        assert!(keyspace.compare_and_swap("k", Some(b"1"), Some(b"3")).unwrap().is_swapped());
        assert!(keyspace.compare_and_swap("k", Some(b"3"), None).unwrap().is_swapped());
        assert!(keyspace.compare_and_swap("k", None, None).unwrap().is_swapped());
        assert!(!keyspace.contains("k").unwrap());
    }
}

/// Goal: a swap and another write of its key exclude each other. Method: threads count up by
/// swaps while others overwrite a second key of the same partition; no increment may be lost.
#[test]
fn concurrent_swaps_lose_nothing() {
    let (_directory, store) = store();
    let [hash, _] = both(&store);
    hash.put("n", "0").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    loop {
                        let old = hash.get("n").unwrap().unwrap();
                        let n: u64 = std::str::from_utf8(&old).unwrap().parse().unwrap();
                        let new = (n + 1).to_string();
                        if hash
                            .compare_and_swap("n", Some(&old), Some(new.as_bytes()))
                            .unwrap()
                            .is_swapped()
                        {
                            break;
                        }
                    }
                }
            });
        }
    });
    assert_eq!(hash.get("n").unwrap().unwrap(), "2000");
}

#[test]
fn a_fixed_part_of_the_key_keeps_an_entity_together() {
    let (_directory, store) = store();
    let spec = KeyspaceSpec::hash().hashed(HashPart::UpTo { delimiter: b'/' });
    let orders = store.create_keyspace("orders", spec).unwrap();
    for user in 0..50 {
        for order in 0..20 {
            orders.put(format!("user{user}/{order:02}"), "").unwrap();
        }
    }
    let partition = |key: &str| orders.placement().partitioning().find(key.as_bytes());
    let first = partition("user7/00");
    assert!((1..20).all(|order| partition(&format!("user7/{order:02}")) == first));
    let expected: Vec<String> = (0..20).map(|order| format!("user7/{order:02}")).collect();
    assert_eq!(keys(orders.scan_prefix("user7/").unwrap()), expected);
    assert_eq!(keys(orders.scan_prefix("user1").unwrap()).len(), 11 * 20);
}

#[test]
fn keyspaces_are_created_listed_and_dropped() {
    let (directory, store) = store();
    both(&store);
    let taken = store.create_keyspace("hash", KeyspaceSpec::hash()).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
    let unknown = store.keyspace("nobody").unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    assert!(unknown.to_string().contains("`nobody`"));
    for bad in ["", "tab\t", &"x".repeat(256)] {
        let error = store.create_keyspace(bad, KeyspaceSpec::hash()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{bad:?}");
    }
    let greedy =
        store.create_keyspace("many", KeyspaceSpec::hash().arcs_per_shard(1000)).unwrap_err();
    assert!(greedy.to_string().contains("partitions_per_shard_max"), "{greedy}");
    let hash = store.keyspace("hash").unwrap();
    hash.put("k", "v").unwrap();
    store.drop_keyspace("hash").unwrap();
    assert_eq!(hash.put("k", "v").unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(hash.get("k").unwrap_err().kind(), ErrorKind::Closed);
    let names =
        |store: &Store| store.keyspaces().iter().map(|k| k.name().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&store), ["range"]);
    drop((store, hash));
    let store = reopen(&directory);
    assert_eq!(names(&store), ["range"]);
    assert!(store.recovery().orphans.is_empty());
    let [hash, _] = both(&store);
    assert!(hash.get("k").unwrap().is_none());
}

#[test]
fn limits_are_kept_before_anything_is_written() {
    let (_directory, store) = store();
    let [hash, range] = both(&store);
    let long = vec![b'k'; 64 * 1024 + 1];
    for error in [
        hash.put(&long, "").unwrap_err(),
        range.delete(&long).unwrap_err(),
        range.delete_range(&long..).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains("65537 bytes"), "{error}");
    }
    assert!(hash.get(&long).unwrap().is_none());
    let mut batch = Batch::new();
    batch.put(&hash, "fine", "");
    batch.put(&range, &long, "");
    assert_eq!(store.write(batch).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert!(!hash.contains("fine").unwrap());
    hash.put(&long[1..], vec![7; 3 << 20]).unwrap();
    assert_eq!(hash.get(&long[1..]).unwrap().unwrap().len(), 3 << 20);
}

#[test]
fn deadlines_end_reads_and_scans() {
    let (_directory, store) = store();
    let [hash, range] = both(&store);
    hash.put("k", "v").unwrap();
    range.put("k", "v").unwrap();
    let none = ReadOptions::new().timeout(Duration::ZERO);
    let ample = ReadOptions::new().timeout(Duration::from_secs(60));
    assert_eq!(hash.get_with("k", none).unwrap_err().kind(), ErrorKind::DeadlineExceeded);
    assert_eq!(hash.get_with("k", ample).unwrap().unwrap(), "v");
    // A past bug: a deadline beyond what RocksDB can count became one that had passed.
    store.flush().unwrap();
    let endless = ReadOptions::new().timeout(Duration::from_millis(u64::MAX)).bypass_cache(true);
    assert_eq!(hash.get_with("k", endless).unwrap().unwrap(), "v");
    for keyspace in [hash, range] {
        let late = keyspace
            .scan_with(.., ScanOptions::new().read(none))
            .and_then(|mut scan| scan.next_row().map(|row| row.is_some()));
        let error = late.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error}");
        assert!(error.is_retryable());
        assert_eq!(keyspace.scan_with(.., ScanOptions::new().read(ample)).unwrap().count(), 1);
    }
}

#[test]
fn a_closed_store_says_so() {
    let (_directory, store) = store();
    let [hash, _] = both(&store);
    hash.put_with("k", "v", Durability::Synced).unwrap();
    store.sync().unwrap();
    store.flush().unwrap();
    store.close().unwrap();
    store.close().unwrap();
    for error in [
        hash.put("k", "w").unwrap_err(),
        hash.get("k").unwrap_err(),
        hash.scan(..).unwrap_err(),
        store.snapshot().unwrap_err(),
        store.create_keyspace("late", KeyspaceSpec::hash()).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    }
}

#[test]
fn stats_and_verification_see_every_key() {
    let (directory, store) = store();
    let [hash, range] = both(&store);
    for n in 0..1000 {
        hash.put(n.to_string(), "x").unwrap();
        range.put(n.to_string(), "x").unwrap();
    }
    let stats = store.stats().unwrap();
    assert_eq!(stats.shards.iter().map(|shard| shard.keys_estimated).sum::<u64>(), 2000);
    assert_eq!(stats.shards.iter().map(|shard| shard.partitions).sum::<usize>(), 9 + 3);
    assert_eq!(hash.count_estimated().unwrap(), 1000);
    let report = store.verify().unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
    assert!(report.keyspaces.iter().all(|keyspace| keyspace.keys == 1000));
    // Estimates were zero after an opening that skipped the statistics of the files.
    store.close().unwrap();
    drop((store, hash, range));
    let stats = reopen(&directory).stats().unwrap();
    assert_eq!(stats.shards.iter().map(|shard| shard.keys_estimated).sum::<u64>(), 2000);
}

/// Tests and tool are built for the hardware's checksums: `.cargo/config.toml`.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[test]
fn stats_tell_how_checksums_are_computed() {
    let (_directory, store) = store();
    let built_for = cfg!(target_feature = "sse4.2") || cfg!(target_feature = "crc");
    assert_eq!(store.stats().unwrap().hardware_checksums, built_for);
}

#[test]
fn an_errors_text_does_not_repeat_its_source() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    drop(Store::open(&path).unwrap());
    std::fs::write(path.join("metadata/CURRENT"), "nonsense\n").unwrap();
    let error = Store::open(&path).unwrap_err();
    let (mut last, mut sources): (&dyn std::error::Error, _) = (&error, 0);
    while let Some(source) = last.source() {
        assert!(!last.to_string().contains(&source.to_string()), "{error:#}");
        (last, sources) = (source, sources + 1);
    }
    assert!(sources >= 2, "the metadata, its engine, what the engine says: {error:#}");
    assert!(format!("{error:#}").ends_with(&last.to_string()), "{error:#}");
}
