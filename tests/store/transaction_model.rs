//! Goal: a transaction behaves like a copy of maps that takes the place of the maps when it is
//! committed; and it meets a conflict exactly if another write has changed something that it has
//! read. Method: random steps of a transaction, with writes of others in between, on keyspaces of
//! each kind and on a `BTreeMap` each. The model notes each key and each part of a range that was
//! read, and looks at each write of others. proptest prints the steps that fail, made small.

use crate::basic::reopen;
use crate::model::{collected, contains, not_inverted, open_keyspaces, options, ordered};
use annulus::{ErrorKind, Keyspace, Prefix, Store, TransactionOptions};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::Bound;
use tempfile::TempDir;

type Key = Vec<u8>;
type Model = BTreeMap<Key, Vec<u8>>;
type Bounds = (Bound<Key>, Bound<Key>);

#[derive(Debug, Clone)]
enum Write {
    Put(usize, Key, Vec<u8>),
    Delete(usize, Key),
    DeleteRange(usize, Bounds),
    DeletePrefix(usize, Key),
    Add(usize, Key, i64),
}

#[derive(Debug, Clone)]
enum Step {
    Own(Write),
    Others(Write),
    Get(usize, Key),
    GetMany(usize, Vec<Key>),
    Scan { keyspace: usize, bounds: Bounds, reverse: bool, limit: Option<u64> },
    Prefix(usize, Key),
}

fn key() -> impl Strategy<Value = Key> {
    vec(prop::sample::select(b"ab/{}\x00\xff".to_vec()), 0..4)
}

fn bound() -> impl Strategy<Value = Bound<Key>> {
    prop_oneof![
        key().prop_map(Bound::Included),
        key().prop_map(Bound::Excluded),
        Just(Bound::Unbounded)
    ]
}

fn bounds() -> impl Strategy<Value = Bounds> {
    (bound(), bound()).prop_map(not_inverted)
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        6 => (0..4_usize, key(), vec(any::<u8>(), 0..8)).prop_map(|(ks, k, v)| Write::Put(ks, k, v)),
        3 => (0..4_usize, key()).prop_map(|(ks, k)| Write::Delete(ks, k)),
        2 => (0..4_usize, bounds()).prop_map(|(ks, b)| Write::DeleteRange(ks, b)),
        1 => (0..4_usize, key()).prop_map(|(ks, k)| Write::DeletePrefix(ks, k)),
        2 => (0..4_usize, key(), any::<i8>()).prop_map(|(ks, k, n)| Write::Add(ks, k, n.into())),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => write().prop_map(Step::Own),
        2 => write().prop_map(Step::Others),
        3 => (0..4_usize, key()).prop_map(|(ks, k)| Step::Get(ks, k)),
        1 => (0..4_usize, vec(key(), 0..5)).prop_map(|(ks, keys)| Step::GetMany(ks, keys)),
        3 => (0..4_usize, bounds(), any::<bool>(), prop::option::of(0..4_u64)).prop_map(
            |(keyspace, bounds, reverse, limit)| Step::Scan { keyspace, bounds, reverse, limit }
        ),
        1 => (0..4_usize, key()).prop_map(|(ks, k)| Step::Prefix(ks, k)),
    ]
}

/// Applies a write to a model. Returns the range of keys that the log says was changed; `None` if
/// nothing.
fn apply(models: &mut [Model], write: &Write) -> Option<(usize, Bounds)> {
    let of_key = |key: &Key| (Bound::Included(key.clone()), Bound::Included(key.clone()));
    match write {
        Write::Put(ks, key, value) => {
            models[*ks].insert(key.clone(), value.clone());
            Some((*ks, of_key(key)))
        }
        Write::Delete(ks, key) => {
            models[*ks].remove(key);
            Some((*ks, of_key(key)))
        }
        Write::Add(ks, key, n) => {
            let sum = sum(models[*ks].get(key), *n)?;
            models[*ks].insert(key.clone(), sum.to_le_bytes().into());
            Some((*ks, of_key(key)))
        }
        Write::DeleteRange(ks, bounds) => {
            let mut bounds = bounds.clone();
            if bounds.1 == Bound::Unbounded {
                // It reaches to the last key that is there.
                let last = models[*ks].keys().rfind(|key| contains(&bounds.0, &bounds.1, key))?;
                bounds.1 = Bound::Included(last.clone());
            }
            models[*ks].retain(|key, _| !contains(&bounds.0, &bounds.1, key));
            Some((*ks, bounds))
        }
        Write::DeletePrefix(ks, prefix) => {
            apply(models, &Write::DeleteRange(*ks, of_prefix(prefix)))
        }
    }
}

