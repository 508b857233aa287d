//! An index has what follows from the rows, whatever has written them.

#[cfg(feature = "failpoints")]
mod crash;
mod meanwhile;
mod model;
#[cfg(feature = "failpoints")]
mod planted;

use crate::basic::{both, reopen, store};
use annulus::index::{IndexSpec, UniqueViolation};
use annulus::report::IndexState;
use annulus::topology::KeyspaceSpec;
use annulus::{
    Batch, ConditionalWrite, Durability, ErrorKind, Expect, Index, Isolation, Keyspace, Prefix,
    ScanOptions, Store, TransactionOptions,
};
use std::collections::BTreeSet;
use std::error::Error as _;

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
fn transactions_keep_it_and_read_their_own_entries() {
    let (_directory, store) = store();
    for (rows, isolation) in
        both(&store).into_iter().zip([Isolation::Serializable, Isolation::Snapshot])
    {
        let index = rows.index(words()).unwrap();
        index.build().unwrap();
        for n in 0..20 {
            rows.put(format!("r{n:02}"), "x").unwrap();
        }
        let options = TransactionOptions::new().isolation(isolation);
        let tx = store.begin_with(options).unwrap();
        tx.put(&rows, "a", "x mine").unwrap();
        tx.put(&rows, "r00", "mine").unwrap();
        tx.delete(&rows, "r01").unwrap();
        tx.delete_range(&rows, "r10"..).unwrap();
        tx.add(&rows, "n", 3).unwrap();
        let within = index.within(&tx);
        assert_eq!(within.keys("mine").unwrap(), [&b"a"[..], b"r00"]);
        assert_eq!(within.keys("x").unwrap().len(), 9);
        let found: Vec<_> = within.rows("m".."n").unwrap().map(|row| row.unwrap().value).collect();
        assert_eq!(found, ["x mine", "mine"]);
        assert_eq!(index.keys("x").unwrap().len(), 20, "nothing is written yet");
        tx.commit().unwrap();
        assert_eq!(index.keys("x").unwrap().len(), 9);
        check(&index);

        // A row that was changed meanwhile: its entries would be others.
        let tx = store.begin_with(options).unwrap();
        tx.put(&rows, "a", "y").unwrap();
        rows.put("a", "z").unwrap();
        assert_eq!(tx.commit().unwrap_err().kind(), ErrorKind::Conflict);
        check(&index);
        // A row that came into a range that was deleted.
        let tx = store.begin_with(options).unwrap();
        tx.delete_range(&rows, "s"..).unwrap();
        rows.put("t", "z").unwrap();
        assert_eq!(tx.commit().unwrap_err().kind(), ErrorKind::Conflict);
        check(&index);
    }
    // A phantom: what was read of an index is relied on.
    let [rows, _] = both(&store);
    let index = rows.index(words()).unwrap();
    let tx = store.begin().unwrap();
    assert!(index.within(&tx).keys("free").unwrap().is_empty());
    tx.put(&rows, "mine", "other").unwrap();
    rows.put("theirs", "free").unwrap();
    assert_eq!(tx.commit().unwrap_err().kind(), ErrorKind::Conflict);
}

/// A past bug: a transaction that had deleted a range without rows in it took the indexes for changed at
/// its next write, in each attempt again.
#[test]
fn a_transaction_deletes_a_range_in_which_there_is_nothing() {
    let (_directory, store) = store();
    let [rows, _] = both(&store);
    let index = rows.index(words()).unwrap();
    index.build().unwrap();
    let run = |tx: &annulus::Transaction| {
        tx.delete_range(&rows, "a".."b")?;
        tx.put(&rows, "c", "x")
    };
    store.transact(run).unwrap();
    store.transact(|tx| tx.delete_range(&rows, "a".."b")).unwrap();
    assert_eq!(index.keys("x").unwrap(), [b"c"]);
}

fn taken(error: &annulus::Error) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error:#}");
    for word in ["`names`", "unique"] {
        assert!(error.to_string().contains(word), "`{word}` is not in: {error}");
    }
    let cause = error.source().and_then(|cause| cause.downcast_ref::<UniqueViolation>()).unwrap();
    (cause.index_key.clone(), cause.key.clone(), cause.taken_by.clone())
}

