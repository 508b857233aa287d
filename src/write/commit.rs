//! Committing batches.

use super::batch::{Batch, Op, Write};
use super::condition::ConditionalWrite;
use super::indexed::indexes_changed;
use super::late::pass_gate;
use super::previous::previous;
use super::routed::{ConcreteBatch, Part, RoutedBatch, Views};
use super::writer::{Gate, Since, Writer, not_applied};
use crate::cache::HotCache;
use crate::catalog::{Catalog, PassedGate};
use crate::engine::Durability;
use crate::error::{Error, Result};
use crate::expiry::WriteMoment;
use crate::heat;
use crate::id::ShardId;
use crate::latch::{AtWork, Site, enter};
use crate::log::{CommitLog, InFlight};
use crate::os::failpoint;
use crate::sampling::{SampledOperation, Sampler};
use std::collections::BTreeSet;
use std::time::Instant;

/// A batch that is not yet routed.
struct BatchWrite<'a, V> {
    catalog: &'a Catalog,
    views: &'a V,
    batch: &'a Batch,
    gate: Gate,
    deadline: Option<Instant>,
}

impl<V: Views> Site for BatchWrite<'_, V> {
    type Error = Error;
    type Gate<'a>
        = Option<PassedGate<'a>>
    where
        Self: 'a;
    type Routed<'a>
        = RoutedBatch<'a>
    where
        Self: 'a;

    fn pass_gate(&self) -> Result<Option<PassedGate<'_>>> {
        (self.gate == Gate::ToPass).then(|| pass_gate(self.catalog, self.deadline)).transpose()
    }

    fn route(&self) -> Result<RoutedBatch<'_>> {
        RoutedBatch::of(self.batch, self.views, self.catalog, self.deadline)
    }

    fn check_writable(&self) -> Result<()> {
        self.catalog.check_writable()
    }
}

impl Writer<'_> {
    /// Commits a batch without conditions: one record of the log, and then one write to each shard
    /// that it concerns.
    pub(crate) fn commit(
        &self,
        views: &impl Views,
        batch: Batch,
        durability: Durability,
    ) -> Result<()> {
        if !batch.conditions.is_empty() {
            return Err(Error::invalid(
                "the batch has conditions, which `write` does not check; use `write_if`",
            ));
        }
        self.commit_if(views, batch, durability).map(|_| ())
    }

    /// Commits a batch if its conditions hold, which are checked when the stripes of all keys are
    /// owned.
    pub(crate) fn commit_if(
        &self,
        views: &impl Views,
        batch: Batch,
        durability: Durability,
    ) -> Result<ConditionalWrite> {
        batch.check(self.catalog)?;
        if !self.writes_indexed(&batch.ops) {
            let written = self.enter(views, &batch, durability, None, Gate::ToPass)?;
            if let Some(written) = written {
                return Ok(written);
            }
        }
        self.commit_indexed(batch, durability)
    }

    /// Returns the shards that a batch concerns, as things are now.
    pub(crate) fn shards_of(&self, views: &impl Views, batch: &Batch) -> Result<BTreeSet<ShardId>> {
        let routes = RoutedBatch::of(batch, views, self.catalog, None)?;
        Ok(routes.stripes.values().map(|(partition, _)| partition.owner).collect())
    }

    /// Commits a batch without conditions if no record since a position forbids it. That is decided
    /// for good where the record is appended.
    ///
    /// # Errors
    ///
    /// The first that a record is not admitted with: nothing was written.
    pub(crate) fn commit_since(
        &self,
        views: &impl Views,
        batch: Batch,
        durability: Durability,
        since: Since<'_>,
    ) -> Result<()> {
        batch.check(self.catalog)?;
        if since.indexes.is_empty() && !self.writes_indexed(&batch.ops) {
            let written = self.enter(views, &batch, durability, Some(since), Gate::ToPass)?;
            return written.map(|_| ()).ok_or_else(indexes_changed);
        }
        self.commit_since_indexed(&batch, durability, since)
    }

    /// Takes a batch through the protocol. Returns `None`, with nothing written, if one of its
    /// keyspaces has got its first index since the caller has looked.
    pub(super) fn enter(
        &self,
        views: &impl Views,
        batch: &Batch,
        durability: Durability,
        since: Option<Since<'_>>,
        gate: Gate,
    ) -> Result<Option<ConditionalWrite>> {
        let deadline = self.deadline;
        let site = BatchWrite { catalog: self.catalog, views, batch, gate, deadline };
        let unmet = enter(&site, |ticket| {
            if gate == Gate::ToPass && self.writes_indexed(&batch.ops) {
                return Ok(None);
            }
            let routes = ticket.routed();
            let moment = WriteMoment::default();
            let unmet = routes.unmet(&moment)?;
            if !unmet.is_empty() {
                return Ok(Some(unmet));
            }
            for (op, partition) in routes.puts_where_room_is_low() {
                self.check_room(partition, op.keyspace)?;
            }
            let mut concrete = routes.concrete(&moment)?;
            if self.catalog.may_log_old_values() {
                concrete.previous = previous(routes, &concrete, self.catalog, &moment)?;
            }
            let parts = routes.parts(&concrete)?;
            let write =
                || self.write_parts(&batch.ops, routes, &concrete, parts, durability, since);
            ticket.write(write)?;
            Ok::<_, Error>(Some(unmet))
        })??;
        let Some(unmet) = unmet else { return Ok(None) };
        record(self.sampler, batch, unmet.is_empty());
        Ok(Some(if unmet.is_empty() {
            ConditionalWrite::Written
        } else {
            ConditionalWrite::Unmet(unmet)
        }))
    }

    fn write_parts<'a>(
        &'a self,
        ops: &[Op],
        routes: &RoutedBatch<'_>,
        concrete: &ConcreteBatch<'_>,
        parts: Vec<Part>,
        durability: Durability,
        since: Option<Since<'_>>,
    ) -> Result<()> {
        if parts.is_empty() {
            // Only ranges in which there is nothing, now that the stripes are owned.
            return since.map_or(Ok(()), |since| {
                since.reader.pass(since.admit)?;
                (since.check_time)()
            });
        }
        let _at_work = self.cache.map(|cache| announce(cache, ops));
        let append = |log: &'a CommitLog| match since {
            None => log.append(concrete.operations()),
            Some(since) => {
                (since.check_time)()?;
                log.append_after(concrete.operations(), since.reader, since.admit)
            }
        };
        self.log_and_apply(append, durability, |in_flight| apply(routes, parts, in_flight))
    }
}

