//! Plans for load and bytes, carried out on a model.

use super::demand::{MIB, World, at, even, inside};
use super::{config, create, shard, shards};
use annulus::heat::Sample;
use annulus::planner::load::{
    Cause, LoadPlan, PartitionDemand, Reason, RebalanceOptions, Subject, plan_for_load,
};
use annulus::topology::{
    Change, KeyspaceSpec, ReshapeKind, ReshapeSpec, ShardInfo, SplitPoint, Topology,
};
use annulus::{PartitionId, ShardId};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

fn options() -> RebalanceOptions {
    RebalanceOptions::new().actions_max(0)
}

/// The kinds of partitions.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Fine profiles without heavy places: everything can be cut.
    Even,
    Any,
}

fn random_topology(random: &mut fastrand::Rng, kind: Kind) -> Topology {
    let count = random.u32(1..9);
    let zones = if kind == Kind::Any && random.bool() { 2 } else { 0 };
    let infos = (0..count).map(|id| {
        let info = shard(id).weight(random.u32(1..4));
        if zones > 0 && id % 3 > 0 { info.zone((id % 3).to_string()) } else { info }
    });
    let mut topology = Topology::new(infos.collect::<Vec<ShardInfo>>()).unwrap();
    for number in 0..random.u32(1..4) {
        let name = format!("keyspace {number}");
        topology = if random.bool() {
            create(&topology, &name, KeyspaceSpec::hash().arcs_per_shard(random.u32(1..6)))
        } else {
            let keys: BTreeSet<u8> = (0..random.usize(0..24)).map(|_| random.u8(1..)).collect();
            let keys = keys.into_iter().map(|key| vec![key]);
            create(&topology, &name, KeyspaceSpec::range().split_at(keys))
        };
    }
    if kind == Kind::Any && count > 2 && random.u8(..) < 64 {
        let change = Change::DrainShard { id: ShardId(random.u32(0..count)), draining: true };
        topology = topology.apply(&change).unwrap();
    }
    topology
}

fn random_samples(
    range: &annulus::placement::PartitionRange,
    random: &mut fastrand::Rng,
) -> Vec<Sample> {
    let count = random.usize(64..400);
    let mut samples = even(range, count, random);
    match random.u8(0..6) {
        0 => samples.clear(),
        1 => samples.truncate(random.usize(1..64)),
        2 => {
            let hot = inside(range, random.f64());
            samples.extend((0..random.usize(1..1000)).map(|_| at(hot.clone())));
            random.shuffle(&mut samples);
        }
        3 => {
            samples = (0..count)
                .map(|n| Sample { write: true, ..at(inside(range, n as f64 / 1e4)) })
                .collect();
        }
        _ => {}
    }
    samples
}

fn random_world(seed: u64, kind: Kind) -> World {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut world = World::new(random_topology(&mut random, kind));
    let skew = random.f64() * 4.0;
    let partitions: Vec<_> = world.partitions().collect();
    for partition in &partitions {
        let load = (1.0 + random.f64()) * 10_f64.powf(random.f64() * skew);
        let load = if random.u8(..) < 32 { 0.0 } else { load };
        let most = 1 << random.u32(10..36);
        let bytes = random.u64(0..most);
        let samples = match kind {
            Kind::Even => even(&partition.range, 512, &mut random),
            Kind::Any => random_samples(&partition.range, &mut random),
        };
        world.set(partition.id.0, load, bytes, samples);
        let rested = world.demand.partitions.get_mut(&partition.id).unwrap();
        rested.load_max *= 1.0 + random.f64();
        if kind == Kind::Any && random.u8(..) < 16 {
            world.demand.rested.insert(partition.id, Duration::from_secs(random.u64(0..120)));
        }
        if kind == Kind::Any && random.u8(..) < 8 {
            world.demand.in_flight.extend(random_reshape(&world, partition.id, &mut random));
        }
    }
    if kind == Kind::Any && random.bool() {
        for info in world.topology.shards() {
            world.demand.bytes_free.insert(info.id, random.u64(0..1 << 36));
        }
    }
    world
}

