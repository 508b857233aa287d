//! Transactions write rows and entries together, and meet a conflict where their plan is not true any
//! more.

use super::{check, names, words};
use crate::basic::{both, store};
use annulus::index::IndexSpec;
use annulus::{ErrorKind, Isolation, TransactionOptions};

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
