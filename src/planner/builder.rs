//! A plan under construction.

use super::loads::Loads;
use super::plan::{Plan, Step};
use super::sizes::{Sizes, bytes_of};
use crate::id::ShardId;
use crate::topology::{PartitionInfo, Topology};

/// The steps and notes so far, and what the shards have after the steps.
pub(super) struct PlanBuilder<'t> {
    pub(super) topology: &'t Topology,
    sizes: &'t Sizes,
    /// After the steps for rings. Ranges that leave a shard are planned after those, and go to the
    /// shard with the least.
    pub(super) loads: Loads,
    plan: Plan,
}

impl<'t> PlanBuilder<'t> {
    pub(super) fn new(topology: &'t Topology, sizes: &'t Sizes) -> Self {
        Self { topology, sizes, loads: Loads::new(topology, sizes), plan: Plan::default() }
    }

    pub(super) fn is_draining(&self, shard: ShardId) -> bool {
        self.topology.shard(shard).is_some_and(|shard| shard.draining)
    }

    pub(super) fn bytes(&self, partition: &PartitionInfo) -> u64 {
        bytes_of(self.sizes, partition.id)
    }

    pub(super) fn add(&mut self, step: Step) {
        self.plan.steps.push(step);
    }

    pub(super) fn note(&mut self, note: String) {
        self.plan.notes.push(note);
    }

    pub(super) fn extend(&mut self, more: Plan) {
        self.plan.steps.extend(more.steps);
        self.plan.notes.extend(more.notes);
    }

    pub(super) fn finish(self) -> Plan {
        self.plan
    }
}
