//! Goal: at every moment rows and entries agree, whatever writes, builds and reshapes do at the same
//! time. Method: threads write rows in every way, some of them rows of their own, of which each keeps
//! a `BTreeMap`, and some that all of them write; another thread declares one version of an index
//! after the other, builds them, and builds them again; partitions of the rows and of the entries are
//! moved, split and merged; and a thread takes snapshots, in which the entries must be what follows
//! from the rows. The seed is printed; `ANNULUS_SEED` sets it.
//!
//! Each protection is also left out, in a process of its own, and must be missed.

use super::{Entries, names, words_of};
use crate::basic::small;
use crate::churn::{Churn, Enough, Stop, quick_directory, seed};
use annulus::index::{IndexSpec, UniqueViolation};
use annulus::topology::KeyspaceSpec;
use annulus::{
    Batch, Error, ErrorKind, Index, Isolation, Keyspace, Snapshot, Store, TransactionOptions,
};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tempfile::TempDir;

const WRITERS: u64 = 3;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// An index by each word with the version after it.
fn versioned(version: u32) -> IndexSpec {
    IndexSpec::new("words", version, move |_key, value| keys_of(version, value))
}

fn keys_of(version: u32, value: &[u8]) -> Vec<Vec<u8>> {
    let mut keys = words_of(value);
    keys.iter_mut().for_each(|key| key.extend(format!("/{version}").bytes()));
    keys
}

struct World {
    _directory: TempDir,
    store: Store,
    rows: Keyspace,
    words: Mutex<Index>,
    names: Index,
    stop: AtomicBool,
    written: AtomicU64,
}

impl World {
    fn new(random: &mut fastrand::Rng) -> Self {
        let directory = quick_directory();
        let builder = Store::builder(directory.path().join("store")).shards(3);
        let store = builder.options(small().arcs_per_shard(1)).open().unwrap();
        let rows = match random.bool() {
            true => store.create_keyspace("rows", KeyspaceSpec::hash()),
            false => store.create_keyspace("rows", KeyspaceSpec::range().split_at(["b", "s"])),
        };
        let rows = rows.unwrap();
        for n in 0..400 {
            rows.put(format!("early/{n}"), value(random).replace('@', "")).unwrap();
        }
        let names = rows.index(names()).unwrap();
        names.build().unwrap();
        let words = rows.index(versioned(0)).unwrap();
        words.build().unwrap();
        Self {
            _directory: directory,
            store,
            rows,
            words: Mutex::new(words),
            names,
            stop: AtomicBool::new(false),
            written: AtomicU64::new(0),
        }
    }

