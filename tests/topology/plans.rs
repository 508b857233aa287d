//! Plans, carried out on a model: rows of known sizes, and steps in any order.

use super::{config, create, shard, shards};
use annulus::placement::{KeyRange, PartitionRange, Ring, Token};
use annulus::planner::{Plan, Request, Sizes, SplitAt, Step, StepSplitPoint, plan};
use annulus::topology::{
    Change, KeyspaceLayout, KeyspaceSpec, PartitionInfo, Partitioning, ReshapeKind, ReshapeSpec,
    SplitPoint, Topology,
};
use annulus::{ErrorKind, KeyspaceId, PartitionId, ShardId};
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

const USERS: KeyspaceId = KeyspaceId(1);
const LOG: KeyspaceId = KeyspaceId(2);
const MIB: u64 = 1 << 20;

/// `users` by hash and `log` by range; the number of rows is the same before and after.
#[derive(Clone)]
struct Model {
    topology: Topology,
    rows: BTreeMap<Vec<u8>, u64>,
}

/// Without the rows, of which there are too many to read.
impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let partitions: Vec<_> = self.topology.keyspace(LOG).unwrap().partitions().collect();
        write!(
            f,
            "{:?} {:?} {partitions:?} {:?}",
            self.topology.shards().collect::<Vec<_>>(),
            self.ring(),
            self.sizes()
        )
    }
}

impl Model {
    fn new(weights: &[u32], arcs: u32, boundaries: BTreeSet<u8>, row_bytes: &[u64]) -> Self {
        let shards = (0..).zip(weights).map(|(id, weight)| shard(id).weight(*weight));
        let topology = Topology::new(shards).unwrap();
        let topology = create(&topology, "users", KeyspaceSpec::hash().arcs_per_shard(arcs));
        let boundaries = boundaries.into_iter().map(|byte| vec![byte]);
        let topology = create(&topology, "log", KeyspaceSpec::range().split_at(boundaries));
        let sizes = row_bytes.iter().cycle();
        let keys = (0..1024_u16).map(|n| (n << 6).to_be_bytes().to_vec());
        Self { topology, rows: keys.zip(sizes.copied()).collect() }
    }

    fn sizes(&self) -> Sizes {
        let partitions = self.topology.keyspaces().flat_map(|keyspace| keyspace.partitions());
        partitions.map(|partition| (partition.id, self.bytes(&partition.range))).collect()
    }

    fn bytes(&self, range: &PartitionRange) -> u64 {
        match range {
            PartitionRange::Tokens(range) => (range.width() >> 32) as u64,
            PartitionRange::Keys(range) => self.rows_of(range).map(|(_, bytes)| bytes).sum(),
        }
    }

    fn rows_of(&self, range: &KeyRange) -> impl Iterator<Item = (&Vec<u8>, &u64)> {
        let end = range.end.clone().map_or(Bound::Unbounded, |end| Bound::Excluded(end.to_vec()));
        self.rows.range((Bound::Included(range.start.to_vec()), end))
    }

    fn log_of(&self, shard: u32) -> i128 {
        let owned = |partition: &PartitionInfo| partition.owner == ShardId(shard);
        let log = self.topology.keyspace(LOG).unwrap().partitions().filter(owned);
        log.map(|partition| i128::from(self.bytes(&partition.range))).sum()
    }

    fn total(&self) -> i128 {
        self.rows.values().map(|bytes| i128::from(*bytes)).sum()
    }

    fn plan(&self, request: &Request) -> Plan {
        let plan = plan(&self.topology, &self.sizes(), request).unwrap();
        let mut sources = BTreeSet::new();
        for step in &plan.steps {
            assert!(step.sources.iter().all(|id| sources.insert(*id)), "{step} is the second");
            assert!(step.moved_bytes <= step.bytes);
            assert_eq!(step.owners.len(), step.split_points.len() + 1);
        }
        plan
    }

    fn change(&mut self, change: &Change) {
        self.topology = self.topology.apply(change).unwrap();
    }

