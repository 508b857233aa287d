//! Indexes: lookups, and entries and rows as streams, which are read in portions.

use super::{open, rows, run, until};
use annulus::index::IndexSpec;
use annulus::{Batch, ErrorKind, IndexEntry, IndexRow, Result, ScanOptions};
use annulus_tokio::{Index, IndexRows, IndexScan, Keyspace, PoolOptions, Store};

/// More than one portion has, and many rows of one index key among them.
const ROWS: u32 = 9000;

fn words() -> IndexSpec {
    IndexSpec::new("words", 1, |_key, value| {
        value.split(|byte| *byte == b' ').map(<[u8]>::to_vec).collect::<Vec<_>>()
    })
}

async fn indexed(store: &Store) -> (Keyspace, Index) {
    let rows = rows(store, "rows").await;
    let mut batch = Batch::new();
    for n in 0..ROWS {
        batch.put(rows.blocking(), format!("{n:05}"), format!("all {:03}", n % 700));
    }
    store.write(batch).await.unwrap();
    let index = rows.index(words()).await.unwrap();
    assert_eq!(index.keys("all").await.unwrap_err().kind(), ErrorKind::Busy);
    index.build().await.unwrap();
    assert!(index.progress().ready && index.verify().await.unwrap().is_sound());
    (rows, index)
}

async fn entries(mut scan: IndexScan) -> Vec<IndexEntry> {
    let mut entries = Vec::new();
    while let Some(entry) = scan.next().await {
        entries.push(entry.unwrap());
    }
    entries
}

async fn found(mut rows: IndexRows) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    while let Some(row) = rows.next().await {
        let IndexRow { index_key, key, .. } = row.unwrap();
        found.push((index_key, key));
    }
    found
}

fn direct<'a>(rows: impl Iterator<Item = Result<IndexRow>> + 'a) -> Vec<(Vec<u8>, Vec<u8>)> {
    rows.map(Result::unwrap).map(|row| (row.index_key, row.key)).collect()
}

#[test]
fn streams_have_what_the_blocking_handle_finds_in_portions() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let options = PoolOptions::new().threads(1).in_flight_max(1);
        let store = open(&directory.path().join("store"), options).await;
        let (rows, index) = indexed(&store).await;
        let blocking = index.blocking();
        let (forward, reverse) = (ScanOptions::new(), ScanOptions::new().reverse(true));
        for options in [forward, reverse, forward.limit(5000), reverse.limit(64), reverse.limit(0)]
        {
            let all: Vec<_> =
                blocking.scan_with(.., options).unwrap().map(Result::unwrap).collect();
            assert_eq!(entries(index.scan_with(.., options).await.unwrap()).await, all);
            let of_all = || "all"..="all";
            let expected = direct(blocking.rows_with(of_all(), options).unwrap());
            assert_eq!(found(index.rows_with(of_all(), options).await.unwrap()).await, expected);
            let expected = direct(blocking.rows_with("100".."650", options).unwrap());
            let range = || "100".to_owned().."650".to_owned();
            assert_eq!(found(index.rows_with(range(), options).await.unwrap()).await, expected);
        }
        assert_eq!(index.keys("004").await.unwrap().len(), 13);
        assert_eq!(index.row("699").await.unwrap().unwrap().0, b"00699");
        let inverted = index.scan("b".."a").await.unwrap_err();
        assert_eq!(inverted.kind(), ErrorKind::InvalidArgument);

        // While a stream is not polled it occupies nothing, and what is written is seen or not.
        let mut open: Vec<IndexRows> = Vec::new();
        for _ in 0..20 {
            open.push(index.rows(..).await.unwrap());
        }
        until(|| store.pool_stats().in_flight == 0).await;
        let snapshot = store.snapshot().await.unwrap();
        rows.delete_range("00500"..).await.unwrap();
        let mut stream = open.pop().unwrap();
        let mut read = 0;
        while let Some(row) = stream.next().await {
            let IndexRow { key, .. } = row.unwrap();
            read += 1;
            // Up to the end of its first portion it has read what was there.
            assert!(read <= 64 || *key < b"00500"[..], "{key:?}");
        }
        // Of the first five index keys that portion had all rows; `all` comes last.
        assert_eq!(read, 64 + 495 + 500);
        let then = found(index.rows_at(&snapshot, .., forward).await.unwrap()).await;
        assert_eq!(then, direct(blocking.at(snapshot.blocking()).rows(..).unwrap()));
        assert_eq!(then.len(), 2 * ROWS as usize);
        store.shutdown().await.unwrap();
    });
}

