//! Memory and options have bounds.

use super::{HASH, RANGE, access, ms, read, topology, tracker};
use annulus::ErrorKind;
use annulus::heat::{HISTORY_SAMPLES_MAX, HeatOptions, Operation};

#[test]
fn what_is_kept_is_bounded() {
    let topology = topology();
    let mut tracker = tracker(&topology);
    assert_eq!(tracker.touched(), 0);
    let mut random = fastrand::Rng::with_seed(1);
    for n in 0..60_000_u64 {
        let key = random.u64(..).to_be_bytes();
        tracker.observe(ms(n / 4), &read(HASH, &key));
        let scan = Operation::Scan { last: &[255; 8], rows: 1 };
        let kind = [Operation::Write, scan, Operation::Read][n as usize % 3];
        tracker.observe(ms(n / 4), &access(RANGE, &key, kind));
    }
    let arcs = topology.keyspace(HASH).unwrap().partition_count();
    assert_eq!(tracker.touched(), arcs + 1);
    let options = HeatOptions::default();
    for partition in topology.keyspaces().flat_map(|keyspace| keyspace.partitions()) {
        let profile = tracker.profile(partition.id).unwrap();
        assert_eq!(profile.len(), options.samples_per_partition);
        assert!(profile.scan_count() <= options.samples_per_partition / 4);
    }
    for keyspace in [HASH, RANGE] {
        let keys = tracker.hot_keys(ms(15_000), keyspace, usize::MAX);
        assert!(keys.reads.len() <= 2 * options.hot_keys_tracked);
        assert!(keys.writes.len() <= 2 * options.hot_keys_tracked);
    }
    let history = tracker.history();
    let mut slots = history.keyspaces.iter().flat_map(|keyspace| &keyspace.intervals);
    assert!(slots.all(|slot| slot.samples.len() <= HISTORY_SAMPLES_MAX));
}

#[test]
fn a_sweep_over_the_keys_within_a_minute_is_seen_whole() {
    let topology = topology();
    let mut tracker = tracker(&topology);
    // Ten sweeps of a minute, two hundred accesses a second.
    for n in 0..120_000_u64 {
        let place = n % 12_000;
        tracker.observe(ms(n * 5), &read(RANGE, &place.to_be_bytes()));
    }
    let partition = topology.keyspace(RANGE).unwrap().partition(0).unwrap().id;
    let profile = tracker.profile(partition).unwrap();
    let mut tenths = [0; 10];
    for sample in profile.samples() {
        let annulus::topology::SplitPoint::Key(key) = &sample.at else { panic!() };
        tenths[(u64::from_be_bytes((**key).try_into().unwrap()) / 1_200) as usize] += 1;
    }
    assert!(tenths.iter().all(|count| *count >= 8), "{tenths:?}");
    assert!(tenths.iter().all(|count| *count <= 64), "{tenths:?}");
}

#[test]
fn options_out_of_bounds_are_refused_by_name() {
    let good = HeatOptions::default();
    good.validate().unwrap();
    let bad = [
        ("window", good.window(ms(9))),
        ("half_life", good.half_life_short(ms(90_000))),
        ("half_life_long", good.half_life_long(ms(0))),
        ("hot_keys_tracked", good.hot_keys_tracked(0)),
        ("hot_key_share", good.hot_keys_tracked(16)),
        ("hot_key_share", good.hot_key_share(f64::NAN)),
        ("hot_partition_share", good.hot_partition_share(-1.0)),
        ("samples_per_partition", good.samples_per_partition(1)),
        ("key_bytes_max", good.key_bytes_max(1 << 20)),
        ("history_interval", good.history_interval(ms(0))),
    ];
    for (name, options) in bad {
        let error = options.validate().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(name), "{error} does not name {name}");
    }
    assert!(serde_json::from_str::<HeatOptions>(r#"{"windows_ms":1}"#).is_err());
    let read: HeatOptions = serde_json::from_str(r#"{"window_ms":500}"#).unwrap();
    assert_eq!(read, good.window(ms(500)));
}
