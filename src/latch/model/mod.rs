//! The rules of this module under a schedule explorer: clients, reshapes and a close run on
//! stand-ins for the shards and on the real [`PartitionState`](super::PartitionState), under many
//! schedules, and one order must explain what the clients saw.
//!
//! `CONTRIBUTING.md` has the command. A failure prints its seed and its schedule; the environment
//! variable `SHUTTLE_RANDOM_SEED` runs that seed again.
//!
//! What it does not show: the explorer's atomics are sequentially consistent, whatever `Ordering`
//! they are passed. Where the code relies on more than the order of one thread, a client does what
//! a processor might do (`site.rs`, the early look at `tracked`).

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a model that is wrong fails its tests, like the code that is"
)]

mod broken;
mod cache;
mod client;
mod engine;
mod every;
mod history;
mod reshape;
mod rules;
mod schedules;
mod site;

use super::sync::Mutex;
use client::Call;
use engine::{Cut, Key, Name, Partition, Rows, Shard, View};
use history::History;
use reshape::Step;
use shuttle::sync::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Three keys to write, two of them in halves of one partition, and a pair for batches.
const KEYS: [Key; 5] = *b"agpbq";
const MIDDLE: Key = b'm';
const QUARTER: Key = b'f';
const END: Key = b'z';

/// The rule that an execution breaks: tests break one to show that it is needed, and that the model
/// notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    Nothing,
    // By clients: those that the types of the protocol exclude are in `broken.rs`.
    CheckBeforeRead,
    CheckBeforeStripe,
    RecordBeforeWrite,
    RecordAfterStripe,
    AddShares,
    SnapshotWithoutGate,
    CutsBeforeViews,
    // By the reshape.
    CopyBeforeTrack,
    TrackWithoutDrain,
    CompareUnsealed,
    SealInKeyOrder,
    LastTakeBeforeSeal,
    TargetsNotSealed,
    SupersedeBeforePublish,
    SupersedeAfterTargets,
    SupersedeAfterSeal,
    CloseWithoutSeal,
}

/// The keyspace was closed.
#[derive(Debug)]
struct Closed;

/// A keyspace of two partitions on two shards.
struct Store {
    shards: [Shard; 2],
    /// Stands for the atomic pointer.
    view: Mutex<Arc<View>>,
    gate: RwLock<()>,
    /// Excludes other changes of the view; true once it was closed.
    changing: Mutex<bool>,
    history: History,
    names: AtomicU32,
    values: AtomicU32,
    broken: Broken,
}

impl Store {
    /// Creates it. The name of the first partition is greater than that of the second, as can
    /// happen after splits.
    fn new(broken: Broken) -> Self {
        let first = Partition::new(1, 0, 0, MIDDLE);
        let second = Partition::new(0, 1, MIDDLE, END);
        Self {
            shards: Default::default(),
            view: Mutex::new(Arc::new(View(vec![Arc::new(first), Arc::new(second)]))),
            gate: RwLock::default(),
            changing: Mutex::default(),
            history: History::default(),
            names: AtomicU32::new(2),
            values: AtomicU32::new(1),
            broken,
        }
    }

    fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.lock())
    }

    fn shard(&self, partition: &Partition) -> &Shard {
        &self.shards[partition.owner]
    }

    fn cuts(&self) -> Vec<Cut> {
        self.shards.iter().map(Shard::snapshot).collect()
    }

    fn name(&self) -> Name {
        self.names.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns a value that no other put has; those of additions are smaller.
    fn value(&self) -> u64 {
        u64::from(self.values.fetch_add(1, Ordering::Relaxed)) * 100
    }
}

/// What runs concurrently in one execution.
#[derive(Clone, Copy)]
struct Scenario {
    clients: &'static [&'static [Call]],
    reshapes: &'static [&'static [Step]],
    close: bool,
    broken: Broken,
}

impl Scenario {
    const fn new(
        clients: &'static [&'static [Call]],
        reshapes: &'static [&'static [Step]],
    ) -> Self {
        Self { clients, reshapes, close: false, broken: Broken::Nothing }
    }

    const fn closed(self) -> Self {
        Self { close: true, ..self }
    }

    const fn broken(self, broken: Broken) -> Self {
        Self { broken, ..self }
    }

    /// Runs one execution; panics if it shows what must not happen.
    fn run(self) {
        let store = Arc::new(Store::new(self.broken));
        let begin = |run: Box<dyn FnOnce(&Store) + Send>| {
            let store = Arc::clone(&store);
            shuttle::thread::spawn(move || run(&store))
        };
        let mut tasks = Vec::new();
        for calls in self.clients {
            tasks.push(begin(Box::new(|store| {
                // A client that finds the keyspace closed ends.
                let _ended = calls.iter().try_for_each(|call| store.call(*call));
            })));
        }
        for steps in self.reshapes {
            tasks.push(begin(Box::new(|store| {
                steps.iter().for_each(|step| store.reshape(*step));
            })));
        }
        let closed = self.close.then(|| store.close());
        tasks.into_iter().for_each(|task| task.join().expect("a task failed"));
        store.call(Call::Snapshot).expect("snapshots are taken of what is closed, too");
        if let Some(rows) = closed {
            assert_eq!(rows, store.snapshot(), "written after it was closed");
        }
        store.history.check(&Rows::new(), &KEYS);
    }
}
