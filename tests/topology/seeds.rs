//! The seeds of every fuzz target get past the decoding of its inputs, and do something.
//!
//! Those of the target `metadata` were once of a former format, as was the header that the target
//! puts before its inputs: so every input was refused at the header, and nothing behind it was ever
//! fuzzed. A seed that decodes to nothing, or to operations that are all refused, is as useless.

#[cfg(feature = "failpoints")]
#[path = "../../fuzz/src/log.rs"]
mod log;
#[path = "../../fuzz/src/metadata.rs"]
mod metadata;
#[path = "../../fuzz/src/range_map.rs"]
mod range_map;
#[path = "../../fuzz/src/ring.rs"]
mod ring;
#[cfg(feature = "rocksdb")]
#[path = "../../fuzz/src/store.rs"]
mod store;
#[path = "../../fuzz/src/topology.rs"]
mod topology;
#[path = "../../fuzz/src/tuple.rs"]
mod tuple;

use super::{ShardInfo, Topology};
use annulus::ShardId;
use annulus::placement::HashPart;
use annulus::topology::{Change, KeyspaceSpec, decode_topology, encode_topology};
use arbitrary::{Arbitrary, Unstructured};
use std::collections::BTreeSet;
use std::path::PathBuf;

type Reached = BTreeSet<&'static str>;

struct Target {
    name: &'static str,
    /// Runs the body of the target; returns the kinds of operations that took effect.
    run: fn(&[u8]) -> Reached,
    /// What all its seeds together reach.
    kinds: &'static [&'static str],
}

/// Decodes an input as the target does, and runs it.
fn decoded<'a, T: Arbitrary<'a>>(bytes: &'a [u8], run: impl Fn(T) -> Reached) -> Reached {
    if bytes.len() < T::size_hint(0).0 {
        return Reached::new();
    }
    T::arbitrary_take_rest(Unstructured::new(bytes)).map(run).unwrap_or_default()
}

const TARGETS: &[Target] = &[
    #[cfg(feature = "failpoints")]
    Target { name: "log", run: log::run, kinds: &["payload", "record", "records", "segment"] },
    Target {
        name: "metadata",
        run: |bytes| {
            let reached = metadata::records(bytes)
                .into_iter()
                .filter(|(_, record)| decode_topology(record).inspect(metadata::check).is_ok());
            reached.map(|(kind, _)| kind).collect()
        },
        kinds: &["content", "record"],
    },
    Target {
        name: "range_map",
        run: |bytes| decoded(bytes, range_map::run),
        kinds: &["find", "insert", "intersecting", "remove"],
    },
    Target {
        name: "ring",
        run: |bytes| decoded(bytes, ring::run),
        kinds: &["add", "assign", "find", "merge", "prefer", "remove", "reweigh", "split"],
    },
    #[cfg(feature = "rocksdb")]
    Target {
        name: "store",
        run: |bytes| decoded(bytes, store::run),
        kinds: &["batch", "get", "prefix", "put", "put if absent", "reopen", "scan"],
    },
    Target {
        name: "topology",
        run: |bytes| decoded(bytes, topology::run),
        kinds: &[
            "add shard",
            "drain",
            "drop",
            "hash",
            "range",
            "remove shard",
            "reshape",
            "set weight",
        ],
    },
    Target {
        name: "tuple",
        run: |bytes| decoded(bytes, tuple::run),
        kinds: &["compare", "damage", "decode", "floats"],
    },
];

fn fuzz(path: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "fuzz", path].iter().collect()
}

/// Returns the names in a directory, without what follows a dot.
fn names(directory: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(fuzz(directory)).unwrap();
    let stem = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()
    };
    entries.map(stem).collect()
}

#[test]
fn every_target_is_in_the_table_and_has_seeds() {
    let mut table: BTreeSet<String> = TARGETS.iter().map(|it| it.name.to_owned()).collect();
    if !cfg!(feature = "rocksdb") {
        table.insert("store".into());
    }
    if !cfg!(feature = "failpoints") {
        table.insert("log".into());
    }
    assert_eq!(names("fuzz_targets"), table);
    assert_eq!(names("corpus"), table);
}

/// Each seed does something, and together they reach everything.
///
/// After a change of a target, or of the format of metadata, `ANNULUS_WRITE_SEEDS=1` writes seeds
/// for what is missing and removes those that do nothing.
#[test]
fn every_seed_gets_past_decoding() {
    let write = std::env::var_os("ANNULUS_WRITE_SEEDS").is_some();
    if write {
        write_seeds_of_metadata();
    }
    for target in TARGETS {
        let mut seeds = Vec::new();
        for name in names(&format!("corpus/{}", target.name)) {
            let path = target.seed(&name);
            let seed = std::fs::read(&path).unwrap();
            if !(target.run)(&seed).is_empty() {
                seeds.push(seed);
            } else if write {
                std::fs::remove_file(&path).unwrap();
            } else {
                panic!("{} does nothing; ANNULUS_WRITE_SEEDS=1 replaces it", path.display());
            }
        }
        if write {
            target.write_missing(&mut seeds);
        }
        let reached: Reached = seeds.iter().flat_map(|seed| (target.run)(seed)).collect();
        assert_eq!(reached, target.kinds.iter().copied().collect(), "{}", target.name);
    }
}

impl Target {
    fn seed(&self, name: &str) -> PathBuf {
        fuzz("corpus").join(self.name).join(name)
    }

    /// Changes seeds at random until each kind of operation is reached; keeps those that reach
    /// more.
    fn write_missing(&self, seeds: &mut Vec<Vec<u8>>) {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let mut reached: Reached = seeds.iter().flat_map(|seed| (self.run)(seed)).collect();
        while reached.len() < self.kinds.len() {
            let mut bytes = random.choice(&*seeds).cloned().unwrap_or_default();
            for _ in 0..random.usize(1..8) {
                let at = random.usize(..=bytes.len());
                match random.u8(..3) {
                    0 => bytes.truncate(at.max(1)),
                    1 => bytes.insert(at, random.u8(..4)),
                    _ => bytes.insert(at, random.u8(..)),
                }
            }
            bytes.truncate(256);
            let by_these = (self.run)(&bytes);
            if let Some(kind) = by_these.difference(&reached).next() {
                std::fs::write(self.seed(&kind.replace(' ', "-")), &bytes).unwrap();
                reached.extend(by_these);
                seeds.push(bytes);
            }
        }
    }
}

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

fn write_seeds_of_metadata() {
    for (name, topology) in topologies() {
        let record = encode_topology(&topology).unwrap();
        for (kind, bytes) in [("record", &record[..]), ("content", &record[6..])] {
            std::fs::write(fuzz("corpus/metadata").join(format!("{kind}-{name}")), bytes).unwrap();
        }
    }
}
