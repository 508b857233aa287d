//! The rebalancer: observes where the load falls, decides what helps, does it with reshapes, and
//! records why.
//!
//! An application gets the [`Rebalancer`] of its store from
//! [`Store::rebalancer`](crate::Store::rebalancer), asks it for [`Decision`]s, and reads with
//! [`SavedHeat`] what it knew of a store that is not open.
//!
//! There is one thread for each store. It drains the samples, feeds the
//! [tracker](crate::heat::Tracker), reports what has become hot, and from time to time asks the
//! [planner](crate::planner::load) what to do. What it then does depends on the
//! [policy](crate::planner::load::Policy). Whatever that is, it makes partitions that are scanned
//! keep fewer files. Decisions are made by pure functions, elsewhere; here they are carried out and
//! recorded.

mod compaction_tuning;
mod decisions;
mod demand;
mod handle;
mod heat_file;
mod recent;
mod state;
mod upkeep;
mod worker;

pub use decisions::{Decision, Verdict};
pub use handle::Rebalancer;
pub use heat_file::SavedHeat;
pub(crate) use recent::Recent;
pub(crate) use state::{Settings, State};
pub(crate) use worker::start;
