//! A store answers like a map for each keyspace, through closing, dropping and opening it again.

use annulus::placement::HashPart;
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, Keyspace, Options, ScanOptions, Store};
use arbitrary::Arbitrary;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::Path;
use tempfile::TempDir;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Debug, Arbitrary)]
pub(crate) enum Write {
    Put(u8, Vec<u8>, Vec<u8>),
    Delete(u8, Vec<u8>),
    DeleteRange(u8, Bound<Vec<u8>>, Bound<Vec<u8>>),
}

#[derive(Debug, Arbitrary)]
pub(crate) enum Op {
    Batch(Vec<Write>),
    Put(u8, Vec<u8>, Vec<u8>),
    PutIfAbsent(u8, Vec<u8>, Vec<u8>),
    Get(u8, Vec<u8>),
    Scan { keyspace: u8, start: Bound<Vec<u8>>, end: Bound<Vec<u8>>, reverse: bool },
    Prefix(u8, Vec<u8>),
    Reopen { close: bool },
}

fn open(path: &Path) -> (Store, [Keyspace; 3]) {
    let options =
        Options::new().cache_bytes(1 << 20).write_buffer_bytes(4 << 20).background_threads(1);
    let store = Store::builder(path).shards(2).options(options).open().unwrap();
    let specs: [KeyspaceSpec; 3] = [
        KeyspaceSpec::hash().arcs_per_shard(2).into(),
        KeyspaceSpec::hash().arcs_per_shard(2).hashed(HashPart::Prefix { bytes: 2 }).into(),
        KeyspaceSpec::range().split_at([b"\x40", b"\x80"]).into(),
    ];
    let mut names = ["hash", "prefix", "range"].iter();
    let keyspaces =
        specs.map(|spec| store.keyspace_or_create(names.next().unwrap(), spec).unwrap());
    (store, keyspaces)
}

fn within(key: &[u8], start: &Bound<Vec<u8>>, end: &Bound<Vec<u8>>) -> bool {
    (match start {
        Bound::Included(start) => key >= start.as_slice(),
        Bound::Excluded(start) => key > start.as_slice(),
        Bound::Unbounded => true,
    }) && (match end {
        Bound::Included(end) => key <= end.as_slice(),
        Bound::Excluded(end) => key < end.as_slice(),
        Bound::Unbounded => true,
    })
}

/// Returns true if a map would refuse the range with a panic, and so the store with an error.
fn is_inverted(start: &Bound<Vec<u8>>, end: &Bound<Vec<u8>>) -> bool {
    match (start, end) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Excluded(start), Bound::Excluded(end)) => end <= start,
        (
            Bound::Included(start) | Bound::Excluded(start),
            Bound::Included(end) | Bound::Excluded(end),
        ) => end < start,
    }
}

fn commit(store: &Store, keyspaces: &[Keyspace; 3], models: &mut [Model; 3], writes: Vec<Write>) {
    let mut batch = Batch::new();
    for write in writes {
        match write {
            Write::Put(at, key, value) => {
                let at = usize::from(at) % 3;
                batch.put(&keyspaces[at], &key, &value);
                models[at].insert(key, value);
            }
            Write::Delete(at, key) => {
                let at = usize::from(at) % 3;
                batch.delete(&keyspaces[at], &key);
                models[at].remove(&key);
            }
            Write::DeleteRange(at, start, end) => {
                let at = usize::from(at) % 3;
                if is_inverted(&start, &end) {
                    assert!(keyspaces[at].delete_range((start, end)).is_err());
                    continue;
                }
                models[at].retain(|key, _| !within(key, &start, &end));
                batch.delete_range(&keyspaces[at], (start, end));
            }
        }
    }
    store.write(batch).unwrap();
}

fn rows(scan: annulus::Scan) -> Vec<(Vec<u8>, Vec<u8>)> {
    scan.map(|row| row.unwrap()).collect()
}

fn same<'a>(scan: annulus::Scan, expected: impl Iterator<Item = (&'a Vec<u8>, &'a Vec<u8>)>) {
    let expected: Vec<_> = expected.map(|(key, value)| (key.clone(), value.clone())).collect();
    assert_eq!(rows(scan), expected);
}