#[test]
fn a_unique_index_refuses_a_second_row() {
    let (_directory, store) = store();
    for rows in both(&store) {
        let index = rows.index(names()).unwrap();
        index.build().unwrap();
        rows.put("1", "@ada").unwrap();
        rows.put("1", "@ada").unwrap();
        rows.put("2", "no name").unwrap();
        rows.put("3", "no name").unwrap();
        let named = (b"ada".to_vec(), b"2".to_vec(), b"1".to_vec());
        assert_eq!(taken(&rows.put("2", "@ada").unwrap_err()), named);
        assert_eq!(taken(&rows.update("2", |_| Some("@ada")).unwrap_err()), named);
        let swapped = rows.compare_and_swap("2", Some(b"no name"), Some(b"@ada"));
        assert_eq!(taken(&swapped.unwrap_err()), named);
        let refused = store.transact(|tx| tx.put(&rows, "2", "@ada")).unwrap_err();
        assert_eq!(taken(&refused), named);
        let mut batch = Batch::new();
        batch.put(&rows, "4", "@bob");
        batch.put(&rows, "2", "@ada");
        assert_eq!(taken(&store.write(batch).unwrap_err()), named);
        let mut batch = Batch::new();
        batch.put(&rows, "4", "@bob");
        batch.put(&rows, "5", "@bob");
        taken(&store.write(batch).unwrap_err());
        assert_eq!(rows.count().unwrap(), 3, "nothing was written");
        assert_eq!(rows.get("2").unwrap().unwrap(), "no name");

        // One row gives it up in the batch in which another one takes it.
        for (from, to) in [("1", "0"), ("0", "9")] {
            let mut batch = Batch::new();
            batch.put(&rows, to, "@ada");
            batch.delete(&rows, from);
            store.write(batch).unwrap();
            assert_eq!(index.keys("ada").unwrap(), [to.as_bytes()]);
        }
        rows.put("1", "@bob").unwrap();
        let mut exchange = Batch::new();
        exchange.put(&rows, "1", "@ada");
        exchange.put(&rows, "9", "@bob");
        store.write(exchange).unwrap();
        assert_eq!(index.row("ada").unwrap().unwrap().0, b"1");
        assert_eq!(index.row("bob").unwrap().unwrap().1, "@bob");
        assert!(index.row("eve").unwrap().is_none());
        // In a transaction in the order of its calls.
        store
            .transact(|tx| {
                tx.delete(&rows, "1")?;
                tx.put(&rows, "2", "@ada")
            })
            .unwrap();
        assert_eq!(index.keys("ada").unwrap(), [b"2"]);
        assert!(index.verify().unwrap().is_sound());
    }
}