fn of_prefix(prefix: &Key) -> Bounds {
    use annulus::placement::KeyRange;
    let end = KeyRange::of_prefix(prefix).end;
    let end = end.map_or(Bound::Unbounded, |end| Bound::Excluded(end.into()));
    (Bound::Included(prefix.clone()), end)
}

fn sum(old: Option<&Vec<u8>>, n: i64) -> Option<i64> {
    let old = old.map_or(Some(0), |old| Some(i64::from_le_bytes(old[..].try_into().ok()?)))?;
    old.checked_add(n)
}

/// Whether two ranges have a key in common; keys are so short that all that matter can be tried.
fn meet(one: &Bounds, other: &Bounds) -> bool {
    let start = |bounds: &Bounds| match &bounds.0 {
        Bound::Included(key) => key.clone(),
        Bound::Excluded(key) => [key, &[0][..]].concat(),
        Bound::Unbounded => Key::new(),
    };
    let first = start(one).max(start(other));
    contains(&one.0, &one.1, &first) && contains(&other.0, &other.1, &first)
}

struct World {
    _directory: TempDir,
    store: Store,
    keyspaces: Vec<Keyspace>,
    models: Vec<Model>,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = reopen(&directory);
        let keyspaces = open_keyspaces(&store);
        Self { _directory: directory, store, keyspaces, models: vec![Model::new(); 4] }
    }

    fn write(&mut self, write: &Write) -> Option<(usize, Bounds)> {
        let changed = apply(&mut self.models, write);
        let keyspaces = &self.keyspaces;
        match write.clone() {
            Write::Put(ks, key, value) => keyspaces[ks].put(key, value).unwrap(),
            Write::Delete(ks, key) => keyspaces[ks].delete(key).unwrap(),
            Write::DeleteRange(ks, bounds) => keyspaces[ks].delete_range(bounds).unwrap(),
            Write::DeletePrefix(ks, prefix) => {
                keyspaces[ks].delete_range(Prefix::new(prefix)).unwrap();
            }
            Write::Add(ks, key, n) => {
                assert_eq!(keyspaces[ks].add(key, n).is_ok(), changed.is_some())
            }
        }
        changed
    }

    fn check(&self) {
        for (keyspace, model) in self.keyspaces.iter().zip(&self.models) {
            assert_eq!(collected(keyspace.scan(..).unwrap()), ordered(model.iter(), false, None));
        }
    }

    /// Runs a transaction, and ends it. Returns whether it met a conflict.
    fn transaction(&mut self, steps: &[Step], commit: bool) -> bool {
        let store = self.store.clone();
        let mut open = Open {
            tx: store.begin_with(TransactionOptions::new()).unwrap(),
            keyspaces: self.keyspaces.clone(),
            models: self.models.clone(),
            reads: Vec::new(),
            written: vec![Vec::new(); 4],
        };
        let (mut writes, mut changed) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Others(write) => changed.extend(self.write(write)),
                step => open.run(step),
            }
            if let Step::Own(write) = step {
                writes.push(write.clone());
            }
        }
        self.check();
        if !commit {
            open.tx.rollback();
            self.check();
            return false;
        }
        let wrote = open.wrote(&writes);
        let conflict = wrote
            && open.reads.iter().any(|(ks, read)| {
                changed.iter().any(|(other, write)| ks == other && meet(read, write))
            });
        let committed = open.tx.commit();
        match &committed {
            Ok(()) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error:#}"),
        }
        assert_eq!(committed.is_err(), conflict, "{changed:?}");
        if !conflict {
            self.merge(&open.models, &open.written, &writes);
        }
        self.check();
        conflict
    }

    /// Applies what a transaction has written, as it has seen it, to what others have made of the
    /// maps since.
    fn merge(&mut self, seen: &[Model], written: &[Vec<Key>], writes: &[Write]) {
        for write in writes {
            match write {
                // What it came to in the transaction, which has read it.
                Write::Add(ks, key, _) => {
                    if let Some(value) = seen[*ks].get(key)
                        && written[*ks].contains(key)
                    {
                        self.models[*ks].insert(key.clone(), value.clone());
                    }
                }
                write => {
                    apply(&mut self.models, write);
                }
            }
        }
    }
}

/// A transaction, what it should see, and what it has read.
struct Open {
    tx: annulus::Transaction,
    keyspaces: Vec<Keyspace>,
    models: Vec<Model>,
    reads: Vec<(usize, Bounds)>,
    /// Keys of which it decides the value by itself, so that reading them relies on nothing.
    written: Vec<Vec<Key>>,
}

impl Open {
    fn read_key(&mut self, ks: usize, key: &Key) {
        if !self.written[ks].contains(key) {
            let bounds = (Bound::Included(key.clone()), Bound::Included(key.clone()));
            self.reads.push((ks, bounds));
        }
    }

