//! Scans as streams: the rows of the blocking ones, in portions, and no thread while they are not
//! polled.

use super::{open, rows, run};
use annulus::{Batch, ErrorKind, ScanOptions};
use annulus_tokio::{Keyspace, PoolOptions, Scan, Store};

const ROWS: usize = 20_000;

async fn fill(store: &Store) -> Keyspace {
    let rows = rows(store, "rows").await;
    let mut batch = Batch::new();
    for n in 0..ROWS {
        batch.put(rows.blocking(), format!("{n:06}"), [b'v'; 50]);
    }
    store.write(batch).await.unwrap();
    rows
}

async fn keys(mut scan: Scan) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    while let Some(row) = scan.next().await {
        keys.push(row.unwrap().0);
    }
    assert!(scan.next().await.is_none());
    keys
}

#[test]
fn a_stream_has_the_rows_of_the_scan() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let store = open(&directory.path().join("store"), PoolOptions::new()).await;
        let rows = fill(&store).await;
        let direct = |scan: annulus::Scan| scan.map(|row| row.unwrap().0).collect::<Vec<_>>();
        let all = direct(rows.blocking().scan(..).unwrap());
        assert_eq!(all.len(), ROWS);
        assert_eq!(keys(rows.scan(..).await.unwrap()).await, all);
        let newest = ScanOptions::new().reverse(true).limit(3000);
        let last = direct(rows.blocking().scan_with(.., newest).unwrap());
        assert_eq!(keys(rows.scan_with(.., newest).await.unwrap()).await, last);
        assert_eq!(keys(rows.scan_prefix("0012").await.unwrap()).await, all[1200..1300]);
        let snapshot = store.snapshot().await.unwrap();
        rows.delete_range("000".."015").await.unwrap();
        assert_eq!(keys(snapshot.scan(&rows, ..).await.unwrap()).await, all);
        assert_eq!(keys(rows.scan(..).await.unwrap()).await, all[15_000..]);
        store.shutdown().await.unwrap();
    });
}

#[test]
fn streams_that_are_not_polled_occupy_nothing() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let options = PoolOptions::new().threads(1).in_flight_max(1);
        let store = open(&directory.path().join("store"), options).await;
        let rows = fill(&store).await;
        let mut scans = Vec::new();
        for _ in 0..50 {
            let mut scan = rows.scan(..).await.unwrap();
            assert_eq!(scan.next().await.unwrap().unwrap().0, b"000000");
            scans.push(scan);
        }
        super::until(|| store.pool_stats().in_flight == 0).await;
        // A portion was read, not everything.
        let read = format!("{:?}", scans[0]);
        assert!(read.contains("read_ahead: 63"), "{read}");
        rows.put("new", "").await.unwrap();
        // Those that go on see what they began with; the others are dropped halfway.
        for (n, mut scan) in scans.into_iter().enumerate() {
            if n % 10 == 0 {
                assert_eq!(keys(scan).await.len(), ROWS - 1);
            } else {
                for _ in 0..n * 20 {
                    scan.next().await.unwrap().unwrap();
                }
            }
        }
        store.shutdown().await.unwrap();
    });
}

#[test]
fn a_shutdown_ends_a_stream_with_an_error() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let store = open(&directory.path().join("store"), PoolOptions::new()).await;
        let rows = fill(&store).await;
        let mut scan = rows.scan(..).await.unwrap();
        store.shutdown().await.unwrap();
        let mut read = 0;
        let error = loop {
            match scan.next().await.expect("it must not look like the end") {
                Ok(_) => read += 1,
                Err(error) => break error,
            }
        };
        assert_eq!((read, error.kind()), (64, ErrorKind::Closed));
        assert!(scan.next().await.is_none());
    });
}