fn random_reshape(
    world: &World,
    id: PartitionId,
    random: &mut fastrand::Rng,
) -> Option<ReshapeSpec> {
    let partition = world.partition(id);
    let (keyspace, _) = world.topology.find_partition(id)?;
    let to: Vec<ShardId> = world.topology.shards().map(|shard| shard.id).collect();
    let to = to[random.usize(..to.len())];
    let split_points = if random.bool() { vec![inside(&partition.range, 0.5)] } else { Vec::new() };
    let owners = if split_points.is_empty() { vec![to] } else { vec![partition.owner, to] };
    Some(ReshapeSpec { keyspace, sources: vec![id], split_points, owners })
}

/// Checks everything that must hold of any plan, whatever it is for.
fn check(world: &World, options: &RebalanceOptions, found: &LoadPlan) -> World {
    let mut after = world.clone();
    let info = |id: ShardId| world.topology.shard(id).unwrap();
    let before = world.worst_load();
    let mut sources = BTreeSet::new();
    let busy: BTreeSet<PartitionId> =
        world.demand.in_flight.iter().flat_map(|spec| spec.sources.clone()).collect();
    let mut arrived: BTreeMap<ShardId, u64> = BTreeMap::new();
    for action in &found.actions {
        let step = &action.step;
        assert!(!step.reason.is_empty() && step.moved_bytes <= step.bytes);
        for id in &step.sources {
            assert!(sources.insert(*id), "{step} is the second");
            assert!(!busy.contains(id), "{step} is in flight");
            let rested = world.demand.rested.get(id);
            let wanted = options.cool_down;
            assert!(rested.is_none_or(|rested| *rested >= wanted), "{step} has not rested");
            let owner = info(world.partition(*id).owner);
            for target in step.owners.iter().map(|owner| info(*owner)) {
                assert_eq!(owner.zone, target.zone, "{step} leaves its zone");
                assert!(!target.draining && !owner.draining, "{step} concerns a draining shard");
            }
        }
        if let ([_], [to]) = (&step.sources[..], &step.owners[..]) {
            *arrived.entry(*to).or_default() += step.moved_bytes;
        }
        after.carry_out(step);
        // If loads were not reported, only the plan's own figures describe the state.
        if world.demand.in_flight.is_empty() {
            let worst = after.worst_load();
            assert!(
                worst <= before.max(options.imbalance_goal) + 1e-6,
                "{step}: {before} to {worst}"
            );
        }
    }
    for (shard, bytes) in arrived {
        let free = world.demand.bytes_free.get(&shard);
        assert!(free.is_none_or(|free| bytes as f64 <= 0.9 * *free as f64 + 1.0));
    }
    if world.demand.in_flight.is_empty() {
        let (told, worst) = (found.after.load_max_over_mean, after.worst_load());
        assert!((told - worst).abs() < 1e-6, "{told} was told, {worst} it is");
        assert_eq!(found.after.partitions, after.partitions().count());
    }
    assert!(
        found.after.load_max_over_mean
            <= found.before.load_max_over_mean.max(options.imbalance_goal) + 1e-9
    );
    assert!(found.refusals.len() <= 64);
    after
}

/// Checks that a plan for the result of a plan is empty. Where a single token was cut off, what
/// lies behind it has more bytes than its samples showed: once, something may then move for its
/// bytes alone.
fn check_again(after: &World, options: &RebalanceOptions) {
    let mut again = plan_for_load(&after.topology, &after.demand, options);
    let mut after = after.clone();
    if !again.actions.is_empty() && again.actions.iter().all(|it| it.cause == Cause::Bytes) {
        after = check(&after, options, &again);
        again = plan_for_load(&after.topology, &after.demand, options);
    }
    assert!(again.actions.is_empty(), "another plan: {}\n{after:?}", again.plan());
}