    fn wrote(&self, writes: &[Write]) -> bool {
        writes.iter().any(|write| match write {
            Write::Put(..) | Write::Delete(..) => true,
            Write::Add(ks, key, _) => self.written[*ks].contains(key),
            Write::DeleteRange(_, bounds) => !is_empty(bounds),
            Write::DeletePrefix(..) => true,
        })
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Others(_) => {}
            Step::Own(write) => self.write(write),
            Step::Get(ks, key) => {
                self.read_key(*ks, key);
                let found = self.tx.get(&self.keyspaces[*ks], key).unwrap();
                assert_eq!(found.as_deref(), self.models[*ks].get(key).map(Vec::as_slice));
            }
            Step::GetMany(ks, keys) => {
                keys.iter().for_each(|key| self.read_key(*ks, key));
                let found = self.tx.get_many(&self.keyspaces[*ks], keys).unwrap();
                let found: Vec<_> = found.iter().map(|value| value.as_deref()).collect();
                let expected: Vec<_> =
                    keys.iter().map(|key| self.models[*ks].get(key).map(Vec::as_slice)).collect();
                assert_eq!(found, expected);
            }
            Step::Scan { keyspace, bounds, reverse, limit } => {
                self.scan(*keyspace, bounds, *reverse, *limit);
            }
            Step::Prefix(ks, prefix) => {
                let rows = self.models[*ks].iter().filter(|(key, _)| key.starts_with(prefix));
                let expected = ordered(rows, false, None);
                let scan = self.tx.scan_prefix(&self.keyspaces[*ks], prefix).unwrap();
                let found: Vec<_> = scan.map(Result::unwrap).collect();
                assert_eq!(found, expected);
                self.reads.push((*ks, of_prefix(prefix)));
            }
        }
    }

    fn scan(&mut self, ks: usize, bounds: &Bounds, reverse: bool, limit: Option<u64>) {
        let rows = self.models[ks].iter().filter(|(k, _)| contains(&bounds.0, &bounds.1, k));
        let expected = ordered(rows, reverse, limit);
        let scan = self.tx.scan_with(&self.keyspaces[ks], bounds.clone(), options(reverse, limit));
        let found: Vec<_> = scan.unwrap().map(Result::unwrap).collect();
        assert_eq!(found, expected);
        let mut seen = bounds.clone();
        if limit == Some(found.len() as u64) {
            let Some((last, _)) = found.last() else { return };
            let end = if reverse { &mut seen.0 } else { &mut seen.1 };
            *end = Bound::Included(last.clone());
        }
        if !is_empty(&seen) {
            self.reads.push((ks, seen));
        }
    }

    fn write(&mut self, write: &Write) {
        let (tx, keyspaces) = (&self.tx, &self.keyspaces);
        match write.clone() {
            Write::Put(ks, key, value) => {
                tx.put(&keyspaces[ks], &key, value).unwrap();
                self.written[ks].push(key);
            }
            Write::Delete(ks, key) => {
                tx.delete(&keyspaces[ks], &key).unwrap();
                self.written[ks].push(key);
            }
            Write::DeleteRange(ks, bounds) => {
                tx.delete_range(&keyspaces[ks], bounds.clone()).unwrap();
                self.written[ks]
                    .extend(all_keys().filter(|key| contains(&bounds.0, &bounds.1, key)));
            }
            Write::DeletePrefix(ks, prefix) => {
                tx.delete_range(&keyspaces[ks], Prefix::new(prefix.clone())).unwrap();
                self.written[ks].extend(all_keys().filter(|key| key.starts_with(&prefix)));
            }
            Write::Add(ks, key, n) => {
                let added = tx.add(&keyspaces[ks], &key, n).ok();
                assert_eq!(added, sum(self.models[ks].get(&key), n));
                self.read_key(ks, &key);
                if added.is_some() {
                    self.written[ks].push(key);
                }
            }
        }
        apply(&mut self.models, write);
    }
}

fn is_empty(bounds: &Bounds) -> bool {
    !meet(bounds, bounds)
}

/// All keys that the steps can name.
fn all_keys() -> impl Iterator<Item = Key> {
    let mut all = vec![Key::new()];
    for length in 0..3 {
        let longest: Vec<Key> = all.iter().filter(|key| key.len() == length).cloned().collect();
        let next = |key: &Key| b"ab/{}\x00\xff".map(|letter| [&key[..], &[letter]].concat());
        all.extend(longest.iter().flat_map(next));
    }
    all.into_iter()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn behaves_like_maps_that_change_together(
        transactions in vec((vec(step(), 1..14), prop::bool::weighted(0.9)), 1..8),
    ) {
        let mut world = World::new();
        for (steps, commit) in transactions {
            world.transaction(&steps, commit);
        }
    }
}
