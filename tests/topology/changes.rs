//! Random sequences of every change there is.

use super::{config, shard, shards};
use annulus::placement::{HashPart, PartitionRange, Token};
use annulus::topology::{
    Change, KeyspaceLayout, KeyspaceSpec, PartitionName, ReshapeKind, ReshapeSpec, SplitPoint,
    Topology, decode_topology, encode_topology,
};
use annulus::{KeyspaceId, PartitionId, ShardId};
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::BTreeMap;

/// Something to do; what it is done to is chosen from what exists then.
#[derive(Debug, Clone)]
enum Op {
    CreateHash(u8, u32),
    CreateRange(u8, Vec<Vec<u8>>),
    Drop(Index),
    /// Names the targets, and leaves the commit to a later step.
    Prepare(Reshape),
    Commit(Index),
    AddShard(u32),
    Drain(Index, bool),
    RemoveShard(Index),
    SetWeight(Index, u32),
}

#[derive(Debug, Clone)]
struct Reshape {
    keyspace: Index,
    first: Index,
    sources: usize,
    split_points: Vec<(u64, Vec<u8>)>,
    owners: [Index; 4],
    /// Leaves the cuts as generated, which may be out of order.
    careless: bool,
}

fn any_reshape() -> impl Strategy<Value = Reshape> {
    let key = prop::collection::vec(prop::sample::select(vec![0, b'a', b'm', b'z', 255]), 0..3);
    let split_points = prop::collection::vec((any::<u64>(), key), 0..4);
    let sources = prop_oneof![2 => Just(1), 1 => 2..4_usize];
    let careless = prop::bool::weighted(0.1);
    (any::<Index>(), any::<Index>(), sources, split_points, any::<[Index; 4]>(), careless).prop_map(
        |(keyspace, first, sources, mut split_points, owners, careless)| {
            if sources > 1 && !careless {
                split_points.clear();
            }
            Reshape { keyspace, first, sources, split_points, owners, careless }
        },
    )
}

fn any_op() -> impl Strategy<Value = Op> {
    let key = prop::collection::vec(prop::sample::select(vec![b'a', b'k', b'p', b'z']), 1..3);
    let keys = prop::collection::btree_set(key, 0..5).prop_map(|set| set.into_iter().collect());
    prop_oneof![
        2 => (0..9_u8, 1..4_u32).prop_map(|(name, arcs)| Op::CreateHash(name, arcs)),
        2 => (0..9_u8, keys).prop_map(|(name, keys)| Op::CreateRange(name, keys)),
        1 => any::<Index>().prop_map(Op::Drop),
        8 => any_reshape().prop_map(Op::Prepare),
        8 => any::<Index>().prop_map(Op::Commit),
        2 => (1..5_u32).prop_map(Op::AddShard),
        1 => (any::<Index>(), any::<bool>()).prop_map(|(shard, drain)| Op::Drain(shard, drain)),
        2 => any::<Index>().prop_map(Op::RemoveShard),
        1 => (any::<Index>(), 0..5_u32).prop_map(|(shard, weight)| Op::SetWeight(shard, weight)),
    ]
}

impl Reshape {
    fn spec(&self, topology: &Topology) -> Option<ReshapeSpec> {
        let keyspaces: Vec<_> = topology.keyspaces().collect();
        let keyspace = *(!keyspaces.is_empty()).then(|| self.keyspace.get(&keyspaces))?;
        let first = self.first.index(keyspace.partition_count());
        let sources = keyspace.partitions().skip(first).take(self.sources).map(|p| p.id).collect();
        let range = keyspace.partition(first)?.range;
        let mut split_points: Vec<SplitPoint> =
            self.split_points.iter().map(|(token, key)| cut(&range, *token, key)).collect();
        if !self.careless {
            split_points.sort();
            split_points.dedup();
        }
        let shards: Vec<ShardId> = topology.shards().map(|shard| shard.id).collect();
        let owners =
            self.owners.iter().take(split_points.len() + 1).map(|i| *i.get(&shards)).collect();
        Some(ReshapeSpec { keyspace: keyspace.id(), sources, split_points, owners })
    }
}

/// Returns a cut that is mostly inside the range.
fn cut(range: &PartitionRange, token: u64, suffix: &[u8]) -> SplitPoint {
    match range {
        PartitionRange::Tokens(range) => {
            let at = u128::from(range.start.0) + u128::from(token) % range.width();
            SplitPoint::Token(Token(at as u64))
        }
        PartitionRange::Keys(range) => SplitPoint::Key([&range.start, suffix].concat().into()),
    }
}

