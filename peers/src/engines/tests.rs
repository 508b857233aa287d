//! Each engine against the model.

use super::{Fjall, Redb, Sled};
use annulus_workload::{Candidate, Durability, locked_version, model};

fn agrees_with_the_model(candidate: &dyn Candidate) {
    let seed = std::env::var("ANNULUS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("ANNULUS_SEED={seed}");
    for (durability, operations) in [(Durability::Buffered, 4_000), (Durability::Synced, 200)] {
        let directory = tempfile::tempdir().unwrap();
        model::agrees(candidate, directory.path(), durability, operations, seed).unwrap();
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
fn versions_are_known_and_rocksdb_is_that_of_annulus() {
    for package in ["fjall", "redb", "sled"] {
        assert!(!super::common::version(package).contains("unknown"), "{package}");
    }
    let here = include_str!("../../Cargo.lock");
    let annulus = include_str!("../../../Cargo.lock");
    for package in ["rocksdb", "librocksdb-sys"] {
        // Only then is it compiled once for both, too.
        assert_eq!(locked_version(here, package), locked_version(annulus, package));
    }
}
