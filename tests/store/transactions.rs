//! Goal: each call of a transaction does what its documentation says, and its ends leave nothing.
//! Method: each call by itself, with the writes of others in between. That transactions are
//! serializable is shown in `elle/`, and that they behave like maps in `transaction_model.rs`.

use crate::basic::{apart, both, reopen, small, store};
use annulus::topology::KeyspaceSpec;
use annulus::{
    Batch, Error, ErrorKind, Isolation, Keyspace, ScanOptions, Store, TransactionOptions,
};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

fn text(value: Option<annulus::Value>) -> Option<String> {
    value.map(|value| String::from_utf8(value.to_vec()).unwrap())
}

fn keys(scan: annulus::TransactionScan<'_>) -> Vec<String> {
    scan.map(|row| String::from_utf8(row.unwrap().0).unwrap()).collect()
}

fn is_conflict(result: annulus::Result<()>) -> bool {
    match result {
        Ok(()) => false,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error:#}");
            assert!(error.is_retryable());
            true
        }
    }
}

#[test]
fn a_transaction_reads_its_snapshot_and_its_own_writes() {
    let (_directory, store) = store();
    for keyspace in both(&store) {
        for key in ["a", "b", "e", "n", "x"] {
            keyspace.put(key, "before").unwrap();
        }
        let tx = store.begin().unwrap();
        keyspace.put("b", "after").unwrap();
        keyspace.put("c", "after").unwrap();
        let get = |key| text(tx.get(&keyspace, key).unwrap());
        assert_eq!(get("b").as_deref(), Some("before"));
        assert_eq!(get("c"), None);
        tx.put(&keyspace, "d", "own").unwrap();
        tx.put(&keyspace, "e", "own").unwrap();
        tx.delete(&keyspace, "a").unwrap();
        tx.delete_range(&keyspace, "m".."z").unwrap();
        tx.put(&keyspace, "y", "own").unwrap();
        assert_eq!(get("d").as_deref(), Some("own"));
        assert_eq!(get("e").as_deref(), Some("own"));
        assert_eq!((get("a"), get("n"), get("x")), (None, None, None));
        assert!(tx.contains(&keyspace, "y").unwrap());
        let many = tx.get_many(&keyspace, ["y", "b", "a", "c", "e", "b"]).unwrap();
        let many: Vec<_> = many.into_iter().map(text).collect();
        let [own, before] = ["own", "before"].map(|value| Some(value.to_owned()));
        assert_eq!(many, [own.clone(), before.clone(), None, None, own, before]);
        let scan = |options| keys(tx.scan_with(&keyspace, .., options).unwrap());
        assert_eq!(scan(ScanOptions::new()), ["b", "d", "e", "y"]);
        assert_eq!(scan(ScanOptions::new().reverse(true)), ["y", "e", "d", "b"]);
        assert_eq!(scan(ScanOptions::new().limit(2)), ["b", "d"]);
        assert_eq!(keys(tx.scan(&keyspace, "c"..="e").unwrap()), ["d", "e"]);
        assert_eq!(keys(tx.scan_prefix(&keyspace, "e").unwrap()), ["e"]);
        // Nothing is there for others before the commit, nor after a rollback.
        assert_eq!(text(keyspace.get("e").unwrap()).as_deref(), Some("before"));
        tx.rollback();
        assert_eq!(text(keyspace.get("e").unwrap()).as_deref(), Some("before"));
        assert!(!keyspace.contains("d").unwrap());
    }
}

#[test]
fn a_scan_has_what_was_written_before_it_was_opened() {
    let (_directory, store) = store();
    let [_, range] = both(&store);
    range.put("b", "").unwrap();
    let tx = store.begin().unwrap();
    tx.put(&range, "a", "").unwrap();
    let mut rows = Vec::new();
    for row in tx.scan(&range, ..).unwrap() {
        let key = String::from_utf8(row.unwrap().0).unwrap();
        // Reads and writes go on while a scan is open.
        assert!(tx.contains(&range, &key).unwrap());
        tx.put(&range, format!("{key}-"), "").unwrap();
        rows.push(key);
    }
    assert_eq!(rows, ["a", "b"]);
    assert_eq!(keys(tx.scan(&range, ..).unwrap()), ["a", "a-", "b", "b-"]);
    tx.commit().unwrap();
    assert_eq!(range.count().unwrap(), 4);
}

