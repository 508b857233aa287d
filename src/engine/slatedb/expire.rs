//! Expired rows, which compactions remove.
//!
//! A filter sees every version of each row that a compaction reads. What it removes becomes a
//! deletion with the same place in the order of writes: it hides older versions in other tables, and
//! goes away where there can be none. So no older version comes back.
//!
//! Filters do not heed snapshots. What protects those who read from one is the
//! [horizon](crate::expiry::Horizon): a compaction asks for it once, when it begins, and leaves
//! what expires later.

use super::names::{name_of, own_key};
use crate::engine::expiring::ExpiringPartitions;
use crate::expiry::{Counts, Expiring, ExpiringValue, Moment};
use crate::topology::PartitionName;
use async_trait::async_trait;
use slatedb::{
    CompactionFilter, CompactionFilterDecision, CompactionFilterError, CompactionFilterSupplier,
    CompactionJobContext, RowEntry, ValueDeletable,
};
use std::sync::Arc;

/// Makes a filter for each compaction.
pub(super) struct ExpiredRows(Arc<ExpiringPartitions>);

impl ExpiredRows {
    pub(super) fn new(partitions: &Arc<ExpiringPartitions>) -> Self {
        Self(Arc::clone(partitions))
    }
}

#[async_trait]
impl CompactionFilterSupplier for ExpiredRows {
    async fn create_compaction_filter(
        &self,
        _: &CompactionJobContext,
    ) -> Result<Box<dyn CompactionFilter>, CompactionFilterError> {
        Ok(Box::new(Filter { partitions: Arc::clone(&self.0), of: None, rule: None }))
    }
}

/// The filter of one compaction, which is of one partition.
struct Filter {
    partitions: Arc<ExpiringPartitions>,
    /// The partition that was looked up last.
    of: Option<PartitionName>,
    rule: Option<Rule>,
}

/// What has expired of a partition.
struct Rule {
    before: Moment,
    now: Moment,
    expiring: Arc<Expiring>,
    counts: Counts,
}

impl Rule {
    fn of(expiring: Arc<Expiring>) -> Self {
        let (before, now) = expiring.reclaimable();
        Self { before, now, expiring, counts: Counts::default() }
    }

    fn removes(&mut self, key: &[u8], value: &[u8]) -> bool {
        let row = ExpiringValue::new(value);
        if !row.has_expired(self.before) {
            self.counts.rows_held += u64::from(row.has_expired(self.now));
            return false;
        }
        self.counts.rows_reclaimed += 1;
        self.counts.bytes_reclaimed += (key.len() + value.len()) as u64;
        true
    }
}

impl Drop for Rule {
    fn drop(&mut self) {
        self.expiring.count(self.counts);
    }
}

#[async_trait]
impl CompactionFilter for Filter {
    async fn filter(
        &mut self,
        row: &RowEntry,
    ) -> Result<CompactionFilterDecision, CompactionFilterError> {
        let name = name_of(&row.key);
        if self.of != name {
            self.of = name;
            self.rule = name.and_then(|name| self.partitions.get(name)).map(Rule::of);
        }
        let (Some(rule), ValueDeletable::Value(value)) = (&mut self.rule, &row.value) else {
            return Ok(CompactionFilterDecision::Keep);
        };
        Ok(match rule.removes(own_key(&row.key), value) {
            true => CompactionFilterDecision::Modify(ValueDeletable::Tombstone),
            false => CompactionFilterDecision::Keep,
        })
    }

    async fn on_compaction_end(&mut self) -> Result<(), CompactionFilterError> {
        Ok(())
    }
}