fn change(op: &Op, topology: &Topology, prepared: &mut Vec<Prepared>) -> Option<Change> {
    let shards: Vec<ShardId> = topology.shards().map(|shard| shard.id).collect();
    Some(match op {
        Op::CreateHash(name, arcs) => {
            let spec = KeyspaceSpec::hash().hashed(HashPart::Whole).arcs_per_shard(*arcs);
            Change::CreateKeyspace { name: format!("keyspace {name}"), spec: spec.into() }
        }
        Op::CreateRange(name, keys) => {
            let spec = KeyspaceSpec::range().split_at(keys.clone());
            Change::CreateKeyspace { name: format!("keyspace {name}"), spec: spec.into() }
        }
        Op::Drop(which) => {
            let ids: Vec<_> = topology.keyspaces().map(|keyspace| keyspace.id()).collect();
            Change::DropKeyspace { id: *(!ids.is_empty()).then(|| which.get(&ids))? }
        }
        Op::Commit(which) => {
            let index = (!prepared.is_empty()).then(|| which.index(prepared.len()))?;
            let (spec, targets) = prepared.remove(index);
            Change::Reshape { spec, targets }
        }
        Op::AddShard(weight) => {
            Change::AddShard { shard: shard(topology.next_shard().0).weight(*weight) }
        }
        Op::Drain(which, draining) => {
            Change::DrainShard { id: *which.get(&shards), draining: *draining }
        }
        Op::RemoveShard(which) => Change::RemoveShard { id: *which.get(&shards) },
        Op::SetWeight(which, weight) => {
            Change::SetWeight { id: *which.get(&shards), weight: *weight }
        }
        Op::Prepare(_) => return None,
    })
}

type Prepared = (ReshapeSpec, Vec<PartitionName>);
type Routes = BTreeMap<(KeyspaceId, Vec<u8>), PartitionName>;

fn route(keyspace: &KeyspaceLayout, key: &[u8]) -> PartitionName {
    let partition = keyspace.partition(keyspace.partitioning().find(key)).unwrap();
    PartitionName { id: partition.id, generation: partition.generation }
}

fn routes(topology: &Topology) -> Routes {
    let bytes = [0, b'a', b'k', b'm', b'z', 255];
    let mut keys: Vec<Vec<u8>> = vec![Vec::new()];
    for one in bytes {
        keys.push(vec![one]);
        keys.extend(bytes.map(|two| vec![one, two]));
    }
    let routes = topology.keyspaces().flat_map(|keyspace| {
        keys.iter().map(|key| ((keyspace.id(), key.clone()), route(keyspace, key)))
    });
    routes.collect()
}

/// Checks that only keys of the sources have another partition, and that it is the target that
/// covers them.
fn check_routes(before: &Topology, after: &Topology, change: &Change) {
    let (old, new) = (routes(before), routes(after));
    let Change::Reshape { spec, targets } = change else {
        let kept = old.iter().filter(|((keyspace, _), _)| after.keyspace(*keyspace).is_some());
        return assert!(kept.into_iter().all(|(at, name)| new[at] == *name));
    };
    let ranges = before.target_ranges(spec).unwrap();
    let keyspace = before.keyspace(spec.keyspace).unwrap();
    assert_eq!(old.len(), new.len());
    for ((id, key), name) in &old {
        let found = new[&(*id, key.clone())];
        if !spec.sources.contains(&name.id) {
            assert_eq!(found, *name);
            continue;
        }
        let token = |key: &[u8]| keyspace.partitioning().token(key).unwrap();
        let target = ranges.iter().position(|range| range.contains(key, token)).unwrap();
        assert_eq!(found, targets[target]);
        let (_, index) = after.find_partition(found.id).unwrap();
        let partition = after.keyspace(*id).unwrap().partition(index).unwrap();
        assert_eq!((partition.owner, &partition.range), (spec.owners[target], &ranges[target]));
    }
}

/// The numbers that a topology has assigned, which are never assigned again.
#[derive(Default)]
struct Given {
    partitions: BTreeMap<PartitionId, u32>,
    shards_end: u32,
}

impl Given {
    fn check(&mut self, topology: &Topology, change: &Change) {
        let moved = |id| match change {
            Change::Reshape { spec, .. } => {
                spec.kind() == ReshapeKind::Move && spec.sources.contains(&id)
            }
            _ => false,
        };
        let mut now = BTreeMap::new();
        for partition in topology.keyspaces().flat_map(|keyspace| keyspace.partitions()) {
            let expected = self.partitions.get(&partition.id).copied();
            let raised = u32::from(moved(partition.id));
            assert_eq!(partition.generation, expected.map_or(0, |before| before + raised));
            now.insert(partition.id, partition.generation);
        }
        self.partitions = now;
        assert!(topology.next_shard().0 >= self.shards_end);
        self.shards_end = topology.next_shard().0;
    }
}

