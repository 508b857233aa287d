//! Figures.

use annulus::ShardId;
use annulus::planner::load::LoadPlan;
use bytesize::ByteSize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Returns the maximum as a multiple of the mean; 1 if there is nothing.
pub(crate) fn max_over_mean(loads: &BTreeMap<ShardId, f64>) -> f64 {
    let sum: f64 = loads.values().sum();
    let most = loads.values().copied().fold(0.0, f64::max);
    if sum > 0.0 { most * loads.len() as f64 / sum } else { 1.0 }
}

/// Returns the value below which `share` of the values lie.
pub(crate) fn quantile<T: Copy + PartialOrd + Default>(values: &[T], share: f64) -> T {
    let mut sorted = values.to_vec();
    sorted.sort_by(|one, other| one.partial_cmp(other).expect("numbers"));
    let index = (sorted.len().saturating_sub(1)) as f64 * share;
    sorted.get(index.round() as usize).copied().unwrap_or_default()
}

/// Describes median and maximum, in milliseconds.
pub(crate) fn times(taken: &[Duration]) -> String {
    let ms = |share| quantile(taken, share).as_secs_f64() * 1000.0;
    format!("{:.2} ms median, {:.2} ms max ({} times)", ms(0.5), ms(1.0), taken.len())
}

/// Formats bytes in powers of 1000: `512 B`, `1.0 KB`, `2.5 MB`.
pub(crate) fn human(bytes: u64) -> String {
    ByteSize(bytes).display().si().to_string().to_uppercase()
}

/// Returns the bytes that this process has in memory, where the system reports it.
pub(crate) fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

/// Prints what is planned, and what is not.
pub(crate) fn explain(found: &LoadPlan) {
    for action in &found.actions {
        println!("    {:?}: {}", action.cause, action.step);
    }
    for refusal in &found.refusals {
        println!("    not: {refusal}");
    }
}
