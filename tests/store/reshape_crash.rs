//! Goal: wherever a process dies during a reshape, every acknowledged write is there after the next
//! opening with exactly its value, nothing that was deleted is back, a write in progress is there
//! whole or not at all, and nothing of the reshape is left over. Method: a child process writes
//! under reshapes of one kind and dies at a chosen step, or is killed at a random moment. Each
//! writer has separate keys and notes every acknowledged write in a file outside the store; what it
//! writes follows from the seed, so the parent knows what must be there. `ANNULUS_SEED` repeats the
//! same writes and delays; `ANNULUS_SOAK_SECONDS` prolongs the random kills.

mod child;
mod writes;

use crate::churn::{Enough, quick_directory, seed};
use annulus::planner::{Request, SplitAt};
use annulus::report::RolledBack;
use annulus::reshape::{Check, ReshapeOptions, Transport};
use annulus::topology::ReshapeKind;
use annulus::{PartitionId, Store};
use child::{Order, Work, store_at};
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;
use tempfile::TempDir;
use writes::{WRITERS, Writer};

/// Steps that leave a reshape uncommitted, and steps that leave its sources behind.
const UNCOMMITTED: [&str; 4] =
    ["reshape-after-intent", "reshape-after-target", "reshape-caught-up", "reshape-sealed"];
const COMMITTED: [&str; 3] = ["reshape-after-commit", "reshape-after-flush", "reshape-after-drop"];
const OF_LINKS: [&str; 1] = ["link-after-export"];
const OF_COPIES: [&str; 2] = ["load-after-files", "load-after-create"];

/// A store that children die on, and what it must hold.
struct Victim {
    directory: TempDir,
    seed: u64,
    random: fastrand::Rng,
    writers: Vec<Writer>,
}

