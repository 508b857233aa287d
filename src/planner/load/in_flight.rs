//! Reshapes in flight, which count as done.

use super::demand::Demand;
use super::model::Model;
use crate::placement::PartitionRange;
use crate::topology::{ReshapeSpec, SplitPoint, Topology};

/// Moves load and bytes of what is in flight to its targets. The targets cannot move in this plan,
/// and neither can the sources.
pub(super) fn count_as_done(model: &mut Model<'_>, topology: &Topology, demand: &Demand) {
    for spec in &demand.in_flight {
        // A reshape that no longer fits the topology has been committed or given up since.
        let Ok(ranges) = topology.target_ranges(spec) else { continue };
        let sources = sources(model, spec);
        let (mut load, mut bytes) = (0.0, 0.0);
        for number in &sources {
            let source = &model.sources[*number];
            let (its_load, its_bytes) = (source.load, source.bytes as f64);
            (load, bytes) = (load + its_load, bytes + its_bytes);
            let shard = &mut model.shards[source.owner];
            shard.load = (shard.load - its_load).max(0.0);
            shard.fixed_load = (shard.fixed_load - its_load).max(0.0);
            shard.bytes = (shard.bytes - its_bytes).max(0.0);
            shard.partitions = shard.partitions.saturating_sub(1);
        }
        let of_bytes = by_width(&ranges);
        let of_load = by_profile(model, &sources, &spec.split_points);
        let of_load = of_load.unwrap_or_else(|| of_bytes.clone());
        for ((owner, load_share), bytes_share) in spec.owners.iter().zip(of_load).zip(of_bytes) {
            let number = model.number_of(*owner);
            let shard = &mut model.shards[number];
            shard.load += load * load_share;
            shard.fixed_load += load * load_share;
            shard.bytes += bytes * bytes_share;
            shard.partitions += 1;
        }
    }
}

/// Returns the numbers of the sources of a reshape that fits the topology.
fn sources(model: &Model<'_>, spec: &ReshapeSpec) -> Vec<usize> {
    let wanted = |number: &usize| spec.sources.contains(&model.sources[*number].id);
    (0..model.sources.len()).filter(wanted).collect()
}

/// Returns the shares of the load by the profile of the only source, if there is one.
fn by_profile(
    model: &Model<'_>,
    sources: &[usize],
    split_points: &[SplitPoint],
) -> Option<Vec<f64>> {
    let [source] = sources else { return None };
    let profile = model.sources[*source].profile.filter(|profile| !profile.is_empty())?;
    Some(profile.expected_shares(split_points))
}

/// Returns shares by tokens, or even ones for ranges of keys, which cannot be counted.
fn by_width(ranges: &[PartitionRange]) -> Vec<f64> {
    let widths: Option<Vec<f64>> =
        ranges.iter().map(|range| range.width().map(|width| width as f64)).collect();
    match widths {
        Some(widths) => {
            let sum: f64 = widths.iter().sum();
            widths.into_iter().map(|width| width / sum).collect()
        }
        None => vec![1.0 / ranges.len() as f64; ranges.len()],
    }
}