/// Applies a batch that is in the log. A shard that fails does not keep it from the others: the
/// batch stands.
fn apply(routes: &RoutedBatch<'_>, parts: Vec<Part>, in_flight: &InFlight<'_>) -> Result<()> {
    let mut failed = None;
    for (number, part) in parts.into_iter().enumerate() {
        if number > 0 {
            failpoint::hit("batch-between-shards");
        }
        let shard = part.shard();
        if let Err(error) = part.apply() {
            routes.fall_behind(shard, in_flight, &error);
            failed.get_or_insert_with(|| not_applied(shard, error));
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Announces the writes of a batch to the cache of hot keys.
fn announce<'a>(cache: &'a HotCache, ops: &[Op]) -> Vec<AtWork<'a>> {
    let key = |op: &Op| match &op.write {
        Write::Put { key, .. } | Write::Delete { key } | Write::Add { key, .. } => {
            Some(cache.hash(op.keyspace, key))
        }
        Write::DeleteRange { .. } => None,
    };
    let mut at_work = cache.write_each(ops.iter().filter_map(key).collect());
    if ops.iter().any(|op| matches!(op.write, Write::DeleteRange { .. })) {
        at_work.push(cache.write_all());
    }
    at_work
}

/// Records the operations of a batch that are sampled: its conditions, and its writes if they were
/// made.
fn record(sampler: &Sampler, batch: &Batch, written: bool) {
    let note = |keyspace, key: &[u8], access, bytes| {
        if let Some(sampled) = sampler.begin() {
            let weight = sampled.weight();
            sampler.record(SampledOperation { keyspace, key, access, bytes, weight, took: None });
        }
    };
    for condition in &batch.conditions {
        note(condition.keyspace, &condition.key, heat::Operation::Read, condition.bytes());
    }
    for op in batch.ops.iter().filter(|_| written) {
        let key = match &op.write {
            Write::Put { key, .. } | Write::Delete { key } | Write::Add { key, .. } => key,
            Write::DeleteRange { start, .. } => start,
        };
        note(op.keyspace, key, heat::Operation::Write, op.write.bytes());
    }
}
