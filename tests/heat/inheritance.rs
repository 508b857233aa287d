//! Reshapes keep loads and samples.

use super::{HASH, RANGE, access, assert_near, config, ms, read, reshaped, topology, tracker};
use annulus::heat::{Operation, Tracker, Windows};
use annulus::placement::{PartitionRange, Token};
use annulus::topology::{Change, PartitionInfo, ReshapeKind, ReshapeSpec, SplitPoint, Topology};
use annulus::{KeyspaceId, PartitionId, ShardId};
use proptest::prelude::*;
use std::sync::Arc;

#[derive(Debug, Clone)]
struct Op {
    range: bool,
    first: prop::sample::Index,
    sources: usize,
    split_points: Vec<u64>,
    owners: [u32; 3],
    /// Whether to follow at once, or together with the next one.
    follow: bool,
}

fn any_op() -> impl Strategy<Value = Op> {
    let split_points = prop::collection::vec(any::<u64>(), 0..3);
    let owners = [0..4_u32, 0..4, 0..4];
    (any::<bool>(), any::<prop::sample::Index>(), 1..4_usize, split_points, owners, any::<bool>())
        .prop_map(|(range, first, sources, split_points, owners, follow)| Op {
            range,
            first,
            sources,
            split_points,
            owners,
            follow,
        })
}

fn cut(range: &PartitionRange, at: u64) -> SplitPoint {
    match range {
        PartitionRange::Tokens(range) => SplitPoint::Token(Token(
            (u128::from(range.start.0) + u128::from(at) % range.width()) as u64,
        )),
        PartitionRange::Keys(_) => SplitPoint::Key(at.to_be_bytes()[..2].into()),
    }
}

/// Returns the topology after the reshape, if that is possible.
fn apply(topology: &Topology, op: &Op) -> Option<Arc<Topology>> {
    let keyspace = topology.keyspace(if op.range { RANGE } else { HASH })?;
    let partitions: Vec<PartitionInfo> = keyspace.partitions().collect();
    let first = op.first.index(partitions.len());
    let range = &partitions[first].range;
    let sources = partitions.iter().skip(first);
    let split_points = if op.sources > 1 { &[][..] } else { &op.split_points };
    let mut split_points: Vec<SplitPoint> = split_points.iter().map(|at| cut(range, *at)).collect();
    split_points.sort();
    let spec = ReshapeSpec {
        keyspace: keyspace.id(),
        sources: sources.take(op.sources).map(|partition| partition.id).collect(),
        owners: op
            .owners
            .iter()
            .take(split_points.len() + 1)
            .map(|owner| ShardId(*owner))
            .collect(),
        split_points,
    };
    topology.target_ranges(&spec).is_ok().then(|| reshaped(topology, spec))
}

fn partitions(topology: &Topology, keyspace: KeyspaceId) -> Vec<PartitionInfo> {
    topology.keyspace(keyspace).unwrap().partitions().collect()
}

/// Returns the sampled places of a keyspace with their weights.
fn samples(
    tracker: &Tracker,
    topology: &Topology,
    keyspace: KeyspaceId,
) -> Vec<(SplitPoint, PartitionId)> {
    let mut all = Vec::new();
    for partition in partitions(topology, keyspace) {
        let Some(profile) = tracker.profile(partition.id) else { continue };
        for sample in profile.samples() {
            let inside = match (&partition.range, &sample.at) {
                (PartitionRange::Tokens(range), SplitPoint::Token(token)) => range.contains(*token),
                (PartitionRange::Keys(range), SplitPoint::Key(key)) => range.contains(key),
                _ => false,
            };
            assert!(inside, "{} is not in {}", sample.at, partition.range);
            all.push((sample.at.clone(), partition.id));
        }
    }
    all.sort();
    all
}

fn load(tracker: &Tracker, topology: &Topology, keyspace: KeyspaceId) -> Windows<f64> {
    let partitions = partitions(topology, keyspace).into_iter();
    partitions.fold(Windows::default(), |sum, partition| {
        sum.zip(tracker.load(ms(5_000), partition.id), |one, other| one + other)
    })
}

proptest! {
    #![proptest_config(config(128))]

    #[test]
    fn loads_and_samples_add_up_to_what_they_were(
        keys in prop::collection::vec((any::<u64>(), any::<bool>(), 1..9_u64), 0..200),
        ops in prop::collection::vec(any_op(), 1..12),
    ) {
        let mut present = topology();
        let mut tracker = tracker(&present);
        for (key, range, weight) in &keys {
            let key = key.to_be_bytes();
            let keyspace = if *range { RANGE } else { HASH };
            let kind = if weight % 2 == 0 { Operation::Read } else { Operation::Write };
            let access = access(keyspace, &key, kind).weight(*weight as f64);
            tracker.observe(ms(5_000 * weight / 9), &access);
        }
        let before = [HASH, RANGE].map(|id| {
            let places = samples(&tracker, &present, id).into_iter().map(|(place, _)| place);
            (load(&tracker, &present, id), places.collect::<Vec<_>>())
        });
        let shard_sum = tracker.report(ms(5_000)).total.medium.load;
        for op in &ops {
            let Some(next) = apply(&present, op) else { continue };
            present = next;
            if op.follow {
                tracker.follow(ms(5_000), &present);
            }
        }
        tracker.follow(ms(5_000), &present);
        for (id, (was, places)) in [HASH, RANGE].into_iter().zip(before) {
            let now = load(&tracker, &present, id);
            assert_near(was.short, now.short);
            assert_near(was.medium, now.medium);
            assert_near(was.long, now.long);
            // Fewer than a partition has room for: all are there.
            let kept = samples(&tracker, &present, id).into_iter().map(|(place, _)| place);
            prop_assert_eq!(kept.collect::<Vec<_>>(), places);
        }
        assert_near(tracker.report(ms(5_000)).total.medium.load, shard_sum);
    }
}

