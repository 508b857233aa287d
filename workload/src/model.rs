//! A check of an engine against a model, for the tests of crates that implement one.

use crate::engine::{Candidate, Durability, Engine, Error, Result, Setup};
use crate::keys::Keys;
use crate::random::derive;
use fastrand::Rng;
use std::collections::BTreeMap;
use std::path::Path;

type Row = (Vec<u8>, Vec<u8>);

/// Few enough that most are written several times.
const RECORDS: u64 = 500;
const VALUE_BYTES_MAX: usize = 3_000;
const SCAN_ROWS_MAX: usize = 40;

pub(crate) fn setup(durability: Durability) -> Setup {
    Setup {
        durability,
        cache_bytes: 8 << 20,
        write_buffer_bytes: 8 << 20,
        keys: Keys::default(),
        records: RECORDS,
        threads: 1,
    }
}

/// Opens the candidate in an empty directory, and does random puts, gets and scans; in between,
/// what is in memory is moved to files. All that is read must match a [`BTreeMap`].
///
/// # Errors
///
/// What was read instead, and in which operation; and the engine's own errors.
pub fn agrees(
    candidate: &dyn Candidate,
    directory: &Path,
    durability: Durability,
    operations: u32,
    seed: u64,
) -> Result<()> {
    let setup = setup(durability);
    let engine = candidate.open(directory, &setup)?;
    let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut random = Rng::with_seed(derive(seed, &[]));
    for n in 0..operations {
        let key = setup.keys.key(random.u64(..RECORDS)).to_vec();
        match random.u32(..100) {
            0..50 => {
                let mut value = vec![0; random.usize(..VALUE_BYTES_MAX)];
                random.fill(&mut value);
                engine.put(&key, &value)?;
                model.insert(key, value);
            }
            50..90 => same(n, "get", &get(&*engine, &key)?, &model.get(&key).cloned())?,
            _ => {
                let rows = random.usize(1..SCAN_ROWS_MAX);
                same(n, "scan", &scan(&*engine, &key, rows)?, &rows_of(&model, &key, rows))?;
            }
        }
        if n == operations / 2 {
            engine.finish_load()?;
        }
    }
    engine.finish_run()?;
    let whole = scan(&*engine, b"", usize::MAX)?;
    same(operations, "last scan", &whole, &rows_of(&model, b"", usize::MAX))
}

fn get(engine: &dyn Engine, key: &[u8]) -> Result<Option<Vec<u8>>> {
    let (mut value, mut calls) = (None, 0);
    engine.get(key, &mut |found| {
        value = Some(found.to_vec());
        calls += 1;
    })?;
    if calls > 1 { Err(format!("one get lent {calls} values").into()) } else { Ok(value) }
}

fn scan(engine: &dyn Engine, from: &[u8], rows: usize) -> Result<Vec<Row>> {
    let mut found = Vec::new();
    engine.scan(from, rows, &mut |key, value| found.push((key.to_vec(), value.to_vec())))?;
    Ok(found)
}

fn rows_of(model: &BTreeMap<Vec<u8>, Vec<u8>>, from: &[u8], rows: usize) -> Vec<Row> {
    let range =
        model.range::<[u8], _>((std::ops::Bound::Included(from), std::ops::Bound::Unbounded));
    range.take(rows).map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn same<T: PartialEq + std::fmt::Debug>(n: u32, what: &str, found: &T, model: &T) -> Result<()> {
    if found == model {
        return Ok(());
    }
    let shown = |value: &T| format!("{value:?}").chars().take(200).collect::<String>();
    let (found, model) = (shown(found), shown(model));
    Err(Error::from(format!("operation {n}: a {what} found {found}; the model has {model}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Description, Identity};
    use std::sync::Mutex;

    /// A tree that forgets to overwrite, or does not.
    struct Tree(bool);

    struct Open(Mutex<BTreeMap<Vec<u8>, Vec<u8>>>, bool);

    impl Candidate for Tree {
        fn identity(&self) -> Identity {
            Identity { engine: "tree".into(), partitioning: "none".into(), shards: 1 }
        }

        fn open(&self, _: &Path, _: &Setup) -> Result<Box<dyn Engine>> {
            Ok(Box::new(Open(Mutex::default(), self.0)))
        }
    }

    impl Engine for Open {
        fn describe(&self) -> Description {
            Description::default()
        }

        fn get(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<()> {
            self.0.lock().unwrap().get(key).map(Vec::as_slice).map(found);
            Ok(())
        }

        fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
            let mut tree = self.0.lock().unwrap();
            if !self.1 || !tree.contains_key(key) {
                tree.insert(key.to_vec(), value.to_vec());
            }
            Ok(())
        }

        fn scan(&self, from: &[u8], rows: usize, row: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
            let tree = self.0.lock().unwrap();
            tree.range(from.to_vec()..).take(rows).for_each(|(key, value)| row(key, value));
            Ok(())
        }
    }

    #[test]
    fn it_tells_right_from_wrong() {
        let check = |forgets| agrees(&Tree(forgets), Path::new(""), Durability::Buffered, 2_000, 7);
        check(false).unwrap();
        let error = check(true).unwrap_err().to_string();
        assert!(error.starts_with("operation ") && error.contains("the model has"), "{error}");
    }
}
