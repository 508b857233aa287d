//! An index has what follows from the rows, whatever has written them.

#[cfg(feature = "failpoints")]
mod crash;
mod meanwhile;
mod model;
#[cfg(feature = "failpoints")]
mod planted;
mod stats;
mod transactions;
mod unique;

use crate::basic::{both, reopen, store};
use annulus::index::IndexSpec;
use annulus::topology::KeyspaceSpec;
use annulus::{
    Batch, ConditionalWrite, Durability, ErrorKind, Expect, Index, Keyspace, Prefix, ScanOptions,
    Store,
};
use std::collections::BTreeSet;

/// An index by each word of the value.
fn words() -> IndexSpec {
    IndexSpec::new("words", 1, |_key, value| words_of(value))
}

fn words_of(value: &[u8]) -> Vec<Vec<u8>> {
    let words = value.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    words.map(<[u8]>::to_vec).collect()
}

/// A unique index by what follows an `@`, if there is one.
fn names() -> IndexSpec {
    IndexSpec::new("names", 1, |_key, value| value.strip_prefix(b"@").map(<[u8]>::to_vec)).unique()
}

type Entries = BTreeSet<(Vec<u8>, Vec<u8>)>;

fn entries(index: &Index) -> Entries {
    index.scan(..).unwrap().map(|entry| entry.map(|it| (it.index_key, it.key)).unwrap()).collect()
}

/// Returns what follows from the rows in the index by words.
fn follows(rows: &Keyspace) -> Entries {
    let mut entries = Entries::new();
    for row in rows.scan(..).unwrap() {
        let (key, value) = row.unwrap();
        entries.extend(words_of(&value).into_iter().map(|word| (word, key.clone())));
    }
    entries
}

fn check(index: &Index) {
    assert_eq!(entries(index), follows(index.keyspace()));
    let report = index.verify().unwrap();
    assert!(report.is_sound(), "{report:?}");
}

#[test]
fn every_call_keeps_it() {
    let (_directory, store) = store();
    for rows in both(&store) {
        let index = rows.index(words()).unwrap();
        index.build().unwrap();
        rows.put("a", "x y").unwrap();
        rows.put_with("b", "y z", Durability::Synced).unwrap();
        rows.put("c", "x x").unwrap();
        assert_eq!(index.keys("x").unwrap(), [b"a", b"c"]);
        rows.put("a", "y w").unwrap();
        assert_eq!(index.keys("x").unwrap(), [b"c"]);
        check(&index);
        rows.delete("b").unwrap();
        rows.delete("nothing").unwrap();
        check(&index);
        assert!(!rows.put_if_absent("a", "no").unwrap().is_swapped());
        assert!(rows.put_if_absent("d", "yes").unwrap().is_swapped());
        assert!(rows.compare_and_swap("d", Some(b"yes"), Some(b"x y")).unwrap().is_swapped());
        assert!(!rows.compare_and_swap("d", Some(b"yes"), None).unwrap().is_swapped());
        check(&index);
        assert!(rows.compare_and_swap("c", Some(b"x x"), None).unwrap().is_swapped());
        let now = rows.update("d", |old| Some([old.unwrap(), b" v"].concat())).unwrap();
        assert_eq!(now.unwrap(), b"x y v");
        rows.update("a", |_| None::<Vec<u8>>).unwrap();
        rows.update("e", |old| old.map(<[u8]>::to_vec)).unwrap();
        check(&index);
        assert_eq!(rows.add("n", 7).unwrap(), 7);
        assert_eq!(rows.add("n", 1).unwrap(), 8);
        assert_eq!(index.keys(8_i64.to_le_bytes()).unwrap(), [b"n"]);
        check(&index);
        for n in 0..200 {
            rows.put(format!("r{n:03}"), format!("w{} all", n % 7)).unwrap();
        }
        assert_eq!(index.keys("all").unwrap().len(), 200);
        rows.delete_range("r010".."r050").unwrap();
        rows.delete_range(Prefix::new("r10")).unwrap();
        assert_eq!(index.keys("all").unwrap().len(), 150);
        check(&index);
        rows.delete_range("r100"..).unwrap();
        check(&index);
        rows.delete_range(..).unwrap();
        assert!(entries(&index).is_empty());
    }
}

