//! Any sequence of changes gives topologies that keep every invariant, whose epochs rise by one,
//! and whose records decode to the same value.

#![no_main]

use annulus::ShardId;
use annulus::placement::HashedPart;
use annulus::topology::{
    Change, KeyspaceSpec, ShardInfo, Topology, decode_topology, encode_topology,
};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input {
    weights: Vec<u16>,
    changes: Vec<Step>,
}

#[derive(Debug, Arbitrary)]
enum Step {
    Hash { name: String, arcs: Option<u8>, prefix: u8 },
    Range { name: String, boundaries: Vec<Vec<u8>>, sorted: bool },
    Drop { which: u8 },
}

fn change(step: Step, topology: &Topology) -> Change {
    match step {
        Step::Hash { name, arcs, prefix } => {
            let spec = KeyspaceSpec::hash().hashed(HashedPart::Prefix { bytes: prefix.into() });
            let spec = match arcs {
                Some(arcs) => spec.arcs_per_shard(u32::from(arcs) % 9),
                None => spec,
            };
            Change::CreateKeyspace { name, spec: spec.into() }
        }
        Step::Range { name, mut boundaries, sorted } => {
            if sorted {
                boundaries.sort();
                boundaries.dedup();
            }
            Change::CreateKeyspace { name, spec: KeyspaceSpec::range().split_at(boundaries).into() }
        }
        Step::Drop { which } => {
            let ids: Vec<_> = topology.keyspaces().map(|keyspace| keyspace.id()).collect();
            let id = ids.get(usize::from(which)).or(ids.first()).copied().unwrap_or_default();
            Change::DropKeyspace { id }
        }
    }
}

fuzz_target!(|input: Input| {
    let shards = (0..)
        .zip(input.weights.iter().take(12))
        .map(|(n, weight)| ShardInfo::new(ShardId(n), format!("{n}")).weight((*weight).into()));
    let Ok(mut topology) = Topology::new(shards) else { return };
    for step in input.changes.into_iter().take(12) {
        let Ok(next) = topology.apply(&change(step, &topology)) else { continue };
        next.check().unwrap();
        assert_eq!(next.epoch().0, topology.epoch().0 + 1);
        assert_eq!(decode_topology(&encode_topology(&next).unwrap()).unwrap(), next);
        topology = next;
    }
});