proptest! {
    #![proptest_config(config(512))]

    #[test]
    fn any_plan_holds_and_is_a_fixpoint(seed: u64) {
        let world = random_world(seed, Kind::Any);
        // Or a load that is noise could get worse.
        let options = options().load_min(0.0);
        let found = plan_for_load(&world.topology, &world.demand, &options);
        prop_assert_eq!(&found, &plan_for_load(&world.topology, &world.demand, &options));
        let after = check(&world, &options, &found);
        // What has left a shard makes room for more.
        if world.demand.bytes_free.is_empty() {
            check_again(&after, &options);
        }
    }

    /// Where everything can be cut, shards end even, and hardly more moves than necessary.
    #[test]
    fn what_can_be_cut_ends_even(seed: u64) {
        let world = random_world(seed, Kind::Even);
        let options = options().bytes_imbalance_start(100.0).partitions_per_shard_goal(1000);
        let total: f64 = world.by_shard(|demand| demand.load).values().sum();
        let before = world.worst_load();
        let found = plan_for_load(&world.topology, &world.demand, &options);
        let after = check(&world, &options, &found);
        check_again(&after, &options);
        if before > options.imbalance_start && total >= options.load_min {
            // Nothing is cut below 100 operations a second, or finer than its samples.
            let shards = world.topology.shards().len() as f64;
            let fine = total / shards / 3.0 > 40.0 * options.split.load_min;
            let loads = world.demand.partitions.values().map(|demand| demand.load);
            let sample = loads.fold(0.0, f64::max) / 512.0;
            let fair = world.fair(|demand| demand.load).into_values().fold(f64::MAX, f64::min);
            let most = 1.05 + sample / fair + 1e-9;
            prop_assert!(!fine || after.worst_load() <= most, "{}", after.worst_load());
            let moved = found.plan().moved_bytes() as f64;
            let least = least_bytes(&world, options.imbalance_goal);
            // Each shard may give up a hundredth of its share more than it has to, to make a cut
            // worth it.
            let all: f64 = world.by_shard(|demand| demand.bytes as f64).values().sum();
            let slack = 1.2 * least + 0.01 * all;
            prop_assert!(!fine || moved <= slack, "{} of {}", moved, least);
        }
    }
}

/// Returns the fewest bytes that must leave the shards that have too much, if everything could be
/// divided arbitrarily (fractional knapsack).
fn least_bytes(world: &World, goal: f64) -> f64 {
    let fair = world.fair(|demand| demand.load);
    let sums = world.by_shard(|demand| demand.load);
    let mut least = 0.0;
    for (shard, fair) in fair {
        let mut excess = sums[&shard] - goal * fair;
        let owned = world.partitions().filter(|partition| partition.owner == shard);
        let mut demands: Vec<PartitionDemand> = owned.map(|it| world.of(it.id)).collect();
        demands.retain(|demand| demand.load > 0.0);
        let rank = |demand: &PartitionDemand| demand.bytes as f64 / demand.load;
        demands.sort_by(|one, two| rank(one).total_cmp(&rank(two)));
        for demand in demands {
            let part = excess.clamp(0.0, demand.load) / demand.load;
            least += part * demand.bytes as f64;
            excess -= demand.load;
        }
    }
    least
}

/// Returns one range on one of four shards.
fn one_range(samples: impl Fn(&annulus::placement::PartitionRange) -> Vec<Sample>) -> World {
    let mut world = World::new(create(&shards(4), "log", KeyspaceSpec::range()));
    let range = world.partition(PartitionId(1)).range;
    world.set(1, 10_000.0, 1024 * MIB, samples(&range));
    world
}

#[test]
fn one_partition_is_spread_in_one_step() {
    let world = one_range(|range| even(range, 512, &mut fastrand::Rng::with_seed(7)));
    let found = plan_for_load(&world.topology, &world.demand, &options());
    let [action] = &found.actions[..] else { panic!("{}", found.plan()) };
    assert_eq!(action.step.kind, ReshapeKind::Split);
    assert_eq!(action.step.owners.iter().collect::<BTreeSet<_>>().len(), 4);
    assert_eq!(action.cause, Cause::Load);
    assert_eq!(found.before.load_max_over_mean, 4.0);
    let after = check(&world, &options(), &found);
    assert!(after.worst_load() <= 1.05, "{}", after.worst_load());
    check_again(&after, &options());
}

