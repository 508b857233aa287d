//! Recently reshaped partitions, which the planner leaves alone for a while.

use crate::id::PartitionId;
use crate::reshape::Outcome;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// When partitions were last reshaped, as long as they must rest.
pub(crate) struct Recent {
    cool_down: Duration,
    reshaped: Mutex<BTreeMap<PartitionId, Instant>>,
}

impl Recent {
    pub(crate) fn new(cool_down: Duration) -> Self {
        Self { cool_down, reshaped: Mutex::default() }
    }

    /// Notes that partitions were reshaped, or that this was tried.
    pub(crate) fn note(&self, outcome: &Outcome) {
        if outcome.trim {
            return;
        }
        let now = Instant::now();
        let mut reshaped = self.reshaped.lock();
        // Planning does that, too, but not every store plans.
        reshaped.retain(|_, since| now.duration_since(*since) <= self.cool_down);
        reshaped.extend(outcome.sources.iter().chain(&outcome.targets).map(|id| (*id, now)));
    }

    /// Returns how long each has rested, without those that no longer exist.
    pub(super) fn rested(
        &self,
        is_there: impl Fn(PartitionId) -> bool,
    ) -> Vec<(PartitionId, Duration)> {
        let mut reshaped = self.reshaped.lock();
        reshaped.retain(|id, _| is_there(*id));
        reshaped.iter().map(|(id, since)| (*id, since.elapsed())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reshape::Transport;
    use crate::reshape::journal::Intent;
    use crate::topology::ReshapeSpec;
    use crate::{KeyspaceId, ShardId};
    use std::time::SystemTime;

    /// A past bug: when a partition was last reshaped was noted forever where nothing is planned.
    #[test]
    fn partitions_that_rest_no_more_are_forgotten() {
        let recent = Recent::new(Duration::ZERO);
        for partition in 0..1000 {
            let spec = ReshapeSpec {
                keyspace: KeyspaceId(1),
                sources: vec![PartitionId(partition)],
                split_points: Vec::new(),
                owners: vec![ShardId(0)],
            };
            let (from, targets) = (vec![ShardId(1)], Vec::new());
            let intent = Intent { spec, from, targets, transport: Transport::Copy };
            recent.note(&intent.interrupted(partition, SystemTime::UNIX_EPOCH));
        }
        let left = recent.reshaped.lock().len();
        assert!(left < 1000, "{left}");
    }
}
