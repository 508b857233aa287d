//! Where the load is: what partitions are asked for, and at which of their keys or tokens.
//!
//! A [`Tracker`] is told of sampled accesses and keeps, in bounded memory, the [load](HeatReport)
//! of each partition and shard, the [hot keys](HotKeys) of each keyspace, a
//! [profile](Profile) of each partition that says where it may be split, and a [trail](Trail)
//! for a heat map; it says what [becomes hot and cools](HeatEvent). Nothing here asks a clock or
//! starts a thread: time and seeds are passed in, so simulations and replays get what a running
//! store gets.
//!
//! The unit of load is accesses a second, where a scan counts 1 + rows / 16.

mod detect;
mod event;
mod inherit;
mod keyspace;
mod observation;
mod options;
mod partition;
mod persist;
pub(crate) mod place;
mod profile;
mod random;
mod rates;
mod report;
mod reservoir;
mod space_saving;
pub(crate) mod split;
mod top;
mod tracker;
mod trail;

pub use event::{AccessKind, HeatEvent, KeyEvent, PartitionEvent};
pub use observation::{Access, Observation};
pub use options::HeatOptions;
pub use persist::{HeatState, PartitionSamples};
pub use profile::{Profile, Sample, ScanSample};
pub use rates::{Amounts, Rates, Windows};
pub use report::{
    HeatReport, HotKey, HotKeys, KeyspaceReport, PartitionReport, PerSecond, ShardHeat,
};
pub use space_saving::SpaceSaving;
pub use split::{NoHelp, SplitDecision, SplitOptions, decide};
pub use top::{KeyCount, TopKeys};
pub use tracker::Tracker;
pub use trail::{
    KeyspaceTrail, TRAIL_MARKS_MAX, TRAIL_PLACES_MAX, TRAIL_SLOTS_MAX, Trail, TrailMark,
    TrailPlace, TrailSlot,
};
