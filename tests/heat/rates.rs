//! Rates in reports.

use super::{HASH, RANGE, access, assert_near, ms, read, topology, tracker};
use annulus::heat::Operation;
use annulus::topology::Change;
use std::time::Duration;

#[test]
fn a_report_adds_up() {
    let topology = topology();
    let topology = topology.apply(&Change::SetWeight { id: annulus::ShardId(3), weight: 5 });
    let topology = topology.unwrap().into();
    let mut tracker = tracker(&topology);
    for n in 0..2_000_u64 {
        let (now, key) = (ms(n), n.to_be_bytes());
        let last = (n + 9).to_be_bytes();
        let hash = read(HASH, &key).bytes(10).took(Duration::from_nanos(500));
        tracker.observe(now, &hash);
        let scan = Operation::Scan { last: &last, rows: 32 };
        tracker.observe(now, &access(RANGE, &key, scan).weight(2.0));
        tracker.observe(now, &access(RANGE, &key, Operation::Write).bytes(7));
    }
    let now = ms(2_000);
    let report = tracker.report(now);
    for (load, reads) in [
        (report.total.short.load, report.total.short.reads),
        (report.total.long.load, report.total.long.reads),
    ] {
        // A thousand of each per second. A scan is a read and counts 1 + 32 / 16.
        assert!((load / 8_000.0 - 1.0).abs() < 0.01, "{load}");
        assert!((reads / 3_000.0 - 1.0).abs() < 0.01, "{reads}");
    }
    assert!((report.total.short.read_bytes / 10_000.0 - 1.0).abs() < 0.01);
    assert!((report.total.short.written_bytes / 7_000.0 - 1.0).abs() < 0.01);
    assert!((report.total.short.nanos / 500_000.0 - 1.0).abs() < 0.01);
    let sum: f64 = report.shards.iter().map(|shard| shard.rates.medium.load).sum();
    assert_near(sum, report.total.medium.load);
    let fair: f64 =
        report.shards.iter().map(|shard| shard.over_fair.short * f64::from(shard.weight)).sum();
    assert_near(fair, 8.0);
    // The shard with the range keyspace has seven eighths of the load, and an eighth of the weight.
    let owner = report.keyspaces[1].partitions[0].owner;
    let most = report.shards.iter().find(|shard| shard.id == owner).unwrap();
    assert_eq!(report.max_over_mean.short, most.over_fair.short);
    assert_eq!(
        (report.keyspaces[0].partition_count, report.keyspaces[0].name.as_str()),
        (topology.keyspace(HASH).unwrap().partition_count() as u64, "hash")
    );
    for partition in report.keyspaces.iter().flat_map(|keyspace| &keyspace.partitions) {
        assert_eq!(tracker.load(now, partition.id).short, partition.rates.short.load);
    }
    let text = serde_json::to_string(&report).unwrap();
    let read = serde_json::from_str::<annulus::heat::HeatReport>(&text).unwrap();
    assert_eq!(read.keyspaces.len(), report.keyspaces.len());
    assert_near(read.total.short.load, report.total.short.load);
}

#[test]
fn time_that_goes_backwards_stands_still() {
    let topology = topology();
    let mut tracker = tracker(&topology);
    tracker.observe(ms(5_000), &read(HASH, b"key"));
    tracker.observe(ms(1_000), &read(HASH, b"key"));
    let report = tracker.report(ms(0));
    assert_eq!(report.at, ms(5_000));
    assert_near(report.total.short.load, tracker.report(ms(5_000)).total.short.load);
    assert_near(tracker.hot_keys(ms(0), HASH, 9).reads[0].share, 1.0);
}