    /// Returns the spec of a step, with the rows at which it cuts. A cut that no row allows is left
    /// out.
    fn spec(&self, step: &Step) -> ReshapeSpec {
        let keyspace = self.topology.keyspace(step.keyspace).unwrap();
        let source = keyspace.partitions().find(|p| p.id == step.sources[0]).unwrap();
        let mut spec = ReshapeSpec {
            keyspace: step.keyspace,
            sources: step.sources.clone(),
            split_points: Vec::new(),
            owners: vec![step.owners[0]],
        };
        for (cut, owner) in step.split_points.iter().zip(&step.owners[1..]) {
            let cut = match cut {
                StepSplitPoint::At(cut) => Some(cut.clone()),
                StepSplitPoint::Bytes { permille } => {
                    self.key_at(&source, *permille).map(SplitPoint::Key)
                }
                _ => unreachable!("there is no other"),
            };
            if let Some(cut) =
                cut.filter(|cut| spec.split_points.last().is_none_or(|last| last < cut))
            {
                spec.split_points.push(cut);
                spec.owners.push(*owner);
            }
        }
        spec
    }

    fn key_at(&self, partition: &PartitionInfo, permille: u32) -> Option<Box<[u8]>> {
        assert!((1..1000).contains(&permille));
        let PartitionRange::Keys(range) = &partition.range else { panic!("bytes of tokens") };
        let before = u128::from(self.bytes(&partition.range)) * u128::from(permille) / 1000;
        let mut so_far = 0;
        let rows = self.rows_of(range).filter(|(key, _)| **key != *range.start);
        for (key, bytes) in rows {
            if so_far >= before {
                return Some(key.as_slice().into());
            }
            so_far += u128::from(*bytes);
        }
        None
    }

    /// Prepares all steps, and commits them in another order.
    fn carry_out(&mut self, plan: &Plan, seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut steps: Vec<&Step> = plan.steps.iter().collect();
        random.shuffle(&mut steps);
        let mut prepared = Vec::new();
        for step in steps {
            let spec = self.spec(step);
            let (targets, numbered) = self.topology.name_targets(&spec).unwrap();
            self.topology = numbered;
            prepared.push(Change::Reshape { spec, targets });
        }
        random.shuffle(&mut prepared);
        prepared.iter().for_each(|change| self.change(change));
    }

    fn users(&self) -> &KeyspaceLayout {
        self.topology.keyspace(USERS).unwrap()
    }

    fn ring(&self) -> Ring {
        match self.users().partitioning() {
            Partitioning::Hash { ring, .. } => ring.clone(),
            _ => panic!("users are partitioned by hash"),
        }
    }

    fn owners(&self) -> BTreeMap<PartitionId, ShardId> {
        let partitions = self.topology.keyspaces().flat_map(|keyspace| keyspace.partitions());
        partitions.map(|partition| (partition.id, partition.owner)).collect()
    }

    /// Moves some partitions around.
    fn disorder(&mut self, moves: &[(Index, Index)]) {
        for (which, to) in moves {
            let owners: Vec<(PartitionId, ShardId)> = self.owners().into_iter().collect();
            let shards: Vec<ShardId> = self.topology.shards().map(|shard| shard.id).collect();
            let (partition, from) = *which.get(&owners);
            let to = *to.get(&shards);
            if from != to {
                let plan = self.plan(&Request::Move { partition, to });
                self.carry_out(&plan, 0);
            }
        }
    }
}

fn any_model() -> impl Strategy<Value = Model> {
    let weights = prop::collection::vec(1..4_u32, 2..6);
    let boundaries = prop::collection::btree_set(1..=255_u8, 0..24);
    let row_bytes = prop::collection::vec(MIB..20 * MIB, 1..40);
    let moves = prop_oneof![
        1 => Just(Vec::new()),
        1 => prop::collection::vec((any::<Index>(), any::<Index>()), 1..6),
    ];
    (weights, 1..6_u32, boundaries, row_bytes, moves).prop_map(
        |(weights, arcs, boundaries, row_bytes, moves)| {
            let mut model = Model::new(&weights, arcs, boundaries, &row_bytes);
            model.disorder(&moves);
            model
        },
    )
}

