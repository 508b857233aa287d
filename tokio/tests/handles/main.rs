//! The handles for tasks, in one binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod cancel;
mod changes;
mod index;
mod pool;
mod queue;
mod reads;
mod scans;
mod shutdown;
mod typed;
mod writes;

use annulus::topology::KeyspaceSpec;
use annulus_tokio::{Keyspace, PoolOptions, Store};
use std::future::Future;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Long enough for what has to come; a test that waits so long has failed.
const HANGS: Duration = Duration::from_secs(60);

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Runs a test; fails it instead of hanging.
fn run<T>(test: impl Future<Output = T>) -> T {
    runtime().block_on(async { tokio::time::timeout(HANGS, test).await.expect("it hangs") })
}

fn seed() -> u64 {
    let seed = std::env::var("ANNULUS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("ANNULUS_SEED={seed}");
    seed
}

async fn open(path: &Path, options: PoolOptions) -> Store {
    Store::open_with(annulus::Store::builder(path).shards(2), options).await.unwrap()
}

async fn rows(store: &Store, name: &str) -> Keyspace {
    store.keyspace_or_create(name, KeyspaceSpec::hash()).await.unwrap()
}

/// Occupies a thread of the pool until the result is dropped.
async fn occupy(store: &Store) -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel::<()>();
    let (begin, begun) = tokio::sync::oneshot::channel();
    let store = store.clone();
    tokio::spawn(async move {
        let wait = move |_: &annulus::Store| {
            let _ = begin.send(());
            let _ = released.recv();
            Ok(())
        };
        store.run(wait).await
    });
    begun.await.unwrap();
    release
}

/// Waits until something holds.
async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
