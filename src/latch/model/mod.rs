//! The rules of this module under a schedule explorer: clients, reshapes and a close run on
//! stand-ins for the log and for the shards, which may refuse what is in the log, and on the real
//! [`PartitionState`](super::PartitionState), under many schedules. One order must explain what the
//! clients saw, and in the end the log, replayed from its beginning, must yield what the engines
//! hold.
//!
//! `CONTRIBUTING.md` has the command. A failure prints its seed and its schedule; the environment
//! variable `SHUTTLE_RANDOM_SEED` runs that seed again.
//!
//! What it does not show: the explorer's atomics are sequentially consistent, whatever `Ordering`
//! they are passed.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a model that is wrong fails its tests, like the code that is"
)]

mod behind;
mod broken;
mod cache;
mod client;
mod engine;
mod every;
mod history;
mod log;
mod reshape;
mod rules;
mod schedules;
mod site;
mod store;
mod transaction;

use client::Call;
use engine::Rows;
use reshape::Step;
use std::sync::Arc;
use store::{Broken, KEYS, Store};

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
        assert_eq!(store.log.replayed(), store.snapshot(), "the log differs from the engines");
        store.history.check(&Rows::new(), &KEYS);
    }
}
