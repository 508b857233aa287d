//! Any sequence of changes yields topologies that keep every invariant, whose epochs rise by one,
//! and whose records decode to the same value. What a reshape is said to need is what it needs, and
//! every step of a plan can be carried out.

use annulus::placement::{HashPart, Token};
use annulus::planner::{Request, Sizes, plan};
use annulus::topology::{
    Change, KeyspaceSpec, ReshapeSpec, ShardInfo, SplitPoint, Topology, decode_topology,
    encode_topology,
};
use annulus::{PartitionId, ShardId};
use arbitrary::Arbitrary;
use std::collections::BTreeSet;

#[derive(Debug, Arbitrary)]
pub(crate) struct Input {
    weights: Vec<u16>,
    changes: Vec<Step>,
}

#[derive(Debug, Arbitrary)]
enum Step {
    Hash { name: String, arcs: Option<u8>, prefix: u8 },
    Range { name: String, boundaries: Vec<Vec<u8>>, sorted: bool },
    Drop { which: u8 },
    Reshape(Reshape),
    AddShard { weight: u8 },
    Drain { which: u8, draining: bool },
    RemoveShard { which: u8 },
    SetWeight { which: u8, weight: u8 },
}

#[derive(Debug, Arbitrary)]
struct Reshape {
    keyspace: u8,
    first: u8,
    sources: u8,
    tokens: Vec<u64>,
    keys: Vec<Vec<u8>>,
    owners: Vec<u8>,
}

fn pick_shard(topology: &Topology, which: u8) -> ShardId {
    let which = usize::from(which) % topology.shards().len();
    topology.shards().nth(which).map(|shard| shard.id).unwrap_or_default()
}

/// Returns a reshape with names, or one that is refused for its spec.
fn reshape(topology: &Topology, step: Reshape) -> Change {
    let which = usize::from(step.keyspace) % topology.keyspaces().len().max(1);
    let keyspace = topology.keyspaces().nth(which);
    let partitions = keyspace.into_iter().flat_map(|keyspace| keyspace.partitions());
    let sources = partitions.skip(step.first.into()).take(usize::from(step.sources % 4));
    let tokens = step.tokens.into_iter().map(|token| SplitPoint::Token(Token(token)));
    let keys = step.keys.into_iter().map(|key| SplitPoint::Key(key.into()));
    let spec = ReshapeSpec {
        keyspace: keyspace.map(|keyspace| keyspace.id()).unwrap_or_default(),
        sources: sources.map(|partition| partition.id).collect(),
        split_points: tokens.chain(keys).collect(),
        owners: step.owners.iter().map(|owner| pick_shard(topology, *owner)).collect(),
    };
    let named = topology.name_targets(&spec);
    assert_eq!(named.is_ok(), topology.target_ranges(&spec).is_ok());
    let targets = named.map(|(targets, _)| targets).unwrap_or_default();
    let change = Change::Reshape { spec, targets };
    if let Change::Reshape { spec, targets } = &change {
        assert_eq!(topology.apply(&change).is_ok(), topology.name_targets(spec).is_ok());
        assert!(targets.is_empty() || targets.len() == spec.owners.len());
    }
    change
}

/// Checks that every step of a plan for this fits the topology that those before it leave.
fn check_plan(topology: &Topology, request: &Request) {
    let sizes: Sizes = (0..99).map(|id| (PartitionId(id), id << 20)).collect();
    let Ok(plan) = plan(topology, &sizes, request) else { return };
    let mut topology = match request {
        Request::AddShard(shard) => {
            topology.apply(&Change::AddShard { shard: shard.clone() }).unwrap()
        }
        _ => topology.clone(),
    };
    for spec in plan.steps.iter().filter_map(|step| step.spec()) {
        let (targets, numbered) = topology.name_targets(&spec).unwrap();
        topology = numbered.apply(&Change::Reshape { spec, targets }).unwrap();
    }
    if let Request::RemoveShard(shard) = request {
        assert_eq!(topology.partitions_of(*shard), 0);
    }
}

impl Step {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Hash { .. } => "hash",
            Self::Range { .. } => "range",
            Self::Drop { .. } => "drop",
            Self::Reshape(_) => "reshape",
            Self::AddShard { .. } => "add shard",
            Self::Drain { .. } => "drain",
            Self::RemoveShard { .. } => "remove shard",
            Self::SetWeight { .. } => "set weight",
        }
    }
}

fn change(step: Step, topology: &Topology) -> Change {
    match step {
        Step::Reshape(step) => reshape(topology, step),
        Step::AddShard { weight } => {
            let id = topology.next_shard();
            let shard = ShardInfo::new(id, format!("{id}")).weight(weight.into());
            check_plan(topology, &Request::AddShard(shard.clone()));
            Change::AddShard { shard }
        }
        Step::Drain { which, draining } => {
            Change::DrainShard { id: pick_shard(topology, which), draining }
        }
        Step::RemoveShard { which } => {
            let id = pick_shard(topology, which);
            check_plan(topology, &Request::RemoveShard(id));
            Change::RemoveShard { id }
        }
        Step::SetWeight { which, weight } => {
            Change::SetWeight { id: pick_shard(topology, which), weight: weight.into() }
        }
        Step::Hash { name, arcs, prefix } => {
            let spec = KeyspaceSpec::hash().hashed(HashPart::Prefix { bytes: prefix.into() });
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

/// Carries out the changes; returns the kinds of those that took effect.
pub(crate) fn run(input: Input) -> BTreeSet<&'static str> {
    let mut reached = BTreeSet::new();
    let shards = (0..)
        .zip(input.weights.iter().take(12))
        .map(|(n, weight)| ShardInfo::new(ShardId(n), format!("{n}")).weight((*weight).into()));
    let Ok(mut topology) = Topology::new(shards) else { return reached };
    for step in input.changes.into_iter().take(12) {
        let kind = step.kind();
        let Ok(next) = topology.apply(&change(step, &topology)) else { continue };
        next.check().unwrap();
        assert_eq!(next.epoch().0, topology.epoch().0 + 1);
        assert_eq!(decode_topology(&encode_topology(&next).unwrap()).unwrap(), next);
        topology = next;
        reached.insert(kind);
    }
    reached
}
