//! The options of the simulated store.

use crate::arguments::Arguments;
use annulus::heat::HeatOptions;
use annulus::planner::load::{Policy, RebalanceOptions};
use std::time::Duration;

/// The maximum number of reshapes at once.
const RESHAPES_MAX: usize = 64;

/// Returns half-lives in proportion to the interval, in the ratio that the store's have to a
/// minute: a minute's half-life sees hardly anything of what happened five minutes ago.
pub(crate) fn heat(interval: Duration) -> HeatOptions {
    let ms = interval.as_millis() as u32;
    HeatOptions::new()
        .half_life_short(Duration::from_millis(u64::from(ms / 12).max(100)))
        .half_life_medium(Duration::from_millis(u64::from(ms).max(100)))
        .half_life_long(Duration::from_millis(
            u64::from(ms.saturating_mul(10)).clamp(100, 86_400_000),
        ))
}

pub(crate) fn options(arguments: &Arguments) -> RebalanceOptions {
    let policy = if arguments.no_rebalance { Policy::Suggest } else { Policy::Automatic };
    let per_shard = arguments.partitions.div_ceil(arguments.shards);
    RebalanceOptions::new()
        .policy(policy)
        .cool_down(Duration::from_secs(arguments.interval_s))
        .partitions_per_shard_goal(per_shard.div_ceil(arguments.keyspaces) + 1)
        .partitions_per_shard_max(per_shard * 2)
        .actions_max(arguments.actions_max())
        .reshapes_max(RESHAPES_MAX)
}
