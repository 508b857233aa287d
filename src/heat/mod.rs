//! Heat: the load of partitions, and at which of their keys or tokens it is.
//!
//! A [`Tracker`] observes sampled operations and keeps, in bounded memory, the [load](HeatReport)
//! of each partition and shard, the [hot keys](HotKeys) of each keyspace, a [profile](Profile) of
//! each partition that says where it may be split, and a [history](HeatHistory) for a heat map; it
//! reports what [becomes hot and cools](HeatEvent). Nothing here asks a clock or starts a thread:
//! time and seeds are passed in, so simulations and replays see what a running store sees.
//!
//! The unit of load is operations a second, where a scan counts 1 + rows / 16.

mod event;
mod history;
mod hot;
mod keyspace;
mod observation;
mod options;
mod partition;
mod profile;
mod random;
mod rates;
mod redistribute;
mod report;
mod reservoir;
mod snapshot;
mod space_saving;
pub(crate) mod split_advice;
pub(crate) mod split_position;
#[cfg(test)]
mod tests;
mod top_keys;
mod tracker;

pub use event::{HeatEvent, KeyEvent, OperationKind, PartitionEvent};
pub use history::{
    HISTORY_INTERVALS_MAX, HISTORY_RESHAPES_MAX, HISTORY_SAMPLES_MAX, HeatHistory, HistoryInterval,
    HistorySample, KeyspaceHistory, ReshapeEvent,
};
pub use observation::{Observation, Operation};
pub use options::HeatOptions;
pub use profile::{Profile, Sample, ScanSample};
pub(crate) use rates::Amounts;
pub use rates::Windows;
pub use report::{
    HeatReport, HotKey, HotKeys, KeyspaceReport, PartitionReport, PerSecond, ShardHeat,
};
pub use snapshot::{HeatState, PartitionSamples};
pub use split_advice::{NoSplitReason, SplitDecision, SplitOptions, decide};
pub use tracker::Tracker;