/// Creating a store takes a hundred times as long as most inputs, so inputs share one: it is
/// emptied before each, and created again after some hundreds.
struct Shared {
    directory: TempDir,
    opened: Option<(Store, [Keyspace; 3])>,
    inputs_left: u32,
}

impl Shared {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let opened = Some(open(&directory.path().join("store")));
        Self { directory, opened, inputs_left: 500 }
    }
}

thread_local! {
    static SHARED: RefCell<Shared> = RefCell::new(Shared::new());
}

/// Carries out the operations; returns the kinds of those that took effect, or found something.
pub(crate) fn run(ops: Vec<Op>) -> BTreeSet<&'static str> {
    SHARED.with_borrow_mut(|shared| {
        if shared.inputs_left == 0 {
            *shared = Shared::new();
        }
        shared.inputs_left -= 1;
        let (_, keyspaces) = shared.opened.as_ref().unwrap();
        keyspaces.iter().for_each(|keyspace| keyspace.delete_range(..).unwrap());
        run_on(ops, shared)
    })
}

/// Carries out an operation in the store and in the model; returns its kind, and whether it changed
/// or found something.
fn step(
    store: &Store,
    keyspaces: &[Keyspace; 3],
    models: &mut [Model; 3],
    op: Op,
) -> (&'static str, bool) {
    match op {
        Op::Batch(writes) => {
            let written = !writes.is_empty();
            commit(store, keyspaces, models, writes);
            ("batch", written)
        }
        Op::Put(at, key, value) => {
            let at = usize::from(at) % 3;
            keyspaces[at].put(&key, &value).unwrap();
            models[at].insert(key, value);
            ("put", true)
        }
        Op::PutIfAbsent(at, key, value) => {
            let at = usize::from(at) % 3;
            let found = keyspaces[at].put_if_absent(&key, &value).unwrap().found();
            assert_eq!(found.as_deref(), models[at].get(&key).map(Vec::as_slice));
            models[at].entry(key).or_insert(value);
            ("put if absent", found.is_none())
        }
        Op::Get(at, key) => {
            let at = usize::from(at) % 3;
            let found = keyspaces[at].get(&key).unwrap();
            assert_eq!(found.as_deref(), models[at].get(&key).map(Vec::as_slice));
            ("get", found.is_some())
        }
        Op::Scan { keyspace, start, end, reverse } => {
            let at = usize::from(keyspace) % 3;
            let expected = models[at].iter().filter(|(key, _)| within(key, &start, &end));
            let some = expected.clone().next().is_some();
            let bounds = (start.clone(), end.clone());
            if is_inverted(&start, &end) {
                assert!(keyspaces[at].scan(bounds).is_err());
                return ("scan", false);
            }
            if reverse {
                let scan = keyspaces[at].scan_with(bounds, ScanOptions::new().reverse(true));
                same(scan.unwrap(), expected.rev());
            } else {
                same(keyspaces[at].scan(bounds).unwrap(), expected);
            }
            ("scan", some)
        }
        Op::Prefix(at, prefix) => {
            let at = usize::from(at) % 3;
            let expected = models[at].iter().filter(|(key, _)| key.starts_with(&prefix));
            let some = expected.clone().next().is_some();
            same(keyspaces[at].scan_prefix(&prefix).unwrap(), expected);
            ("prefix", some)
        }
        Op::Reopen { close } => {
            if close {
                store.close().unwrap();
            }
            ("reopen", models.iter().any(|model| !model.is_empty()))
        }
    }
}

fn run_on(ops: Vec<Op>, shared: &mut Shared) -> BTreeSet<&'static str> {
    let path = shared.directory.path().join("store");
    let opened = &mut shared.opened;
    let mut models: [Model; 3] = Default::default();
    let mut reached = BTreeSet::new();
    for op in ops.into_iter().take(100) {
        let (store, keyspaces) = opened.as_ref().unwrap();
        let reopens = matches!(op, Op::Reopen { .. });
        let (kind, took_effect) = step(store, keyspaces, &mut models, op);
        if reopens {
            drop(opened.take());
            *opened = Some(open(&path));
        }
        reached.extend(took_effect.then_some(kind));
    }
    let (store, keyspaces) = opened.as_ref().unwrap();
    for (keyspace, model) in keyspaces.iter().zip(&models) {
        same(keyspace.scan(..).unwrap(), model.iter());
    }
    assert!(store.verify().unwrap().is_sound());
    reached
}
