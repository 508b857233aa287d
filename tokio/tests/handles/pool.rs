//! The bounds of the pool: how many run, how many have a place, how many wait, and what is refused.

use super::{occupy, open, rows, run, until};
use annulus::{Durability, ErrorKind};
use annulus_tokio::{PoolOptions, Store};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const SYNCED: Durability = Durability::Synced;

#[test]
fn a_full_pool_makes_tasks_wait_and_a_full_queue_refuses_them() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let options = PoolOptions::new().threads(2).in_flight_max(4).waiting_max(8);
        let store = open(&directory.path().join("store"), options).await;
        let rows = rows(&store, "rows").await;
        rows.put("there", "1").await.unwrap();
        let occupied = [occupy(&store).await, occupy(&store).await];
        let mut puts: Vec<_> = (0..10_u32)
            .map(|n| {
                let rows = rows.clone();
                // A synced one takes a thread.
                tokio::spawn(async move { rows.put_with(n.to_string(), "", SYNCED).await })
            })
            .collect();
        until(|| store.pool_stats().waiting == 8).await;
        let stats = store.pool_stats();
        assert_eq!((stats.threads, stats.in_flight), (2, 4));
        let refused = rows.put_with("refused", "", SYNCED).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Busy, "{refused}");
        assert!(refused.is_retryable());
        // Memory has it: no place is needed.
        assert_eq!(rows.get("there").await.unwrap().unwrap(), "1");
        // One that waits gives up, which makes room for another.
        puts.pop().unwrap().abort();
        until(|| store.pool_stats().waiting == 7).await;
        let last = tokio::spawn({
            let rows = rows.clone();
            async move { rows.put_with("last", "", SYNCED).await }
        });
        until(|| store.pool_stats().waiting == 8).await;
        drop(occupied);
        for put in puts {
            put.await.unwrap().unwrap();
        }
        last.await.unwrap().unwrap();
        until(|| store.pool_stats().in_flight == 0).await;
        assert_eq!(store.pool_stats().waiting, 0);
        for (key, there) in [("refused", false), ("9", false), ("8", true), ("last", true)] {
            assert_eq!(rows.contains(key).await.unwrap(), there, "{key}");
        }
        store.shutdown().await.unwrap();
    });
}

/// However many tasks there are, no more run at a time, and no more are in the pool, than it allows.
#[test]
fn ten_thousand_tasks_stay_within_the_bounds() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let options = PoolOptions::new().threads(3).in_flight_max(20);
        let store = open(&directory.path().join("store"), options).await;
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..10_000)
            .map(|_| {
                let (store, running, most) = (store.clone(), running.clone(), most.clone());
                tokio::spawn(async move {
                    let run = move |_: &annulus::Store| {
                        most.fetch_max(
                            running.fetch_add(1, Ordering::SeqCst) + 1,
                            Ordering::SeqCst,
                        );
                        std::thread::yield_now();
                        running.fetch_sub(1, Ordering::SeqCst);
                        Ok(())
                    };
                    let ran = store.run(run).await;
                    assert!(store.pool_stats().in_flight <= 20);
                    ran
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
        assert!(store.pool_stats().threads <= 3);
        store.shutdown().await.unwrap();
    });
}

#[test]
fn a_panic_of_a_closure_is_the_tasks_and_the_pool_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let store = open(&directory.path().join("store"), PoolOptions::new().threads(1)).await;
        let rows = rows(&store, "rows").await;
        for _ in 0..3 {
            let (store, handle) = (store.clone(), rows.blocking().clone());
            let panicked = tokio::spawn(async move {
                store
                    .transact(move |tx| -> annulus::Result<()> {
                        tx.put(&handle, "half", "")?;
                        panic!("as the test wants it")
                    })
                    .await
            });
            assert!(panicked.await.unwrap_err().is_panic());
        }
        assert!(!rows.contains("half").await.unwrap());
        rows.put("whole", "").await.unwrap();
        assert_eq!(store.pool_stats().threads, 1);
        store.shutdown().await.unwrap();
    });
}

/// A loop of reads that memory answers lets other tasks of its thread run.
#[test]
fn a_loop_of_reads_does_not_starve_other_tasks() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let other_ran = runtime.block_on(async {
        let store = open(&directory.path().join("store"), PoolOptions::new()).await;
        let rows = rows(&store, "rows").await;
        rows.put("key", "").await.unwrap();
        let other = tokio::spawn(tokio::time::sleep(Duration::ZERO));
        let reads = 1_000_000;
        tokio::spawn(async move {
            for _ in 0..reads {
                rows.get("key").await.unwrap();
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

#[test]
fn options_out_of_bounds_are_refused_with_what_to_do() {
    let path = std::path::PathBuf::from("/nowhere");
    for (options, says) in [
        (PoolOptions::new().threads(0), "threads is 0"),
        (PoolOptions::new().threads(8).in_flight_max(4), "in_flight_max is 4"),
        (PoolOptions::new().in_flight_max(usize::MAX), "cannot be counted"),
    ] {
        let open = Store::open_with(annulus::Store::builder(&path), options);
        let error = run(open).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(says), "{error}");
    }
}
