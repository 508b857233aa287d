//! Reshapes that are under way count as done.

use super::Demand;
use super::model::Model;
use crate::id::PartitionId;
use crate::placement::PartitionRange;
use crate::topology::{ReshapeSpec, SplitPoint, Topology};

impl Model<'_> {
    /// Books what is under way to its targets. It cannot move, and neither can the sources.
    pub(super) fn begin(&mut self, topology: &Topology, demand: &Demand) {
        for spec in &demand.in_flight {
            let sources: Vec<usize> = self.positions(spec);
            // One that is not there any more has been committed since.
            if sources.is_empty() || sources.len() != spec.sources.len() {
                continue;
            }
            let ranges = topology.target_ranges(spec).unwrap_or_default();
            let (mut load, mut bytes) = (0.0, 0.0);
            for index in &sources {
                let Some(source) = self.sources.get(*index) else { continue };
                let (its_load, its_bytes) = (source.load, source.bytes as f64);
                (load, bytes) = (load + its_load, bytes + its_bytes);
                if let Some(shard) = self.shards.get_mut(source.owner) {
                    shard.load = (shard.load - its_load).max(0.0);
                    shard.fixed_load = (shard.fixed_load - its_load).max(0.0);
                    shard.bytes = (shard.bytes - its_bytes).max(0.0);
                    shard.partitions = shard.partitions.saturating_sub(1);
                }
            }
            let of_bytes = by_width(&ranges, spec.owners.len());
            let of_load =
                self.by_profile(&sources, &spec.split_points).unwrap_or_else(|| of_bytes.clone());
            for ((owner, load_share), bytes_share) in spec.owners.iter().zip(of_load).zip(of_bytes)
            {
                if let Some(shard) = self.shards.iter_mut().find(|shard| shard.id == *owner) {
                    shard.load += load * load_share;
                    shard.fixed_load += load * load_share;
                    shard.bytes += bytes * bytes_share;
                    shard.partitions += 1;
                }
            }
        }
    }

    fn positions(&self, spec: &ReshapeSpec) -> Vec<usize> {
        let find = |id: &PartitionId| self.sources.iter().position(|source| source.id == *id);
        spec.sources.iter().filter_map(find).collect()
    }

    fn by_profile(&self, sources: &[usize], split_points: &[SplitPoint]) -> Option<Vec<f64>> {
        let [source] = sources else { return None };
        let profile = self.sources.get(*source)?.profile.filter(|profile| !profile.is_empty())?;
        Some(profile.expected_shares(split_points))
    }
}

/// Shares by tokens; even ones where they cannot be counted.
fn by_width(ranges: &[PartitionRange], count: usize) -> Vec<f64> {
    let widths: Option<Vec<f64>> =
        ranges.iter().map(|range| range.width().map(|width| width as f64)).collect();
    match widths.filter(|widths| widths.len() == count) {
        Some(widths) => {
            let sum: f64 = widths.iter().sum();
            widths.into_iter().map(|width| width / sum).collect()
        }
        None => vec![1.0 / count.max(1) as f64; count],
    }
}
