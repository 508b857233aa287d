//! Goal: conditional batches, updates and counters act in one step. Method: each call by itself;
//! then threads that add to the same counters in all ways while partitions are reshaped, and
//! threads of which each requires that the other has not written. `ANNULUS_SEED` sets the seed of
//! the reshapes.

use crate::basic::{both, small, store};
use crate::churn::{Churn, Stop, quick_directory, seed};
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, ConditionalWrite, ErrorKind, Expect, Keyspace, Store, Unmet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

fn number(value: &[u8]) -> i64 {
    i64::from_le_bytes(value.try_into().unwrap())
}

fn unmet(write: ConditionalWrite) -> Vec<Unmet> {
    match write {
        ConditionalWrite::Written => Vec::new(),
        ConditionalWrite::Unmet(unmet) => unmet,
    }
}

#[test]
fn a_batch_is_written_if_all_its_conditions_hold() {
    let (_directory, store) = store();
    let [hash, range] = both(&store);
    hash.put("there", "1").unwrap();
    range.put("x", "2").unwrap();
    let batch = |expects: &[(&Keyspace, &str, Expect<'_>)]| {
        let mut batch = Batch::new();
        batch.put(&hash, "new", "3");
        batch.delete(&range, "x");
        for (keyspace, key, expect) in expects {
            batch.require(keyspace, key, *expect);
        }
        batch
    };
    let failing = batch(&[
        (&hash, "there", Expect::Present),
        (&range, "x", Expect::Value(&b"other"[..])),
        (&range, "nowhere", Expect::Present),
        (&hash, "there", Expect::Absent),
        (&range, "nowhere", Expect::Absent),
    ]);
    let found = unmet(store.write_if(failing).unwrap());
    let found: Vec<_> = found.iter().map(|u| (u.keyspace, &*u.key, u.found.as_deref())).collect();
    let expected: [(_, &[u8], Option<&[u8]>); 3] = [
        (range.id(), b"x", Some(b"2")),
        (range.id(), b"nowhere", None),
        (hash.id(), b"there", Some(b"1")),
    ];
    assert_eq!(found, expected);
    assert!(!hash.contains("new").unwrap() && range.contains("x").unwrap());

    let holding = [
        (&hash, "there", Expect::Value(&b"1"[..])),
        // As it was before the batch, which puts it.
        (&hash, "new", Expect::Absent),
        (&range, "x", Expect::Value(&b"2"[..])),
    ];
    assert!(store.write_if(batch(&holding)).unwrap().is_written());
    assert_eq!(hash.get("new").unwrap().unwrap(), "3");
    assert!(!range.contains("x").unwrap());
}

#[test]
fn conditions_alone_are_checked_at_one_moment_and_only_by_write_if() {
    let (_directory, store) = store();
    let [hash, range] = both(&store);
    hash.put("a", "1").unwrap();
    let mut only = Batch::new();
    only.require(&hash, "a", Expect::Present);
    only.require(&range, "b", Expect::Absent);
    assert_eq!((only.is_empty(), only.len()), (true, 0));
    assert!(store.write_if(only.clone()).unwrap().is_written());
    range.put("b", "").unwrap();
    assert_eq!(unmet(store.write_if(only.clone()).unwrap()).len(), 1);
    assert!(store.write_if(Batch::new()).unwrap().is_written());

    let error = store.write(only.clone()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("write_if"), "{error}");
    let (_other_directory, other) = crate::basic::store();
    assert_eq!(other.write_if(only).unwrap_err().kind(), ErrorKind::InvalidArgument);
    let mut long = Batch::new();
    long.require(&hash, vec![0; 70_000], Expect::Absent);
    assert_eq!(store.write_if(long).unwrap_err().kind(), ErrorKind::InvalidArgument);
    let mut dropped = Batch::new();
    dropped.require(&range, "b", Expect::Present);
    store.drop_keyspace("range").unwrap();
    assert_eq!(store.write_if(dropped).unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn an_update_reads_and_writes() {
    let (_directory, store) = store();
    for keyspace in both(&store) {
        // Read again and again, so that the cache of hot keys has it.
        let get = || (0..4).fold(None, |_, _| keyspace.get("k").unwrap().map(|v| v.to_vec()));
        let none = |old: Option<&[u8]>| {
            assert_eq!(old, None);
            None::<Vec<u8>>
        };
        assert_eq!(keyspace.update("k", none).unwrap(), None);
        assert_eq!(get(), None);
        assert_eq!(
            keyspace.update("k", |old| Some(old.is_none().to_string())).unwrap().unwrap(),
            "true"
        );
        assert_eq!(get().unwrap(), b"true");
        let longer = |old: Option<&[u8]>| Some([old.unwrap(), b"!"].concat());
        assert_eq!(keyspace.update("k", longer).unwrap().unwrap(), b"true!");
        assert_eq!(get().unwrap(), b"true!");
        assert_eq!(keyspace.update("k", |_| None::<&[u8]>).unwrap(), None);
        assert_eq!(get(), None);
        let long = |_: Option<&[u8]>| Some(vec![0; 70_000]);
        assert_eq!(
            keyspace.update(vec![0; 70_000], long).unwrap_err().kind(),
            ErrorKind::InvalidArgument
        );
    }
}

#[test]
fn an_update_that_panics_writes_nothing_and_holds_nothing() {
    let (_directory, store) = store();
    let [hash, _] = both(&store);
    hash.put("k", "before").unwrap();
    let panics = std::panic::AssertUnwindSafe(|| {
        hash.update("k", |_| -> Option<&[u8]> { panic!("of the application") })
    });
    assert!(std::panic::catch_unwind(panics).is_err());
    assert_eq!(hash.get("k").unwrap().unwrap(), "before");
    hash.put("k", "after").unwrap();
    store.snapshot().unwrap();
    assert_eq!(hash.get("k").unwrap().unwrap(), "after");
}

#[test]
fn counters_are_added_to_by_themselves_and_in_batches() {
    let (directory, store) = store();
    let [hash, range] = both(&store);
    assert_eq!(hash.add("n", 5).unwrap(), 5);
    assert_eq!(hash.add("n", -7).unwrap(), -2);
    let mut batch = Batch::new();
    batch.add(&hash, "n", 1);
    batch.add(&range, "n", 10);
    batch.add(&hash, "n", 1);
    batch.put(&range, "m", 4_i64.to_le_bytes());
    batch.add(&range, "m", -1);
    batch.delete_range(&range, "n"..);
    batch.add(&range, "o", 1);
    // A counter that only this batch has put is part of a range without an end.
    batch.delete_range(&range, "o"..);
    batch.add(&range, "p", 3);
    store.write(batch).unwrap();
    let all = || {
        let rows = [&hash, &range].into_iter().flat_map(|keyspace| keyspace.scan(..).unwrap());
        let row =
            |(key, value): (Vec<u8>, Vec<u8>)| (String::from_utf8(key).unwrap(), number(&value));
        rows.map(|rows| row(rows.unwrap())).collect::<Vec<_>>()
    };
    let expected = [("n".to_owned(), 0), ("m".to_owned(), 3), ("p".to_owned(), 3)];
    assert_eq!(all(), expected);

    hash.put("text", "four").unwrap();
    hash.put("most", i64::MAX.to_le_bytes()).unwrap();
    for key in ["text", "most"] {
        assert_eq!(hash.add(key, 1).unwrap_err().kind(), ErrorKind::InvalidArgument);
        let mut batch = Batch::new();
        batch.put(&range, "other", "");
        batch.add(&hash, key, 1);
        let error = store.write(batch).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(key), "{error}");
        assert!(!range.contains("other").unwrap());
    }
    hash.delete("text").unwrap();
    hash.delete("most").unwrap();
    drop((store, hash, range));
    // The log has sums: a replay adds nothing.
    let store = crate::basic::reopen(&directory);
    let [hash, range] = both(&store);
    assert_eq!(hash.add("n", 0).unwrap(), 0);
    assert_eq!(range.add("p", 0).unwrap(), 3);
}

#[test]
fn no_addition_is_lost_while_partitions_and_shards_are_reshaped() {
    const THREADS: i64 = 3;
    const ROUNDS: i64 = 2000;
    let seed = seed();
    let directory = quick_directory();
    let options = small().arcs_per_shard(1);
    let builder = Store::builder(directory.path().join("store")).shards(3);
    let store = builder.options(options).open().unwrap();
    let keyspaces = both(&store);
    let keys = ["a", "g", "t"];
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (store, keyspaces, stop) = (&store, &keyspaces, &stop);
        scope.spawn(move || {
            let _stop = Stop(stop);
            Churn::new(seed).shards_percent(8).run(store, stop);
        });
        let adders: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(move || {
                    let _stop = Stop(stop);
                    (0..ROUNDS).for_each(|_| add_in_all_ways(store, keyspaces, &keys));
                })
            })
            .collect();
        adders.into_iter().for_each(|adder| adder.join().unwrap());
    });
    for keyspace in &keyspaces {
        for key in keys {
            assert_eq!(keyspace.add(key, 0).unwrap(), 4 * THREADS * ROUNDS, "{key}");
        }
    }
    assert!(store.verify().unwrap().is_sound());
}

