//! Load is seen where it falls, and evened out.
//!
//! No test here waits for a time to pass and then expects something: each drives load until what it
//! expects has happened, and fails only if it never does.

use crate::basic::small;
use crate::churn::{quick_directory, seed};
use annulus::heat::{HeatEvent, HeatOptions, PartitionReport};
use annulus::planner::load::{Policy, RebalanceOptions};
use annulus::rebalancer::{SavedHeat, Verdict};
use annulus::reshape::Event;
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, Keyspace, Options, Store};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A test that has not ended after this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Plans often, acts on little, forgets soon.
fn eager() -> Options {
    small()
        .heat(
            HeatOptions::new()
                .window(Duration::from_millis(200))
                .half_life_short(Duration::from_millis(300))
                .half_life_medium(Duration::from_millis(700))
                .half_life_long(Duration::from_millis(700)),
        )
        .rebalance(
            RebalanceOptions::new()
                .policy(Policy::Automatic)
                .interval(Duration::from_millis(300))
                .cool_down(Duration::from_secs(1))
                .load_min(10.0)
                .partitions_per_shard_goal(1),
        )
}

/// Remembers which keys are hot for longer than a test lasts, however slow.
fn unforgetting() -> HeatOptions {
    HeatOptions::new().window(Duration::from_secs(3_600))
}

pub(crate) fn open(path: &Path, options: Options) -> Store {
    Store::builder(path).shards(4).options(options).open().unwrap()
}

/// Keys in order, 4,096 of them.
fn key(number: usize) -> String {
    format!("{number:06}")
}

fn filled(store: &Store) -> Keyspace {
    let keyspace = store.create_keyspace("all", KeyspaceSpec::range()).unwrap();
    for number in 0..4096 {
        keyspace.put(key(number), [number as u8; 64]).unwrap();
    }
    keyspace
}