    fn words(&self) -> Index {
        self.words.lock().unwrap().clone()
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

/// Some words, or, now and then, a name that must be unique.
fn value(random: &mut fastrand::Rng) -> String {
    if random.u32(..4) == 0 {
        return format!("@{}", random.u32(..24));
    }
    let words = (0..random.usize(..4)).map(|_| random.choice(["x", "y", "z", "w"]).unwrap());
    words.collect::<Vec<_>>().join(" ")
}

/// What a step makes of keys.
enum Step {
    Put(String, String),
    Delete(String),
    /// From the first key to the second, both of one writer.
    DeleteRange(String, String),
    Append(String),
}

fn step(random: &mut fastrand::Rng, owner: &str) -> Step {
    let key = |random: &mut fastrand::Rng| format!("{owner}/{:02}", random.u32(..40));
    match random.u32(..10) {
        0..5 => Step::Put(key(random), value(random)),
        5..7 => Step::Delete(key(random)),
        7 => {
            let from = random.u32(..40);
            Step::DeleteRange(format!("{owner}/{from:02}"), format!("{owner}/{:02}", from + 5))
        }
        _ => Step::Append(key(random)),
    }
}

fn appended(old: Option<&[u8]>) -> Vec<u8> {
    match old {
        Some(old) if old.len() < 12 && !old.starts_with(b"@") => [old, b" v"].concat(),
        _ => b"v".to_vec(),
    }
}

fn apply(rows: &mut Rows, step: &Step) {
    match step {
        Step::Put(key, value) => drop(rows.insert(key.clone().into(), value.clone().into())),
        Step::Delete(key) => drop(rows.remove(key.as_bytes())),
        Step::DeleteRange(from, to) => {
            rows.retain(|key, _| &key[..] < from.as_bytes() || &key[..] >= to.as_bytes());
        }
        Step::Append(key) => {
            let new = appended(rows.get(key.as_bytes()).map(Vec::as_slice));
            rows.insert(key.clone().into(), new);
        }
    }
}

/// Makes one step by a call of its own.
fn write(rows: &Keyspace, step: &Step, random: &mut fastrand::Rng) -> annulus::Result<()> {
    match step {
        Step::Put(key, value) => rows.put(key, value),
        Step::Delete(key) => rows.delete(key),
        Step::DeleteRange(from, to) => rows.delete_range(from..to),
        Step::Append(key) if random.bool() => rows.update(key, |old| Some(appended(old))).map(drop),
        Step::Append(key) => loop {
            let old = rows.get(key)?;
            let new = appended(old.as_deref());
            if rows.compare_and_swap(key, old.as_deref(), Some(&new))?.is_swapped() {
                return Ok(());
            }
        },
    }
}

fn transact(world: &World, steps: &[Step], isolation: Isolation) -> annulus::Result<()> {
    let rows = &world.rows;
    let options = TransactionOptions::new().isolation(isolation).attempts_max(1000);
    world.store.transact_with(options, |tx| {
        for step in steps {
            match step {
                Step::Put(key, value) => tx.put(rows, key, value)?,
                Step::Delete(key) => tx.delete(rows, key)?,
                Step::DeleteRange(from, to) => tx.delete_range(rows, from..to)?,
                Step::Append(key) => {
                    let new = appended(tx.get(rows, key)?.as_deref());
                    tx.put(rows, key, new)?;
                }
            }
        }
        Ok(())
    })
}

/// Writes until enough was written, and returns the rows that only this thread writes.
fn writer(world: &World, seed: u64, number: u64) -> Rows {
    let mut random = fastrand::Rng::with_seed(seed ^ (number << 8));
    let (mut model, own) = (Rows::new(), format!("own{number}"));
    while !world.is_stopped() {
        let owner = if random.u32(..4) > 0 { &*own } else { "shared" };
        let steps = match random.u32(..10) {
            0..6 => vec![step(&mut random, owner)],
            _ => (0..random.usize(1..6)).map(|_| step(&mut random, owner)).collect(),
        };
        let written = match (&steps[..], random.u32(..3)) {
            ([step], _) => write(&world.rows, step, &mut random),
            (steps, 0) => transact(world, steps, Isolation::Serializable),
            (steps, 1) => transact(world, steps, Isolation::Snapshot),
            (steps, _) => {
                let mut batch = Batch::new();
                for step in steps {
                    match step {
                        Step::Put(key, value) => batch.put(&world.rows, key, value),
                        Step::Delete(key) => batch.delete(&world.rows, key),
                        Step::DeleteRange(from, to) => batch.delete_range(&world.rows, from..to),
                        // A batch has no such thing.
                        Step::Append(key) => batch.put(&world.rows, key, "v"),
                    }
                }
                let written = world.store.write(batch);
                if written.is_ok() && owner != "shared" {
                    for step in steps {
                        match step {
                            Step::Append(key) => {
                                drop(model.insert(key.clone().into(), b"v".into()))
                            }
                            step => apply(&mut model, step),
                        }
                    }
                }
                expected(&written);
                world.written.fetch_add(1, Ordering::Relaxed);
                continue;
            }
        };
        expected(&written);
        if written.is_ok() && owner != "shared" {
            steps.iter().for_each(|step| apply(&mut model, step));
        }
        world.written.fetch_add(1, Ordering::Relaxed);
    }
    model
}

/// A write is made, or a name is taken.
fn expected(written: &annulus::Result<()>) {
    if let Err(error) = written {
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error:#}");
    }
}

/// Returns the entries that follow from the rows of a snapshot, by words and by names.
fn follows(world: &World, snapshot: &Snapshot, version: u32) -> (Entries, Entries) {
    let (mut words, mut names) = (Entries::new(), Entries::new());
    for row in snapshot.scan(&world.rows, ..).unwrap() {
        let (key, value) = row.unwrap();
        words.extend(keys_of(version, &value).into_iter().map(|word| (word, key.clone())));
        if let Some(name) = value.strip_prefix(b"@") {
            names.insert((name.to_vec(), key));
        }
    }
    (words, names)
}

fn entries_at(index: &Index, snapshot: &Snapshot) -> annulus::Result<Entries> {
    let scan = index.at(snapshot).scan(..)?;
    scan.map(|entry| entry.map(|entry| (entry.index_key, entry.key))).collect()
}

/// Compares a snapshot. Returns true if the index by words was complete then.
fn compare(world: &World) -> bool {
    let words = world.words();
    let snapshot = world.store.snapshot().unwrap();
    let (by_words, by_names) = follows(world, &snapshot, words.version());
    assert_eq!(entries_at(&world.names, &snapshot).unwrap(), by_names, "names");
    let named: BTreeSet<_> = by_names.iter().map(|(name, _)| name).collect();
    assert_eq!(named.len(), by_names.len(), "a name is taken twice");
    match entries_at(&words, &snapshot) {
        Ok(entries) => assert_eq!(entries, by_words, "words, version {}", words.version()),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Busy, "{error:#}");
            return false;
        }
    }
    let rows = words.at(&snapshot).rows("x".."z").unwrap().map(Result::unwrap);
    assert!(
        rows.into_iter().all(|row| keys_of(words.version(), &row.value).contains(&row.index_key))
    );
    true
}

