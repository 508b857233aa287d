//! Decisions of the rebalancer, and their reasons: one line each.

use crate::id::PartitionId;
use crate::units;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::time::SystemTime;

/// How many decisions are kept.
const DECISIONS_MAX: usize = 512;

/// The outcome of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// A reshape was started.
    Started,
    /// A reshape would be started if the policy, a pause or quiet hours did not forbid it.
    Suggested,
    /// It was considered and not done.
    Refused,
    /// Reshapes ended.
    Done,
    /// Reshapes ended early, or could not be started.
    Failed,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Started => "started",
            Self::Suggested => "suggested",
            Self::Refused => "refused",
            Self::Done => "done",
            Self::Failed => "failed",
        })
    }
}

/// One decision of the rebalancer; see [`Rebalancer::explain`](crate::rebalancer::Rebalancer::explain).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Decision {
    /// When, to the millisecond. Serialized as `unix_ms`, which count from 1970.
    #[serde(rename = "unix_ms", with = "units::unix_ms")]
    pub at: SystemTime,
    /// What became of it.
    pub verdict: Verdict,
    /// The partitions concerned; empty if it is about a shard or a keyspace as a whole.
    pub partitions: Vec<PartitionId>,
    /// Operations a second that change shard.
    pub moved_load: f64,
    /// Bytes that change shard, by estimate.
    pub moved_bytes: u64,
    /// What, and why, in one line.
    pub text: String,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.verdict, self.text)
    }
}

impl Decision {
    pub(super) fn new(verdict: Verdict, text: String) -> Self {
        let at = units::to_the_ms(SystemTime::now());
        Self { at, verdict, partitions: Vec::new(), moved_load: 0.0, moved_bytes: 0, text }
    }
}

/// The last decisions, the oldest first.
#[derive(Default)]
pub(super) struct Log {
    decisions: VecDeque<Decision>,
    /// Keys of the decisions of the last plan, which need not be recorded again, and of this one.
    of_last_plan: BTreeSet<String>,
    of_this_plan: BTreeSet<String>,
}

impl Log {
    pub(super) fn with(decisions: Vec<Decision>) -> Self {
        Self { decisions: decisions.into(), ..Self::default() }
    }

    /// Records a decision, here and in the process's log.
    pub(super) fn add(&mut self, decision: Decision) {
        match decision.verdict {
            Verdict::Refused => tracing::debug!("rebalancer: {decision}"),
            Verdict::Failed => tracing::warn!("rebalancer: {decision}"),
            _ => tracing::info!("rebalancer: {decision}"),
        }
        self.decisions.push_back(decision);
        if self.decisions.len() > DECISIONS_MAX {
            self.decisions.pop_front();
        }
    }

    /// The same, but only if the previous plan had no similar decision.
    pub(super) fn add_new(&mut self, alike: String, decision: Decision) {
        if self.of_this_plan.insert(alike.clone()) && !self.of_last_plan.contains(&alike) {
            self.add(decision);
        }
    }

    /// Called when everything that a plan contains was added.
    pub(super) fn end_of_plan(&mut self) {
        self.of_last_plan = std::mem::take(&mut self.of_this_plan);
    }

    pub(super) fn last(&self, count: usize) -> Vec<Decision> {
        let skipped = self.decisions.len().saturating_sub(count);
        self.decisions.iter().skip(skipped).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn records_and_json_are_what_they_were_when_times_were_numbers() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_311_204_567);
        let decision = Decision { at, ..Decision::new(Verdict::Refused, "why".into()) };
        let record = postcard::to_stdvec(&decision).unwrap();
        let hex: String = record.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, concat!("d7f18b87a034", "02", "00", "0000000000000000", "00", "03776879"));
        assert_eq!(postcard::from_bytes::<Decision>(&record).unwrap(), decision);
        assert_eq!(
            serde_json::to_value(&decision).unwrap().get("unix_ms").unwrap(),
            1_795_311_204_567_u64
        );
    }
}
