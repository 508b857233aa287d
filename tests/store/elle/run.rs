//! Transactions on lists in a store, recorded.

use super::check;
use super::history::{Element, End, Key, Step, Transaction};
use super::infer::{Anomaly, Found};
use crate::basic::{both, small};
use crate::churn::{Churn, Enough, Stop, quick_directory, seed};
use annulus::{
    Batch, ErrorKind, Expect, Isolation, Keyspace, ScanOptions, Store, TransactionOptions,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tempfile::TempDir;

const THREADS: u64 = 4;
const TRANSACTIONS_PER_ROUND: usize = 150;

/// The lists: each a key of the hash keyspace or of the range keyspace, in which they are spread
/// over what random splits divide.
const LISTS: [(usize, &str); 12] = [
    (0, "a"),
    (0, "d"),
    (0, "g"),
    (0, "k"),
    (1, "a"),
    (1, "c"),
    (1, "d"),
    (1, "f"),
    (1, "l"),
    (1, "m"),
    (1, "n"),
    (1, "z"),
];

fn decode(value: Option<&[u8]>) -> Vec<Element> {
    let elements = value.unwrap_or_default().chunks_exact(8);
    elements.map(|element| u64::from_le_bytes(element.try_into().unwrap())).collect()
}

fn encode(list: &[Element]) -> Vec<u8> {
    list.iter().flat_map(|element| element.to_le_bytes()).collect()
}

struct World {
    store: Store,
    keyspaces: [Keyspace; 2],
    isolation: Isolation,
    clock: AtomicU64,
    next_element: AtomicU64,
    _directory: TempDir,
}

impl World {
    fn new(isolation: Isolation) -> Self {
        let directory = quick_directory();
        let options = small().write_buffer_bytes(4 << 20).arcs_per_shard(1);
        let path = directory.path().join("store");
        let store = Store::builder(path).shards(3).options(options).open().unwrap();
        let keyspaces = both(&store);
        let (clock, next_element) = (AtomicU64::new(1), AtomicU64::new(1));
        Self { store, keyspaces, isolation, clock, next_element, _directory: directory }
    }

    fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn place(&self, key: Key) -> (&Keyspace, &'static str) {
        let (keyspace, name) = LISTS[key];
        (&self.keyspaces[keyspace], name)
    }

    /// Runs all threads once, on lists that are absent at first. Returns what they did.
    fn round(&self, seed: u64) -> Vec<Transaction> {
        self.keyspaces.iter().for_each(|keyspace| keyspace.delete_range(..).unwrap());
        let mut history: Vec<Transaction> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let random = fastrand::Rng::with_seed(seed ^ (thread << 32));
                    let mut client = Client { world: self, random, history: Vec::new() };
                    scope.spawn(move || {
                        (0..TRANSACTIONS_PER_ROUND).for_each(|_| client.run());
                        client.history
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        // The last one reads everything.
        let began = self.now();
        let read = |key| {
            let (keyspace, name) = self.place(key);
            Step::Read(key, decode(keyspace.get(name).unwrap().as_deref()))
        };
        let steps = (0..LISTS.len()).map(read).collect();
        history.push(Transaction { began, ended: self.now(), end: End::Committed, steps });
        history
    }
}

/// A thread that makes transactions.
struct Client<'a> {
    world: &'a World,
    random: fastrand::Rng,
    history: Vec<Transaction>,
}

impl Client<'_> {
    fn run(&mut self) {
        let began = self.world.now();
        let (end, steps) = match self.random.u32(..20) {
            0..10 => self.transaction(),
            10..14 => self.transaction_until_committed(),
            14..16 => self.update(),
            16..18 => self.conditional_batch(),
            _ => self.snapshot(),
        };
        let ended = self.world.now();
        self.history.push(Transaction { began, ended, end, steps });
    }

    fn key(&mut self) -> Key {
        self.random.usize(..LISTS.len())
    }

    fn element(&self) -> Element {
        self.world.next_element.fetch_add(1, Ordering::Relaxed)
    }

    fn options(&self) -> TransactionOptions {
        TransactionOptions::new().isolation(self.world.isolation)
    }

    /// One that is begun, and committed or rolled back.
    fn transaction(&mut self) -> (End, Vec<Step>) {
        let tx = self.world.store.begin_with(self.options()).unwrap();
        let steps = self.steps(&tx);
        if self.random.u32(..10) == 0 {
            tx.rollback();
            return (End::Aborted, steps);
        }
        match tx.commit() {
            Ok(()) => (End::Committed, steps),
            Err(error) if error.kind() == ErrorKind::Conflict => (End::Aborted, steps),
            Err(error) => panic!("{error:#}"),
        }
    }

    /// One that is run until it is committed, sometimes without others from the beginning.
    fn transaction_until_committed(&mut self) -> (End, Vec<Step>) {
        let options = self.options().exclusive_after(self.random.u32(..3)).attempts_max(1000);
        let store = &self.world.store;
        let steps = store.transact_with(options, |tx| Ok(self.steps(tx))).unwrap();
        (End::Committed, steps)
    }

    fn steps(&mut self, tx: &annulus::Transaction) -> Vec<Step> {
        let mut steps = Vec::new();
        for _ in 0..self.random.usize(1..6) {
            let step = match self.random.u32(..10) {
                0..4 => self.append(tx),
                4..7 => {
                    let key = self.key();
                    let (keyspace, name) = self.world.place(key);
                    Step::Read(key, decode(tx.get(keyspace, name).unwrap().as_deref()))
                }
                7 => self.read_several(tx),
                _ => self.scan(tx),
            };
            steps.push(step);
            // So that transactions are open at the same time on few processors, too.
            std::thread::yield_now();
        }
        steps
    }

    fn append(&mut self, tx: &annulus::Transaction) -> Step {
        let (key, element) = (self.key(), self.element());
        let (keyspace, name) = self.world.place(key);
        let mut list = decode(tx.get(keyspace, name).unwrap().as_deref());
        list.push(element);
        tx.put(keyspace, name, encode(&list)).unwrap();
        Step::Append(key, element)
    }

    /// Reads a key twice by one call, next to one that is never there.
    fn read_several(&mut self, tx: &annulus::Transaction) -> Step {
        let key = self.key();
        let (keyspace, name) = self.world.place(key);
        let found = tx.get_many(keyspace, [name, "absent", name]).unwrap();
        assert_eq!(found[0].as_deref(), found[2].as_deref());
        assert!(found[1].is_none());
        Step::Read(key, decode(found[0].as_deref()))
    }

    /// Scans a range in either direction, perhaps not to its end.
    fn scan(&mut self, tx: &annulus::Transaction) -> Step {
        let of = self.random.usize(..2);
        let keyspace = &self.world.keyspaces[of];
        let mut ends = [self.random.lowercase(), self.random.lowercase()].map(String::from);
        ends.sort();
        let [start, end] = ends;
        let (reverse, limit) = (self.random.bool(), self.random.u64(1..6));
        let options = ScanOptions::new().reverse(reverse).limit(limit);
        let scan = tx.scan_with(keyspace, start.as_str()..=end.as_str(), options).unwrap();
        let rows: BTreeMap<String, Vec<Element>> = scan
            .map(|row| row.unwrap())
            .map(|(key, value)| (String::from_utf8(key).unwrap(), decode(Some(&value))))
            .collect();
        // With as many rows as it was limited to, it has seen nothing beyond the last of them.
        let (mut start, mut end) = (start, end);
        if rows.len() as u64 == limit {
            let ends = (rows.keys().next().unwrap().clone(), rows.keys().last().unwrap().clone());
            (start, end) = if reverse { (ends.0, end) } else { (start, ends.1) };
        }
        let covered = LISTS.iter().enumerate().filter(|(_, (keyspace, name))| {
            *keyspace == of && *name >= start.as_str() && *name <= end.as_str()
        });
        let lists: BTreeMap<Key, Vec<Element>> = covered
            .map(|(key, (_, name))| (key, rows.get(*name).cloned().unwrap_or_default()))
            .collect();
        assert!(rows.len() <= lists.len(), "{rows:?}, of {lists:?}");
        Step::Scan(lists)
    }

    /// A read and an append of one key in one step.
    fn update(&mut self) -> (End, Vec<Step>) {
        let (key, element) = (self.key(), self.element());
        let (keyspace, name) = self.world.place(key);
        let mut before = Vec::new();
        let append = |old: Option<&[u8]>| {
            before = decode(old);
            Some([old.unwrap_or_default(), &element.to_le_bytes()].concat())
        };
        keyspace.update(name, append).unwrap();
        (End::Committed, vec![Step::Read(key, before), Step::Append(key, element)])
    }

    /// Appends to two lists if they are as they were when they were read, and if a third is, too.
    fn conditional_batch(&mut self) -> (End, Vec<Step>) {
        let mut keys: Vec<Key> = (0..LISTS.len()).collect();
        self.random.shuffle(&mut keys);
        let (mut batch, mut reads, mut appends) = (Batch::new(), Vec::new(), Vec::new());
        for (place, key) in keys.into_iter().take(3).enumerate() {
            let (keyspace, name) = self.world.place(key);
            let value = keyspace.get(name).unwrap();
            let expect = value.as_deref().map_or(Expect::Absent, Expect::Value);
            batch.require(keyspace, name, expect);
            let mut list = decode(value.as_deref());
            reads.push(Step::Read(key, list.clone()));
            if place > 0 {
                let element = self.element();
                list.push(element);
                batch.put(keyspace, name, encode(&list));
                appends.push(Step::Append(key, element));
            }
        }
        let written = self.world.store.write_if(batch).unwrap().is_written();
        reads.extend(appends);
        (if written { End::Committed } else { End::Aborted }, reads)
    }

    fn snapshot(&mut self) -> (End, Vec<Step>) {
        let snapshot = self.world.store.snapshot().unwrap();
        let mut steps = Vec::new();
        for key in 0..LISTS.len() {
            let (keyspace, name) = self.world.place(key);
            let value = snapshot.get(keyspace, name).unwrap();
            steps.push(Step::Read(key, decode(value.as_deref())));
        }
        (End::Committed, steps)
    }
}

/// Runs some rounds while partitions and shards are reshaped, until one has what is looked for, if
/// something is. Returns all that was found.
fn run(isolation: Isolation, rounds: usize, until: Option<Anomaly>) -> Vec<Found> {
    let (seed, enough) = (seed(), Enough::new());
    let world = World::new(isolation);
    let stop = AtomicBool::new(false);
    let (mut all, mut transactions, mut aborted, mut made) = (Vec::new(), 0, 0, 0);
    std::thread::scope(|scope| {
        let (world, stop) = (&world, &stop);
        scope.spawn(move || {
            let _stop = Stop(stop);
            Churn::new(seed).shards_percent(8).run(&world.store, stop);
        });
        let _stop = Stop(stop);
        while !enough.is_reached(made >= rounds) && !stop.load(Ordering::Acquire) {
            let history = world.round(seed ^ made as u64);
            made += 1;
            transactions += history.len();
            aborted += history.iter().filter(|it| it.end == End::Aborted).count();
            let found = check(&history);
            let done = until.is_some_and(|until| found.iter().any(|it| it.anomaly == until));
            all.extend(found);
            if done {
                break;
            }
        }
    });
    println!("{transactions} transactions, {aborted} aborted; {:?}", world.store.reshape_stats());
    assert!(transactions > aborted * 2, "few were committed");
    assert!(world.store.verify().unwrap().is_sound());
    all
}

#[test]
fn transactions_are_serializable_while_partitions_and_shards_are_reshaped() {
    let found = run(Isolation::Serializable, 30, None);
    assert!(found.is_empty(), "{found:#?}");
}

/// That write skew is found shows that the transactions above would have met it, and that it would
/// have been seen there.
#[test]
fn at_snapshot_isolation_there_is_write_skew_and_nothing_else() {
    for skew in [Anomaly::G2Item, Anomaly::G2] {
        let found = run(Isolation::Snapshot, 60, Some(skew));
        let kinds: Vec<Anomaly> = found.iter().map(|found| found.anomaly).collect();
        assert!(kinds.contains(&skew), "{kinds:?}");
        let expected = |it: &Found| matches!(it.anomaly, Anomaly::G2Item | Anomaly::G2);
        let others: Vec<_> = found.iter().filter(|it| !expected(it)).collect();
        assert!(others.is_empty(), "{others:#?}");
    }
}

/// Leaves a protection out, in a process of its own: the test of serializability must fail there,
/// by what it has found.
#[cfg(feature = "failpoints")]
#[test]
fn a_missing_check_is_noticed() {
    let test = "elle::run::transactions_are_serializable_while_partitions_and_shards_are_reshaped";
    for skipped in ["check-keys", "check-ranges"] {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test])
            .env("ANNULUS_SKIP", skipped)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let is_found = ["GSingle", "G2Item", "G2"].iter().any(|kind| text.contains(kind));
        assert!(!output.status.success() && is_found, "{skipped}: {text}");
    }
}