#[test]
fn a_hot_key_is_left_alone() {
    let hot = |range: &annulus::placement::PartitionRange| {
        let mut samples = even(range, 512, &mut fastrand::Rng::with_seed(7));
        samples.extend((0..512).map(|_| at(inside(range, 0.3))));
        samples
    };
    let world = one_range(hot);
    let key = inside(&world.partition(PartitionId(1)).range, 0.3);
    let found = plan_for_load(&world.topology, &world.demand, &options());
    let after = check(&world, &options(), &found);
    check_again(&after, &options());
    let of_owner = |id| after.partitions().filter(move |it| it.owner == ShardId(id));
    let [own] = &of_owner(0).collect::<Vec<_>>()[..] else { panic!("{}", found.plan()) };
    let (SplitPoint::Key(key), annulus::placement::PartitionRange::Keys(range)) = (key, &own.range)
    else {
        panic!()
    };
    assert_eq!((&range.start, range.end.as_deref()), (&key, Some(&[&key, &[0][..]].concat()[..])));
    // The others share what is left.
    let sums = after.by_shard(|demand| demand.load);
    assert!((1..4).all(|id| sums[&ShardId(id)] < 10_000.0 / 6.0 * 1.15), "{sums:?}");
    assert!(found.refusals.iter().any(|refusal| matches!(refusal.reason, Reason::OneKey { .. })));
}

#[test]
fn appended_keys_go_to_another_shard() {
    let keys = ["b", "c", "d", "e", "f", "g", "h"];
    let mut world = World::new(create(&shards(4), "log", KeyspaceSpec::range().split_at(keys)));
    for id in [1, 2] {
        let range = world.partition(PartitionId(id)).range;
        let place = |n: u32| inside(&range, f64::from(n) / 1e3);
        let writes = (0..256).map(|n| Sample { write: true, ..at(place(n)) });
        world.set(id, 1000.0, 8 * MIB, writes.collect());
    }
    assert_eq!(world.worst_load(), 4.0);
    // New keys are nearly all the load, and those of a range arrive on one shard whatever is done.
    // But the two need not be on the same one; and existing data stays.
    let found = plan_for_load(&world.topology, &world.demand, &options());
    let [action] = &found.actions[..] else { panic!("{}", found.plan()) };
    let moved = action.step.sources[0];
    let SplitPoint::Key(last) = inside(&world.partition(moved).range, 0.255) else { panic!() };
    let spec = action.step.spec().unwrap();
    assert_eq!(
        spec.split_points,
        [SplitPoint::Key([&last, &[0][..]].concat().into())],
        "{}",
        found.plan()
    );
    assert_eq!((spec.owners[0], action.step.moved_bytes), (ShardId(0), 0));
    assert!(action.step.reason.contains("where new keys are appended"), "{}", found.plan());
    let after = check(&world, &options(), &found);
    assert!(after.worst_load() < 2.01, "{}", after.worst_load());
}

/// Returns two shards with two ranges, of `left` and `right` operations a second.
fn two(left: f64, right: f64) -> World {
    let mut world = World::new(create(&shards(2), "log", KeyspaceSpec::range().split_at(["m"])));
    for (id, load) in [(1, left), (2, right)] {
        let range = world.partition(PartitionId(id)).range;
        world.set(id, load, 100 * MIB, even(&range, 512, &mut fastrand::Rng::with_seed(id)));
    }
    world
}

