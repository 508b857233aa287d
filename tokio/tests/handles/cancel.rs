//! Futures that are dropped leave an operation done or not done.

use super::{occupy, open, rows, run, seed, until};
use annulus::Durability;
use annulus_tokio::{Keyspace, PoolOptions, Store};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[test]
fn what_no_thread_has_taken_is_not_done() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    run(async {
        let options = PoolOptions::new().threads(1).in_flight_max(2);
        let store = open(&path, options).await;
        let rows = rows(&store, "rows").await;
        let occupied = occupy(&store).await;
        // The first has a place, the second waits for one.
        for key in ["has a place", "waits"] {
            let (handle, before) = (rows.clone(), store.pool_stats());
            // A synced one takes a thread.
            let put = async move { handle.put_with(key, "", Durability::Synced).await };
            let put = tokio::spawn(put);
            until(|| store.pool_stats() != before).await;
            put.abort();
            assert!(put.await.unwrap_err().is_cancelled());
        }
        drop(occupied);
        rows.put("after", "").await.unwrap();
        let mut left = rows.scan(..).await.unwrap();
        assert_eq!(left.next().await.unwrap().unwrap().0, b"after");
        assert!(left.next().await.is_none());
        store.shutdown().await.unwrap();
    });
}

#[test]
fn what_a_thread_has_begun_is_done() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    run(async {
        let store = open(&path, PoolOptions::new().threads(1)).await;
        let rows = rows(&store, "rows").await;
        let (begin, mut begun) = tokio::sync::mpsc::unbounded_channel();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let (handle, tasks_store) = (rows.blocking().clone(), store.clone());
        let transaction = tokio::spawn(async move {
            let run = move |tx: &annulus::Transaction| {
                tx.put(&handle, "one", "")?;
                let _ = begin.send(());
                let _ = released.recv();
                tx.put(&handle, "two", "")
            };
            tasks_store.transact(run).await
        });
        begun.recv().await.unwrap();
        transaction.abort();
        assert!(transaction.await.unwrap_err().is_cancelled());
        assert!(!rows.contains("one").await.unwrap());
        drop(release);
        // Also when it is shut down meanwhile.
        store.shutdown().await.unwrap();
    });
    run(async {
        let store = open(&path, PoolOptions::new()).await;
        let rows = rows(&store, "rows").await;
        assert!(rows.contains("one").await.unwrap() && rows.contains("two").await.unwrap());
    });
}

/// What a task knows of its two keys, which transactions set to the same number.
#[derive(Default)]
struct Model {
    /// The largest number that was acknowledged.
    acknowledged: u64,
    /// Those whose future was dropped, and which may be there.
    dropped: BTreeSet<u64>,
}

impl Model {
    fn check(&self, found: u64) {
        let known = found == self.acknowledged || self.dropped.contains(&found);
        assert!(known && found >= self.acknowledged, "{found}, of {}", self.acknowledged);
    }
}

/// One task: transactions with growing numbers, of which some are dropped at some moment.
async fn transact_and_drop(
    store: Store,
    [left, right]: [Keyspace; 2],
    key: String,
    mut random: fastrand::Rng,
    effects: Arc<AtomicU64>,
) -> (String, Model) {
    let mut model = Model::default();
    for n in 1..=120_u64 {
        let (one, other) = (left.blocking().clone(), right.blocking().clone());
        let (name, count) = (key.clone(), Arc::clone(&effects));
        // A number may come after a later one that overtook it: only a larger one is written.
        let transaction = store.transact(move |tx| {
            let present = tx.get(&one, &name)?.map_or(0, |value| number(&value));
            if n > present {
                tx.put(&one, &name, n.to_be_bytes())?;
                tx.put(&other, &name, n.to_be_bytes())?;
            }
            count.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        let time = match random.u32(0..4) {
            0 => Duration::ZERO,
            1 | 2 => Duration::from_micros(random.u64(0..2000)),
            _ => super::HANGS,
        };
        tokio::select! {
            biased;
            done = transaction => {
                done.unwrap();
                model.acknowledged = n;
            }
            () = tokio::time::sleep(time) => {
                model.dropped.insert(n);
            }
        }
        if random.u8(0..4) == 0 {
            let snapshot = store.snapshot().await.unwrap();
            let both = [&left, &right].map(|keyspace| snapshot.get(keyspace, &key));
            let [one, other] = both;
            let (one, other) = (one.await.unwrap(), other.await.unwrap());
            assert_eq!(one.as_deref(), other.as_deref(), "half of a transaction");
            model.check(one.map_or(0, |value| number(&value)));
        }
    }
    (key, model)
}

fn number(value: &[u8]) -> u64 {
    u64::from_be_bytes(value.try_into().unwrap())
}

#[test]
fn a_transaction_that_is_dropped_at_any_moment_is_whole_or_not_there() {
    let mut random = fastrand::Rng::with_seed(seed());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let effects = Arc::new(AtomicU64::new(0));
    let models = run(async {
        let options = PoolOptions::new().threads(3).in_flight_max(12);
        let store = open(&path, options).await;
        let keyspaces = [rows(&store, "left").await, rows(&store, "right").await];
        let tasks: Vec<_> = (0..40)
            .map(|task| {
                let keyspaces = keyspaces.clone();
                let (key, random) = (format!("task {task}"), random.fork());
                let effects = Arc::clone(&effects);
                tokio::spawn(transact_and_drop(store.clone(), keyspaces, key, random, effects))
            })
            .collect();
        let mut models = Vec::new();
        for task in tasks {
            models.push(task.await.unwrap());
        }
        store.shutdown().await.unwrap();
        models
    });
    let dropped: usize = models.iter().map(|(_, model)| model.dropped.len()).sum();
    assert!(dropped > 100, "only {dropped} were dropped");
    // Some were begun, and others never were.
    assert!(effects.load(Ordering::Relaxed) < 40 * 120, "each was run");
    run(async {
        let store = open(&path, PoolOptions::new()).await;
        let keyspaces = [rows(&store, "left").await, rows(&store, "right").await];
        for (key, model) in models {
            let one = keyspaces[0].get(&key).await.unwrap();
            assert_eq!(one.as_deref(), keyspaces[1].get(&key).await.unwrap().as_deref());
            model.check(one.map_or(0, |value| number(&value)));
        }
    });
}
