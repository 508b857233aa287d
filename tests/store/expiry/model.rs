//! Goal: for a simulated day, a keyspace whose rows expire behaves like a `BTreeMap` of values and
//! times, through reshapes, compactions, snapshots, ends of the process and closes. Method: random
//! steps, after each of which the clock goes on by up to some minutes, and the whole is compared.
//! `ANNULUS_SEED` repeats a run.

use super::{HOUR, clock, open};
use crate::basic::small;
use crate::churn::{quick_directory, seed};
use annulus::clock::ManualClock;
use annulus::planner::Request;
use annulus::reshape::{Check, ReshapeOptions, Transport};
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, ErrorKind, Expect, Keyspace, ScanOptions, ShardId, Snapshot, Store};
use fastrand::Rng;
use std::collections::BTreeMap;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const LIFETIME: Duration = Duration::from_secs(30 * 60);
/// How many keys there are.
const KEYS: u32 = 60;

/// Each key with its value, and when it expires; times are from the beginning.
type Rows = BTreeMap<Vec<u8>, (Vec<u8>, Duration)>;

struct Run {
    rng: Rng,
    clock: ManualClock,
    now: Duration,
    store: Store,
    keyspaces: Vec<Keyspace>,
    models: Vec<Rows>,
    /// With the models and the time of each.
    snapshots: Vec<(Snapshot, Vec<Rows>, Duration)>,
}

fn alive(rows: &Rows, now: Duration) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let alive = rows.iter().filter(move |(_, (_, expires))| *expires > now);
    alive.map(|(key, (value, _))| (key.clone(), value.clone()))
}

fn keyspaces(store: &Store) -> Vec<Keyspace> {
    let specs: [(&str, KeyspaceSpec); 2] = [
        ("hash", KeyspaceSpec::hash().arcs_per_shard(1).time_to_live(LIFETIME).into()),
        ("range", KeyspaceSpec::range().split_at(["key 3"]).time_to_live(LIFETIME).into()),
    ];
    let open = |(name, spec)| store.keyspace_or_create(name, spec).unwrap();
    specs.into_iter().map(open).collect()
}

impl Run {
    fn key(&mut self) -> Vec<u8> {
        format!("key {}", self.rng.u32(..KEYS)).into_bytes()
    }

    fn value(&mut self) -> Vec<u8> {
        format!("value {}", self.rng.u32(..)).into_bytes()
    }

    fn lifetime(&mut self) -> Duration {
        Duration::from_millis(self.rng.u64(1..3 * 3_600_000))
    }

    fn get(&self, of: usize, key: &[u8]) -> Option<Vec<u8>> {
        let (value, expires) = self.models[of].get(key)?;
        (*expires > self.now).then(|| value.clone())
    }

    fn set(&mut self, of: usize, key: Vec<u8>, value: Vec<u8>, lifetime: Duration) {
        self.models[of].insert(key, (value, self.now + lifetime));
    }

    fn write(&mut self, of: usize) {
        let (key, value, rows) = (self.key(), self.value(), self.keyspaces[of].clone());
        let present = self.get(of, &key);
        match self.rng.u32(..10) {
            0 => {
                rows.put(&key, &value).unwrap();
                self.set(of, key, value, LIFETIME);
            }
            1 => {
                let lifetime = self.lifetime();
                rows.put_for(&key, &value, lifetime).unwrap();
                self.set(of, key, value, lifetime);
            }
            2 => {
                rows.delete(&key).unwrap();
                self.models[of].remove(&key);
            }
            3 => {
                let swap = rows.put_if_absent(&key, &value).unwrap();
                assert_eq!(swap.is_swapped(), present.is_none());
                if present.is_none() {
                    self.set(of, key, value, LIFETIME);
                }
            }
            4 => {
                let new = rows.update(&key, |old| Some([old.unwrap_or(b"none"), b"+"].concat()));
                let expected = [present.as_deref().unwrap_or(b"none"), b"+"].concat();
                assert_eq!(new.unwrap(), Some(expected.clone()));
                self.set(of, key, expected, LIFETIME);
            }
            5 => {
                let expect = present.as_deref().map_or(Expect::Absent, Expect::Value);
                let (lifetime, other) = (self.lifetime(), self.key());
                let mut batch = Batch::new();
                batch.require(&rows, &key, expect);
                batch.put_for(&rows, &key, &value, lifetime);
                batch.put(&rows, &other, &value);
                assert!(self.store.write_if(batch).unwrap().is_written());
                self.set(of, key, value.clone(), lifetime);
                self.set(of, other, value, LIFETIME);
            }
            6 => {
                let mut batch = Batch::new();
                let expect = if present.is_some() { Expect::Absent } else { Expect::Present };
                batch.require(&rows, &key, expect);
                batch.put(&rows, &key, &value);
                assert!(!self.store.write_if(batch).unwrap().is_written());
            }
            7 => self.transact(of, key, value),
            8 => {
                let (lifetime, other) = (self.lifetime(), self.value());
                let swap = rows.put_if_absent_for(&key, &value, lifetime).unwrap();
                assert_eq!(swap.is_swapped(), present.is_none());
                if present.is_none() {
                    self.set(of, key.clone(), value, lifetime);
                }
                let (present, lifetime) = (self.get(of, &key), self.lifetime());
                let swap = rows.compare_and_swap_for(&key, present.as_deref(), &other, lifetime);
                assert!(swap.unwrap().is_swapped());
                self.set(of, key, other, lifetime);
            }
            _ => {
                let (start, end) = (key.clone(), self.key());
                if start < end {
                    rows.delete_range(start.as_slice()..end.as_slice()).unwrap();
                    self.models[of].retain(|key, _| *key < start || *key >= end);
                }
            }
        }
    }

