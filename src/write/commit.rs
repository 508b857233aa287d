//! Committing batches.

use super::batch::{Batch, Op, Write};
use super::previous::previous;
use super::routed::{ConcreteBatch, Part, RoutedBatch, Views};
use super::writer::{Writer, not_applied};
use crate::cache::HotCache;
use crate::catalog::{Catalog, PassedGate};
use crate::engine::Durability;
use crate::error::{Error, Result};
use crate::heat;
use crate::latch::{AtWork, Site, enter};
use crate::log::InFlight;
use crate::os::failpoint;
use crate::sampling::{SampledOperation, Sampler};

/// A batch that is not yet routed.
struct BatchWrite<'a, V> {
    catalog: &'a Catalog,
    views: &'a V,
    ops: &'a [Op],
}

impl<V: Views> Site for BatchWrite<'_, V> {
    type Error = Error;
    type Gate<'a>
        = PassedGate<'a>
    where
        Self: 'a;
    type Routed<'a>
        = RoutedBatch<'a>
    where
        Self: 'a;

    fn pass_gate(&self) -> PassedGate<'_> {
        self.catalog.gate.pass()
    }

    fn route(&self) -> Result<RoutedBatch<'_>> {
        RoutedBatch::of(self.ops, self.views)
    }

    fn check_writable(&self) -> Result<()> {
        self.catalog.check_writable()
    }
}

impl Writer<'_> {
    /// Commits a batch: one record of the log, and then one write to each shard that it concerns.
    pub(crate) fn commit(
        &self,
        views: &impl Views,
        batch: Batch,
        durability: Durability,
    ) -> Result<()> {
        batch.check(self.catalog)?;
        let site = BatchWrite { catalog: self.catalog, views, ops: &batch.ops };
        enter(&site, |ticket| {
            let routes = ticket.routed();
            let mut concrete = routes.concrete()?;
            if self.catalog.may_log_old_values() {
                concrete.previous = previous(routes, self.catalog)?;
            }
            let parts = routes.parts(&concrete)?;
            ticket.write(|| self.write_parts(&batch.ops, routes, &concrete, parts, durability))
        })??;
        record(self.sampler, &batch.ops);
        Ok(())
    }

    fn write_parts(
        &self,
        ops: &[Op],
        routes: &RoutedBatch<'_>,
        concrete: &ConcreteBatch<'_>,
        parts: Vec<Part>,
        durability: Durability,
    ) -> Result<()> {
        if parts.is_empty() {
            // Only ranges in which there is nothing.
            return Ok(());
        }
        let _at_work = self.cache.map(|cache| announce(cache, ops));
        self.log_and_apply(concrete.operations(), durability, |in_flight| {
            apply(routes, parts, in_flight)
        })
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
        Write::Put { key, .. } | Write::Delete { key } => Some(cache.hash(op.keyspace, key)),
        Write::DeleteRange { .. } => None,
    };
    let mut at_work = cache.write_each(ops.iter().filter_map(key).collect());
    if ops.iter().any(|op| matches!(op.write, Write::DeleteRange { .. })) {
        at_work.push(cache.write_all());
    }
    at_work
}

/// Records the writes of a batch that are sampled.
fn record(sampler: &Sampler, ops: &[Op]) {
    for op in ops {
        if let Some(sampled) = sampler.begin() {
            let key = match &op.write {
                Write::Put { key, .. } | Write::Delete { key } => key,
                Write::DeleteRange { start, .. } => start,
            };
            sampler.record(SampledOperation {
                keyspace: op.keyspace,
                key,
                access: heat::Operation::Write,
                bytes: op.write.bytes(),
                weight: sampled.weight(),
                took: None,
            });
        }
    }
}