/// Reads the present: each row has its index key, and a build that comes in between is an error.
fn read(world: &World) {
    let words = world.words();
    let read = |index: &Index| -> annulus::Result<()> {
        for row in index.rows(..)? {
            let row = row?;
            let keys = keys_of(index.version(), &row.value);
            assert!(keys.contains(&row.index_key), "{row:?}");
        }
        Ok(())
    };
    if let Err(error) = read(&words) {
        // Its handle may be that of a version that is gone.
        assert_eq!(error.kind(), ErrorKind::Busy, "{error:#}");
    }
}

/// Declares version after version, and builds each while rows are written.
fn build(world: &World, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed ^ 0xb1d);
    for version in 1.. {
        if world.is_stopped() {
            return;
        }
        let index = world.rows.index(versioned(version)).unwrap();
        *world.words.lock().unwrap() = index.clone();
        index.build().unwrap();
        if random.bool() {
            std::thread::sleep(std::time::Duration::from_millis(random.u64(..20)));
            index.rebuild().unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(random.u64(..10)));
    }
}

#[test]
fn rows_and_entries_agree_at_every_moment() {
    let seed = seed();
    let world = World::new(&mut fastrand::Rng::with_seed(seed));
    let enough = Enough::new();
    let models: Vec<Rows> = std::thread::scope(|scope| {
        let world = &world;
        let writers: Vec<_> = (0..WRITERS)
            .map(|number| {
                scope.spawn(move || {
                    let _stop = Stop(&world.stop);
                    writer(world, seed, number)
                })
            })
            .collect();
        scope.spawn(move || {
            let _stop = Stop(&world.stop);
            build(world, seed);
        });
        scope.spawn(move || {
            let _stop = Stop(&world.stop);
            let indexes = vec![world.words(), world.names.clone()];
            Churn::new(seed ^ 3).with_indexes(indexes).run(&world.store, &world.stop);
        });
        let _stop = Stop(&world.stop);
        let mut complete = 0;
        while !world.is_stopped() {
            complete += u32::from(compare(world));
            read(world);
            let written = world.written.load(Ordering::Relaxed);
            let committed = world.store.reshape_stats().committed;
            if enough.is_reached(complete >= 20 && written >= 4000 && committed >= 30) {
                break;
            }
        }
        world.stop.store(true, Ordering::Release);
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    println!("{} writes, {:?}", world.written.load(Ordering::Relaxed), world.store.reshape_stats());
    for (number, model) in models.into_iter().enumerate() {
        let rows: Rows =
            world.rows.scan_prefix(format!("own{number}/")).unwrap().map(Result::unwrap).collect();
        assert_eq!(rows, model, "writer {number}");
    }
    world.words().build().unwrap();
    assert!(compare(&world));
    for index in [&world.words(), &world.names] {
        let report = index.verify().unwrap();
        assert!(report.is_sound(), "{report:?}");
    }
    let report = world.store.verify().unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
}

/// Before a unique index is complete, rows may be written that it cannot have. The build says which,
/// and what is written meanwhile does not take entries from other rows.
#[test]
fn a_unique_index_is_built_while_names_are_written() {
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..8 {
        let directory = quick_directory();
        let builder = Store::builder(directory.path().join("store")).shards(3);
        let store = builder.options(small()).open().unwrap();
        let rows = store.create_keyspace("rows", KeyspaceSpec::hash()).unwrap();
        for n in 0..600 {
            // Names that many rows share, and each writer takes and gives up.
            rows.put(format!("{:02}/{n}", n % 50), format!("@{}", n % 500)).unwrap();
        }
        let index = rows.index(names()).unwrap();
        let (stop, seed) = (AtomicBool::new(false), random.u64(..));
        std::thread::scope(|scope| {
            for number in 0..2 {
                let (rows, stop) = (&rows, &stop);
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(seed ^ number);
                    while !stop.load(Ordering::Acquire) {
                        let n = random.u32(..600);
                        let key = format!("{:02}/{n}", n % 50);
                        match random.u32(..3) {
                            0 => expected(&rows.delete(key)),
                            _ => expected(&rows.put(key, format!("@{}", random.u32(..500)))),
                        }
                    }
                });
            }
            let _stop = Stop(&stop);
            while let Err(error) = index.build() {
                assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error:#}");
                rows.delete(violation(&error).key.clone()).unwrap();
            }
        });
        let report = index.verify().unwrap();
        assert!(report.is_sound(), "{report:?}");
    }
}