impl Victim {
    fn new(seed: u64) -> Self {
        let directory = quick_directory();
        drop(crate::basic::both(&store_at(directory.path(), false)));
        let random = fastrand::Rng::with_seed(seed);
        let writers = (0..WRITERS).map(|number| Writer::new(seed, number)).collect();
        Self { directory, seed, random, writers }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Makes a child die at a place, then checks what it leaves.
    fn die_at(&mut self, place: &str, work: Work, transport: Option<Transport>) {
        self.prepare(work);
        let order = Order { work, transport, seed: self.random.u64(..), writes: self.seed };
        let status = self.start(&order, Some(place)).wait().unwrap();
        self.expect_signal(status, 6, &format!("{place} in {order:?}"));
        self.check(&format!("{place} in {order:?}"), place.split('@').next().unwrap());
    }

    /// Makes a child die in an opening that replays.
    fn die_in_a_replay(&mut self) {
        let (work, seed) = (Work::Any, self.random.u64(..));
        let order = Order { work, transport: None, seed, writes: self.seed };
        let status = self.start(&order, Some("replay-half")).wait().unwrap();
        self.expect_signal(status, 6, "replay-half");
        self.check("replay-half", "");
    }

    fn start(&mut self, order: &Order, place: Option<&str>) -> std::process::Child {
        for writer in &mut self.writers {
            writer.prepare_notes(self.directory.path());
        }
        child::start(self.path(), order, place)
    }

    fn expect_signal(&self, status: ExitStatus, signal: i32, what: &str) {
        let log = fs::read_to_string(self.path().join("log")).unwrap_or_default();
        assert_eq!(status.signal(), Some(signal), "{what}: {status}\n{log}");
    }

    /// Makes sure that there is something to split or to merge, and no removal half done.
    fn prepare(&mut self, work: Work) {
        let store = store_at(self.path(), false);
        let options = ReshapeOptions::new().trim(false);
        if work != Work::Shards {
            for shard in &store.recovery().draining {
                store.remove_shard(*shard).unwrap().wait().unwrap();
            }
        }
        for keyspace in crate::basic::both(&store) {
            // A range with too few keys has no middle; another one may.
            for _ in 0..12 {
                let all: Vec<PartitionId> =
                    keyspace.placement().partitions().map(|partition| partition.id).collect();
                let request = match work {
                    Work::Split if all.len() > 5 => {
                        Request::Merge { left: all[0], right: all[1], to: None }
                    }
                    Work::Merge if all.len() < 6 => Request::Split {
                        partition: all[self.random.usize(..all.len())],
                        at: SplitAt::Middle,
                        to: None,
                    },
                    _ => break,
                };
                let split = matches!(request, Request::Split { .. });
                let ended = store.start_with(&request, options).unwrap().wait();
                assert!(split || ended.is_ok(), "{ended:?}");
            }
        }
    }

    fn check(&mut self, what: &str, place: &str) {
        let store = store_at(self.path(), false);
        let recovery = store.recovery().clone();
        let rolled_back = UNCOMMITTED.iter().chain(&OF_LINKS).chain(&OF_COPIES);
        if rolled_back.into_iter().any(|step| *step == place) {
            assert!(!recovery.rolled_back.is_empty(), "{what}: {recovery:?}");
        }
        if COMMITTED[..2].contains(&place) || place == "retire-after-commit" {
            assert!(!recovery.orphans.is_empty(), "{what}: {recovery:?}");
        }
        self.compare(&store, what);
        drop(store);
        let store = store_at(self.path(), false);
        let again = store.recovery();
        assert!(again.orphans.is_empty() && again.rolled_back.is_empty(), "{what}: {again:?}");
        self.compare(&store, what);
        self.check_files(&store, what);
        if place == "link-after-export" {
            self.repeat(&store, &recovery.rolled_back);
        }
    }

    /// Makes the very reshapes that were rolled back: what is left of them must not prevent them.
    fn repeat(&mut self, store: &Store, rolled_back: &[RolledBack]) {
        for what in rolled_back.iter().filter(|what| what.kind == ReshapeKind::Move) {
            let (partition, to) = (what.sources[0], what.to[0]);
            let owner = store.topology().find_partition(partition).and_then(|(keyspace, index)| {
                Some(store.topology().keyspace(keyspace)?.partition(index)?.owner)
            });
            // A trim moves a partition to where it is.
            if owner == Some(to) {
                continue;
            }
            let request = Request::Move { partition, to };
            let transport = Some(Transport::Link);
            let options = ReshapeOptions::new().transport(transport).trim(false);
            let options = options.check(Check::Full);
            store.start_with(&request, options).unwrap().wait().unwrap();
            self.compare(store, &what.to_string());
        }
    }

    /// Finds out which of the writes in progress took effect; all others must have.
    fn compare(&mut self, store: &Store, what: &str) {
        let path = self.directory.path().to_owned();
        let rows = writes::rows(store);
        let count: usize = self.writers.iter_mut().map(|w| w.settle(&path, &rows, what)).sum();
        assert_eq!(rows.len(), count, "{what}: rows of no writer");
        let report = store.verify().unwrap();
        assert!(report.is_sound(), "{what}: {:?}", report.problems);
        store.topology().check().unwrap();
    }

    /// Checks that no files are left in the scratch directory, and no database of a removed shard.
    /// That of a shard whose addition was interrupted may stay, and has its identity.
    fn check_files(&self, store: &Store, what: &str) {
        for entry in fs::read_dir(store.path().join("shards")).unwrap() {
            let directory = entry.unwrap().path();
            let scratch = directory.join("data/scratch");
            assert!(!scratch.exists(), "{what}: {} was left", scratch.display());
            let [data, identity] = ["data", "SHARD"].map(|name| directory.join(name).exists());
            assert!(identity || !data, "{what}: {}", directory.display());
        }
    }
}

/// Dies at each of the steps, at some of them twice in a row.
fn die_everywhere(work: Work, transport: Option<Transport>, steps: &[&str], salt: u64) {
    let mut victim = Victim::new(seed() ^ salt);
    for step in steps {
        let passings = victim.random.u32(1..4);
        victim.die_at(&format!("{step}@{passings}"), work, transport);
        if ["reshape-sealed", "reshape-after-commit", "link-after-export"].contains(step) {
            victim.die_at(step, work, transport);
        }
    }
}

fn steps(particular: &[&'static str]) -> Vec<&'static str> {
    [&UNCOMMITTED, &COMMITTED[..], particular].concat()
}

#[cfg(feature = "failpoints")]
#[test]
fn dies_at_every_step_of_a_move() {
    die_everywhere(Work::Move, Some(Transport::Link), &steps(&OF_LINKS), 1);
    die_everywhere(Work::Move, Some(Transport::Copy), &steps(&OF_COPIES), 2);
}

#[cfg(feature = "failpoints")]
#[test]
fn dies_at_every_step_of_a_split() {
    // A split by links is trimmed, by copies.
    let both: Vec<_> = OF_LINKS.iter().chain(&OF_COPIES).copied().collect();
    die_everywhere(Work::Split, Some(Transport::Link), &steps(&both), 3);
    die_everywhere(Work::Split, Some(Transport::Copy), &steps(&OF_COPIES), 4);
}

#[cfg(feature = "failpoints")]
#[test]
fn dies_at_every_step_of_a_merge() {
    die_everywhere(Work::Merge, Some(Transport::Copy), &steps(&OF_COPIES), 5);
}

#[cfg(feature = "failpoints")]
#[test]
fn dies_at_every_step_of_adding_and_removing_shards() {
    let own = [
        "shard-after-create",
        "shard-after-commit",
        "retire-after-commit",
        "topology-after-commit",
        "shard-after-create",
    ];
    die_everywhere(Work::Shards, None, &[&own, &steps(&OF_LINKS)[..]].concat(), 6);
    die_everywhere(Work::Shards, Some(Transport::Copy), &steps(&OF_COPIES), 7);
}

/// A past bug: a process died between the commit of a move and the flush that puts the commit into
/// a file. The next opening dropped the sources at once; when the log was lost after that, the
/// older topology came back, and its partition was gone.
#[cfg(feature = "failpoints")]
#[test]
fn an_opening_drops_sources_only_when_the_commit_is_in_a_file() {
    let mut victim = Victim::new(seed() ^ 9);
    for transport in [Transport::Link, Transport::Copy] {
        // This checks the store after an opening.
        victim.die_at("reshape-after-commit", Work::Move, Some(transport));
        let order = Order {
            work: Work::Move,
            transport: Some(transport),
            seed: victim.random.u64(..),
            writes: victim.seed,
        };
        victim.prepare(Work::Move);
        let status = victim.start(&order, Some("reshape-after-commit")).wait().unwrap();
        victim.expect_signal(status, 6, "reshape-after-commit");
        let opened = store_at(victim.path(), false);
        assert!(!opened.recovery().orphans.is_empty(), "{:?}", opened.recovery());
        victim.compare(&opened, "opened");
        drop(opened);
        crate::commits::lose_logs_of_metadata(&victim.path().join("store"));
        victim.compare(&store_at(victim.path(), false), "the log of the metadata was lost");
    }
}

/// Goal: a replay knows where the partitions of a record are now. Method: dies between the parts of
/// batches, and around writes and their syncs, while partitions move; and amid the replays.
#[cfg(feature = "failpoints")]
#[test]
fn dies_amid_batches_while_partitions_move() {
    let mut victim = Victim::new(seed() ^ 8);
    let steps = ["write-before-log", "write-after-log", "batch-between-shards"];
    for (step, round) in steps.iter().cycle().zip(0..12) {
        let passings = victim.random.u32(1..1000);
        let work = [Work::Move, Work::Any][round % 2];
        victim.die_at(&format!("{step}@{passings}"), work, None);
    }
    for work in [Work::Move, Work::Any] {
        victim.die_at("batch-between-shards@40", work, None);
        victim.die_in_a_replay();
    }
}

#[test]
fn killed_at_random_moments_of_reshapes() {
    let mut victim = Victim::new(seed());
    let enough = Enough::new();
    for round in 0.. {
        if enough.is_reached(round == 15) {
            break;
        }
        victim.prepare(Work::Any);
        let writes = victim.seed;
        let order = Order { work: Work::Any, transport: None, seed: victim.random.u64(..), writes };
        let mut child = victim.start(&order, None);
        while !victim.path().join("ready").exists() {
            assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_millis(victim.random.u64(5..400)));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        victim.expect_signal(status, 9, &format!("round {round}"));
        victim.check(&format!("round {round}"), "");
    }
}