/// Begins a transaction that reads, makes another write, and tries to commit.
fn conflicts(
    store: &Store,
    keyspace: &Keyspace,
    options: TransactionOptions,
    read: impl Fn(&annulus::Transaction),
    write: impl Fn(&Keyspace),
) -> bool {
    keyspace.delete_range(..).unwrap();
    for key in ["c", "g", "k", "p"] {
        keyspace.put(key, "1").unwrap();
    }
    let tx = store.begin_with(options).unwrap();
    read(&tx);
    tx.put(keyspace, "written", "").unwrap();
    write(keyspace);
    let conflict = is_conflict(tx.commit());
    assert_eq!(keyspace.contains("written").unwrap(), !conflict);
    conflict
}

#[test]
fn what_was_read_must_not_have_changed() {
    let (_directory, store) = store();
    for keyspace in &both(&store) {
        let serializable = TransactionOptions::new();
        let after = |read: &dyn Fn(&annulus::Transaction), write: &dyn Fn(&Keyspace)| {
            conflicts(&store, keyspace, serializable, read, write)
        };
        let put = |key: &'static str| move |keyspace: &Keyspace| keyspace.put(key, "2").unwrap();
        let get = |key: &'static str| {
            move |tx: &annulus::Transaction| drop(tx.get(keyspace, key).unwrap())
        };
        assert!(after(&get("c"), &put("c")));
        assert!(!after(&get("c"), &put("c0")));
        assert!(after(&get("absent"), &put("absent")), "that it was absent was read");
        assert!(after(&get("c"), &|keyspace| keyspace.delete("c").unwrap()));
        assert!(after(&get("c"), &|keyspace| keyspace.delete_range("a".."d").unwrap()));
        assert!(!after(&get("d"), &|keyspace| keyspace.delete_range("a".."d").unwrap()));
        let many = |tx: &annulus::Transaction| drop(tx.get_many(keyspace, ["c", "q"]).unwrap());
        assert!(after(&many, &put("q")));
        assert!(!after(&many, &put("g")));
        let own = |tx: &annulus::Transaction| {
            tx.put(keyspace, "c", "own").unwrap();
            tx.get(keyspace, "c").unwrap();
        };
        assert!(!after(&own, &put("c")), "only what it has written itself was read");
        let add = |tx: &annulus::Transaction| assert_eq!(tx.add(keyspace, "n", 1).unwrap(), 1);
        assert!(after(&add, &|keyspace| assert_eq!(keyspace.add("n", 1).unwrap(), 1)));
    }
}

#[test]
fn ranges_are_relied_on_as_far_as_scans_have_come() {
    let (_directory, store) = store();
    for keyspace in &both(&store) {
        let after = |rows: usize, options: ScanOptions, key: &str| {
            let read = |tx: &annulus::Transaction| {
                let scan = tx.scan_with(keyspace, "b".."m", options).unwrap();
                assert!(scan.take(rows).all(|row| row.is_ok()));
            };
            let write = |keyspace: &Keyspace| keyspace.put(key, "2").unwrap();
            conflicts(&store, keyspace, TransactionOptions::new(), read, write)
        };
        let (forward, reverse) = (ScanOptions::new(), ScanOptions::new().reverse(true));
        // Rows: c, g, k. A phantom within, one at each end, and one just outside.
        for key in ["b", "d", "k", "lzz"] {
            assert!(after(9, forward, key) && after(9, reverse, key), "{key}");
        }
        for key in ["a", "m", "z"] {
            assert!(!after(9, forward, key) && !after(9, reverse, key), "{key}");
        }
        for (options, before) in [(forward, true), (reverse, false), (forward.limit(2), true)] {
            // Up to g, and no further.
            assert_eq!(after(2, options, "d"), before);
            assert!(after(2, options, "g"));
            assert_eq!(after(2, options, "h"), !before);
        }
        assert!(!after(0, forward, "d"), "a scan that returned nothing has read nothing");
        let forgotten = |tx: &annulus::Transaction| {
            std::mem::forget(tx.scan(keyspace, "b".."m").unwrap());
        };
        let write = |keyspace: &Keyspace| keyspace.put("h", "2").unwrap();
        assert!(conflicts(&store, keyspace, TransactionOptions::new(), forgotten, write));
    }
}