/// What a batch makes of a row in the end is what counts.
#[test]
fn batches_keep_it() {
    let (_directory, store) = store();
    for rows in both(&store) {
        let index = rows.index(words()).unwrap();
        index.build().unwrap();
        let other = store.keyspace_or_create("other", KeyspaceSpec::hash()).unwrap();
        for key in ["a", "b", "c", "d"] {
            rows.put(key, "old").unwrap();
        }
        let mut batch = Batch::new();
        batch.put(&rows, "a", "first");
        batch.put(&rows, "a", "second");
        batch.put(&rows, "e", "gone");
        batch.delete_range(&rows, "b"..);
        batch.put(&rows, "c", "again");
        batch.add(&rows, "n", 5);
        batch.add(&rows, "n", 5);
        batch.put(&other, "a", "elsewhere");
        batch.delete(&rows, "d");
        store.write(batch).unwrap();
        assert_eq!(index.keys("second").unwrap(), [b"a"]);
        assert_eq!(index.keys(10_i64.to_le_bytes()).unwrap(), [b"n"]);
        check(&index);

        let conditional = |expect| {
            let mut batch = Batch::new();
            batch.require(&rows, "a", expect);
            batch.put(&rows, "a", "third");
            batch.delete(&rows, "c");
            store.write_if(batch).unwrap()
        };
        let ConditionalWrite::Unmet(unmet) = conditional(Expect::Absent) else { panic!() };
        assert_eq!((unmet.len(), &*unmet[0].key), (1, &b"a"[..]));
        check(&index);
        assert_eq!(index.keys("third").unwrap(), Vec::<Vec<u8>>::new());
        assert!(conditional(Expect::Value(b"second")).is_written());
        assert_eq!(index.keys("third").unwrap(), [b"a"]);
        check(&index);
    }
}

#[test]
fn a_keyspace_whose_index_is_not_declared_is_not_written() {
    let (directory, store) = store();
    let [rows, range] = both(&store);
    rows.index(words()).unwrap().build().unwrap();
    rows.put("a", "x").unwrap();
    drop((rows, range, store));
    let store = reopen(&directory);
    let [rows, range] = both(&store);
    assert_eq!(rows.index_names(), ["words"]);
    assert_eq!(rows.get("a").unwrap().unwrap(), "x", "reads are not concerned");
    range.put("a", "x").unwrap();
    let batch = || {
        let mut batch = Batch::new();
        batch.put(&range, "b", "1");
        batch.put(&rows, "b", "1");
        batch
    };
    let refused = [
        rows.put("a", "y").unwrap_err(),
        rows.delete("a").unwrap_err(),
        rows.delete_range(..).unwrap_err(),
        rows.compare_and_swap("a", Some(b"x"), None).unwrap_err(),
        rows.update("a", |_| None::<Vec<u8>>).unwrap_err(),
        rows.add("n", 1).unwrap_err(),
        store.write(batch()).unwrap_err(),
        store.write_if(batch()).unwrap_err(),
        store.transact(|tx| tx.put(&rows, "a", "y")).unwrap_err(),
        store.transact(|tx| tx.delete_range(&rows, ..)).unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        for word in ["`hash`", "`words`", "Keyspace::index", "drop_index"] {
            assert!(error.to_string().contains(word), "`{word}` is not in: {error}");
        }
    }
    assert_eq!((rows.count().unwrap(), range.count().unwrap()), (1, 1));

    // Declared again it is as it was; a second index that is not declared stops writes as well.
    let index = rows.index(words()).unwrap();
    assert!(index.is_ready());
    rows.put("b", "x").unwrap();
    assert_eq!(index.keys("x").unwrap(), [b"a", b"b"]);
    check(&index);
    rows.index(names()).unwrap();
    drop((rows, range, index, store));
    let store = reopen(&directory);
    let [rows, _] = both(&store);
    rows.index(words()).unwrap();
    assert!(rows.put("c", "x").unwrap_err().to_string().contains("`names`"));
    rows.drop_index("names").unwrap();
    rows.put("c", "x").unwrap();
    assert_eq!(rows.drop_index("names").unwrap_err().kind(), ErrorKind::NotFound);
    check(&rows.index(words()).unwrap());
}