#[test]
fn nothing_is_done_below_the_start() {
    let plan = |left: f64, options: &RebalanceOptions| {
        let world = two(left, 2000.0 - left);
        plan_for_load(&world.topology, &world.demand, options)
    };
    let below = plan(1199.0, &options());
    assert!(below.actions.is_empty());
    let balanced = |refusal: &annulus::planner::load::Refusal| {
        refusal.subject == Subject::Shard(ShardId(0))
            && matches!(refusal.reason, Reason::Balanced { times, .. } if times > 1.19)
    };
    assert!(below.refusals.iter().any(balanced), "{}", below.plan());
    let above = plan(1201.0, &options());
    assert!(above.after.load_max_over_mean <= 1.05, "{}", above.plan());
    // All the load there is may be noise.
    let noise = options().load_min(2001.0);
    let noise = plan(1900.0, &noise);
    assert!(noise.actions.is_empty());
    let little = |reason: &Reason| matches!(reason, Reason::LittleLoad { .. });
    assert!(noise.refusals.iter().any(|refusal| little(&refusal.reason)));
    // And the gain may be too small.
    let gain = options().gain_min(0.5);
    let gain = plan(1400.0, &gain);
    assert!(gain.actions.is_empty());
    let little = |reason: &Reason| matches!(reason, Reason::LittleGain { .. });
    assert!(gain.refusals.iter().any(|refusal| little(&refusal.reason)), "{}", gain.plan());
}

#[test]
fn what_rests_or_is_under_way_is_not_touched() {
    let mut world = two(1900.0, 100.0);
    world.demand.rested.insert(PartitionId(1), Duration::from_secs(59));
    let found = plan_for_load(&world.topology, &world.demand, &options());
    assert!(found.actions.is_empty());
    assert!(found.plan().to_string().contains("59000 ms ago"), "{}", found.plan());
    world.demand.rested.insert(PartitionId(1), Duration::from_secs(60));
    assert_eq!(plan_for_load(&world.topology, &world.demand, &options()).actions.len(), 1);

    let (keyspace, _) = world.topology.find_partition(PartitionId(1)).unwrap();
    let split_points = vec![inside(&world.partition(PartitionId(1)).range, 0.5)];
    let owners = vec![ShardId(0), ShardId(1)];
    let begun = ReshapeSpec { keyspace, sources: vec![PartitionId(1)], split_points, owners };
    world.demand.in_flight.push(begun);
    let found = plan_for_load(&world.topology, &world.demand, &options());
    assert!(found.actions.is_empty());
    // 950 of 1900 have left already.
    assert!((found.before.load_max_over_mean - 1.05).abs() < 0.01, "{:?}", found.before);
    assert_eq!(found.before.partitions, 3);
}

#[test]
fn cold_partitions_go_where_there_are_fewer_bytes() {
    let keys = ["c", "f", "j", "m", "r", "t", "w"];
    let mut world = World::new(create(&shards(2), "log", KeyspaceSpec::range().split_at(keys)));
    for id in 1..=8 {
        world.set(
            id,
            if id == 2 { 400.0 } else { 10.0 },
            if id <= 4 { 800 } else { 50 } * MIB,
            Vec::new(),
        );
    }
    world.set(5, 400.0, 50 * MIB, Vec::new());
    let found = plan_for_load(&world.topology, &world.demand, &options());
    assert!(found.actions.iter().all(|action| action.cause == Cause::Bytes), "{}", found.plan());
    assert!(found.before.bytes_max_over_mean > 1.8);
    assert!(found.after.bytes_max_over_mean <= 1.5, "{:?}", found.after);
    assert!(found.after.load_max_over_mean <= 1.05, "{:?}", found.after);
    check_again(&check(&world, &options(), &found), &options());
    // Nothing moves where there is no space: a tenth stays free.
    world.demand.bytes_free.insert(ShardId(1), 880 * MIB);
    assert!(plan_for_load(&world.topology, &world.demand, &options()).actions.is_empty());
}