#[test]
fn at_snapshot_isolation_only_what_both_write_is_a_conflict() {
    let (_directory, store) = store();
    for keyspace in &both(&store) {
        let options = TransactionOptions::new().isolation(Isolation::Snapshot);
        let put = |key: &'static str| move |keyspace: &Keyspace| keyspace.put(key, "2").unwrap();
        let read = |tx: &annulus::Transaction| {
            tx.get(keyspace, "c").unwrap();
            assert_eq!(tx.scan(keyspace, ..).unwrap().count(), 4);
        };
        assert!(!conflicts(&store, keyspace, options, read, put("c")));
        let write = |tx: &annulus::Transaction| {
            tx.delete(keyspace, "c").unwrap();
            tx.delete_range(keyspace, "h"..).unwrap();
        };
        assert!(conflicts(&store, keyspace, options, write, put("c")));
        assert!(conflicts(&store, keyspace, options, write, put("phantom")));
        assert!(!conflicts(&store, keyspace, options, write, put("g")));
        let range = |keyspace: &Keyspace| keyspace.delete_range("a".."d").unwrap();
        assert!(conflicts(&store, keyspace, options, write, range));
    }
}

#[test]
fn a_transaction_that_writes_nothing_is_always_committed() {
    let (_directory, store) = store();
    let [hash, range] = both(&store);
    hash.put("a", "1").unwrap();
    let tx = store.begin().unwrap();
    assert_eq!(tx.scan(&hash, ..).unwrap().count(), 1);
    tx.get(&range, "a").unwrap();
    hash.delete_range(..).unwrap();
    range.put("a", "2").unwrap();
    assert!(tx.contains(&hash, "a").unwrap());
    tx.commit().unwrap();
    // One that would delete what is not there relies on its reads, though it has no record.
    for (between, conflict) in [("a", true), ("b", false)] {
        let tx = store.begin().unwrap();
        tx.get(&range, "a").unwrap();
        tx.delete_range(&hash, "x"..).unwrap();
        range.put(between, "3").unwrap();
        assert_eq!(is_conflict(tx.commit()), conflict);
    }
}

#[test]
fn keyspaces_that_come_and_go_are_named() {
    let (_directory, store) = store();
    let [hash, range] = both(&store);
    let tx = store.begin().unwrap();
    let later = store.create_keyspace("later", KeyspaceSpec::hash()).unwrap();
    assert_eq!(tx.get(&later, "a").unwrap_err().kind(), ErrorKind::NotFound);
    let (_other_directory, other) = crate::basic::store();
    let [foreign, _] = both(&other);
    let refused = |error: Error| assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    // Even a key that the transaction has written in the keyspace with the same number.
    tx.put(&hash, "a", "own").unwrap();
    refused(tx.get(&foreign, "a").unwrap_err());
    refused(tx.put(&foreign, "a", "").unwrap_err());
    refused(tx.delete_range(&foreign, ..).unwrap_err());
    refused(tx.scan(&foreign, ..).unwrap_err());
    refused(tx.put(&hash, vec![0; 70_000], "").unwrap_err());
    range.put("kept", "").unwrap();
    let reading = store.begin().unwrap();
    store.drop_keyspace("range").unwrap();
    assert!(reading.contains(&range, "kept").unwrap(), "a snapshot keeps what it reads");
    tx.put(&range, "a", "").unwrap();
    assert_eq!(tx.commit().unwrap_err().kind(), ErrorKind::Closed);
    assert!(!hash.contains("a").unwrap(), "nothing was written");
    store.close().unwrap();
    assert_eq!(store.begin().unwrap_err().kind(), ErrorKind::Closed);
    let error = store.transact(|tx| tx.put(&hash, "a", "")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

#[test]
fn a_transaction_that_outgrows_its_bound_says_so() {
    let (_directory, store) = store();
    let [_, range] = both(&store);
    let options = TransactionOptions::new().bytes_max(8 << 10);
    let until_full = |step: &dyn Fn(&annulus::Transaction, u32) -> annulus::Result<()>| {
        let tx = store.begin_with(options).unwrap();
        let (n, error) = (0..).find_map(|n| Some((n, step(&tx, n).err()?))).unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains("bytes_max") && !error.is_retryable(), "{error}");
        assert!((8..200).contains(&n), "after {n}");
    };
    until_full(&|tx, n| tx.put(&range, format!("{n:04}"), "value"));
    until_full(&|tx, n| tx.get(&range, format!("{n:04}")).map(drop));
    until_full(&|tx, n| tx.delete_range(&range, format!("{n:04}")..format!("{n:04}5")));
    // A key that is written again and again is one, and so are rows that follow one another.
    let tx = store.begin_with(options).unwrap();
    for n in 0..1000_u32 {
        tx.put(&range, "same", n.to_be_bytes()).unwrap();
        assert!(tx.scan(&range, "a".."c").unwrap().next().is_none());
    }
    tx.commit().unwrap();
    assert!(store.begin_with(options.bytes_max(1)).is_err());
    assert!(store.begin_with(options.attempts_max(0)).is_err());
}

#[test]
fn transact_runs_again_after_a_conflict_and_reports_other_errors() {
    let (_directory, store) = store();
    let [hash, range] = both(&store);
    let runs = AtomicU32::new(0);
    let meddle = |tx: &annulus::Transaction, times: u32| {
        let run = runs.fetch_add(1, Ordering::Relaxed) + 1;
        tx.add(&hash, "n", 1)?;
        if run <= times {
            hash.add("n", 100)?;
        }
        Ok(run)
    };
    assert_eq!(store.transact(|tx| meddle(tx, 3)).unwrap(), 4);
    assert_eq!(hash.add("n", 0).unwrap(), 301);
    runs.store(0, Ordering::Relaxed);
    // Whatever it is protected from by others: it is at fault itself.
    let few = TransactionOptions::new().attempts_max(3).exclusive_after(1);
    let error = store.transact_with(few, |tx| meddle(tx, u32::MAX)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("3 attempts"), "{error}");
    assert_eq!(runs.load(Ordering::Relaxed), 3);
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("key n of keyspace"));

    let aborted = store.transact(|tx| {
        tx.put(&range, "a", "")?;
        Err::<(), _>(tx.abort("enough"))
    });
    let error = aborted.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Aborted, "enough"));
    assert!(!range.contains("a").unwrap());
    let none = TransactionOptions::new().time_max(std::time::Duration::ZERO);
    runs.store(0, Ordering::Relaxed);
    assert!(store.transact_with(none, |tx| meddle(tx, u32::MAX)).is_err());
    assert_eq!(runs.load(Ordering::Relaxed), 1, "one that has begun is not ended");
}