fn run(ops: &[Op]) -> Result<usize, TestCaseError> {
    let mut topology = shards(3);
    let mut prepared = Vec::new();
    let mut given = Given::default();
    let mut reshapes = 0;
    for op in ops {
        if let Op::Prepare(reshape) = op {
            let Some(spec) = reshape.spec(&topology) else { continue };
            let Ok((targets, numbered)) = topology.name_targets(&spec) else {
                prop_assert!(topology.target_ranges(&spec).is_err());
                continue;
            };
            prop_assert_eq!(numbered.epoch(), topology.epoch());
            prop_assert_eq!(targets.len(), spec.owners.len());
            numbered.check().unwrap();
            prepared.push((spec, targets));
            topology = numbered;
            continue;
        }
        let Some(change) = change(op, &topology, &mut prepared) else { continue };
        let kept = topology.clone();
        let next = topology.apply(&change);
        prop_assert_eq!(&topology, &kept);
        let Ok(next) = next else { continue };
        next.check().unwrap();
        prop_assert_eq!(next.epoch().0, topology.epoch().0 + 1);
        prop_assert_eq!(&decode_topology(&encode_topology(&next).unwrap()).unwrap(), &next);
        check_routes(&topology, &next, &change);
        given.check(&next, &change);
        reshapes += usize::from(matches!(change, Change::Reshape { .. }));
        topology = next;
    }
    Ok(reshapes)
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn any_changes_keep_the_invariants(ops in prop::collection::vec(any_op(), 0..60)) {
        run(&ops)?;
    }

    /// Reshapes of other partitions, keyspaces and shards come in between; only a change of the
    /// sources or the loss of an owner prevents it.
    #[test]
    fn a_reshape_commits_on_a_later_topology(
        mine in any_reshape(),
        ops in prop::collection::vec(any_op(), 0..40),
    ) {
        let mut topology = super::create(&shards(3), "a", KeyspaceSpec::hash().arcs_per_shard(2));
        topology = super::create(&topology, "b", KeyspaceSpec::range().split_at(["g", "p"]));
        let spec = mine.spec(&topology).unwrap();
        let Ok((targets, numbered)) = topology.name_targets(&spec) else { return Ok(()) };
        topology = numbered;
        // A split or merge does not name the generations of its sources.
        let generation = |generation| if spec.kind() == ReshapeKind::Move { generation } else { 0 };
        let sources = |topology: &Topology| -> Option<Vec<(u32, PartitionRange)>> {
            let keyspace = topology.keyspace(spec.keyspace)?;
            let find = |id| keyspace.partitions().find(|p| p.id == id);
            spec.sources.iter().map(|id| find(*id).map(|p| (generation(p.generation), p.range))).collect()
        };
        let before = sources(&topology);
        let mut prepared = Vec::new();
        for op in &ops {
            if let Op::Prepare(reshape) = op {
                let named = reshape.spec(&topology).map(|spec| (topology.name_targets(&spec), spec));
                if let Some((Ok((targets, numbered)), spec)) = named {
                    prepared.push((spec, targets));
                    topology = numbered;
                }
            } else if let Some(change) = change(op, &topology, &mut prepared) {
                topology = topology.apply(&change).unwrap_or(topology);
            }
        }
        let owners_exist = spec.owners.iter().all(|owner| topology.shard(*owner).is_some());
        let is_possible = owners_exist && sources(&topology) == before;
        let change = Change::Reshape { spec, targets };
        let committed = topology.apply(&change);
        prop_assert_eq!(committed.is_ok(), is_possible, "{:?}", committed);
        if let Ok(committed) = committed {
            check_routes(&topology, &committed, &change);
        }
    }
}

/// The random sequences do commit reshapes.
#[test]
fn many_reshapes_are_committed() {
    let mut topology = super::create(&shards(3), "a", KeyspaceSpec::hash().arcs_per_shard(2));
    topology = super::create(&topology, "b", KeyspaceSpec::range().split_at(["g", "p"]));
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut committed = [0; 3];
    for _ in 0..300 {
        let tree = any_reshape().new_tree(&mut runner).unwrap();
        let spec = proptest::strategy::ValueTree::current(&tree).spec(&topology).unwrap();
        let kind = spec.kind();
        let Ok((targets, numbered)) = topology.name_targets(&spec) else { continue };
        let change = Change::Reshape { spec, targets };
        let next = numbered.apply(&change).unwrap();
        check_routes(&topology, &next, &change);
        committed[kind as usize] += 1;
        topology = next;
    }
    assert!(committed.iter().all(|count| *count > 20), "{committed:?}");
}
