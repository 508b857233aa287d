//! Of two rows that want one index key of a unique index, the second is refused.

use super::names;
use crate::basic::{both, store};
use annulus::index::UniqueViolation;
use annulus::{Batch, ErrorKind, Isolation, TransactionOptions};
use std::collections::BTreeSet;
use std::error::Error as _;

pub(super) fn taken(error: &annulus::Error) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
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