/// Returns what a shard should have of `log`, what it may lack, and how large a step of the model
/// is.
fn log_share(model: &Model, shard: u32) -> (i128, i128, i128) {
    let weights: u32 = model.topology.shards().map(|shard| shard.weight).sum();
    let weight = model.topology.shard(ShardId(shard)).unwrap().weight;
    let count = model.topology.shards().len() as i128;
    let share = model.total() * i128::from(weight) / i128::from(weights);
    let small = model.total() / count / 20;
    // A cut is at the next row, and at a full thousandth of a partition.
    let grain = count * (i128::from(20 * MIB) + model.total() / 1000);
    (share, small * count, grain)
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn a_new_shard_gets_its_share(model in any_model(), weight in 1..4_u32, seed: u64) {
        let mut model = model;
        let id = model.topology.next_shard();
        let info = shard(id.0).weight(weight);
        let before = model.clone();
        let plan = model.plan(&Request::AddShard(info.clone()));
        model.change(&Change::AddShard { shard: info });
        let goal = model.ring().balanced().unwrap();
        model.carry_out(&plan, seed);
        prop_assert!(model.ring().diff(&goal).is_empty());

        let (share, missing, grain) = log_share(&model, id.0);
        let has = model.log_of(id.0);
        prop_assert!(has >= share - missing - grain, "{has} of {share}\n{plan}");
        prop_assert!(has <= share + missing + grain, "{has} of {share}\n{plan}");
        for other in 0..id.0 {
            let (share, missing, grain) = log_share(&model, other);
            let (had, has) = (before.log_of(other), model.log_of(other));
            prop_assert!(has <= had, "shard {other} got something");
            prop_assert!(has >= had.min(share - missing - grain), "shard {other} gave too much");
        }
    }

    #[test]
    fn a_removed_shard_owns_nothing(model in any_model(), which: Index, seed: u64) {
        let mut model = model;
        let shards: Vec<ShardId> = model.topology.shards().map(|shard| shard.id).collect();
        let id = *which.get(&shards);
        let before = model.owners();
        let plan = model.plan(&Request::RemoveShard(id));
        let goal = model.ring().remove_shard(id).unwrap();
        let ring = model.ring();
        model.carry_out(&plan, seed);
        prop_assert!(model.ring().diff(&goal).is_empty());
        prop_assert_eq!(model.topology.partitions_of(id), 0);
        prop_assert!(plan.steps.iter().filter(|s| s.keyspace == LOG).all(|s| before[&s.sources[0]] == id));
        // The estimates add up to what moves.
        let tokens: u128 = ring.diff(&goal).iter().map(|moved| moved.range.width()).sum();
        let moved: u64 =
            plan.steps.iter().filter(|step| step.keyspace == USERS).map(|step| step.moved_bytes).sum();
        prop_assert!(moved.abs_diff((tokens >> 32) as u64) <= 2 * ring.len() as u64 * 8);
        prop_assert!(model.plan(&Request::RemoveShard(id)).steps.is_empty());
        model.change(&Change::RemoveShard { id });
    }

    #[test]
    fn another_weight_is_met(model in any_model(), which: Index, weight in 1..6_u32, seed: u64) {
        let mut model = model;
        let shards: Vec<ShardId> = model.topology.shards().map(|shard| shard.id).collect();
        let id = *which.get(&shards);
        let before = model.clone();
        let request = Request::SetWeight { shard: id, weight };
        let plan = model.plan(&request);
        let goal = model.ring().set_weight(id, weight).unwrap();
        model.change(&Change::SetWeight { id, weight });
        model.carry_out(&plan, seed);
        prop_assert!(model.ring().diff(&goal).is_empty());
        let (share, missing, grain) = log_share(&model, id.0);
        let has = model.log_of(id.0);
        prop_assert!((has - share).abs() <= missing + grain, "{has} of {share}\n{plan}");
        // Only from this shard, or only to it.
        let got: Vec<u32> =
            (0..shards.len() as u32).filter(|n| model.log_of(*n) > before.log_of(*n)).collect();
        prop_assert!(got == [id.0] || has <= before.log_of(id.0));
        // Nothing is left to do, apart from what rows cannot be divided into.
        let again = model.plan(&request);
        prop_assert!(again.steps.iter().all(|step| step.keyspace == LOG), "{again}");
        let moved = i128::from(again.moved_bytes());
        prop_assert!(moved <= missing + grain, "{moved}: {again}");
    }

    #[test]
    fn a_draining_shard_keeps_what_it_has(model in any_model(), which: Index, seed: u64) {
        let mut model = model;
        let shards: Vec<ShardId> = model.topology.shards().map(|shard| shard.id).collect();
        let drains = *which.get(&shards);
        model.change(&Change::DrainShard { id: drains, draining: true });
        let keeps = |model: &Model| -> Vec<PartitionId> {
            model.owners().into_iter().filter(|(_, owner)| *owner == drains).map(|(id, _)| id).collect()
        };
        let kept = keeps(&model);
        let info = shard(model.topology.next_shard().0);
        let plan = model.plan(&Request::AddShard(info.clone()));
        model.change(&Change::AddShard { shard: info });
        model.carry_out(&plan, seed);
        prop_assert_eq!(keeps(&model), kept.clone());
        let other = shards.iter().copied().find(|id| *id != drains).unwrap();
        let plan = model.plan(&Request::RemoveShard(other));
        model.carry_out(&plan, seed);
        prop_assert_eq!(keeps(&model), kept);
        prop_assert_eq!(model.topology.partitions_of(other), 0);
        let unchanged = model.plan(&Request::SetWeight { shard: drains, weight: 9 });
        prop_assert!(unchanged.steps.is_empty() && unchanged.notes.len() == 1);
    }
}

