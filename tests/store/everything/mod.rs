//! Goal: with all of it at once, that is indexes, unique ones too, rows that expire, transactions,
//! conditional batches, counters, responses that are kept, a queue, snapshots, the cache of hot keys, and
//! a consumer with a mirror, a store behaves like four `BTreeMap`s; while partitions of rows and entries
//! are moved, split and merged, shards come and go, and the store is closed, dropped and opened again.
//! Method: random steps of one thread, whose every answer is known, and another thread that reshapes
//! without a pause. The clock goes on with the steps. `ANNULUS_SEED` repeats the steps.

mod model;
mod steps;

use crate::basic::small;
use crate::churn::{Churn, Enough, Stop, quick_directory, seed};
use annulus::changes::{Change, ChangesFrom};
use annulus::clock::ManualClock;
use annulus::index::IndexSpec;
use annulus::queue::{Queue, QueueOptions};
use annulus::topology::KeyspaceSpec;
use annulus::{Consumer, Durability, Index, Keyspace, ScanOptions, Snapshot, Store};
use fastrand::Rng;
use model::{Entries, KEYSPACES, LIFETIME, Model, Rows, has_words, words_of};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const HOUR: Duration = Duration::from_secs(3600);

fn beginning() -> SystemTime {
    UNIX_EPOCH + 500_000 * HOUR
}

/// An open store, and handles of what is in it.
struct Opened {
    store: Store,
    keyspaces: Vec<Keyspace>,
    words: Vec<Index>,
    names: Index,
    queue: Queue,
    mirror: Consumer,
}

impl Opened {
    fn new(path: &Path, clock: &ManualClock) -> Self {
        let options = small().arcs_per_shard(1).hot_cache_bytes(1 << 20);
        let builder = Store::builder(path).options(options).clock(clock.clone());
        let is_new = !path.exists();
        let store = if is_new { builder.shards(3) } else { builder }.open().unwrap();
        let specs: [(&str, KeyspaceSpec); KEYSPACES] = [
            ("words by hash", KeyspaceSpec::hash().into()),
            ("words by range", KeyspaceSpec::range().split_at(["k20"]).into()),
            ("expiring by hash", KeyspaceSpec::hash().time_to_live(LIFETIME).into()),
            ("expiring by range", KeyspaceSpec::range().time_to_live_by_put().into()),
        ];
        let keyspaces: Vec<_> =
            specs.map(|(name, spec)| store.keyspace_or_create(name, spec).unwrap()).into();
        let words = || IndexSpec::new("words", 1, |_, value| words_of(value)).split_at(["x"]);
        let words: Vec<_> = keyspaces[..2].iter().map(|it| it.index(words()).unwrap()).collect();
        let name = |_: &[u8], value: &[u8]| value.strip_prefix(b"@").map(<[u8]>::to_vec);
        let names = keyspaces[model::NAMED].index(IndexSpec::new("names", 1, name).unique());
        let names = names.unwrap();
        // They were complete when the store was left.
        assert!(is_new || words.iter().chain([&names]).all(Index::is_ready));
        words.iter().chain([&names]).for_each(|index| index.build().unwrap());
        let queue = Queue::open(&store, "jobs", QueueOptions::new()).unwrap();
        let mirror = store.consumer_or_create("mirror", ChangesFrom::Now).unwrap();
        Self { store, keyspaces, words, names, queue, mirror }
    }
}

struct World {
    random: Rng,
    clock: ManualClock,
    model: Model,
    /// With what was true when each was taken.
    snapshots: Vec<(Snapshot, Model)>,
    jobs: VecDeque<String>,
    /// The responses that are kept, and until when.
    responses: BTreeMap<String, (Vec<u8>, Duration)>,
    /// What the consumer has made of the changes.
    mirror: [Rows; KEYSPACES],
    /// How often each kind of step was made.
    made: BTreeMap<&'static str, u32>,
}

impl World {
    fn pass(&mut self, time: Duration) {
        self.model.now += time;
        self.clock.advance(time);
    }

