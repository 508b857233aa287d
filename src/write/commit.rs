//! Committing batches.

use super::batch::{Batch, Op, Write};
use super::redo::RedoRecord;
use super::routed::{Part, RoutedBatch, Views};
use super::writer::{Writer, finish};
use crate::cache::HotCache;
use crate::catalog::{Catalog, PassedGate};
use crate::engine::Durability;
use crate::error::{Error, Result};
use crate::heat::Operation;
use crate::id::ShardId;
use crate::latch::{AtWork, Site, enter};
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
        RoutedBatch::of(self.ops, self.views, false)
    }

    fn check_writable(&self) -> Result<()> {
        self.catalog.check_writable()
    }
}

impl Writer<'_> {
    /// Commits a batch. `redo.rs` argues the protocol for several shards.
    pub(crate) fn commit(
        &self,
        views: &impl Views,
        batch: Batch,
        durability: Durability,
    ) -> Result<()> {
        batch.check(self.catalog)?;
        let site = BatchWrite { catalog: self.catalog, views, ops: &batch.ops };
        let written = enter(&site, |ticket| {
            let routes = ticket.routed();
            let part = |shard| Ok((shard, routes.part(shard)?));
            let parts = routes.shards().map(part).collect::<Result<Vec<_>>>()?;
            Ok(ticket.write(|| self.write_parts(&batch.ops, routes, parts, durability)))
        });
        let written = written.and_then(|written| written);
        // If the batch was refused, then perhaps because of a shard that can be synced by now.
        self.redo.settle_if_due(self.catalog);
        finish(written?, || record(self.sampler, &batch.ops))
    }

    fn write_parts(
        &self,
        ops: &[Op],
        routes: &RoutedBatch<'_>,
        parts: Vec<(ShardId, Part)>,
        durability: Durability,
    ) -> Result<()> {
        let _at_work = self.cache.map(|cache| announce(cache, ops));
        if routes.is_distributed() {
            self.redo.commit(self.catalog, &RedoRecord::of(ops), parts, durability)
        } else {
            parts.into_iter().try_for_each(|(_, part)| part.write(durability))
        }
    }
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
            sampler.tell(SampledOperation {
                keyspace: op.keyspace,
                key,
                access: Operation::Write,
                bytes: op.write.bytes(),
                weight: sampled.weight(),
                took: None,
            });
        }
    }
}
