//! Each engine against the model.

use super::{Partitioning, Plain, Sharded, rocksdb_version};
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
