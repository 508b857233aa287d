//! A model of the cache of hot keys on the real [`Versions`]: writers and readers share a cache
//! with one slot, in which readers keep what they read and writers what they wrote.
//!
//! Written values only grow, so reads are linearizable if none finds less than what was
//! acknowledged before it began, nor less than what a read found that ended before it began.

use super::schedules::explore;
use crate::latch::{Version, Versions};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::sync::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const HASH: u64 = 0;

/// The rule that an execution breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    Nothing,
    AnnounceAfterWrite,
    AnnounceOnlyBefore,
    NoteAfterRead,
    NoteWhileWriting,
    KeepAmongWriters,
    NoteAfterWrite,
    AskAfterWrite,
}

struct Store {
    /// Stands for the engine.
    engine: Mutex<u64>,
    cache: Mutex<Option<(Version, u64)>>,
    versions: Versions,
    /// One task runs at a time: plain atomics tell what had ended when another task began.
    acknowledged: AtomicU64,
    broken: Broken,
}

impl Store {
    fn new(broken: Broken) -> Self {
        Self {
            engine: Mutex::new(0),
            cache: Mutex::new(None),
            versions: Versions::default(),
            acknowledged: AtomicU64::new(0),
            broken,
        }
    }

    fn write(&self, all: bool) {
        let write = || {
            let mut engine = self.engine.lock().unwrap();
            *engine += 1;
            *engine
        };
        let announce = || if all { self.versions.write_all() } else { self.versions.write(HASH) };
        match self.broken {
            Broken::AnnounceAfterWrite => {
                write();
                drop(announce());
            }
            Broken::AnnounceOnlyBefore => {
                drop(announce());
                write();
            }
            _ => {
                let at_work = announce();
                let after = match self.broken {
                    Broken::KeepAmongWriters => {
                        Some(self.versions.now(HASH).with_one_writer_less())
                    }
                    _ => self.versions.after(&at_work),
                };
                let written = write();
                let after = match self.broken {
                    Broken::AskAfterWrite => self.versions.after(&at_work),
                    _ => after,
                };
                drop(at_work);
                let after = match self.broken {
                    Broken::NoteAfterWrite => self.versions.quiet(HASH),
                    _ => after,
                };
                if let Some(after) = after
                    && !all
                {
                    *self.cache.lock().unwrap() = Some((after, written));
                }
            }
        }
        // There may be two writers: what is certainly there by now is what this one has seen.
        let written = *self.engine.lock().unwrap();
        self.acknowledged.fetch_max(written, Ordering::SeqCst);
    }

    fn read(&self) {
        let least = self.acknowledged.load(Ordering::SeqCst);
        let found = self.find();
        assert!(found >= least, "read {found}, but {least} was there before");
        self.acknowledged.fetch_max(found, Ordering::SeqCst);
    }

    fn find(&self) -> u64 {
        let cached = *self.cache.lock().unwrap();
        if let Some((version, value)) = cached
            && self.versions.is(HASH, version)
        {
            return value;
        }
        let before = match self.broken {
            Broken::NoteWhileWriting => Some(self.versions.now(HASH)),
            _ => self.versions.quiet(HASH),
        };
        let value = *self.engine.lock().unwrap();
        let version = match self.broken {
            Broken::NoteAfterRead => self.versions.quiet(HASH),
            _ => before,
        };
        if let Some(version) = version {
            *self.cache.lock().unwrap() = Some((version, value));
        }
        value
    }
}

/// Runs some writers of the key, and one of everything if there are several; and some readers.
fn run(broken: Broken, writers: usize, readers: usize) {
    let store = Arc::new(Store::new(broken));
    let begin = |run: Box<dyn FnOnce(&Store) + Send>| {
        let store = Arc::clone(&store);
        shuttle::thread::spawn(move || run(&store))
    };
    let mut tasks = Vec::new();
    for writer in 0..writers {
        tasks.push(begin(Box::new(move |store| store.write(writer > 1))));
    }
    for _ in 0..readers {
        tasks.push(begin(Box::new(|store| (0..2).for_each(|_| store.read()))));
    }
    tasks.into_iter().for_each(|task| task.join().expect("a task failed"));
    store.read();
}

fn schedules() -> usize {
    let asked = std::env::var("ANNULUS_SCHEDULES").ok();
    asked.map_or(2_000, |count| count.parse().expect("a number"))
}

#[test]
fn no_read_is_stale() {
    let seed = std::env::var("SHUTTLE_RANDOM_SEED")
        .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().expect("a number"));
    println!("SHUTTLE_RANDOM_SEED={seed}");
    explore(RandomScheduler::new_from_seed(seed, schedules()), || run(Broken::Nothing, 3, 3));
    for changes in [2, 3, 5] {
        let scheduler = PctScheduler::new_from_seed(seed, changes, schedules());
        explore(scheduler, || run(Broken::Nothing, 3, 3));
    }
}

#[test]
fn each_rule_is_needed() {
    for (broken, writers) in [
        (Broken::AnnounceAfterWrite, 1),
        (Broken::AnnounceOnlyBefore, 1),
        (Broken::NoteAfterRead, 1),
        (Broken::NoteWhileWriting, 1),
        (Broken::KeepAmongWriters, 2),
        (Broken::NoteAfterWrite, 2),
        (Broken::AskAfterWrite, 3),
    ] {
        let found = catch_unwind(AssertUnwindSafe(|| {
            // Few tasks and none favoured: noting a version during a write takes six switches
            // between tasks.
            let scheduler = RandomScheduler::new_from_seed(1, 200_000);
            explore(scheduler, move || run(broken, writers, 2));
        }));
        assert!(found.is_err(), "nothing was found wrong with {broken:?}");
    }
}
