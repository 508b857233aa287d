//! Each engine against the model.

use super::version::rocksdb_version;
use super::{Partitioning, Plain, Sharded};
use crate::{Candidate, Durability, model};

#[test]
fn each_agrees_with_the_model() {
    let seed = std::env::var("ANNULUS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("ANNULUS_SEED={seed}");
    let (hash, range) = (Sharded::new(Partitioning::Hash, 3), Sharded::new(Partitioning::Range, 3));
    let candidates: [&dyn Candidate; 3] = [&hash, &range, &Plain];
    for candidate in candidates {
        for (durability, operations) in [(Durability::Buffered, 3_000), (Durability::Synced, 150)] {
            let directory = tempfile::tempdir().unwrap();
            let agrees = model::agrees(candidate, directory.path(), durability, operations, seed);
            agrees.unwrap_or_else(|error| panic!("{}: {error}", candidate.identity()));
        }
    }
}

#[test]
fn the_version_of_rocksdb_is_known() {
    let version = rocksdb_version();
    assert!(version.split('.').all(|part| part.parse::<u32>().is_ok()), "{version}");
}

/// What the cache of hot keys answered is reported, and only for stores that have one.
#[test]
fn the_cache_tells_what_it_answered() {
    let opened = |candidate: &dyn Candidate| {
        let directory = tempfile::tempdir().unwrap();
        let setup = model::setup(Durability::Buffered);
        let engine = candidate.open(directory.path(), &setup).unwrap();
        engine.put(b"key", b"value").unwrap();
        let before = engine.cache_reads();
        (0..2000).for_each(|_| engine.get(b"key", &mut |_| {}).unwrap());
        engine.cache_reads().zip(before).map(|(now, before)| now.since(before))
    };
    let usual = Sharded::new(Partitioning::Hash, 2);
    // All but the first; the counts are estimates.
    let part = opened(&usual).unwrap().hit_part().unwrap();
    assert!((0.9..=1.0).contains(&part), "{part}");
    assert_eq!(opened(&Sharded { hot_cache: Some(0), ..usual }), None);
    assert_eq!(opened(&Plain), None);
}