/// Reads until something has happened.
fn read_until(
    keyspace: &Keyspace,
    mut next: impl FnMut() -> usize,
    mut done: impl FnMut() -> bool,
) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "it never happened");
        for _ in 0..2_000 {
            keyspace.get(key(next())).unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The first rates of a keyspace, when its first samples are drained, are of the time in which they
/// were taken. They used to be as if all of it had taken a millisecond: 970 million reads a second
/// in an event. Whatever the machine, no more can be done in a second than was done in the time it
/// took.
#[test]
fn the_first_rates_are_of_the_time_that_it_took() {
    let directory = quick_directory();
    let store = open(directory.path(), small().heat(unforgetting()));
    for round in 0..20 {
        let name = format!("k{round}");
        let keyspace = store.create_keyspace(&name, KeyspaceSpec::range()).unwrap();
        let begun = Instant::now();
        const READS: u32 = 20_000;
        for _ in 0..READS {
            keyspace.get("key").unwrap();
        }
        let most = 1.5 * f64::from(READS) / begun.elapsed().as_secs_f64();
        let heat = store.heat();
        let keys = keyspace.hot_keys(1);
        let seen = keys.reads.first().map_or(0.0, |key| key.per_second);
        assert!(seen <= most, "round {round}: {seen} reads a second of {most}");
        let report = heat.keyspaces.iter().find(|report| report.name == name).unwrap();
        let load = report.partitions[0].rates.short.load;
        assert!(load <= most, "round {round}: a load of {load} of {most}");
    }
}

#[test]
fn what_is_counted_is_what_was_done() {
    let directory = quick_directory();
    let store = open(
        directory.path(),
        small().rebalance(RebalanceOptions::new().policy(Policy::Manual)).heat(unforgetting()),
    );
    let hash = store.create_keyspace("hash", KeyspaceSpec::hash()).unwrap();
    let range = store.create_keyspace("range", KeyspaceSpec::range().split_at(["m"])).unwrap();
    let mut random = fastrand::Rng::with_seed(seed());
    // Nine reads of ten are of one key, all writes of another; scans in the left half only.
    for round in 0..20_000 {
        // So that no sample is lost while the thread that collects them waits for the processor.
        if round % 500 == 0 {
            let _ = store.heat();
        }
        let other = format!("key {}", random.u32(..1000));
        hash.get(if random.u32(..10) > 0 { "often" } else { &other }).unwrap();
        let mut batch = Batch::new();
        batch.put(&hash, "written", "x");
        batch.put(&range, "z", "y");
        store.write(batch).unwrap();
    }
    for name in ["a", "b", "c"] {
        range.put(name, "1").unwrap();
    }
    for round in 0..5_000 {
        if round % 500 == 0 {
            let _ = store.heat();
        }
        assert_eq!(range.scan(.."d").unwrap().count(), 3);
    }
    let heat = store.heat();
    let keys = hash.hot_keys(3);
    assert_eq!(keys.reads[0].key[..], b"often"[..]);
    assert!((0.85..0.95).contains(&keys.reads[0].share), "{keys:?}");
    assert_eq!(keys.writes[0].key[..], b"written"[..]);
    assert!(keys.writes[0].share > 0.99, "{keys:?}");
    assert_eq!(range.hot_keys(1).writes[0].key[..], b"z"[..]);
    let load = |keyspace: &Keyspace| -> Vec<f64> {
        let of = heat.keyspaces.iter().find(|one| one.id == keyspace.id()).unwrap();
        of.partitions.iter().map(|one| one.rates.medium.load).collect()
    };
    let [left, right] = load(&range)[..] else { panic!("{heat:?}") };
    assert!(left > 0.0 && right > left, "scans {left}, writes {right}");
    let owner = |keyspace: &Keyspace, key: &str| {
        let placement = keyspace.placement();
        let index = placement.partitioning().find(key.as_bytes());
        placement.partition(index).unwrap().id
    };
    let of_hash = heat.keyspaces.iter().find(|one| one.id == hash.id()).unwrap();
    let load = |one: &&PartitionReport| one.rates.medium.load;
    let hottest = of_hash.partitions.iter().max_by(|one, other| load(one).total_cmp(&load(other)));
    let hottest = hottest.unwrap();
    let expected = [owner(&hash, "often"), owner(&hash, "written")];
    assert!(expected.contains(&hottest.id), "{hottest:?}");
}

#[test]
fn a_load_that_comes_moves_and_goes_is_followed_and_then_left_alone() {
    let (directory, seed) = (quick_directory(), seed());
    let store = open(directory.path(), eager());
    let keyspace = filled(&store);
    let mut random = fastrand::Rng::with_seed(seed);
    assert_eq!(keyspace.placement().partitions().count(), 1);
    let even = |store: &Store| {
        let heat = store.heat();
        heat.max_over_mean.medium < 1.3 && !store.rebalancer().is_acting()
    };
    // All load is on one shard.
    read_until(&keyspace, || random.usize(..4096), || even(&store));
    assert!(keyspace.placement().partitions().count() >= 4);
    // The load moves to a tenth of the keys.
    read_until(&keyspace, || random.usize(..400), || store.heat().max_over_mean.medium > 1.5);
    read_until(&keyspace, || random.usize(..400), || even(&store));
    // And it stays there: in the end nothing more is done for many plans.
    let (mut reshapes, mut since) = (0, Instant::now());
    let left_alone = || {
        let committed = store.reshape_stats().committed;
        if std::mem::replace(&mut reshapes, committed) != committed {
            since = Instant::now();
        }
        since.elapsed() > Duration::from_secs(3)
    };
    read_until(&keyspace, || random.usize(..400), left_alone);
    // The load ends: neighbours that stay cold are merged again, and nothing was lost.
    let (begun, partitions) = (Instant::now(), || keyspace.placement().partitions().count());
    let most = partitions();
    while partitions() > 4 {
        let explained = || store.rebalancer().explain(12);
        let left = partitions();
        assert!(begun.elapsed() < PATIENCE, "{left} of {most} are left: {:#?}", explained());
        std::thread::sleep(Duration::from_millis(50));
    }
    for number in 0..4096 {
        assert_eq!(keyspace.get(key(number)).unwrap().unwrap(), [number as u8; 64]);
    }
    let decisions = store.rebalancer().explain(usize::MAX);
    assert!(decisions.iter().any(|decision| decision.verdict == Verdict::Started));
    assert!(decisions.iter().any(|decision| decision.verdict == Verdict::Done));
    assert!(store.verify().unwrap().is_sound());
}

/// A store that only suggests has the same topology and the same reshapes afterwards: none.
#[test]
fn suggestions_change_nothing_on_disk() {
    let (directory, seed) = (quick_directory(), seed());
    let mut options = eager();
    options.rebalance.policy = Policy::Suggest;
    let store = open(directory.path(), options.clone());
    let keyspace = filled(&store);
    let topology = store.topology();
    let mut random = fastrand::Rng::with_seed(seed);
    let suggested = || {
        let decisions = store.rebalancer().explain(usize::MAX);
        decisions.iter().any(|decision| decision.verdict == Verdict::Suggested)
    };
    read_until(&keyspace, || random.usize(..4096), suggested);
    assert_eq!(*store.topology(), *topology);
    assert_eq!(store.reshape_history().unwrap(), []);
    let planned = store.rebalancer().plan().unwrap();
    assert!(
        !planned.actions.is_empty()
            && planned.after.load_max_over_mean < planned.before.load_max_over_mean
    );
    store.close().unwrap();
    drop((keyspace, store));
    let store = open(directory.path(), options);
    assert_eq!(*store.topology(), *topology);
    assert_eq!(store.reshape_history().unwrap(), []);
}

#[test]
fn pauses_and_quiet_hours_are_kept() {
    let (directory, seed) = (quick_directory(), seed());
    let store = open(directory.path(), eager());
    store.rebalancer().set_quiet(true);
    let keyspace = filled(&store);
    let mut random = fastrand::Rng::with_seed(seed);
    let suggested = || {
        let decisions = store.rebalancer().explain(usize::MAX);
        decisions.iter().any(|decision| decision.verdict == Verdict::Suggested)
    };
    read_until(&keyspace, || random.usize(..4096), suggested);
    assert!(!store.rebalancer().is_acting());
    store.rebalancer().pause();
    store.rebalancer().set_quiet(false);
    let since = Instant::now();
    read_until(&keyspace, || random.usize(..4096), || since.elapsed() > Duration::from_secs(1));
    assert_eq!(store.reshape_stats().committed, 0);
    store.rebalancer().resume();
    read_until(&keyspace, || random.usize(..4096), || store.reshape_stats().committed > 0);
}

#[test]
fn what_becomes_hot_and_cools_is_told_of() {
    let (directory, seed) = (quick_directory(), seed());
    let events: Arc<Mutex<Vec<HeatEvent>>> = Arc::default();
    let told = Arc::clone(&events);
    let mut options = eager();
    options.rebalance.policy = Policy::Manual;
    let store = Store::builder(directory.path())
        .options(options)
        .listener(move |event| {
            if let Event::Heat(event) = event {
                told.lock().unwrap().push(event.clone());
            }
        })
        .open()
        .unwrap();
    let keyspace = filled(&store);
    let mut random = fastrand::Rng::with_seed(seed);
    let has = |wanted: fn(&HeatEvent) -> bool| events.lock().unwrap().iter().any(wanted);
    let mut hot = || if random.u32(..5) == 0 { 7 } else { random.usize(..4096) };
    read_until(&keyspace, &mut hot, || {
        has(|event| matches!(event, HeatEvent::KeyHot(event) if *event.key == *b"000007"))
    });
    let mut random = fastrand::Rng::with_seed(seed);
    read_until(
        &keyspace,
        || random.usize(100..4096),
        || has(|event| matches!(event, HeatEvent::KeyCooled(event) if *event.key == *b"000007")),
    );
    assert!(has(|event| matches!(event, HeatEvent::PartitionHot(_))));
}

/// A partition that is scanned merges its files sooner, and one that is written as usual does not.
#[test]
fn scanned_partitions_keep_few_files() {
    let directory = quick_directory();
    let mut options = eager();
    options.rebalance.policy = Policy::Manual;
    let store = open(directory.path(), options);
    let spec = || KeyspaceSpec::range();
    let [scanned, read] = ["scanned", "read"].map(|name| store.create_keyspace(name, spec()));
    let (scanned, read) = (scanned.unwrap(), read.unwrap());
    // Three files each, with the same rows.
    for _ in 0..3 {
        let mut random = fastrand::Rng::with_seed(1);
        for number in 0..4096 {
            let value: [u8; 64] = std::array::from_fn(|_| random.u8(..));
            scanned.put(key(number), value).unwrap();
            read.put(key(number), value).unwrap();
        }
        store.flush().unwrap();
    }
    let bytes = |keyspace: &Keyspace| keyspace.stats().unwrap()[0].bytes_on_disk;
    let [before, before_read] = [bytes(&scanned), bytes(&read)];
    let mut random = fastrand::Rng::with_seed(seed());
    let begun = Instant::now();
    while bytes(&scanned) > before / 2 {
        assert!(begun.elapsed() < PATIENCE, "it never happened");
        for _ in 0..200 {
            let from = key(random.usize(..4000));
            assert!(scanned.scan(from.as_str()..).unwrap().take(20).count() >= 20);
            read.get(from).unwrap();
        }
    }
    assert_eq!(scanned.scan(..).unwrap().count(), 4096);
    assert_eq!(bytes(&read), before_read, "point reads ask filters");
}

/// What was known of the load survives, and can be read without opening the store.
#[test]
fn the_next_opening_knows_the_load() {
    let directory = quick_directory();
    let mut options = eager();
    options.rebalance.policy = Policy::Manual;
    options.heat = Some(unforgetting());
    let store = open(directory.path(), options.clone());
    assert_eq!(SavedHeat::read(directory.path().join("nowhere")).unwrap(), None);
    let keyspace = filled(&store);
    for _ in 0..50_000 {
        keyspace.get(key(9)).unwrap();
    }
    store.rebalancer().run().unwrap();
    store.close().unwrap();
    drop((keyspace, store));
    let last = SavedHeat::read(directory.path()).unwrap().unwrap();
    assert!(last.report.max_over_mean.medium > 3.0, "{:?}", last.report);
    let store = open(directory.path(), options.clone());
    assert!(store.heat().max_over_mean.medium > 3.0);
    assert_eq!(store.keyspace("all").unwrap().hot_keys(1).reads[0].key[..], *key(9).as_bytes());
    drop(store);
    // Damaged, it loses only the statistics in it.
    let path = directory.path().join("HEAT");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(SavedHeat::read(directory.path()).is_err());
    assert!(open(directory.path(), options).verify().unwrap().is_sound());
}