#[test]
fn cold_and_small_neighbours_are_merged_down_to_the_goal() {
    let keys: Vec<Vec<u8>> = (1..80).map(|byte| vec![byte]).collect();
    let mut world = World::new(create(&shards(2), "log", KeyspaceSpec::range().split_at(keys)));
    for id in 1..=80 {
        world.set(id, 1.0, MIB, Vec::new());
    }
    // Neither what was hot recently nor what is large is merged.
    world.demand.partitions.get_mut(&PartitionId(10)).unwrap().load_max = 60.0;
    world.demand.partitions.get_mut(&PartitionId(70)).unwrap().bytes = 64 * MIB;
    let found = plan_for_load(&world.topology, &world.demand, &options());
    assert_eq!((found.before.partitions, found.after.partitions), (80, 32));
    let touched = |id| found.actions.iter().any(|it| it.step.sources.contains(&PartitionId(id)));
    assert!(found.actions.iter().all(|action| action.cause == Cause::Merge));
    assert!(!touched(10) && !touched(70));
    check_again(&check(&world, &options(), &found), &options());
    let wide = options().partitions_per_shard_goal(40);
    assert!(plan_for_load(&world.topology, &world.demand, &wide).actions.is_empty());
}

#[test]
fn a_plan_can_be_limited() {
    let mut world = World::new(create(&shards(4), "u", KeyspaceSpec::hash().arcs_per_shard(8)));
    let owners: Vec<_> = world.partitions().map(|it| (it.id, it.owner)).collect();
    for (id, owner) in owners {
        world.set(id.0, if owner == ShardId(0) { 500.0 } else { 50.0 }, 10 * MIB, Vec::new());
    }
    let all = plan_for_load(&world.topology, &world.demand, &options());
    let one = options().actions_max(1);
    let one = plan_for_load(&world.topology, &world.demand, &one);
    assert!(all.actions.len() > 1);
    assert_eq!(one.actions[..], all.actions[..1]);
    let left_out = Reason::ManyActions { left_out: all.actions.len() - 1, most: 1 };
    assert_eq!(one.refusals.last().unwrap().reason, left_out);
    assert!(one.after.load_max_over_mean > all.after.load_max_over_mean);
}

#[test]
fn options_are_checked_and_read_back() {
    let good = RebalanceOptions::default();
    good.validate().unwrap();
    let text = serde_json::to_string(&good).unwrap();
    assert_eq!(serde_json::from_str::<RebalanceOptions>(&text).unwrap(), good);
    let bad = [
        good.imbalance_start(1.01),
        good.imbalance_goal(f64::NAN),
        good.merge_load_max(51.0),
        good.gain_min(0.0),
        good.partitions_per_shard_max(0),
    ];
    for options in bad {
        let error = options.validate().unwrap_err().to_string();
        assert!(error.contains("option rebalance."), "{error}");
    }
}

/// How long a plan takes for a large store: `cargo test --release --test topology -- --ignored
/// --nocapture large`.
#[test]
#[ignore = "prints a measurement"]
#[expect(clippy::disallowed_methods, reason = "it measures, and checks no time")]
fn large_plan() {
    let mut random = fastrand::Rng::with_seed(1);
    let topology = create(&shards(1000), "users", KeyspaceSpec::hash().arcs_per_shard(100));
    let mut world = World::new(topology);
    let partitions: Vec<_> = world.partitions().collect();
    for partition in &partitions {
        let load = 10_f64.powf(random.f64() * 3.0) * (1.0 + f64::from(partition.owner.0 % 7));
        let samples = even(&partition.range, if load > 2000.0 { 128 } else { 0 }, &mut random);
        world.set(partition.id.0, load, random.u64(0..1 << 30), samples);
    }
    let mut times = Vec::new();
    let mut last = None;
    for _ in 0..9 {
        let begin = std::time::Instant::now();
        last = Some(plan_for_load(&world.topology, &world.demand, &options()));
        times.push(begin.elapsed());
    }
    times.sort();
    let found = last.unwrap();
    println!(
        "{} partitions: {:?} (from {:?} to {:?}), {} actions, load {:.2} -> {:.4}, moved bytes {:.3} of the least",
        partitions.len(),
        times[4],
        times[0],
        times[8],
        found.actions.len(),
        found.before.load_max_over_mean,
        found.after.load_max_over_mean,
        found.plan().moved_bytes() as f64 / least_bytes(&world, 1.05)
    );
}
