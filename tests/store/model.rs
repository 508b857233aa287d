//! Goal: a store behaves like a map of maps, through closing, dropping and opening it again.
//! Method: random operations on a hash, a partly hashed and a range keyspace and on a `BTreeMap`
//! each; every answer is compared. proptest prints the operations that fail, made small.

use crate::basic::reopen;
use annulus::placement::HashPart;
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, Keyspace, Prefix, ScanOptions, Store};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::Bound;
use tempfile::TempDir;

type Key = Vec<u8>;
type Model = BTreeMap<Key, Vec<u8>>;

#[derive(Debug, Clone)]
enum Write {
    Put(usize, Key, Vec<u8>),
    Delete(usize, Key),
    DeleteRange(usize, Bound<Key>, Bound<Key>),
}

#[derive(Debug, Clone)]
enum Op {
    Write(Write),
    Batch(Vec<Write>),
    Swap { keyspace: usize, key: Key, right: bool, new: Option<Vec<u8>> },
    GetMany(usize, Vec<Key>),
    Scan { keyspace: usize, bounds: (Bound<Key>, Bound<Key>), reverse: bool, limit: Option<u64> },
    Prefix(usize, Key, bool),
    Snapshot,
    Flush,
    Reopen { close: bool },
}

/// Few letters and short keys, so that operations meet; `/` and braces matter to hashed parts.
fn key() -> impl Strategy<Value = Key> {
    vec(prop::sample::select(b"ab/{}\x00\xff".to_vec()), 0..5)
}

fn bound() -> impl Strategy<Value = Bound<Key>> {
    prop_oneof![
        key().prop_map(Bound::Included),
        key().prop_map(Bound::Excluded),
        Just(Bound::Unbounded)
    ]
}

/// Returns two bounds so that they are not inverted: inverted ones are errors.
pub(crate) fn not_inverted((a, b): (Bound<Key>, Bound<Key>)) -> (Bound<Key>, Bound<Key>) {
    match (&a, &b) {
        (
            Bound::Included(from) | Bound::Excluded(from),
            Bound::Included(to) | Bound::Excluded(to),
        ) if from > to => (b, a),
        (Bound::Excluded(from), Bound::Excluded(to)) if from == to => (a, Bound::Unbounded),
        _ => (a, b),
    }
}

fn bounds() -> impl Strategy<Value = (Bound<Key>, Bound<Key>)> {
    (bound(), bound()).prop_map(not_inverted)
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        6 => (0..4_usize, key(), vec(any::<u8>(), 0..8)).prop_map(|(ks, k, v)| Write::Put(ks, k, v)),
        2 => (0..4_usize, key()).prop_map(|(ks, k)| Write::Delete(ks, k)),
        1 => (0..4_usize, bounds()).prop_map(|(ks, (a, b))| Write::DeleteRange(ks, a, b)),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => write().prop_map(Op::Write),
        6 => vec(write(), 0..8).prop_map(Op::Batch),
        4 => (0..4_usize, key(), any::<bool>(), prop::option::of(vec(any::<u8>(), 0..4)))
            .prop_map(|(keyspace, key, right, new)| Op::Swap { keyspace, key, right, new }),
        3 => (0..4_usize, vec(key(), 0..8)).prop_map(|(ks, keys)| Op::GetMany(ks, keys)),
        6 => (0..4_usize, bounds(), any::<bool>(), prop::option::of(0..6_u64)).prop_map(
            |(keyspace, bounds, reverse, limit)| Op::Scan { keyspace, bounds, reverse, limit }
        ),
        3 => (0..4_usize, key(), any::<bool>()).prop_map(|(ks, p, r)| Op::Prefix(ks, p, r)),
        1 => Just(Op::Snapshot),
        1 => Just(Op::Flush),
        1 => any::<bool>().prop_map(|close| Op::Reopen { close }),
    ]
}

struct Pair {
    directory: TempDir,
    store: Store,
    keyspaces: Vec<Keyspace>,
    models: Vec<Model>,
}