/// Adds four to each counter of each keyspace.
fn add_in_all_ways(store: &Store, keyspaces: &[Keyspace; 2], keys: &[&str]) {
    let mut batch = Batch::new();
    for keyspace in keyspaces {
        for key in keys {
            keyspace.add(key, 1).unwrap();
            let more = |old: Option<&[u8]>| Some((old.map_or(0, number) + 1).to_le_bytes());
            keyspace.update(key, more).unwrap();
            batch.add(keyspace, key, 1);
        }
    }
    store.write(batch).unwrap();
    // All of them together, if none has changed since they were read.
    loop {
        let mut batch = Batch::new();
        for keyspace in keyspaces {
            for key in keys {
                let old = keyspace.get(key).unwrap().unwrap();
                batch.require(keyspace, key, Expect::Value(&old));
                batch.put(keyspace, key, (number(&old) + 1).to_le_bytes());
            }
        }
        if store.write_if(batch).unwrap().is_written() {
            return;
        }
    }
}

/// Each of two threads writes its key only where the other's is absent, on other shards and on the
/// same, until both have tried often: never are both there.
#[test]
fn of_two_that_require_each_other_absent_one_is_written() {
    const TRIES: u64 = 60_000;
    let (_directory, store) = store();
    let rows = store.create_keyspace("rows", KeyspaceSpec::range().split_at(["b"])).unwrap();
    for [left, right] in [["a", "b"], ["a0", "a1"]] {
        let wins = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for [mine, others] in [[left, right], [right, left]] {
                let (store, rows, wins) = (&store, &rows, &wins);
                scope.spawn(move || {
                    for _ in 0..TRIES {
                        let mut batch = Batch::new();
                        batch.require(rows, others, Expect::Absent);
                        batch.put(rows, mine, "");
                        if store.write_if(batch).unwrap().is_written() {
                            wins.fetch_add(1, Ordering::Relaxed);
                            assert!(!rows.contains(others).unwrap(), "both are there");
                            rows.delete(mine).unwrap();
                        }
                    }
                });
            }
        });
        assert!(wins.into_inner() > 0);
    }
}

/// Without the stripes of the required keys the test above must fail.
#[cfg(feature = "failpoints")]
#[test]
fn a_condition_whose_stripe_is_not_owned_is_noticed() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "conditional::of_two_that_require_each_other_absent_one_is_written"])
        .env("ANNULUS_SKIP", "own-required")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("running 1 test") && !output.status.success(), "{text}");
}