/// A long transaction that others always come before gets through in the end, and its thread may
/// write and take snapshots by itself meanwhile.
#[test]
fn a_long_transaction_among_many_writes_gets_through() {
    let (_directory, store) = store();
    let [hash, range] = both(&store);
    for n in 0..200_u32 {
        hash.put(n.to_be_bytes(), 0_i64.to_le_bytes()).unwrap();
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..2_u32 {
            let (hash, done) = (&hash, &done);
            scope.spawn(move || {
                for n in (thread..).step_by(7).take_while(|_| !done.load(Ordering::Acquire)) {
                    hash.add((n % 200).to_be_bytes(), 1).unwrap();
                }
            });
        }
        let attempts = AtomicU32::new(0);
        let options = TransactionOptions::new().exclusive_after(3).time_max(None);
        let sum = store.transact_with(options, |tx| {
            let attempt = attempts.fetch_add(1, Ordering::Relaxed);
            let mut sum = 0;
            for row in tx.scan(&hash, ..)? {
                sum += i64::from_le_bytes(row?.1.try_into().unwrap());
                // Others write at every row.
                std::thread::yield_now();
            }
            if attempt < 3 {
                // At the latest here.
                hash.add(0_u32.to_be_bytes(), 1)?;
            } else {
                range.put("by itself", "")?;
                store.snapshot()?;
                store.transact(|inner| inner.put(&range, "inner", ""))?;
            }
            tx.put(&range, "sum", sum.to_le_bytes())?;
            Ok(sum)
        });
        done.store(true, Ordering::Release);
        assert_eq!(attempts.load(Ordering::Relaxed), 4);
        let stored = range.get("sum").unwrap().unwrap();
        assert_eq!(i64::from_le_bytes(stored[..].try_into().unwrap()), sum.unwrap());
    });
    assert_eq!(range.count().unwrap(), 3);
    hash.put("after", "").unwrap();
}