#[test]
fn nothing_to_do_in_balance() {
    let model = Model::new(&[1, 2, 1], 4, (1..=255).step_by(16).collect(), &[MIB]);
    let plan = model.plan(&Request::SetWeight { shard: ShardId(1), weight: 2 });
    assert!(plan.steps.is_empty(), "{plan}");
}

/// Without any bytes, partitions are counted.
#[test]
fn empty_ranges_are_counted() {
    let topology =
        create(&shards(2), "log", KeyspaceSpec::range().split_at(["b", "c", "d", "e", "f"]));
    let plan = plan(&topology, &Sizes::new(), &Request::AddShard(shard(2))).unwrap();
    let moved: Vec<(u64, ReshapeKind, &[ShardId])> =
        plan.steps.iter().map(|step| (step.sources[0].0, step.kind, &step.owners[..])).collect();
    let new = [ShardId(2)];
    assert_eq!(moved, [(3, ReshapeKind::Move, &new[..]), (6, ReshapeKind::Move, &new[..])]);
    assert_eq!(plan.moved_bytes(), 0);
}

#[test]
fn a_large_range_is_split_and_a_small_one_is_not() {
    let topology = create(&shards(1), "log", KeyspaceSpec::range());
    let grow = |bytes| {
        let sizes = Sizes::from([(PartitionId(1), bytes)]);
        plan(&topology, &sizes, &Request::AddShard(shard(1))).unwrap()
    };
    let large = grow(64 * MIB);
    assert_eq!(large.steps[0].split_points, [StepSplitPoint::Bytes { permille: 500 }]);
    assert_eq!(large.steps[0].owners, [ShardId(0), ShardId(1)]);
    assert_eq!((large.moved_bytes(), large.notes.len()), (32 * MIB, 0));
    assert!(large.steps[0].spec().is_none());
    let small = grow(MIB);
    assert!(small.steps.is_empty());
    assert!(small.notes[0].contains("partition 1 of 1.0 MiB is not split"), "{small}");
}

/// One large partition serves several shards with one split.
#[test]
fn a_shard_that_weighs_less_gives_to_all_others() {
    let mut model = Model::new(&[100, 1, 1, 1], 1, BTreeSet::new(), &[4 * MIB]);
    assert_eq!(model.topology.partitions_of(ShardId(0)), 2);
    let plan = model.plan(&Request::SetWeight { shard: ShardId(0), weight: 1 });
    let log: Vec<&Step> = plan.steps.iter().filter(|step| step.keyspace == LOG).collect();
    assert_eq!(log.len(), 1, "{plan}");
    assert_eq!(log[0].owners.iter().collect::<BTreeSet<_>>().len(), 4, "{plan}");
    model.change(&Change::SetWeight { id: ShardId(0), weight: 1 });
    model.carry_out(&plan, 1);
    let quarter = model.total() / 4;
    assert!((0..4).all(|shard| (model.log_of(shard) - quarter).abs() < quarter / 50));
}

/// Small keyspaces of a removed shard do not pile up on one other shard.
#[test]
fn ranges_of_a_removed_shard_are_spread() {
    let split = (b'b'..=b'y').map(|byte| vec![byte]);
    let topology = create(&shards(4), "log", KeyspaceSpec::range().split_at(split));
    for sizes in [Sizes::new(), (1..=25).map(|id| (PartitionId(id), MIB)).collect()] {
        let plan = plan(&topology, &sizes, &Request::RemoveShard(ShardId(3))).unwrap();
        let mut got: BTreeMap<ShardId, usize> = BTreeMap::new();
        plan.steps.iter().for_each(|step| *got.entry(step.owners[0]).or_default() += 1);
        assert!(got.values().all(|count| *count >= 2), "{got:?}");
    }
}