    /// A transaction that copies a row, while time goes on.
    fn transact(&mut self, of: usize, key: Vec<u8>, other: Vec<u8>) {
        let (rows, lifetime) = (self.keyspaces[of].clone(), self.lifetime());
        let expires = self.models[of].get(&key).map(|(_, expires)| *expires);
        let transaction = self.store.begin().unwrap();
        let found = transaction.get(&rows, &key).unwrap().map(|value| value.to_vec());
        assert_eq!(found, self.get(of, &key));
        let value = found.clone().unwrap_or_else(|| b"none".to_vec());
        transaction.put_for(&rows, &other, &value, lifetime).unwrap();
        let passed = Duration::from_millis(self.rng.u64(..600_000));
        self.pass(passed);
        match transaction.commit() {
            Ok(()) => {
                assert!(found.is_none() || expires.is_some_and(|it| it > self.now));
                self.set(of, other, value, lifetime);
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Conflict);
                assert!(found.is_some() && expires.is_some_and(|it| it <= self.now));
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.clock.advance(time);
    }

    fn reshape(&mut self, of: usize) {
        let placement = self.keyspaces[of].placement();
        let partitions: Vec<_> = placement.partitions().collect();
        let index = self.rng.usize(..partitions.len());
        let partition = &partitions[index];
        let to = ShardId((partition.owner.0 + self.rng.u32(1..3)) % 3);
        let request = Request::Move { partition: partition.id, to };
        let transport = if self.rng.bool() { Transport::Copy } else { Transport::Link };
        let options = ReshapeOptions::new().check(Check::Full).transport(transport);
        self.store.start_with(&request, options).unwrap().wait().unwrap();
    }

    fn reopen(&mut self, path: &std::path::Path) {
        self.snapshots.clear();
        self.keyspaces.clear();
        if self.rng.bool() {
            self.store.close().unwrap();
        }
        // The one that is there must be gone first.
        let elsewhere = quick_directory();
        self.store = open(&elsewhere.path().join("store"), &clock(), small());
        self.store = open(path, &self.clock, small());
        self.keyspaces = keyspaces(&self.store);
    }

    fn compare(&mut self) {
        for (of, rows) in self.keyspaces.iter().enumerate() {
            let expected: Vec<_> = alive(&self.models[of], self.now).collect();
            let mut found: Vec<_> = rows.scan(..).unwrap().map(Result::unwrap).collect();
            assert_eq!(found, expected, "{} after {:?}", rows.name(), self.now);
            let reverse = rows.scan_with(.., ScanOptions::new().reverse(true)).unwrap();
            found.reverse();
            assert_eq!(reverse.map(Result::unwrap).collect::<Vec<_>>(), found);
            assert_eq!(rows.count().unwrap(), expected.len() as u64);
        }
        let (of, key) = (self.rng.usize(..2), self.key());
        let expected = self.get(of, &key);
        let rows = &self.keyspaces[of];
        for _ in 0..3 {
            assert_eq!(rows.get(&key).unwrap().map(|value| value.to_vec()), expected);
        }
        let many = rows.get_many([&key]).unwrap().remove(0);
        assert_eq!(many.map(|value| value.to_vec()), expected);
        for (snapshot, models, at) in &self.snapshots {
            for (of, rows) in self.keyspaces.iter().enumerate() {
                let scan = snapshot.scan(rows, ..).unwrap().map(Result::unwrap);
                let expected: Vec<_> = alive(&models[of], *at).collect();
                assert_eq!(scan.collect::<Vec<_>>(), expected, "as of {at:?}");
            }
        }
    }
}

#[test]
fn rows_behave_like_a_map_through_a_day() {
    let rng = Rng::with_seed(seed());
    let (directory, clock) = (quick_directory(), clock());
    let path = directory.path().join("store");
    let store = open(&path, &clock, small());
    let keyspaces = keyspaces(&store);
    let (models, snapshots) = (vec![Rows::new(); 2], Vec::new());
    let mut run = Run { rng, clock, now: Duration::ZERO, store, keyspaces, models, snapshots };
    let mut reshapes = 0;
    while run.now < 24 * HOUR {
        let of = run.rng.usize(..2);
        match run.rng.u32(..100) {
            0..2 => run.keyspaces[of].reclaim_expired().unwrap(),
            2..4 => run.store.flush().unwrap(),
            4..6 => {
                run.reshape(of);
                reshapes += 1;
            }
            6..8 if run.snapshots.len() < 3 => {
                let models = run.models.clone();
                run.snapshots.push((run.store.snapshot().unwrap(), models, run.now));
            }
            8..11 => drop(run.snapshots.pop()),
            11 => run.reopen(&path),
            _ => run.write(of),
        }
        let most = if run.rng.u32(..20) == 0 { 20 * MINUTE } else { 2 * MINUTE };
        let passed = Duration::from_millis(run.rng.u64(..most.as_millis() as u64));
        run.pass(passed);
        run.compare();
    }
    assert!(reshapes > 0);
    run.snapshots.clear();
    run.pass(3 * HOUR);
    for rows in &run.keyspaces {
        rows.reclaim_expired().unwrap();
        assert_eq!(rows.count().unwrap(), 0);
        assert_eq!(rows.count_estimated().unwrap(), 0, "all space is back");
    }
}