    /// Reads the changes that the consumer has not seen, and commits its position in one of three ways.
    fn follow(&mut self, opened: &Opened) {
        let Opened { store, keyspaces, mirror: consumer, .. } = opened;
        let of = |id| keyspaces.iter().position(|keyspace| keyspace.id() == id).unwrap();
        let chosen = consumer.changes().unwrap().durability(Durability::Buffered);
        let chosen = keyspaces.iter().fold(chosen, |chosen, it| chosen.keyspace(it));
        let mut changes = chosen.open().unwrap();
        let from = changes.watermark();
        while let Some(commit) = changes.try_next().unwrap() {
            for change in commit.changes() {
                let rows = &mut self.mirror[of(change.keyspace())];
                match change {
                    Change::Put { key, value, expires, .. } => {
                        let until = expires.map(|at| at.duration_since(beginning()).unwrap());
                        rows.insert(key.to_vec(), (value.to_vec(), until));
                    }
                    Change::Delete { key, .. } => drop(rows.remove(key)),
                    Change::DeleteRange { start, end, .. } => {
                        rows.retain(|key, _| &**key < start || &**key >= end);
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        let until = changes.watermark();
        match self.random.u32(..3) {
            0 => consumer.commit(until).unwrap(),
            1 if until > from => {
                store.transact(|tx| consumer.commit_within(tx, from..until)).unwrap();
            }
            _ => {
                let mut batch = annulus::Batch::new();
                consumer.require_in(&mut batch, from);
                consumer.commit_in(&mut batch, until);
                assert!(store.write_if(batch).unwrap().is_written());
            }
        }
        let mirrored = Model { now: self.model.now, rows: self.mirror.clone() };
        for (of, keyspace) in keyspaces.iter().enumerate() {
            assert_eq!(mirrored.times(of), self.model.times(of), "{}", keyspace.name());
        }
    }

    /// Compares everything that can be read.
    fn compare(&mut self, opened: &Opened) {
        let Opened { keyspaces, words, names, .. } = opened;
        for (of, keyspace) in keyspaces.iter().enumerate() {
            let mut expected = self.model.alive(of);
            let found: Vec<_> = keyspace.scan(..).unwrap().map(Result::unwrap).collect();
            assert_eq!(found, expected, "{} after {:?}", keyspace.name(), self.model.now);
            expected.reverse();
            let reverse = keyspace.scan_with(.., ScanOptions::new().reverse(true)).unwrap();
            assert_eq!(reverse.map(Result::unwrap).collect::<Vec<_>>(), expected);
        }
        for (of, index) in words.iter().enumerate().filter(|(of, _)| has_words(*of)) {
            let found = index.scan(..).unwrap().map(Result::unwrap);
            let found: Entries = found.map(|entry| (entry.index_key, entry.key)).collect();
            assert_eq!(found, self.model.words(of));
            let rows = index.rows(..).unwrap().map(Result::unwrap);
            for row in rows {
                assert_eq!(Some(row.value.to_vec()), self.model.get(of, &row.key));
            }
        }
        let found = names.scan(..).unwrap().map(Result::unwrap);
        let found: Entries = found.map(|entry| (entry.index_key, entry.key)).collect();
        assert_eq!(found, self.model.named());
        for (snapshot, then) in &self.snapshots {
            for (of, keyspace) in keyspaces.iter().enumerate() {
                let found = snapshot.scan(keyspace, ..).unwrap().map(Result::unwrap);
                assert_eq!(found.collect::<Vec<_>>(), then.alive(of), "at {:?}", then.now);
            }
            for (of, index) in words.iter().enumerate() {
                let found = index.at(snapshot).scan(..).unwrap().map(Result::unwrap);
                let found: Entries = found.map(|entry| (entry.index_key, entry.key)).collect();
                assert_eq!(found, then.words(of), "at {:?}", then.now);
            }
        }
    }

    /// Makes some steps while another thread reshapes.
    fn round(&mut self, opened: &Opened, steps: u32) {
        let stop = AtomicBool::new(false);
        let indexes = opened.words.iter().chain([&opened.names]).cloned().collect();
        let mut churn = Churn::new(self.random.u64(..)).with_indexes(indexes);
        std::thread::scope(|scope| {
            let _stop = Stop(&stop);
            scope.spawn(|| churn.run(&opened.store, &stop));
            for step in 0..steps {
                self.step(opened);
                if step % 8 == 7 {
                    self.compare(opened);
                }
            }
            self.follow(opened);
            self.compare(opened);
        });
        assert!(opened.store.verify().unwrap().is_sound());
        self.snapshots.clear();
    }
}

#[test]
fn all_of_it_at_once_behaves_like_maps() {
    let directory = quick_directory();
    let path = directory.path().join("store");
    let clock = ManualClock::at(beginning());
    let mut world = World {
        random: Rng::with_seed(seed()),
        clock: clock.clone(),
        model: Model::default(),
        snapshots: Vec::new(),
        jobs: VecDeque::new(),
        responses: BTreeMap::new(),
        mirror: Default::default(),
        made: BTreeMap::new(),
    };
    let (enough, mut rounds) = (Enough::new(), 0);
    while !enough.is_reached(rounds >= 6) {
        let opened = Opened::new(&path, &clock);
        world.compare(&opened);
        world.round(&opened, 250);
        if world.random.bool() {
            opened.store.close().unwrap();
        }
        rounds += 1;
    }
    println!("{:?}", world.made);
    for kind in steps::KINDS {
        assert!(world.made.contains_key(kind), "{kind}: {:?}", world.made);
    }
    assert!(world.model.now > HOUR);
}