/// An expired row would leave its entries behind.
#[test]
fn a_keyspace_whose_rows_expire_has_no_index() {
    let (_directory, store) = store();
    let spec = KeyspaceSpec::hash().time_to_live_by_put();
    let rows = store.create_keyspace("sessions", spec).unwrap();
    let error = rows.index(words()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    assert!(error.to_string().contains("`sessions`"), "{error}");
    assert!(rows.index_names().is_empty());
    rows.put("a", "word").unwrap();
}

#[test]
fn another_version_is_built_again() {
    let (directory, store) = store();
    let first_letters =
        || IndexSpec::new("words", 2, |_key, value| value.first().map(|letter| vec![*letter]));
    {
        let [rows, _] = both(&store);
        rows.put("a", "early").unwrap();
        let index = rows.index(words()).unwrap();
        let busy = index.keys("early").unwrap_err();
        assert_eq!(busy.kind(), ErrorKind::Busy);
        assert!(busy.to_string().contains("`words`"), "{busy}");
        rows.put("b", "late").unwrap();
        assert!(!index.is_ready());
        index.build().unwrap();
        assert_eq!((index.progress().ready, index.progress().rows_passed), (true, 2));
        check(&index);

        let other = rows.index(first_letters()).unwrap();
        assert_eq!(index.keys("early").unwrap_err().kind(), ErrorKind::Busy);
        assert_eq!(index.build().unwrap_err().kind(), ErrorKind::Aborted);
        rows.put("b", "new").unwrap();
        other.build().unwrap();
        assert_eq!(other.scan(..).unwrap().count(), 2);
        assert_eq!(other.keys("e").unwrap(), [b"a"]);
        assert!(other.verify().unwrap().is_sound());
        // Declaring it once more returns what there is.
        assert!(rows.index(first_letters()).unwrap().is_ready());
    }
    drop(store);
    let store = reopen(&directory);
    let [rows, _] = both(&store);
    assert!(rows.index(first_letters()).unwrap().is_ready());
    let former = rows.index(words()).unwrap();
    assert!(!former.is_ready());
    former.build().unwrap();
    check(&former);
    former.rebuild().unwrap();
    check(&former);
    // Unique or not is another form of the entries.
    let unique = rows.index(words().unique()).unwrap();
    assert!(!unique.is_ready());
    unique.build().unwrap();
    check(&unique);
}

#[test]
fn a_snapshot_reads_rows_and_entries_of_its_moment() {
    let (_directory, store) = store();
    for rows in both(&store) {
        rows.put("a", "x").unwrap();
        let before = store.snapshot().unwrap();
        let index = rows.index(words()).unwrap();
        let incomplete = store.snapshot().unwrap();
        let open = store.begin().unwrap();
        index.build().unwrap();
        let complete = store.snapshot().unwrap();
        rows.put("a", "y").unwrap();
        rows.put("b", "x y").unwrap();
        for early in [&before, &incomplete] {
            assert_eq!(index.at(early).keys("x").unwrap_err().kind(), ErrorKind::Busy);
        }
        assert_eq!(index.within(&open).keys("x").unwrap_err().kind(), ErrorKind::Busy);
        assert_eq!(index.at(&complete).keys("x").unwrap(), [b"a"]);
        let row = index.at(&complete).row("x").unwrap().unwrap();
        assert_eq!((&*row.0, &*row.1), (&b"a"[..], &b"x"[..]));
        assert_eq!(index.keys("x").unwrap(), [b"b"]);
    }
}

#[test]
fn ranges_limits_and_order() {
    let (_directory, store) = store();
    let [rows, _] = both(&store);
    let spec = || IndexSpec::new("value", 1, |_key, value| [value.to_vec()]);
    let index = rows.index(spec().split_at(["b", "a\0"])).unwrap();
    index.build().unwrap();
    assert_eq!(index.placement().partition_count(), 3);
    let values: [&[u8]; 8] = [b"", b"\0", b"a", b"a\0", b"a\0\xff", b"ab", b"b", b"\xff"];
    for (n, value) in values.iter().enumerate() {
        for copy in 0..2 {
            rows.put(format!("{}/{copy}", 7 - n), value).unwrap();
        }
    }
    let found = |scan: annulus::IndexRows<'_>| {
        let rows: Vec<_> = scan.map(Result::unwrap).collect();
        assert!(rows.iter().all(|row| *row.value == *row.index_key));
        rows.into_iter().map(|row| row.index_key).collect::<Vec<_>>()
    };
    let of = |values: &[&[u8]]| -> Vec<Vec<u8>> {
        values.iter().flat_map(|value| [value.to_vec(), value.to_vec()]).collect()
    };
    assert_eq!(found(index.rows(..).unwrap()), of(&values));
    assert_eq!(found(index.rows("a".."b").unwrap()), of(&values[2..6]));
    assert_eq!(found(index.rows(Prefix::new("a\0")).unwrap()), of(&values[3..5]));
    assert_eq!(found(index.rows("b"..).unwrap()), of(&values[6..]));
    let last = ScanOptions::new().reverse(true).limit(3);
    let expected: [&[u8]; 3] = [b"\xff", b"\xff", b"b"];
    assert_eq!(found(index.rows_with(.., last).unwrap()), expected);
    assert_eq!(index.scan_with("a".., last).unwrap().count(), 3);
    let inverted = index.rows("b".."a").unwrap_err();
    assert_eq!(inverted.kind(), ErrorKind::InvalidArgument);
    assert!(inverted.to_string().contains("begins at \"b\""), "{inverted}");
}

