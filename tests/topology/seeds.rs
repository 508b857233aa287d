//! The seeds of the fuzz target `metadata` are records and contents of records of this version.
//!
//! They were once of a former format, as was the header that the target puts before its inputs: so
//! every input was refused at the header, and nothing behind it was ever fuzzed.

use super::{ShardInfo, Topology};
use annulus::ShardId;
use annulus::placement::HashPart;
use annulus::topology::{Change, FORMAT, KeyspaceSpec, decode_topology, encode_topology};
use std::path::PathBuf;

fn topologies() -> [(&'static str, Topology); 3] {
    let shards = [(0, 1, "z0"), (1, 3, "z1")].map(|(id, weight, zone)| {
        ShardInfo::new(ShardId(id), format!("shards/{id}")).weight(weight).zone(zone)
    });
    let empty = Topology::new(shards).unwrap();
    let with = |spec| {
        let change = Change::CreateKeyspace { name: "users".into(), spec };
        empty.apply(&change).unwrap()
    };
    let hash = KeyspaceSpec::hash().hashed(HashPart::Prefix { bytes: 4 }).arcs_per_shard(3);
    let range = KeyspaceSpec::range().split_at(["d", "dd", "m", "t"]);
    [("empty", empty.clone()), ("hash", with(hash.into())), ("range", with(range.into()))]
}

/// Every seed gets past decoding, as the target decodes it.
///
/// After a change of the format, `ANNULUS_WRITE_SEEDS=1` writes them anew.
#[test]
fn every_seed_of_the_metadata_target_decodes() {
    let directory = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/metadata"));
    for (name, topology) in topologies() {
        let record = encode_topology(&topology).unwrap();
        let files = [("record", &record[..]), ("content", &record[6..])];
        for (kind, bytes) in files {
            let path = directory.join(format!("{kind}-{name}"));
            if std::env::var_os("ANNULUS_WRITE_SEEDS").is_some() {
                std::fs::write(&path, bytes).unwrap();
            }
        }
    }
    let (mut whole, mut wrapped) = (0, 0);
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let checksum = crc32fast::hash(&bytes).to_le_bytes();
        let record = [&FORMAT.to_le_bytes()[..], &checksum, &bytes].concat();
        match (decode_topology(&bytes), decode_topology(&record)) {
            (Ok(_), Err(_)) => whole += 1,
            (Err(_), Ok(_)) => wrapped += 1,
            (error, _) => {
                panic!("{}: {error:?}; write it anew: ANNULUS_WRITE_SEEDS=1", path.display())
            }
        }
    }
    assert!(whole >= 3 && wrapped >= 3, "{whole} whole, {wrapped} wrapped");
}
