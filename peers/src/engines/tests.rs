//! Each engine against a model: what was put is what is read, in order.

use super::{Fjall, Redb, Sled};
use annulus_workload::{Candidate, Durability, Engine, Keys, Setup};
use fastrand::Rng;
use std::collections::BTreeMap;

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

fn setup(durability: Durability) -> Setup {
    Setup {
        durability,
        cache_bytes: 8 << 20,
        write_buffer_bytes: 2 << 20,
        keys: Keys::default(),
        records: 1_000,
        threads: 2,
    }
}

fn key(random: &mut Rng) -> Vec<u8> {
    format!("key {:03}", random.u32(..500)).into_bytes()
}

fn read(engine: &dyn Engine, key: &[u8]) -> Option<Vec<u8>> {
    let mut value = None;
    engine.get(key, &mut |found| assert!(value.replace(found.to_vec()).is_none())).unwrap();
    value
}

fn scan(engine: &dyn Engine, from: &[u8], rows: usize) -> Rows {
    let mut found = Vec::new();
    engine.scan(from, rows, &mut |key, value| found.push((key.to_vec(), value.to_vec()))).unwrap();
    found
}

/// Random puts, gets and scans; what is in memory goes to files on the way.
fn agrees_with_the_model(candidate: &dyn Candidate) {
    let seed = std::env::var("ANNULUS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| Rng::new().u64(..));
    println!("ANNULUS_SEED={seed}");
    for (durability, operations) in [(Durability::Buffered, 4_000), (Durability::Synced, 200)] {
        let (mut random, mut model) = (Rng::with_seed(seed), BTreeMap::new());
        let directory = tempfile::tempdir().unwrap();
        let engine = candidate.open(directory.path(), &setup(durability)).unwrap();
        for n in 0..operations {
            let key = key(&mut random);
            match random.u32(..100) {
                0..50 => {
                    let value: Vec<u8> =
                        (0..random.usize(..3_000)).map(|_| random.u8(..)).collect();
                    engine.put(&key, &value).unwrap();
                    model.insert(key, value);
                }
                50..90 => assert_eq!(read(&*engine, &key), model.get(&key).cloned(), "{n}"),
                _ => {
                    let rows = random.usize(1..40);
                    let expected = model.range(key.clone()..).take(rows);
                    let expected: Rows = expected.map(|(k, v)| (k.clone(), v.clone())).collect();
                    assert_eq!(scan(&*engine, &key, rows), expected, "{n}");
                }
            }
            if n == operations / 2 {
                engine.finish_load().unwrap();
            }
        }
        engine.finish_run().unwrap();
        let all: Rows = model.into_iter().collect();
        assert_eq!(scan(&*engine, b"", usize::MAX), all);
        let description = engine.describe();
        assert!(description.version.contains(&candidate.identity().engine));
        assert!(!description.version.contains("unknown"), "{}", description.version);
    }
}

#[test]
fn fjall() {
    agrees_with_the_model(&Fjall);
}

#[test]
fn redb() {
    agrees_with_the_model(&Redb);
}

#[test]
fn sled() {
    agrees_with_the_model(&Sled);
}

#[test]
fn every_candidate_has_a_name_of_its_own() {
    let candidates: [&dyn Candidate; 3] = [&Fjall, &Redb, &Sled];
    let names: std::collections::BTreeSet<_> =
        candidates.iter().map(|candidate| candidate.identity().to_string()).collect();
    assert_eq!(names.len(), candidates.len());
}
