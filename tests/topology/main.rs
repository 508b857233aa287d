//! Topologies under random changes, and the plans that change them.
//!
//! Goal: whatever the sequence of changes, every topology keeps its invariants and a reshape takes
//! exactly the keys of its sources to its targets; what is refused is refused with a kind to act
//! on.
//!
//! Method: random changes (proptest), good and bad, followed by the routes of some keys. A failure
//! prints its smallest input and adds its seed to `tests/topology.regressions`, which the next run
//! replays first.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod changes;
mod demand;
mod plans;
mod rebalance;
mod refusals;
mod seeds;
mod split;

use annulus::ShardId;
use annulus::topology::{Change, KeyspaceSpec, ShardInfo, Topology};
use proptest::prelude::ProptestConfig;
use proptest::test_runner::FileFailurePersistence;

fn config(cases: u32) -> ProptestConfig {
    let file = FileFailurePersistence::Direct("tests/topology.regressions");
    ProptestConfig { cases, failure_persistence: Some(Box::new(file)), ..ProptestConfig::default() }
}

fn shard(id: u32) -> ShardInfo {
    ShardInfo::new(ShardId(id), format!("shards/{id}"))
}

fn shards(count: u32) -> Topology {
    Topology::new((0..count).map(shard)).unwrap()
}

fn create(topology: &Topology, name: &str, spec: impl Into<KeyspaceSpec>) -> Topology {
    topology.apply(&Change::CreateKeyspace { name: name.to_owned(), spec: spec.into() }).unwrap()
}