/// Rows that a build has not come to yet have the names of others, which it has passed, and give them up.
/// The entries are those of the others.
#[test]
fn while_it_is_built_a_row_gives_up_only_what_is_its_own() {
    let directory = quick_directory();
    let store = Store::builder(directory.path().join("store")).shards(3).options(small());
    let store = store.open().unwrap();
    let rows = store.create_keyspace("rows", KeyspaceSpec::range()).unwrap();
    let in_time = (0..20).any(|_| {
        for n in 0..32 {
            rows.put(format!("a{n:02}"), format!("@{n}")).unwrap();
            rows.put(format!("z{n:02}"), format!("@{n}")).unwrap();
        }
        for n in 0..8000 {
            rows.put(format!("m{n:04}"), "no name").unwrap();
        }
        let index = rows.index(names()).unwrap();
        let built = std::thread::scope(|scope| {
            let built = scope.spawn(|| index.build());
            while index.progress().rows_passed < 32 {
                std::thread::yield_now();
            }
            (0..16).for_each(|n| rows.delete(format!("z{n:02}")).unwrap());
            (16..32).for_each(|n| rows.put(format!("z{n:02}"), "renamed").unwrap());
            built.join().unwrap()
        });
        if built.is_ok() {
            let report = index.verify().unwrap();
            assert!(report.is_sound(), "{report:?}");
            assert_eq!(report.entries, 32);
        }
        rows.drop_index("names").unwrap();
        built.is_ok()
    });
    assert!(in_time, "the build came to the second rows before they were changed");
}

fn violation(error: &Error) -> &UniqueViolation {
    error.source().and_then(|cause| cause.downcast_ref()).unwrap()
}

#[cfg(feature = "failpoints")]
#[test]
fn each_protection_is_missed() {
    let passes = |test: &str, skipped: &str| {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env("ANNULUS_SKIP", skipped)
            .env("ANNULUS_SOAK_SECONDS", "20")
            .output()
            .unwrap();
        output.status.success()
    };
    let agree = "index::model::rows_and_entries_agree_at_every_moment";
    for skipped in ["index-rows", "index-claim", "index-release", "index-take", "index-gate"] {
        assert!(!passes(agree, skipped), "{skipped} is left out, and nothing is noticed");
    }
    let unique = "index::model::while_it_is_built_a_row_gives_up_only_what_is_its_own";
    assert!(!passes(unique, "index-own"), "index-own is left out, and nothing is noticed");
}