fn split(topology: &Topology, cut: SplitPoint, keyspace: KeyspaceId) -> Arc<Topology> {
    let ranges = partitions(topology, keyspace);
    let source = ranges.iter().rev().find(|partition| match (&partition.range, &cut) {
        (PartitionRange::Tokens(range), SplitPoint::Token(token)) => range.contains(*token),
        (PartitionRange::Keys(range), SplitPoint::Key(key)) => range.contains(key),
        _ => false,
    });
    let (sources, owner) = (vec![source.unwrap().id], source.unwrap().owner);
    reshaped(
        topology,
        ReshapeSpec { keyspace, sources, split_points: vec![cut], owners: vec![owner; 2] },
    )
}

#[test]
fn a_split_divides_by_the_samples_and_scans_go_to_both_sides() {
    let before = topology();
    let mut tracker = tracker(&before);
    for n in 0..200_u64 {
        let key = [if n % 4 == 0 { b'a' } else { b'x' }, n as u8];
        tracker.observe(ms(n), &read(RANGE, &key));
    }
    let scan = Operation::Scan { last: b"z", rows: 0 };
    (0..20).for_each(|_| tracker.observe(ms(200), &access(RANGE, b"n", scan)));
    let whole = tracker.load(ms(200), before.keyspace(RANGE).unwrap().partition(0).unwrap().id);
    let after = split(&before, SplitPoint::Key(b"m"[..].into()), RANGE);
    let after = split(&after, SplitPoint::Key(b"x"[..].into()), RANGE);
    tracker.follow(ms(200), &after);
    let parts = partitions(&after, RANGE);
    let share = |index: usize| tracker.load(ms(200), parts[index].id).medium / whole.medium;
    assert!((share(0) - 50.0 / 220.0).abs() < 0.01, "{}", share(0));
    assert!((share(0) + share(1) + share(2) - 1.0).abs() < 1e-9);
    let scans = |index: usize| tracker.profile(parts[index].id).map_or(0, |p| p.scan_count());
    assert_eq!([scans(0), scans(1), scans(2)], [0, 20, 20]);
    // An access from a moment ago lands where its key is now.
    tracker.observe(ms(201), &read(RANGE, b"b"));
    assert_eq!(tracker.profile(parts[0].id).unwrap().len(), 51);
}

#[test]
fn the_history_has_reshapes_and_dropped_keyspaces_are_forgotten() {
    let before = topology();
    let mut tracker = tracker(&before);
    tracker.observe(ms(1), &read(RANGE, b"key"));
    let after = split(&before, SplitPoint::Key(b"m"[..].into()), RANGE);
    tracker.follow(ms(10), &after);
    let spec = ReshapeSpec {
        keyspace: RANGE,
        sources: partitions(&after, RANGE).iter().map(|partition| partition.id).collect(),
        split_points: vec![],
        owners: vec![ShardId(3)],
    };
    let merged = reshaped(&after, spec);
    tracker.follow(ms(20), &merged);
    let spec = ReshapeSpec {
        keyspace: RANGE,
        sources: vec![partitions(&merged, RANGE)[0].id],
        split_points: vec![],
        owners: vec![ShardId(0)],
    };
    let moved = reshaped(&merged, spec);
    tracker.follow(ms(30), &moved);
    let reshapes = tracker.history().reshapes;
    let kinds: Vec<_> =
        reshapes.iter().map(|mark| (mark.at, mark.kind, mark.targets.len())).collect();
    assert_eq!(
        kinds,
        [
            (ms(10), ReshapeKind::Split, 2),
            (ms(20), ReshapeKind::Merge, 1),
            (ms(30), ReshapeKind::Move, 1)
        ]
    );
    assert_eq!(reshapes[2].targets[0].1, ShardId(0));
    assert_eq!(tracker.profile(partitions(&moved, RANGE)[0].id).unwrap().len(), 1);

    let dropped = moved.apply(&Change::DropKeyspace { id: RANGE }).unwrap();
    tracker.follow(ms(40), &Arc::new(dropped));
    tracker.observe(ms(41), &read(RANGE, b"key"));
    assert_eq!(tracker.touched(), 0);
    assert!(tracker.history().reshapes.is_empty() && tracker.history().keyspaces.is_empty());
    assert_eq!(tracker.report(ms(41)).total.short.load, 0.0);
}
