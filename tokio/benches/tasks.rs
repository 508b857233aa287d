//! What the handles for tasks cost: the same work by 1, 64 and 10,000 tasks, through them and directly.
//!
//! ```text
//! cargo bench --package annulus-tokio --bench tasks                 everything, about two minutes
//! cargo bench --package annulus-tokio --bench tasks -- get          only what has this in its name
//! cargo bench --package annulus-tokio --bench tasks -- --quick      short rounds, to see whether it runs
//! ```
//!
//! Two sides in turns, on one runtime with a thread for each processor; medians with 95 % intervals.
//!
//! `get`: rows that are in the block cache. `direct` calls the blocking handle in the task, which is
//! what a task may do only because the rows are cached; `spawn_blocking` calls it on tokio's threads
//! for blocking work, which is what it has to do otherwise. `put`: buffered and synced; `threads` are
//! as many threads as the pool has, on the blocking handle.
//!
//! Besides the ratio of operations a second, the ratio of processor time for each operation: below 1
//! the handle for tasks takes less.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a bench"
)]

#[path = "../../benches/support/turns.rs"]
mod turns;

use annulus::topology::KeyspaceSpec;
use annulus::{Durability, Options};
use annulus_tokio::{Keyspace, PoolOptions, Store};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use turns::{Measured, Measuring};

const ROWS: u64 = 100_000;
const TASKS: [usize; 3] = [1, 64, 10_000];
const POOL_THREADS: usize = 16;
/// A task lets others run after this many operations, whatever they are.
const ROUND: u64 = 32;

/// Who does an operation.
#[derive(Clone, Copy)]
enum Side {
    Get,
    GetDirect,
    GetSpawnBlocking,
    Put(Durability),
}

/// When a turn is over, and what was done in it.
#[derive(Default)]
struct Turn {
    over: AtomicBool,
    done: AtomicU64,
}

struct Bench {
    runtime: Runtime,
    rows: Keyspace,
    turn: Duration,
    turns: usize,
    filters: Vec<String>,
}

fn key(n: u64) -> [u8; 16] {
    let mut key = [b'k'; 16];
    key[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    key
}

impl Side {
    async fn operate(self, rows: &Keyspace, n: u64) {
        match self {
            Self::Get => assert!(rows.get(key(n)).await.unwrap().is_some()),
            Self::GetDirect => assert!(rows.blocking().get(key(n)).unwrap().is_some()),
            Self::GetSpawnBlocking => {
                let rows = rows.blocking().clone();
                let get = tokio::task::spawn_blocking(move || rows.get(key(n)).unwrap().is_some());
                assert!(get.await.unwrap());
            }
            Self::Put(durability) => rows.put_with(key(n), [7; 200], durability).await.unwrap(),
        }
    }

    /// What each task does until the turn is over.
    async fn repeat(self, rows: Keyspace, seed: u64, turn: Arc<Turn>) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut done = 0;
        while !turn.over.load(Ordering::Relaxed) {
            self.operate(&rows, random.u64(..ROWS)).await;
            done += 1;
            if done % ROUND == 0 {
                tokio::task::yield_now().await;
            }
        }
        turn.done.fetch_add(done, Ordering::Relaxed);
    }
}

impl Bench {
    /// Measures one turn of what `begin` starts, until `end` has seen it end.
    fn measure<T>(&self, begin: impl FnOnce(&Arc<Turn>) -> T, end: impl FnOnce(T)) -> Measured {
        let turn = Arc::new(Turn::default());
        let measuring = Measuring::begin();
        let started = begin(&turn);
        std::thread::sleep(self.turn);
        turn.over.store(true, Ordering::Relaxed);
        end(started);
        measuring.end(turn.done.load(Ordering::Relaxed))
    }

    fn tasks(&self, side: Side, tasks: usize) -> Measured {
        self.measure(
            |turn| {
                let repeat = |seed| side.repeat(self.rows.clone(), seed as u64, Arc::clone(turn));
                (0..tasks).map(|seed| self.runtime.spawn(repeat(seed))).collect::<Vec<_>>()
            },
            |tasks| {
                self.runtime.block_on(async {
                    for task in tasks {
                        task.await.unwrap();
                    }
                });
            },
        )
    }

    fn threads(&self, durability: Durability, threads: usize) -> Measured {
        let put = |seed, turn: Arc<Turn>| {
            let rows = self.rows.blocking().clone();
            move || {
                let (mut random, mut done) = (fastrand::Rng::with_seed(seed), 0);
                while !turn.over.load(Ordering::Relaxed) {
                    rows.put_with(key(random.u64(..ROWS)), [7; 200], durability).unwrap();
                    done += 1;
                }
                turn.done.fetch_add(done, Ordering::Relaxed);
            }
        };
        self.measure(
            |turn| {
                let start = |seed| std::thread::spawn(put(seed as u64, Arc::clone(turn)));
                (0..threads).map(start).collect::<Vec<_>>()
            },
            |threads| threads.into_iter().for_each(|thread| thread.join().unwrap()),
        )
    }

    fn compare(
        &self,
        name: &str,
        one: impl Fn(&Self) -> Measured,
        other: impl Fn(&Self) -> Measured,
    ) {
        if !self.filters.is_empty() && !self.filters.iter().any(|filter| name.contains(filter)) {
            return;
        }
        turns::compare(self.turns, name, "op/s", |_| one(self), |_| other(self));
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let quick = arguments.iter().any(|a| a == "--quick" || a == "--test");
    let (turn, turns) = if quick { (20, 4) } else { (300, 30) };
    let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    // Without the cache of hot keys, which would answer in place of what is measured.
    let options = Options::new().hot_cache_bytes(0).cache_bytes(512 << 20);
    let builder = annulus::Store::builder(directory.path().join("store")).options(options);
    let pool = PoolOptions::new().threads(POOL_THREADS).in_flight_max(1024);
    let (store, rows) = runtime.block_on(async {
        let store = Store::open_with(builder, pool).await.unwrap();
        let spec = KeyspaceSpec::hash().arcs_per_shard(4);
        let rows = store.keyspace_or_create("rows", spec).await.unwrap();
        (store, rows)
    });
    for n in 0..ROWS {
        rows.blocking().put_with(key(n), [7; 200], Durability::Buffered).unwrap();
    }
    store.blocking().flush().unwrap();
    assert_eq!((0..ROWS).filter(|n| rows.blocking().get(key(*n)).unwrap().is_none()).count(), 0);
    let filters = arguments.into_iter().filter(|a| !a.starts_with("--")).collect();
    let turn = Duration::from_millis(turn);
    let bench = Bench { runtime, rows, turn, turns, filters };
    for tasks in TASKS {
        let get = |bench: &Bench| bench.tasks(Side::Get, tasks);
        bench.compare(&format!("get, {tasks} tasks / direct"), get, |bench| {
            bench.tasks(Side::GetDirect, tasks)
        });
        bench.compare(&format!("get, {tasks} tasks / spawn_blocking"), get, |bench| {
            bench.tasks(Side::GetSpawnBlocking, tasks)
        });
    }
    for (kind, durability) in [("buffered", Durability::Buffered), ("synced", Durability::Synced)] {
        for tasks in TASKS {
            let threads = tasks.min(POOL_THREADS);
            bench.compare(
                &format!("put, {kind}, {tasks} tasks / {threads} threads"),
                |bench| bench.tasks(Side::Put(durability), tasks),
                |bench| bench.threads(durability, threads),
            );
        }
    }
    bench.runtime.block_on(store.shutdown()).unwrap();
}
