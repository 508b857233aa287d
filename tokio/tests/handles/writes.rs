//! Buffered puts and deletes that need not wait are made in the task; others take a thread.

use super::{occupy, open, rows, run, until};
use annulus::index::IndexSpec;
use annulus::{Durability, ErrorKind};
use annulus_tokio::PoolOptions;

#[test]
fn what_need_not_wait_needs_no_thread_and_the_rest_does() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let options = PoolOptions::new().threads(1).in_flight_max(1);
        let store = open(&directory.path().join("store"), options).await;
        let (plain, indexed) = (rows(&store, "rows").await, rows(&store, "indexed").await);
        indexed.index(IndexSpec::new("values", 1, |_, value| [value.to_vec()])).await.unwrap();
        let occupied = occupy(&store).await;
        for n in 0..1000_u32 {
            plain.put(n.to_string(), "").await.unwrap();
            if n % 2 == 0 {
                plain.delete(n.to_string()).await.unwrap();
            }
        }
        let puts: Vec<_> = [(&plain, Durability::Synced), (&indexed, Durability::Buffered)]
            .into_iter()
            .map(|(rows, durability)| {
                let rows = rows.clone();
                tokio::spawn(async move { rows.put_with("waits", "", durability).await })
            })
            .collect();
        until(|| store.pool_stats().waiting == 2).await;
        assert!(!plain.contains("waits").await.unwrap());
        drop(occupied);
        for put in puts {
            put.await.unwrap().unwrap();
        }
        assert_eq!((plain.count().await.unwrap(), indexed.count().await.unwrap()), (501, 1));
        store.shutdown().await.unwrap();
        assert_eq!(plain.put("late", "").await.unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(plain.delete("1").await.unwrap_err().kind(), ErrorKind::Closed);
    });
}

/// A loop of puts lets other tasks of its thread run.
#[test]
fn a_loop_of_puts_does_not_starve_other_tasks() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let other_ran = runtime.block_on(async {
        let store = open(&directory.path().join("store"), PoolOptions::new()).await;
        let rows = rows(&store, "rows").await;
        let other = tokio::spawn(async {});
        tokio::spawn(async move {
            for n in 0..100_000_u32 {
                rows.put(n.to_string(), "").await.unwrap();
                if other.is_finished() {
                    return true;
                }
            }
            false
        })
        .await
        .unwrap()
    });
    assert!(other_ran);
}
