//! The demand that the planner works from.

use super::state::State;
use crate::engine::Engine as _;
use crate::error::Result;
use crate::planner::load::{Demand, LoadPlan, PartitionDemand, plan_for_load};
use crate::topology::{ReshapeSpec, Topology};
use std::sync::Arc;

/// A partition with less than this fraction of a shard's average load is moved whole or not at all:
/// the planner does not see where in it the load falls.
const PROFILE_SHARE: f64 = 0.01;

impl State {
    /// Plans for even load and bytes now.
    pub(super) fn plan(&self) -> Result<LoadPlan> {
        // One topology for all of it: reshapes in flight are checked against the one that is
        // planned on.
        self.reshaper.catalog.check_all_there()?;
        let topology = self.reshaper.catalog.topology();
        let demand = self.demand(&topology)?;
        let mut options = self.settings.rebalance;
        let most = u32::try_from(self.reshaper.catalog.limits.partitions_per_shard_max)
            .unwrap_or(u32::MAX);
        options.partitions_per_shard_max = options.partitions_per_shard_max.min(most);
        Ok(plan_for_load(&topology, &demand, &options))
    }

    fn demand(&self, topology: &Topology) -> Result<Demand> {
        let mut demand = Demand::default();
        let sizes = self.reshaper.catalog.sizes()?;
        let now = self.now();
        let tracking = self.tracking.lock();
        let tracker = &tracking.tracker;
        let loads: Vec<_> =
            sizes.iter().map(|(id, bytes)| (*id, *bytes, tracker.load(now, *id))).collect();
        let total: f64 = loads.iter().map(|(_, _, load)| load.medium).sum();
        let shards = self.reshaper.catalog.shards().len().max(1);
        let shown_from = PROFILE_SHARE * total / shards as f64;
        for (id, bytes, windows) in loads {
            let load = windows.medium;
            let load_max = windows.short.max(load).max(windows.long);
            let shown = load > 0.0 && load >= shown_from;
            let profile = if shown { tracker.profile(id).map(Arc::new) } else { None };
            demand.partitions.insert(id, PartitionDemand { load, load_max, bytes, profile });
        }
        drop(tracking);
        for (id, shard) in self.reshaper.catalog.shards().iter() {
            if let Some(free) = shard.bytes_free() {
                demand.bytes_free.insert(*id, free);
            }
        }
        demand.in_flight = self.reshaper.registry.in_flight();
        let rested = self.recent.rested(|id| demand.partitions.contains_key(&id));
        demand.rested.extend(rested);
        demand.in_flight.retain(|spec: &ReshapeSpec| topology.target_ranges(spec).is_ok());
        Ok(demand)
    }
}
