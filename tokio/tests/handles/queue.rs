//! Queues: workers that wait as tasks, and each job once.

use super::{HANGS, occupy, open, rows, run, until};
use annulus::ErrorKind;
use annulus::queue::QueueOptions;
use annulus_tokio::{PoolOptions, Queue, Store};
use std::time::Duration;

const JOBS: u32 = 300;

/// Sums up the payloads of jobs until there are none for a while; fails each third job once.
async fn work(store: Store, queue: Queue, sums: annulus::Keyspace) -> u32 {
    let mut done = 0;
    while let Some(lease) = queue.take_within(Duration::from_millis(500)).await.unwrap() {
        let n: i64 = String::from_utf8_lossy(lease.payload()).parse().unwrap();
        if n % 3 == 0 && lease.attempt() == 1 {
            queue.fail(&lease, "not yet").await.unwrap();
            continue;
        }
        let (jobs, sums) = (queue.blocking().clone(), sums.clone());
        let finish = move |tx: &annulus::Transaction| {
            tx.add(&sums, "all", n)?;
            jobs.finish_in(tx, &lease)
        };
        store.transact(finish).await.unwrap();
        done += 1;
    }
    done
}

#[test]
fn each_job_counts_once_and_workers_that_wait_occupy_nothing() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let options = PoolOptions::new().threads(2).in_flight_max(4);
        let store = open(&directory.path().join("store"), options).await;
        let sums = rows(&store, "sums").await;
        let options = QueueOptions::new().retry_after(Duration::from_millis(1));
        let queue = store.queue("jobs", options).await.unwrap();
        let workers: Vec<_> = (0..10)
            .map(|_| {
                let (store, queue) = (store.clone(), queue.clone());
                tokio::spawn(work(store, queue, sums.blocking().clone()))
            })
            .collect();
        // All of them wait, and threads and places are free.
        until(|| store.pool_stats().in_flight == 0 && store.pool_stats().waiting == 0).await;
        let (one, other) = (occupy(&store).await, occupy(&store).await);
        drop((one, other));
        for n in 0..JOBS {
            queue.push(n.to_string()).await.unwrap();
        }
        let mut done = 0;
        for worker in workers {
            done += worker.await.unwrap();
        }
        assert_eq!(done, JOBS);
        assert_eq!(sums.add("all", 0).await.unwrap(), i64::from(JOBS * (JOBS - 1) / 2));
        store.shutdown().await.unwrap();
    });
}

#[test]
fn a_push_is_noticed_at_once_and_the_end_of_the_time_too() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let store = open(&directory.path().join("store"), PoolOptions::new()).await;
        let queue = store.queue("jobs", QueueOptions::new()).await.unwrap();
        assert!(queue.take_within(Duration::from_millis(20)).await.unwrap().is_none());
        let waiting = queue.clone();
        let worker = tokio::spawn(async move { waiting.take_within(HANGS).await });
        queue.push("job").await.unwrap();
        assert_eq!(worker.await.unwrap().unwrap().unwrap().payload(), b"job");
        queue.push_after("later", Duration::from_secs(600)).await.unwrap();
        assert!(queue.take().await.unwrap().is_none());
        let waiting = queue.clone();
        let worker = tokio::spawn(async move { waiting.take_within(HANGS).await });
        tokio::time::sleep(Duration::from_millis(50)).await;
        store.shutdown().await.unwrap();
        assert_eq!(worker.await.unwrap().unwrap_err().kind(), ErrorKind::Closed);
    });
}

#[test]
fn leases_are_extended_and_dead_jobs_revived() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let store = open(&directory.path().join("store"), PoolOptions::new()).await;
        let options = QueueOptions::new().attempts_max(1);
        let queue = store.queue("jobs", options).await.unwrap();
        let id = queue.push("job").await.unwrap();
        let mut lease = queue.take().await.unwrap().unwrap();
        let before = lease.clone();
        tokio::time::sleep(Duration::from_millis(2)).await;
        queue.extend(&mut lease).await.unwrap();
        assert!(lease.until() > before.until());
        assert_eq!(queue.finish(&before).await.unwrap_err().kind(), ErrorKind::Gone);
        queue.fail(&lease, "no answer").await.unwrap();
        let mut dead = queue.dead().await.unwrap();
        let job = dead.next().await.unwrap().unwrap();
        assert_eq!(
            (job.id, job.reason.as_str(), job.payload.as_slice()),
            (id, "no answer", &b"job"[..])
        );
        assert!(dead.next().await.is_none());
        queue.revive(id).await.unwrap();
        let lease = queue.take().await.unwrap().unwrap();
        queue.finish(&lease).await.unwrap();
        assert_eq!(queue.revive(id).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(queue.remove_dead(id).await.unwrap_err().kind(), ErrorKind::NotFound);
        store.shutdown().await.unwrap();
    });
}