impl Pair {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = reopen(&directory);
        let keyspaces = open_keyspaces(&store);
        Self { directory, store, keyspaces, models: vec![Model::new(); 4] }
    }

    fn apply(&mut self, write: &Write) {
        match write {
            Write::Put(ks, key, value) => {
                self.models[*ks].insert(key.clone(), value.clone());
            }
            Write::Delete(ks, key) => {
                self.models[*ks].remove(key);
            }
            Write::DeleteRange(ks, a, b) => self.models[*ks].retain(|k, _| !contains(a, b, k)),
        }
    }

    fn write(&mut self, write: Write) {
        self.apply(&write);
        match write {
            Write::Put(ks, key, value) => self.keyspaces[ks].put(key, value).unwrap(),
            Write::Delete(ks, key) => self.keyspaces[ks].delete(key).unwrap(),
            Write::DeleteRange(ks, a, b) => self.keyspaces[ks].delete_range((a, b)).unwrap(),
        }
    }

    fn batch(&mut self, writes: &[Write]) {
        let mut batch = Batch::new();
        for write in writes {
            self.apply(write);
            match write.clone() {
                Write::Put(ks, key, value) => batch.put(&self.keyspaces[ks], key, value),
                Write::Delete(ks, key) => batch.delete(&self.keyspaces[ks], key),
                Write::DeleteRange(ks, a, b) => batch.delete_range(&self.keyspaces[ks], (a, b)),
            }
        }
        self.store.write(batch).unwrap();
    }

    fn swap(&mut self, ks: usize, key: &Key, right: bool, new: Option<&[u8]>) {
        let present = self.models[ks].get(key).cloned();
        let expected = if right { present.clone() } else { Some(b"never".to_vec()) };
        let swap = self.keyspaces[ks].compare_and_swap(key, expected.as_deref(), new).unwrap();
        assert_eq!(swap.is_swapped(), expected == present);
        match new {
            Some(new) if expected == present => {
                self.models[ks].insert(key.clone(), new.to_vec());
            }
            None if expected == present => {
                self.models[ks].remove(key);
            }
            _ => {}
        }
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Write(write) => self.write(write),
            Op::Batch(writes) => self.batch(&writes),
            Op::Swap { keyspace, key, right, new } => {
                self.swap(keyspace, &key, right, new.as_deref());
            }
            Op::GetMany(ks, keys) => {
                let found = self.keyspaces[ks].get_many(&keys).unwrap();
                let found: Vec<_> = found.iter().map(|value| value.as_deref()).collect();
                let expected: Vec<_> =
                    keys.iter().map(|key| self.models[ks].get(key).map(Vec::as_slice)).collect();
                assert_eq!(found, expected);
            }
            Op::Scan { keyspace, bounds, reverse, limit } => {
                let model = &self.models[keyspace];
                let rows = model.iter().filter(|(k, _)| contains(&bounds.0, &bounds.1, k));
                let expected = ordered(rows, reverse, limit);
                let scan = self.keyspaces[keyspace].scan_with(bounds, options(reverse, limit));
                assert_eq!(collected(scan.unwrap()), expected);
            }
            Op::Prefix(ks, prefix, reverse) => {
                let rows = self.models[ks].iter().filter(|(key, _)| key.starts_with(&prefix));
                let expected = ordered(rows, reverse, None);
                let scan = self.keyspaces[ks]
                    .scan_with(Prefix::new(prefix.clone()), options(reverse, None));
                assert_eq!(collected(scan.unwrap()), expected);
            }
            Op::Snapshot => self.snapshot(),
            Op::Flush => self.store.flush().unwrap(),
            Op::Reopen { close } => self.reopen(close),
        }
    }

    /// A snapshot does not see what comes after it.
    fn snapshot(&mut self) {
        let snapshot = self.store.snapshot().unwrap();
        for (keyspace, model) in self.keyspaces.iter().zip(&mut self.models) {
            keyspace.delete_range(..).unwrap();
            keyspace.put("after", "x").unwrap();
            let expected = ordered(model.iter(), false, None);
            assert_eq!(collected(snapshot.scan(keyspace, ..).unwrap()), expected);
            for (key, value) in &*model {
                assert_eq!(snapshot.get(keyspace, key).unwrap().unwrap(), value);
            }
            *model = [(b"after".to_vec(), b"x".to_vec())].into();
        }
    }

    fn reopen(&mut self, close: bool) {
        if close {
            self.store.close().unwrap();
        }
        self.keyspaces.clear();
        // The last handle must go before the store can be opened again.
        self.store = {
            let placeholder = tempfile::tempdir().unwrap();
            drop(std::mem::replace(&mut self.store, reopen(&placeholder)));
            reopen(&self.directory)
        };
        self.keyspaces = open_keyspaces(&self.store);
    }

    fn check(&self) {
        for (keyspace, model) in self.keyspaces.iter().zip(&self.models) {
            assert_eq!(collected(keyspace.scan(..).unwrap()), ordered(model.iter(), false, None));
            assert_eq!(keyspace.count().unwrap(), model.len() as u64);
        }
        let report = self.store.verify().unwrap();
        assert!(report.is_sound(), "{:?}", report.problems);
    }
}

pub(crate) fn open_keyspaces(store: &Store) -> Vec<Keyspace> {
    let specs: [(&str, KeyspaceSpec); 4] = [
        ("hash", KeyspaceSpec::hash().into()),
        ("up to", KeyspaceSpec::hash().hashed(HashPart::UpTo { delimiter: b'/' }).into()),
        ("tag", KeyspaceSpec::hash().hashed(HashPart::Tag).into()),
        ("range", KeyspaceSpec::range().split_at(["a", "b", "b\u{0}", "{"]).into()),
    ];
    specs.map(|(name, spec)| store.keyspace_or_create(name, spec).unwrap()).into()
}

pub(crate) fn contains(start: &Bound<Key>, end: &Bound<Key>, key: &Key) -> bool {
    let after = match start {
        Bound::Included(start) => key >= start,
        Bound::Excluded(start) => key > start,
        Bound::Unbounded => true,
    };
    let before = match end {
        Bound::Included(end) => key <= end,
        Bound::Excluded(end) => key < end,
        Bound::Unbounded => true,
    };
    after && before
}

pub(crate) fn options(reverse: bool, limit: Option<u64>) -> ScanOptions {
    let options = ScanOptions::new().reverse(reverse);
    limit.map_or(options, |limit| options.limit(limit))
}

pub(crate) fn ordered<'a>(
    rows: impl DoubleEndedIterator<Item = (&'a Key, &'a Vec<u8>)>,
    reverse: bool,
    limit: Option<u64>,
) -> Vec<(Key, Vec<u8>)> {
    let rows = rows.map(|(key, value)| (key.clone(), value.clone()));
    let limit = usize::try_from(limit.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    if reverse { rows.rev().take(limit).collect() } else { rows.take(limit).collect() }
}

pub(crate) fn collected(scan: annulus::Scan) -> Vec<(Key, Vec<u8>)> {
    scan.map(Result::unwrap).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn behaves_like_maps(ops in vec(op(), 1..60)) {
        let mut pair = Pair::new();
        for op in ops {
            pair.run(op);
        }
        pair.check();
        pair.reopen(false);
        pair.check();
    }
}
