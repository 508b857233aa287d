//! What a batch owns while it is written: the stripes of all its keys, in the lock order.

use super::late::{stripes_are_owned, wait_for_room};
use super::routed::RoutedBatch;
use crate::catalog::OpenPartition;
use crate::engine::Engine as _;
use crate::error::{Error, Result};
use crate::latch::{Current, HeldStripe, Routed};
use crate::os::failpoint;
use std::time::{Duration, Instant};

/// How long a batch waits for stripes while it owns others.
const PATIENCE: Duration = Duration::from_millis(20);

impl RoutedBatch<'_> {
    /// Returns a partition of each shard that is written to.
    fn first_writes(&self) -> impl Iterator<Item = &OpenPartition> {
        self.writes.values().filter_map(|writes| writes.first()).map(|(_, partition)| &**partition)
    }
}

impl Current for RoutedBatch<'_> {
    type Error = Error;

    fn is_current(&self) -> Result<bool> {
        for (partition, _) in self.stripes.values() {
            if !partition.is_current()? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Routed for RoutedBatch<'_> {
    type Stripes<'a>
        = Vec<HeldStripe<'a>>
    where
        Self: 'a;

    fn has_room(&self) -> bool {
        !self.first_writes().any(|partition| partition.shard.is_stalled())
    }

    fn wait_for_room(&self) -> Result<()> {
        self.first_writes()
            .try_for_each(|partition| wait_for_room(self.catalog, partition, self.deadline))
    }

    /// Owns the stripes of all partitions, in lock order.
    ///
    /// IMPORTANT: where some are owned already, others are not waited for without end: they may be those of
    /// a shard that hangs, and what is owned may be of shards that do not. What is owned is then given
    /// back, and the others are waited for alone.
    fn take_stripes(&self) -> Result<Option<Vec<HeldStripe<'_>>>> {
        let mut held: Vec<HeldStripe<'_>> = Vec::new();
        for (partition, set) in self.stripes.values() {
            let latch = &partition.state.latch;
            let until = if held.is_empty() || failpoint::skip("give-stripes-back") {
                self.deadline
            } else {
                let patience = Instant::now() + PATIENCE;
                Some(self.deadline.map_or(patience, |deadline| deadline.min(patience)))
            };
            if let Some(stripes) = latch.own_set(*set, until) {
                held.extend(stripes);
                continue;
            }
            drop(held);
            let waited = latch.own_set(*set, self.deadline);
            return waited.map(|_| None).ok_or_else(|| stripes_are_owned(partition));
        }
        Ok(Some(held))
    }
}
