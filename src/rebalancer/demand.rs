//! What the planner is told.

use super::State;
use crate::engine::Engine as _;
use crate::error::Result;
use crate::planner::load::{Demand, PartitionDemand, Rebalance, rebalance};
use crate::store::Store;
use crate::topology::{ReshapeSpec, Topology};
use std::sync::Arc;

/// A partition with less than this part of what a shard has on average is moved whole or not at
/// all: the planner is not shown where in it the load falls.
const PROFILE_SHARE: f64 = 0.01;

impl State {
    /// What to do for even load and bytes now.
    pub(super) fn plan(&self, store: &Store) -> Result<Rebalance> {
        // One for all of it: what is under way is checked against what is planned on.
        let topology = store.topology();
        let demand = self.demand(store, &topology)?;
        let mut options = store.options().rebalance;
        let most = u32::try_from(store.options().partitions_per_shard_max).unwrap_or(u32::MAX);
        options.partitions_per_shard_max = options.partitions_per_shard_max.min(most);
        Ok(rebalance(&topology, &demand, &options))
    }

    fn demand(&self, store: &Store, topology: &Topology) -> Result<Demand> {
        let mut demand = Demand::default();
        let sizes = store.sizes()?;
        let now = self.now();
        let tracking = self.tracking.lock();
        let tracker = &tracking.tracker;
        let loads: Vec<_> =
            sizes.iter().map(|(id, bytes)| (*id, *bytes, tracker.load(now, *id))).collect();
        let total: f64 = loads.iter().map(|(_, _, load)| load.medium).sum();
        let shards = store.core().shards.load().len().max(1);
        let shown_from = PROFILE_SHARE * total / shards as f64;
        for (id, bytes, windows) in loads {
            let load = windows.medium;
            let load_max = windows.short.max(load).max(windows.long);
            let shown = load > 0.0 && load >= shown_from;
            let profile = if shown { tracker.profile(id).map(Arc::new) } else { None };
            demand.partitions.insert(id, PartitionDemand { load, load_max, bytes, profile });
        }
        drop(tracking);
        for (id, shard) in store.core().shards.load().iter() {
            if let Some(free) = shard.bytes_free() {
                demand.bytes_free.insert(*id, free);
            }
        }
        demand.in_flight = store.reshapes().in_flight();
        let mut reshaped = self.reshaped.lock();
        reshaped.retain(|id, _| demand.partitions.contains_key(id));
        demand.rested.extend(reshaped.iter().map(|(id, since)| (*id, since.elapsed())));
        drop(reshaped);
        demand.in_flight.retain(|spec: &ReshapeSpec| topology.target_spans(spec).is_ok());
        Ok(demand)
    }
}
