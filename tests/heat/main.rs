//! Heat, against exact counts.
//!
//! Goal: what the tracker reports about loads, keys and partitions is within the bounds that it
//! states, arrives in time, and survives reshapes and files.
//!
//! Method: streams whose exact counts are known, from printed seeds (`ANNULUS_SEED` sets them),
//! and random ones (proptest; a failure prints its smallest input and adds its seed to
//! `tests/heat.regressions`). Time is simulated.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod bounds;
mod detectors;
mod files;
mod inheritance;
mod noise;
mod rates;

use annulus::heat::{HeatOptions, Observation, Operation, Tracker};
use annulus::topology::{Change, KeyspaceSpec, ReshapeSpec, ShardInfo, Topology};
use annulus::{KeyspaceId, ShardId};
use proptest::prelude::ProptestConfig;
use proptest::test_runner::FileFailurePersistence;
use std::sync::Arc;
use std::time::Duration;

const HASH: KeyspaceId = KeyspaceId(1);
const RANGE: KeyspaceId = KeyspaceId(2);

fn config(cases: u32) -> ProptestConfig {
    let file = FileFailurePersistence::Direct("tests/heat.regressions");
    ProptestConfig { cases, failure_persistence: Some(Box::new(file)), ..ProptestConfig::default() }
}

/// Returns the seeds of a random test: some fixed ones, or that of `ANNULUS_SEED`.
fn seeds() -> Vec<u64> {
    let seed = std::env::var("ANNULUS_SEED").ok().map(|seed| seed.parse().unwrap());
    seed.map_or((1..=8).collect(), |seed| vec![seed])
}

/// Returns four shards, with a hash keyspace of two arcs per shard and a range keyspace of one
/// partition.
fn topology() -> Arc<Topology> {
    let shards = (0..4).map(|n| ShardInfo::new(ShardId(n), format!("shards/{n}")));
    let specs = [
        ("hash", KeyspaceSpec::hash().arcs_per_shard(2).into()),
        ("range", KeyspaceSpec::Range(KeyspaceSpec::range())),
    ];
    let topology =
        specs.into_iter().fold(Topology::new(shards).unwrap(), |topology, (name, spec)| {
            topology.apply(&Change::CreateKeyspace { name: name.to_owned(), spec }).unwrap()
        });
    topology.into()
}

fn reshaped(topology: &Topology, spec: ReshapeSpec) -> Arc<Topology> {
    let (targets, numbered) = topology.name_targets(&spec).unwrap();
    numbered.apply(&Change::Reshape { spec, targets }).unwrap().into()
}

fn tracker(topology: &Arc<Topology>) -> Tracker {
    let mut tracker = Tracker::new(HeatOptions::default(), 7);
    tracker.follow(Duration::ZERO, topology);
    tracker
}

fn access<'o>(keyspace: KeyspaceId, key: &'o [u8], kind: Operation<'o>) -> Observation<'o> {
    Observation::new(keyspace, key, kind)
}

fn read(keyspace: KeyspaceId, key: &[u8]) -> Observation<'_> {
    access(keyspace, key, Operation::Read)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Checks that two numbers are the same apart from rounding.
#[track_caller]
fn assert_near(one: f64, other: f64) {
    let most = one.abs().max(other.abs()).max(1e-9);
    assert!((one - other).abs() <= 1e-6 * most, "{one} is not {other}");
}
