//! Changes as streams: everything, in order; no thread while there is nothing; nothing is lost by a
//! `next` that is dropped.

use super::{open, rows, run, seed};
use annulus::changes::{Change, ChangesFrom, Commit, Watched};
use annulus::{Batch, Durability};
use annulus_tokio::{Changes, PoolOptions};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn keys(commit: &Commit) -> Vec<Vec<u8>> {
    commit.changes().map(|change| change.key().to_vec()).collect()
}

/// Takes the next commit; drops the future of some calls before it comes.
async fn next(changes: &mut Changes, random: &mut fastrand::Rng) -> Commit {
    loop {
        let time = Duration::from_micros(random.u64(0..300));
        tokio::select! {
            next = changes.next() => return next.unwrap().unwrap(),
            () = tokio::time::sleep(time) => {}
        }
    }
}

#[test]
fn every_commit_comes_once_and_in_order_though_calls_are_dropped() {
    let mut random = fastrand::Rng::with_seed(seed());
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let store = open(&directory.path().join("store"), PoolOptions::new().threads(2)).await;
        let rows = rows(&store, "rows").await;
        for durability in [Durability::Buffered, Durability::Synced] {
            let mut changes =
                store.changes(move |changes| changes.durability(durability)).await.unwrap();
            let (writer, puts) = (rows.clone(), 1500_u32);
            let writes = tokio::spawn(async move {
                for n in 0..puts {
                    writer.put(n.to_string(), "").await.unwrap();
                }
            });
            for n in 0..puts {
                let commit = next(&mut changes, &mut random).await;
                assert_eq!(keys(&commit), [n.to_string().into_bytes()]);
                assert_eq!(changes.watermark(), commit.end());
            }
            writes.await.unwrap();
        }
        store.shutdown().await.unwrap();
    });
}

/// With one thread, which none of the streams that wait may occupy.
#[test]
fn a_thousand_streams_wait_without_a_thread_and_all_are_woken() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let options = PoolOptions::new().threads(1).in_flight_max(1);
        let store = open(&directory.path().join("store"), options).await;
        let rows = rows(&store, "rows").await;
        let (served, mut waiting) = (Arc::new(AtomicUsize::new(0)), Vec::new());
        for n in 0..1000_u32 {
            let served = Arc::clone(&served);
            let mut watch = store.watch(&rows, "k").await.unwrap();
            let durability = if n % 2 == 0 { Durability::Synced } else { Durability::Buffered };
            let mut changes =
                store.changes(move |changes| changes.durability(durability)).await.unwrap();
            waiting.push(tokio::spawn(async move {
                let Some(Ok(Watched::Commit(commit))) = watch.next().await else { panic!("none") };
                let first = keys(&commit);
                let second = keys(&changes.next().await.unwrap().unwrap());
                served.fetch_add(1, Ordering::Relaxed);
                let over = changes.next().await.is_none() && watch.next().await.is_none();
                (first, second, over)
            }));
        }
        // Most of them have asked, found nothing, and wait.
        super::until(|| store.pool_stats().in_flight == 0).await;
        rows.put("key", "").await.unwrap();
        // No one syncs it but the streams that want it synced.
        super::until(|| served.load(Ordering::Relaxed) == 1000).await;
        // The end of the store ends those that wait again.
        store.shutdown().await.unwrap();
        for waits in waiting {
            let (first, second, over) = waits.await.unwrap();
            assert_eq!((first, second), (vec![b"key".to_vec()], vec![b"key".to_vec()]));
            assert!(over);
        }
    });
}

#[test]
fn a_consumer_that_commits_with_its_work_counts_each_commit_once() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let store = open(&directory.path().join("store"), PoolOptions::new()).await;
        let (orders, totals) = (rows(&store, "orders").await, rows(&store, "totals").await);
        let consumer = store.consumer_or_create("totals", ChangesFrom::Earliest).await.unwrap();
        for round in 0..5_u32 {
            for n in 0..40_u32 {
                orders.put(format!("{round}/{n}"), "").await.unwrap();
            }
            let handle = orders.blocking().clone();
            let mut changes =
                consumer.changes(move |changes| changes.keyspace(&handle)).await.unwrap();
            // What is left is read again by the next round.
            for _ in 0..(if round == 4 { 80 } else { 30 }) {
                let commit = changes.next().await.unwrap().unwrap();
                let puts = commit.changes().filter(|change| matches!(change, Change::Put { .. }));
                let mut batch = Batch::new();
                batch.add(totals.blocking(), "orders", puts.count() as i64);
                consumer.blocking().commit_in(&mut batch, commit.end());
                store.write(batch).await.unwrap();
            }
        }
        assert_eq!(totals.add("orders", 0).await.unwrap(), 200);
        assert_eq!(orders.count().await.unwrap(), 200);
        store.shutdown().await.unwrap();
    });
}