/// The next page of a list, on either handle.
#[test]
fn a_page_begins_after_the_one_before() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let store = open(&directory.path().join("store"), PoolOptions::new()).await;
        let (_, index) = indexed(&store).await;
        let index = index.blocking();
        for options in [ScanOptions::new(), ScanOptions::new().reverse(true)] {
            let range = "010".."020";
            let all: Vec<_> =
                index.scan_with(range.clone(), options).unwrap().map(Result::unwrap).collect();
            for at in [0, 1, all.len() / 2, all.len() - 1] {
                let last = (&all[at].index_key, &all[at].key);
                let page = index.scan_after(range.clone(), last, options.limit(7)).unwrap();
                let page: Vec<_> = page.map(Result::unwrap).collect();
                assert_eq!(page, all[at + 1..all.len().min(at + 8)]);
                let rows = direct(index.rows_after(range.clone(), last, options).unwrap());
                assert_eq!(rows.len(), all.len() - at - 1);
            }
            // An entry that is not there, before the range, in it, and after it.
            let count = |key: &str| {
                let after = index.scan_after(range.clone(), (key, "00017x"), options).unwrap();
                after.count()
            };
            let counts = ["000", "017", "100"].map(count);
            let before_017 = all.iter().filter(|entry| *entry.index_key < b"017"[..]).count();
            // Of index key 017, row 00017 comes before it.
            let rest = all.len() - before_017 - 1;
            match options.reverse {
                false => assert_eq!(counts, [all.len(), rest, 0]),
                true => assert_eq!(counts, [0, before_017 + 1, all.len()]),
            }
        }
        store.shutdown().await.unwrap();
    });
}

#[test]
fn typed_indexes_find_typed_rows() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let store = open(&directory.path().join("store"), PoolOptions::new()).await;
        let users = rows(&store, "users").await.typed::<u64, (String, u16)>();
        let by_name =
            users.unique_index("by_name", 1, |_, (name, _)| [name.clone()]).await.unwrap();
        let by_year = users.index("by_year", 1, |_, (_, born)| [*born]).await.unwrap();
        by_name.index().build().await.unwrap();
        by_year.index().build().await.unwrap();
        for n in 0..500_u64 {
            users.put(n, &(format!("user {n}"), 1900 + (n % 50) as u16)).await.unwrap();
        }
        let taken = users.put(999, &("user 7".to_owned(), 1900)).await.unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
        assert_eq!(by_name.row("user 7").await.unwrap().unwrap().0, 7);
        assert_eq!(
            by_year.keys(1907).await.unwrap(),
            (0..10).map(|n| 7 + 50 * n).collect::<Vec<_>>()
        );
        let snapshot = store.snapshot().await.unwrap();
        users.delete_range(0..250).await.unwrap();
        let mut rows = by_year.rows(1910..1920).await.unwrap();
        let mut seen = 0;
        while let Some(row) = rows.next().await {
            let (born, id, (name, year)) = row.unwrap();
            assert!(born == year && name == format!("user {id}") && id >= 250);
            seen += 1;
        }
        assert_eq!(seen, 50);
        let newest = ScanOptions::new().reverse(true).limit(1);
        let mut then = by_year.rows_at(&snapshot, .., newest).await.unwrap();
        assert_eq!(then.next().await.unwrap().unwrap().1, 499);
        assert!(then.next().await.is_none());
        let mut entries = by_year.scan(1900..=1900).await.unwrap();
        assert_eq!(entries.next().await.unwrap().unwrap(), (1900, 250));
        users.keyspace().drop_index("by_year").await.unwrap();
        assert!(by_year.keys(1900).await.is_err());
        store.shutdown().await.unwrap();
    });
}