/// Many segments of the log are between the snapshot and the commit, and none is released before.
#[test]
#[cfg(feature = "failpoints")]
fn the_log_is_kept_for_an_open_transaction() {
    const SEGMENT: &str = "65536";
    let test = "transactions::the_log_is_kept_for_an_open_transaction";
    let variables = [("ANNULUS_LOG_SEGMENT_BYTES", SEGMENT), ("ANNULUS_LOG_BYTES_MAX", "262144")];
    if !apart(test, &variables) {
        return;
    }
    let (_directory, store) = store();
    let [hash, range] = both(&store);
    range.put("a", "").unwrap();
    let write_much = || {
        for n in 0..400_u32 {
            hash.put(n.to_be_bytes(), vec![1; 4 << 10]).unwrap();
        }
        store.flush().unwrap();
    };
    for conflicting in [false, true] {
        let tx = store.begin().unwrap();
        tx.get(&range, "a").unwrap();
        tx.put(&range, "b", "").unwrap();
        if conflicting {
            range.put("a", "").unwrap();
        }
        write_much();
        assert!(store.stats().unwrap().log_bytes > 400 * (4 << 10), "the log is kept");
        assert_eq!(is_conflict(tx.commit()), conflicting);
        write_much();
    }
    // And released afterwards, by a thread that looks now and then.
    while store.stats().unwrap().log_bytes > 400 * (4 << 10) {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn what_was_committed_is_there_after_an_opening_and_in_snapshots() {
    let (directory, store) = store();
    let [hash, range] = both(&store);
    let before = store.snapshot().unwrap();
    store
        .transact(|tx| {
            for n in 0..40_u32 {
                tx.put(&hash, n.to_be_bytes(), "v")?;
                tx.put(&range, n.to_string(), "v")?;
            }
            tx.delete_range(&range, "3"..)
        })
        .unwrap();
    let rows = |store: &Store| both(store).map(|keyspace| keyspace.count().unwrap());
    // Of 0 to 39: 0, 1, 2, 10 to 29.
    assert_eq!(rows(&store), [40, 23]);
    assert_eq!(before.scan(&hash, ..).unwrap().count(), 0);
    let keys: Vec<[u8; 4]> = (0..50_u32).map(u32::to_be_bytes).collect();
    let found = store.snapshot().unwrap().get_many(&hash, &keys).unwrap();
    assert_eq!(found.iter().filter(|value| value.is_some()).count(), 40);
    assert!(found[39].is_some() && found[40].is_none());
    assert!(before.get_many(&hash, &keys).unwrap().iter().all(Option::is_none));
    drop((found, before, hash, range, store));
    assert_eq!(rows(&reopen(&directory)), [40, 23]);
}

#[test]
fn a_store_that_is_read_only_has_transactions_that_read() {
    let (directory, store) = store();
    let [hash, _] = both(&store);
    hash.put("a", "1").unwrap();
    drop((hash, store));
    let path = directory.path().join("store");
    let store = Store::builder(path).options(small()).read_only(true).open().unwrap();
    let hash = store.keyspace("hash").unwrap();
    let read = store.transact(|tx| Ok(text(tx.get(&hash, "a")?))).unwrap();
    assert_eq!(read.as_deref(), Some("1"));
    let error = store.transact(|tx| tx.put(&hash, "a", "2")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReadOnly);
}

/// A batch whose shard refuses it is behind; a transaction then says so, and is there after the
/// next opening.
#[test]
#[cfg(feature = "failpoints")]
fn a_transaction_that_a_shard_refuses_stands() {
    let (directory, store) = store();
    let rows = store.create_keyspace("rows", KeyspaceSpec::range().split_at(["1", "2"])).unwrap();
    rows.put("1", "before").unwrap();
    let sick = directory.path().join("store/shards/1/data/FAIL-apply");
    let tx = store.begin().unwrap();
    tx.put(&rows, "0", "after").unwrap();
    tx.put(&rows, "1", "after").unwrap();
    std::fs::write(&sick, "").unwrap();
    assert_eq!(tx.commit().unwrap_err().kind(), ErrorKind::InDoubt);
    std::fs::remove_file(sick).unwrap();
    // Until the store has brought the partition up.
    if let Err(error) = store.begin() {
        assert_eq!(error.kind(), ErrorKind::Busy);
    }
    // A partition of which a batch only requires a key does not fall behind with it.
    let mut batch = Batch::new();
    batch.require(&rows, "2", annulus::Expect::Absent);
    batch.put(&rows, "0", "last");
    assert!(store.write_if(batch).unwrap().is_written());
    drop((rows, store));
    let rows = reopen(&directory).keyspace("rows").unwrap();
    let value = |key| text(rows.get(key).unwrap()).unwrap();
    assert_eq!((value("0"), value("1")), ("last".to_owned(), "after".to_owned()));
}
