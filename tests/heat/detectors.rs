//! Detection of what is hot, and when it is reported.

use super::{HASH, RANGE, access, ms, read, reshaped, seeds, topology, tracker};
use annulus::heat::{HeatEvent, HeatOptions, KeyEvent, Operation, OperationKind, Tracker};
use annulus::topology::{ReshapeSpec, SplitPoint};
use annulus::{KeyspaceId, ShardId};
use std::collections::HashMap;

/// Ranks of a Zipf distribution, by inversion of its sums.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(ranks: u32, exponent: f64) -> Self {
        let mut sum = 0.0;
        let sums = (1..=ranks).map(|rank| {
            sum += f64::from(rank).powf(-exponent);
            sum
        });
        Self(sums.collect())
    }

    fn rank(&self, random: &mut fastrand::Rng) -> u64 {
        let drawn = random.f64() * self.0.last().unwrap();
        self.0.partition_point(|sum| *sum < drawn) as u64
    }
}

/// Returns the key of a rank: keys of consecutive ranks are not consecutive.
fn key(rank: u64) -> [u8; 8] {
    (rank.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_be_bytes()
}

#[test]
fn the_top_ten_of_a_million_zipf_keys_within_a_second() {
    let zipf = Zipf::new(1_000_000, 0.99);
    let truth: Vec<[u8; 8]> = (0..10).map(key).collect();
    for seed in seeds() {
        println!("ANNULUS_SEED={seed}");
        // With fewer samples, the samples have another top ten.
        for samples in [20_000_u64, 40_000] {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut tracker = tracker(&topology());
            let mut exact: HashMap<[u8; 8], u64> = HashMap::new();
            for n in 0..samples {
                let key = key(zipf.rank(&mut random));
                *exact.entry(key).or_default() += 1;
                tracker.observe(ms(n * 1_000 / samples), &read(HASH, &key));
            }
            let top = tracker.hot_keys(ms(1_000), HASH, 10).reads;
            let right = |keys: &[[u8; 8]]| {
                top.iter().filter(|found| keys.iter().any(|key| *key == *found.key)).count()
            };
            let mut sampled: Vec<_> = exact.iter().collect();
            sampled.sort_by(|one, other| other.1.cmp(one.1));
            let sampled: Vec<[u8; 8]> = sampled.iter().take(10).map(|(key, _)| **key).collect();
            assert!(right(&sampled) >= 9, "{} of the sampled, {samples}", right(&sampled));
            assert!(samples < 40_000 || right(&truth) >= 9, "{} of the true ones", right(&truth));
            for found in &top {
                let truth = exact[&*found.key] as f64;
                assert!(found.per_second - found.error_per_second <= truth + 1e-6);
                assert!(truth <= found.per_second + 1e-6);
            }
        }
    }
}

/// Drives a tracker: one in `part` accesses is of `hot`, at random; the others are of keys that
/// appear once.
fn drive(
    tracker: &mut Tracker,
    random: &mut fastrand::Rng,
    range: std::ops::Range<u64>,
    step: usize,
    part: Option<f64>,
) -> Vec<(u64, HeatEvent)> {
    let mut events = Vec::new();
    for at in range.step_by(step) {
        let hot = part.is_some_and(|part| random.f64() < part);
        let key = if hot { *b"the key!" } else { random.u64(..).to_be_bytes() };
        tracker.observe(ms(at), &read(HASH, &key));
        if at % 100 == 0 {
            events.extend(tracker.tick(ms(at)).into_iter().map(|event| (at, event)));
        }
    }
    events
}

fn keys_of(events: &[(u64, HeatEvent)]) -> Vec<(u64, bool, &KeyEvent)> {
    let keys = events.iter().filter_map(|(at, event)| match event {
        HeatEvent::KeyHot(key) => Some((*at, true, key)),
        HeatEvent::KeyCooled(key) => Some((*at, false, key)),
        _ => None,
    });
    keys.collect()
}

#[test]
fn a_key_with_a_fifth_of_200_samples_is_reported_at_once() {
    let mut tracker = tracker(&topology());
    for n in 0..200_u64 {
        let key = if n % 5 == 0 { [0; 8] } else { n.to_be_bytes() };
        let write = access(RANGE, &key, Operation::Write).weight(50.0);
        tracker.observe(ms(n / 2), &write);
    }
    let events: Vec<_> = tracker.tick(ms(100)).into_iter().map(|event| (100, event)).collect();
    let [(_, true, key)] = keys_of(&events)[..] else { panic!("{events:?}") };
    assert_eq!((&*key.key, key.keyspace, key.kind), (&[0; 8][..], RANGE, OperationKind::Write));
    assert!((key.share - 0.2).abs() < 1e-9);
    // 200 × 50 in a tenth of a second.
    assert!((key.per_second - 20_000.0).abs() < 1e-6);
}

#[test]
fn a_key_with_a_fifth_is_reported_within_a_second_and_gone_in_two_windows() {
    for seed in seeds() {
        println!("ANNULUS_SEED={seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let mut tracker = tracker(&topology());
        let mut events = drive(&mut tracker, &mut random, 0..3_000, 1, None);
        // It appears, stays and disappears.
        events.extend(drive(&mut tracker, &mut random, 3_000..8_000, 1, Some(0.2)));
        events.extend(drive(&mut tracker, &mut random, 8_000..12_000, 1, None));
        let [(hot, true, key), (cooled, false, same)] = keys_of(&events)[..] else {
            panic!("{events:?}")
        };
        assert_eq!((&*key.key, &*same.key), (&b"the key!"[..], &b"the key!"[..]));
        assert!((3_000..=4_000).contains(&hot), "hot at {hot}");
        assert!((8_000..=10_000).contains(&cooled), "cooled at {cooled}");
        let keys = tracker.hot_keys(ms(12_000), HASH, usize::MAX).reads;
        assert!(keys.iter().all(|found| *found.key != *b"the key!"));
    }
}

#[test]
fn a_key_is_reported_once_while_it_stays_near_the_threshold() {
    for seed in seeds() {
        println!("ANNULUS_SEED={seed}");
        for share in [0.05, 0.08, 0.10, 0.12] {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut tracker = tracker(&topology());
            let events = drive(&mut tracker, &mut random, 0..60_000, 2, Some(share));
            let keys = keys_of(&events);
            assert!(keys.len() <= 1, "{share}: {keys:?}");
            assert!(share > 0.08 || keys.is_empty(), "{share}: {keys:?}");
        }
    }
}

#[test]
fn a_few_samples_make_nothing_hot() {
    let mut tracker = tracker(&topology());
    for n in 0..20_u64 {
        tracker.observe(ms(n), &read(HASH, b"the only key").weight(1_000.0));
    }
    assert_eq!(
        tracker.tick(ms(20)).iter().filter(|e| matches!(e, HeatEvent::KeyHot(_))).count(),
        0
    );
}

#[test]
fn keys_too_long_to_report_count_for_shares() {
    let mut tracker = tracker(&topology());
    let long = vec![b'x'; HeatOptions::default().key_bytes_max + 1];
    for n in 0..1_000_u64 {
        let key = if n % 2 == 0 { &long[..] } else { b"short" };
        tracker.observe(ms(n), &read(RANGE, key));
    }
    let keys = tracker.hot_keys(ms(1_000), RANGE, 9).reads;
    assert_eq!(keys.len(), 1);
    assert!((keys[0].share - 0.5).abs() < 1e-9);
    let profile = tracker.profile(topology().keyspace(RANGE).unwrap().partition(0).unwrap().id);
    let (place, share) = profile.unwrap().heaviest().unwrap();
    assert_eq!(place, SplitPoint::Key(long[1..].into()).clone());
    assert!(share < 0.7);
}

/// Puts load on the range keyspace, `share` of all; the rest evenly on the hash keyspace.
fn skewed(tracker: &mut Tracker, range: std::ops::Range<u64>, share: f64, seed: u64) -> Vec<bool> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut hot = Vec::new();
    for at in range {
        for _ in 0..2 {
            let keyspace: KeyspaceId = if random.f64() < share { RANGE } else { HASH };
            tracker.observe(ms(at), &read(keyspace, &random.u64(..).to_be_bytes()));
        }
        if at % 250 == 0 {
            hot.extend(tracker.tick(ms(at)).into_iter().filter_map(|event| match event {
                HeatEvent::PartitionHot(event) if event.keyspace == RANGE => Some(true),
                HeatEvent::PartitionCooled(event) if event.keyspace == RANGE => Some(false),
                _ => None,
            }));
        }
    }
    hot
}

#[test]
fn a_partition_becomes_hot_and_cools_once() {
    for seed in seeds() {
        println!("ANNULUS_SEED={seed}");
        let mut tracker = tracker(&topology());
        // Hot is above an eighth of everything: half of what is fair for one of four shards.
        assert_eq!(skewed(&mut tracker, 0..10_000, 0.05, seed), [false; 0]);
        assert_eq!(skewed(&mut tracker, 10_000..40_000, 0.5, seed), [true]);
        let report = tracker.report(ms(40_000));
        assert!(report.keyspaces[1].partitions[0].hot);
        assert!((report.max_over_mean.short - 2.5).abs() < 0.3, "{:?}", report.max_over_mean);
        assert_eq!(skewed(&mut tracker, 40_000..80_000, 0.05, seed), [false]);
        // Just at the threshold: hot at most once.
        let at = skewed(&mut tracker, 80_000..140_000, 0.125, seed);
        assert!(at.is_empty() || at == [true], "{at:?}");
    }
}

#[test]
fn a_split_partition_is_hot_no_more_when_its_halves_are_not() {
    let before = topology();
    let mut tracker = tracker(&before);
    assert_eq!(skewed(&mut tracker, 0..20_000, 0.2, 3), [true]);
    let partition = before.keyspace(RANGE).unwrap().partition(0).unwrap();
    let (cut, share) = tracker.profile(partition.id).unwrap().cut_at(0.5).unwrap();
    assert!((share - 0.5).abs() < 0.01);
    let spec = ReshapeSpec {
        keyspace: RANGE,
        sources: vec![partition.id],
        split_points: vec![cut],
        owners: vec![ShardId(0), ShardId(1)],
    };
    tracker.follow(ms(20_000), &reshaped(&before, spec));
    assert_eq!(skewed(&mut tracker, 20_000..40_000, 0.2, 4), [false; 0]);
    let report = tracker.report(ms(40_000));
    assert!(report.keyspaces[1].partitions.iter().all(|partition| !partition.hot));
}