#[test]
fn two_transactions_do_not_both_take_what_is_unique() {
    let (_directory, store) = store();
    let [rows, _] = both(&store);
    rows.index(names()).unwrap().build().unwrap();
    for isolation in [Isolation::Serializable, Isolation::Snapshot] {
        let options = TransactionOptions::new().isolation(isolation);
        let (one, other) = (store.begin_with(options).unwrap(), store.begin_with(options).unwrap());
        one.put(&rows, "1", format!("@{isolation:?}")).unwrap();
        other.put(&rows, "2", format!("@{isolation:?}")).unwrap();
        one.commit().unwrap();
        assert_eq!(other.commit().unwrap_err().kind(), ErrorKind::Conflict);
        rows.delete("1").unwrap();
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

/// An entry was among the writes before its row was, and the bound was met between them.
#[test]
fn a_transaction_that_outgrows_its_bound_keeps_rows_and_entries_together() {
    let (_directory, store) = store();
    let [rows, _] = both(&store);
    let index = rows.index(words()).unwrap();
    index.build().unwrap();
    for bytes_max in (4096..4700).step_by(13) {
        rows.delete_range(..).unwrap();
        let options = TransactionOptions::new().bytes_max(bytes_max);
        let transaction = store.begin_with(options).unwrap();
        let put = |n| transaction.put(&rows, format!("k{n}"), format!("some words {n}"));
        assert!((0..100).any(|n| put(n).is_err()), "{bytes_max}");
        transaction.commit().unwrap();
        check(&index);
    }
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
fn statistics_say_what_it_occupies_and_how_far_it_is() {
    let (directory, store) = store();
    let of = |store: &Store| {
        let stats = store.stats().unwrap();
        let mut keyspaces = stats.keyspaces.into_iter();
        keyspaces.find(|keyspace| keyspace.name == "hash").unwrap().indexes
    };
    let [rows, _] = both(&store);
    assert!(of(&store).is_empty());
    (0..100).for_each(|n| rows.put(format!("{n:02}"), "@one two").unwrap());
    let index = rows.index(words()).unwrap();
    let stats = &of(&store)[0];
    assert_eq!(
        (&*stats.name, stats.state, stats.declared),
        ("words", IndexState::Incomplete, true)
    );
    assert_eq!((stats.version, stats.unique, stats.rows_passed), (Some(1), Some(false), 0));
    index.build().unwrap();
    rows.index(IndexSpec::new("keys", 7, |key, _| [key.to_vec()]).unique()).unwrap();
    store.flush().unwrap();
    let [words_stats, keys] = &of(&store)[..] else { panic!("two") };
    assert_eq!((words_stats.state, words_stats.rows_passed), (IndexState::Complete, 100));
    assert_eq!(words_stats.entries_estimated, 200);
    assert!(words_stats.bytes_on_disk > 0);
    assert_eq!(
        (keys.state, keys.version, keys.unique),
        (IndexState::Incomplete, Some(7), Some(true))
    );
    drop((rows, index, store));
    // What is known without the functions.
    let store = reopen(&directory);
    let [words_stats, keys] = &of(&store)[..] else { panic!("two") };
    let known = (words_stats.state, words_stats.version, words_stats.unique, words_stats.declared);
    assert_eq!(known, (IndexState::Complete, Some(1), Some(false), false));
    assert_eq!((keys.state, keys.version, keys.unique), (IndexState::Incomplete, None, None));
}

#[test]
fn a_build_names_rows_that_cannot_be_unique() {
    let (_directory, store) = store();
    let [rows, _] = both(&store);
    for n in 0..100 {
        rows.put(format!("{n:02}"), format!("@{}", n % 99)).unwrap();
    }
    let index = rows.index(names()).unwrap();
    let error = index.build().unwrap_err();
    let (index_key, one, other) = taken(&error);
    let pair: BTreeSet<_> = [one, other].into();
    assert_eq!((&*index_key, pair), (&b"0"[..], [b"00".to_vec(), b"99".to_vec()].into()));
    assert!(!index.is_ready());
    assert_eq!(index.keys("0").unwrap_err().kind(), ErrorKind::Busy);
    // Each of the two rows gives up only what is its own.
    rows.delete("00").unwrap();
    index.build().unwrap();
    assert_eq!(index.keys("0").unwrap(), [b"99"]);
    assert_eq!(index.scan(..).unwrap().count(), 99);
    assert!(index.verify().unwrap().is_sound());
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
fn a_transaction_that_is_older_than_an_index_is_run_again() {
    let (_directory, store) = store();
    let [rows, range] = both(&store);
    let (early, written) = (store.begin().unwrap(), store.begin().unwrap());
    written.put(&rows, "a", "x").unwrap();
    let index = rows.index(names()).unwrap();
    index.build().unwrap();
    assert_eq!(early.put(&rows, "b", "@y").unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(written.put(&rows, "b", "@y").unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(written.commit().unwrap_err().kind(), ErrorKind::Conflict);
    early.put(&range, "a", "x").unwrap();
    early.commit().unwrap();
    // Another version, and none.
    let written = store.begin().unwrap();
    written.put(&rows, "a", "@z").unwrap();
    let other = IndexSpec::new("names", 2, |_key, value| [value.to_vec()]);
    let index = rows.index(other).unwrap();
    assert_eq!(written.commit().unwrap_err().kind(), ErrorKind::Conflict);
    index.build().unwrap();
    let written = store.begin().unwrap();
    written.put(&rows, "a", "@z").unwrap();
    rows.drop_index("names").unwrap();
    assert_eq!(written.commit().unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(index.keys("x").unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(rows.count().unwrap(), 0);
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
