//! The content of a plan for even load.

use super::refusal::Refusal;
use crate::id::ShardId;
use crate::planner::plan::{Plan, Step};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What an action is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// A shard had too much load.
    Load,
    /// A shard had too many bytes.
    Bytes,
    /// A keyspace had too many partitions.
    Merge,
}

/// One reshape of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Action {
    /// What to do, and why.
    pub step: Step,
    /// What it is for.
    pub cause: Cause,
    /// How much load changes shard, in operations a second.
    pub moved_load: f64,
    /// The same as a multiple of the fair share of the shard that loses it.
    pub gain: f64,
}

/// How evenly load and bytes are spread over the shards that are not draining.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Balance {
    /// The load of the worst shard as a multiple of its fair share of its zone's; 1 without any
    /// load.
    pub load_max_over_mean: f64,
    /// The same of bytes, where another shard may be the worst.
    pub bytes_max_over_mean: f64,
    /// The shard with the most load for its weight; `None` if all are draining.
    pub worst: Option<ShardId>,
    /// How many partitions there are.
    pub partitions: usize,
}

/// A plan for even load, and what was left out of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LoadPlan {
    /// Reshapes, those that matter most first. No partition is the source of two. In this order no
    /// shard gets worse on the way than the worst of its zone was before; any number of them can be
    /// left out at the end.
    pub actions: Vec<Action>,
    /// What was considered and not done; 64 at most.
    pub refusals: Vec<Refusal>,
    /// How many more refusals there were, by the [name](super::Reason::as_str) of the reason.
    pub refusals_more: BTreeMap<String, u64>,
    /// Before the actions, with reshapes in flight counted as done.
    pub before: Balance,
    /// After all of them, by estimate from the profiles.
    pub after: Balance,
}

impl LoadPlan {
    /// Returns the steps, with the refusals as notes.
    #[must_use]
    pub fn plan(&self) -> Plan {
        self.clone().into()
    }
}

impl From<LoadPlan> for Plan {
    fn from(plan: LoadPlan) -> Self {
        let notes = plan.refusals.iter().map(ToString::to_string).collect();
        Self { steps: plan.actions.into_iter().map(|action| action.step).collect(), notes }
    }
}