#[test]
fn entries_are_no_keyspace_and_no_change_of_the_application() {
    let (_directory, store) = store();
    let [rows, _] = both(&store);
    let index = rows.index(words()).unwrap();
    let mut changes = store.changes().durability(Durability::Buffered).open().unwrap();
    index.build().unwrap();
    rows.put("a", "x y").unwrap();
    let commit = changes.next().unwrap().unwrap();
    assert_eq!(commit.changes().map(|change| change.key().to_vec()).collect::<Vec<_>>(), [b"a"]);
    assert_eq!(store.keyspaces().len(), 2);
    for bad in ["", "a\nb", &"x".repeat(201)] {
        let spec = IndexSpec::new(bad, 1, |_, value| [value.to_vec()]);
        assert_eq!(rows.index(spec).unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    // A row whose entry would be too long is refused, and not only its entry.
    let long = vec![b'x'; store.options().key_bytes_max];
    for error in [
        rows.put("long", &long).unwrap_err(),
        store.transact(|tx| tx.put(&rows, "long", &long)).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains("index `words` of keyspace `hash`"), "{error}");
    }
    assert!(!rows.contains("long").unwrap());
    let kept = store.topology().keyspaces().count();
    store.drop_keyspace("hash").unwrap();
    assert_eq!(store.topology().keyspaces().count(), kept - 2, "the index is dropped with it");
    let again = rows.index(words()).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Closed);
}

#[test]
fn a_store_that_is_read_only_reads_it() {
    let (directory, store) = store();
    let [rows, _] = both(&store);
    rows.index(words()).unwrap().build().unwrap();
    rows.put("a", "x").unwrap();
    rows.index(names()).unwrap();
    drop((rows, store));
    let path = directory.path().join("store");
    let store = Store::builder(path).read_only(true).open().unwrap();
    let rows = store.keyspace("hash").unwrap();
    let index = rows.index(words()).unwrap();
    assert_eq!(index.keys("x").unwrap(), [b"a"]);
    assert!(index.verify().unwrap().is_sound());
    assert_eq!(rows.index(names()).unwrap_err().kind(), ErrorKind::ReadOnly);
}
