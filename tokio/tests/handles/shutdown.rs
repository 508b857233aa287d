//! A shutdown under load: what was acknowledged is there, what was refused is not, and nothing runs
//! afterwards.

use super::{open, rows, run, seed};
use annulus::{Durability, ErrorKind};
use annulus_tokio::{PoolOptions, Store};
use std::collections::BTreeSet;
use std::time::Duration;

#[test]
fn a_shutdown_at_any_moment_finishes_what_has_a_place_and_refuses_the_rest() {
    let mut random = fastrand::Rng::with_seed(seed());
    let directory = tempfile::tempdir().unwrap();
    for round in 0..6 {
        let path = directory.path().join(format!("store {round}"));
        let wait = Duration::from_micros(random.u64(0..30_000));
        let mut acknowledged = BTreeSet::new();
        run(async {
            let options = PoolOptions::new().threads(4).in_flight_max(16);
            let store = open(&path, options).await;
            let rows = rows(&store, "rows").await;
            let tasks: Vec<_> = (0..100)
                .map(|task| {
                    let rows = rows.clone();
                    tokio::spawn(async move {
                        let mut done = Vec::new();
                        for n in 0.. {
                            let key = format!("{task}/{n}");
                            let durability = match n % 8 {
                                0 => Durability::Synced,
                                _ => Durability::Buffered,
                            };
                            match rows.put_with(&key, "", durability).await {
                                Ok(()) => done.push(key.into_bytes()),
                                Err(error) => {
                                    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
                                    break;
                                }
                            }
                        }
                        done
                    })
                })
                .collect();
            tokio::time::sleep(wait).await;
            // Two at a time: both wait for the end.
            let (one, other) = tokio::join!(store.shutdown(), store.shutdown());
            one.unwrap();
            other.unwrap();
            assert_eq!(store.pool_stats().threads, 0);
            for task in tasks {
                acknowledged.extend(task.await.unwrap());
            }
            let refused = rows.get("0/0").await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Closed);
        });
        let store = annulus::Store::open(&path).unwrap();
        let there = store.keyspace("rows").unwrap().scan(..).unwrap();
        let there: BTreeSet<Vec<u8>> = there.map(|row| row.unwrap().0).collect();
        assert!(there == acknowledged, "{} rows, {} puts", there.len(), acknowledged.len());
    }
}

/// The directory is free again when the last handle is dropped and what it had admitted has ended,
/// without a shutdown.
#[test]
fn a_store_that_is_dropped_in_a_task_lets_its_directory_go() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    run(async {
        for n in 0..3_u32 {
            let store = loop {
                match Store::open_with(annulus::Store::builder(&path), PoolOptions::new()).await {
                    Err(error) if error.kind() == ErrorKind::InUse => {
                        tokio::task::yield_now().await
                    }
                    opened => break opened.unwrap(),
                }
            };
            let rows = rows(&store, "rows").await;
            assert_eq!(rows.add("openings", 1).await.unwrap(), i64::from(n) + 1);
        }
    });
}