#[test]
fn what_is_asked_for_is_one_step() {
    let model = Model::new(&[1, 1], 1, BTreeSet::from([128]), &[MIB]);
    let [one, two, three, four] = [1, 2, 3, 4].map(PartitionId);
    let step = |request: Request| {
        let mut plan = model.plan(&request);
        assert_eq!(plan.steps.len(), 1);
        model.clone().carry_out(&plan, 3);
        plan.steps.remove(0)
    };
    let moves = step(Request::Move { partition: one, to: ShardId(1) });
    assert_eq!((moves.kind, moves.moved_bytes), (ReshapeKind::Move, 1 << 31));

    let split = |partition, at, to| Request::Split { partition, at, to };
    let middle = step(split(one, SplitAt::Middle, Some(ShardId(1))));
    assert_eq!(middle.split_points, [StepSplitPoint::At(SplitPoint::Token(Token(1 << 62)))]);
    assert_eq!((middle.kind, middle.moved_bytes), (ReshapeKind::Split, 1 << 30));
    let middle = step(split(three, SplitAt::Middle, None));
    assert_eq!(middle.split_points, [StepSplitPoint::Bytes { permille: 500 }]);
    assert_eq!((middle.owners.len(), middle.moved_bytes), (2, 0));
    let key = step(split(three, SplitAt::Key(b"A".to_vec()), None));
    assert_eq!(key.spec().unwrap().split_points, [SplitPoint::Key(b"A"[..].into())]);
    let token = step(split(two, SplitAt::Token(Token(3 << 62)), Some(ShardId(0))));
    assert_eq!(token.owners, [ShardId(1), ShardId(0)]);

    let merge = |left, right, to| Request::Merge { left, right, to };
    let merged = step(merge(one, two, None));
    assert_eq!((merged.kind, merged.bytes), (ReshapeKind::Merge, 1 << 32));
    assert_eq!((merged.owners, merged.moved_bytes), (vec![ShardId(0)], 1 << 31));
    assert_eq!(step(merge(three, four, Some(ShardId(1)))).owners, [ShardId(1)]);

    use ErrorKind::{AlreadyExists, InvalidArgument, NotFound};
    let refused = [
        (Request::Move { partition: one, to: ShardId(0) }, InvalidArgument, "already"),
        (Request::Move { partition: one, to: ShardId(7) }, NotFound, "no shard 7"),
        (Request::Move { partition: PartitionId(9), to: ShardId(0) }, NotFound, "no partition 9"),
        (split(one, SplitAt::Key(vec![1]), None), InvalidArgument, "split it at a token"),
        (split(three, SplitAt::Key(vec![200]), None), InvalidArgument, "not inside"),
        (split(three, SplitAt::Middle, Some(ShardId(7))), NotFound, "no shard 7"),
        (merge(two, one, None), InvalidArgument, "does not follow"),
        (merge(two, three, None), NotFound, "no partition 3"),
        (Request::AddShard(shard(1)), AlreadyExists, "shard 1 already"),
        (Request::AddShard(shard(5)), InvalidArgument, "number 2"),
        (Request::RemoveShard(ShardId(7)), NotFound, "no shard 7"),
        (Request::SetWeight { shard: ShardId(0), weight: 0 }, InvalidArgument, "weight 0"),
    ];
    for (request, kind, words) in refused {
        let error = plan(&model.topology, &model.sizes(), &request).unwrap_err();
        assert_eq!(error.kind(), kind, "{request:?}: {error}");
        assert!(error.to_string().contains(words), "{request:?}: {error}");
    }
    let drained =
        model.topology.apply(&Change::DrainShard { id: ShardId(0), draining: true }).unwrap();
    for (topology, words) in [(&shards(1), "last one"), (&drained, "stop draining")] {
        let id = topology.shards().last().unwrap().id;
        let error = plan(topology, &model.sizes(), &Request::RemoveShard(id)).unwrap_err();
        assert_eq!(error.kind(), InvalidArgument);
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_plan_is_one_line_a_step_and_the_same_as_json() {
    let model = Model::new(&[1, 1], 2, BTreeSet::from([128]), &[MIB]);
    let plan = model.plan(&Request::AddShard(shard(2)));
    let text = plan.to_string();
    assert_eq!(text.lines().count(), plan.steps.len() + plan.notes.len(), "{text}");
    let json: serde_json::Value = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["steps"].as_array().unwrap().len(), plan.steps.len());
    assert_eq!(json["steps"][0]["kind"], "split");
}
