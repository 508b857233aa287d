//! What is saved is what is read back, and the history stays bounded.

use super::{HASH, RANGE, access, assert_near, ms, read, reshaped, topology, tracker};
use annulus::ShardId;
use annulus::heat::Tracker;
use annulus::heat::{
    HISTORY_INTERVALS_MAX, HISTORY_SAMPLES_MAX, HeatEvent, HeatOptions, HeatState, Operation,
};
use annulus::topology::{ReshapeSpec, SplitPoint, Topology};
use std::sync::Arc;
use std::time::Duration;

fn loaded(topology: &Arc<Topology>) -> Tracker {
    let mut tracker = tracker(topology);
    for n in 0..4_000_u64 {
        let (now, key) = (ms(n), (n * n % 1_009).to_be_bytes());
        tracker.observe(now, &read(HASH, if n % 3 == 0 { b"hot" } else { &key }));
        let write = access(RANGE, &key, Operation::Write).took(Duration::from_nanos(100));
        tracker.observe(now, &write);
        if n % 10 == 0 {
            let scan = Operation::Scan { last: &[255], rows: 4 };
            tracker.observe(now, &access(RANGE, &key, scan));
        }
    }
    tracker
}

fn through_bytes(state: &HeatState) -> HeatState {
    let bytes = postcard::to_stdvec(state).unwrap();
    let read = postcard::from_bytes(&bytes).unwrap();
    assert_eq!(&read, state);
    // And through text, which the tool prints; numbers may be rounded there.
    serde_json::from_str::<HeatState>(&serde_json::to_string(state).unwrap()).unwrap();
    read
}

#[test]
fn an_import_goes_on_where_the_export_was() {
    let topology = topology();
    let before = loaded(&topology);
    let state = through_bytes(&before.export(ms(4_000)));
    let options = HeatOptions::default();
    let mut after = Tracker::import(options, 9, state.clone(), Duration::ZERO, &topology);
    let (was, is) = (before.report(ms(4_000)), after.report(ms(0)));
    assert_eq!(is.at, ms(4_000));
    for (was, is) in [(was.total.short, is.total.short), (was.total.long, is.total.long)] {
        assert_near(was.load, is.load);
        assert_near(was.writes, is.writes);
        assert_near(was.nanos, is.nanos);
    }
    assert_eq!(before.hot_keys(ms(4_000), HASH, 3), after.hot_keys(ms(0), HASH, 3));
    let partition = topology.keyspace(RANGE).unwrap().partition(0).unwrap().id;
    let (was, is) = (before.profile(partition).unwrap(), after.profile(partition).unwrap());
    assert_eq!((was.len(), was.scan_count()), (is.len(), is.scan_count()));
    let middle = SplitPoint::Key(500_u64.to_be_bytes().into());
    assert_near(was.share_before(&middle), is.share_before(&middle));
    assert_near(was.rising_share(), is.rising_share());
    assert_eq!(state.samples[0].profile().len(), was.len());
    assert_eq!(state.history, before.history());
    let (history, was) = (after.history(), before.history());
    for (now, then) in history.keyspaces.iter().zip(&was.keyspaces) {
        assert_eq!(now.intervals.len(), then.intervals.len());
        for (now, then) in now.intervals.iter().zip(&then.intervals) {
            assert_eq!((now.at, now.samples.len()), (then.at, then.samples.len()));
            assert_near(now.total, then.total);
        }
    }
    let hot = |event: &HeatEvent| matches!(event, HeatEvent::KeyHot(key) if *key.key == *b"hot");
    assert!(after.tick(ms(1)).iter().any(hot));
}

#[test]
fn an_old_file_has_faded() {
    let topology = topology();
    let before = loaded(&topology);
    let state = before.export(ms(4_000));
    let minute = Duration::from_secs(60);
    let after = Tracker::import(HeatOptions::default(), 9, state, minute, &topology);
    assert_eq!(after.report(ms(0)).at, ms(64_000));
    let (was, is) = (before.report(ms(64_000)), after.report(ms(0)));
    assert_near(was.total.medium.load, is.total.medium.load);
    assert!(is.total.medium.load < 0.1 * before.report(ms(4_000)).total.medium.load);
    assert!(after.hot_keys(ms(0), HASH, 9).reads.is_empty());
}

#[test]
fn an_import_into_other_partitions_divides() {
    let topology = topology();
    let before = loaded(&topology);
    let partition = topology.keyspace(RANGE).unwrap().partition(0).unwrap().id;
    let cut = before.profile(partition).unwrap().cut_at(0.5).unwrap().0;
    let spec = ReshapeSpec {
        keyspace: RANGE,
        sources: vec![partition],
        split_points: vec![cut],
        owners: vec![ShardId(0), ShardId(1)],
    };
    let next = reshaped(&topology, spec);
    let state = before.export(ms(4_000));
    let after = Tracker::import(HeatOptions::default(), 9, state, Duration::ZERO, &next);
    let total = before.load(ms(4_000), partition).medium;
    for part in next.keyspace(RANGE).unwrap().partitions() {
        assert!((after.load(ms(0), part.id).medium / total - 0.5).abs() < 0.02);
        assert!(after.profile(part.id).unwrap().len() > 100);
    }
}

#[test]
fn the_history_gets_coarser_and_loses_nothing() {
    let mut tracker = tracker(&topology());
    let mut seen = 0_u64;
    for second in 0..1_000_u64 {
        for n in 0..20 {
            let key = (second * 20 + n).to_be_bytes();
            tracker.observe(ms(second * 1_000), &read(RANGE, &key));
            seen += 1;
        }
        if second % 97 == 0 {
            let history = tracker.history();
            let intervals = &history.keyspaces[0].intervals;
            assert!(intervals.len() <= HISTORY_INTERVALS_MAX);
            assert!(second < 120 || intervals.len() >= HISTORY_INTERVALS_MAX / 2 - 1);
            assert!(intervals.is_sorted_by(|one, other| one.at < other.at));
            let length = history.interval.as_millis();
            assert!(intervals.iter().all(|interval| interval.at.as_millis() % length == 0));
            assert!(intervals.iter().all(|interval| interval.samples.len() <= HISTORY_SAMPLES_MAX));
            let total: f64 = intervals.iter().map(|interval| interval.total).sum();
            assert_near(total, seen as f64);
            // Fewer than fit, so all of them are there, in the intervals of their time.
            for interval in intervals {
                let weight: f64 = interval.samples.iter().map(|sample| sample.weight).sum();
                assert_near(weight, interval.total);
                for sample in &interval.samples {
                    let SplitPoint::Key(key) = &sample.at else { panic!() };
                    let at = ms(u64::from_be_bytes((**key).try_into().unwrap()) / 20 * 1_000);
                    assert!((interval.at..interval.at + history.interval).contains(&at));
                }
            }
        }
    }
    assert_eq!(tracker.history().interval, ms(8_000));
}
