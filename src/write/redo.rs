//! Batches over several shards: atomic through a crash, applied exactly once.
//!
//! Each shard makes its own part atomic; a redo record makes the parts one. A batch goes through
//! these steps, and this is what an opening finds if the process dies after each:
//!
//! | step | on disk | the opening |
//! |---|---|---|
//! | – | nothing | nothing happened |
//! | 1. the redo record, in the metadata | the record | applies every part |
//! | 2. each shard's part, with a marker, in one atomic write | the record, some parts with markers | applies the parts that have no marker |
//! | 3. the call returns | the record, all parts | finds all markers, applies nothing |
//! | 4. settling: the shards of the batch are synced | the same | the same |
//! | 5. settling: the record is removed, synced and flushed | markers | nothing |
//! | 6. settling: the markers are removed | nothing, or some markers | removes the markers |
//!
//! Each batch is settled independently, many at a time (`settle.rs`): one whose shard cannot be
//! synced keeps its record and its markers, and batches with higher numbers may be settled before
//! it.
//!
//! Why a replay never overwrites a later write: what survives of a shard is a prefix of what was
//! written to it. If a write that came after the part survived, the part and its marker did too,
//! and the replay skips it. If the marker is missing, everything after it is missing as well. A
//! marker is removed only after its record is gone for good (5 before 6), and a record only after
//! all parts of its batch are on disk (4 before 5). That a later batch is settled earlier changes
//! nothing: where both have a part on one shard, the sync of the later one's part also synced the
//! earlier one's, and its marker with it.
//!
//! Why a replay ends with the same value where two batches wrote one key: batches own their keys'
//! stripes from taking the number until the last part is written, so numbers and parts have one
//! order.
//!
//! Durability. `Synced` syncs the record before the call returns, and only that: one sync, however
//! many shards. `Buffered` syncs nothing: after a crash of the process the batch is whole; a power
//! cut may lose the record and some of the parts, and so tear the batch.
//!
//! Reshapes. A part's marker is on the shard that owned its partition when it was written; a replay
//! looks for it on the present owner. So the commit of a reshape leaves a *fence* with each target:
//! the number that the next batch will get. Batches with lower numbers that concern the target were
//! complete when its sources were sealed, since they own stripes until then, and what they wrote
//! was synced on the target before the commit; a replay skips them there. No fence is needed if
//! every batch is settled. A fence is removed with its partition, or when all batches below its
//! number are settled; and all fences when an opening has replayed everything, because numbers may
//! then begin at 1 again.
//!
//! An error from step 1 on leaves the batch in doubt: the record may be on disk. The store then
//! refuses writes, since the replay would overwrite a write that follows a lost part; opening the
//! store again completes the batch.

use super::batch::Op;
use super::records::{FENCE_END, FENCE_PREFIX, RECORD_PREFIX, fence_key, read_fences, record_key};
use super::routed::{Part, RoutedBatch, Views};
use super::settle::{Redo, State, Whole};
use crate::catalog::Catalog;
use crate::catalog::record_key::parse_number;
use crate::engine::Durability;
use crate::engine::{Cursor, Direction, Engine, EngineBatch, Read, ShardEngine, WriteBatch as _};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ShardId;
use crate::placement::KeyRange;
use crate::topology::{PartitionName, decode, encode};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a replay needs: the operations, which it routes again.
#[derive(Serialize, Deserialize)]
pub(crate) struct RedoRecord<'a> {
    ops: Cow<'a, [Op]>,
}

impl<'a> RedoRecord<'a> {
    pub(crate) fn of(ops: &'a [Op]) -> Self {
        Self { ops: Cow::Borrowed(ops) }
    }
}

impl Redo {
    /// Steps 1 to 3. The caller owns the stripes of every key.
    pub(crate) fn commit(
        &self,
        catalog: &Catalog,
        record: &RedoRecord<'_>,
        parts: Vec<(ShardId, Part)>,
        durability: Durability,
    ) -> Result<()> {
        let record = encode("a redo record", record)?;
        let shards: Box<[ShardId]> = parts.iter().map(|(shard, _)| *shard).collect();
        let number = self.state.lock().begin(&shards)?;
        let done = write_steps(catalog, number, &record, parts, durability);
        if let Err(error) = done {
            // The number stays among the running ones, so no settling goes past it.
            catalog.mark_in_doubt(&error);
            return Err(Error::new(
                ErrorKind::InDoubt,
                format!("batch {number} may be half applied; open the store again to complete it"),
            )
            .with_source(error));
        }
        self.state.lock().end(Whole { number, bytes: record.len(), shards });
        Ok(())
    }

    /// Adds to the commit of a reshape, whose sources are sealed, that this target has all batches
    /// so far: see the module's documentation.
    pub(crate) fn add_fence(
        &self,
        commit: &mut EngineBatch,
        metadata: &ShardEngine,
        target: PartitionName,
    ) {
        if let Some(fence) = self.state.lock().fence() {
            commit.put(metadata.bookkeeping(), &fence_key(target), &fence.to_be_bytes());
        }
    }

    /// Removes the fence of a partition that no longer exists.
    pub(crate) fn forget_fence(
        commit: &mut EngineBatch,
        metadata: &ShardEngine,
        gone: PartitionName,
    ) {
        commit.delete(metadata.bookkeeping(), &fence_key(gone));
    }

    /// Completes what a crash interrupted. Runs before anyone else can write.
    pub(crate) fn replay(&self, catalog: &Catalog, views: &impl Views) -> Result<usize> {
        let records = catalog.metadata.records(RECORD_PREFIX, parse_number)?;
        let fences = read_fences(&catalog.metadata)?;
        let mut next = records.last().map_or(1, |(number, _)| number + 1);
        let mut any_marker = false;
        for shard in catalog.shards().values() {
            if let Some(last) = last_marker(shard)? {
                any_marker = true;
                next = next.max(last + 1);
            }
        }
        *self.state.lock() = State::beginning_at(next);
        for (number, record) in &records {
            replay_one(views, &fences, *number, record)?;
        }
        if any_marker || !records.is_empty() {
            settle_below(&catalog.metadata.engine, &catalog.shards(), next)?;
        }
        if !fences.is_empty() {
            // Numbers may begin at 1 again now.
            let mut gone = EngineBatch::default();
            gone.delete_range(catalog.metadata.engine.bookkeeping(), FENCE_PREFIX, FENCE_END);
            catalog.metadata.engine.write(gone, Durability::Synced)?;
        }
        Ok(records.len())
    }
}

fn write_steps(
    catalog: &Catalog,
    number: u64,
    record: &[u8],
    parts: Vec<(ShardId, Part)>,
    durability: Durability,
) -> Result<()> {
    let metadata = &catalog.metadata.engine;
    let durability = match durability {
        Durability::Synced => Durability::synced_unless_skipped("redo-record"),
        buffered => buffered,
    };
    metadata.put(metadata.bookkeeping(), &record_key(number), record, durability)?;
    crate::os::failpoint::hit("batch-after-record");
    for (_, mut part) in parts {
        mark(&mut part, number);
        part.write(Durability::Buffered)?;
        crate::os::failpoint::hit("batch-after-part");
    }
    Ok(())
}

fn mark(part: &mut Part, number: u64) {
    if let Some(shard) = &part.shard {
        part.batch.put(shard.bookkeeping(), &number.to_be_bytes(), &[]);
    }
}

/// Steps 4 to 6 for all batches below a number, at the opening.
fn settle_below(
    metadata: &ShardEngine,
    shards: &BTreeMap<ShardId, Arc<ShardEngine>>,
    below: u64,
) -> Result<()> {
    for shard in shards.values() {
        if !crate::os::failpoint::skip("settle-at-opening") {
            shard.sync()?;
        }
    }
    let mut records = EngineBatch::default();
    records.delete_range(metadata.bookkeeping(), &record_key(0), &record_key(below));
    metadata.write(records, Durability::Synced)?;
    // Into a file, like every commit: a record that came back because the log was damaged would be
    // applied over later writes once its markers are gone.
    metadata.flush()?;
    for shard in shards.values() {
        let mut markers = EngineBatch::default();
        markers.delete_range(shard.bookkeeping(), &0_u64.to_be_bytes(), &below.to_be_bytes());
        shard.write(markers, Durability::Buffered)?;
    }
    Ok(())
}

fn replay_one(
    views: &impl Views,
    fences: &BTreeMap<PartitionName, u64>,
    number: u64,
    record: &[u8],
) -> Result<()> {
    for (shard, mut part) in missing_parts(views, fences, number, record)? {
        mark(&mut part, number);
        part.write(Durability::Buffered)?;
        tracing::info!(batch = number, %shard, "completed the part of a batch that a crash interrupted");
    }
    Ok(())
}

/// Returns the parts of a batch whose markers are missing.
fn missing_parts(
    views: &impl Views,
    fences: &BTreeMap<PartitionName, u64>,
    number: u64,
    record: &[u8],
) -> Result<Vec<(ShardId, Part)>> {
    let record: RedoRecord<'_> = decode(&format!("redo record {number} in the metadata"), record)?;
    let mut routes = RoutedBatch::of(&record.ops, views, true)?;
    routes.leave_out(|partition| fences.get(&partition).is_some_and(|fence| number < *fence));
    let mut missing = Vec::new();
    for shard in routes.shards() {
        let part = routes.part(shard)?;
        let Some(engine) = &part.shard else { continue };
        if engine.get(engine.bookkeeping(), &number.to_be_bytes(), Read::PRESENT)?.is_none() {
            missing.push((shard, part));
        }
    }
    Ok(missing)
}

/// Returns how many batches a replay would complete, in a store that is opened read-only.
pub(crate) fn count_unfinished(catalog: &Catalog, views: &impl Views) -> Result<usize> {
    let fences = read_fences(&catalog.metadata)?;
    let mut unfinished = 0;
    for (number, record) in catalog.metadata.records(RECORD_PREFIX, parse_number)? {
        let parts = missing_parts(views, &fences, number, &record)?;
        unfinished += usize::from(!parts.is_empty());
    }
    Ok(unfinished)
}

fn last_marker(shard: &ShardEngine) -> Result<Option<u64>> {
    let all = KeyRange::default();
    let cursor = shard.cursor(shard.bookkeeping(), &all, Direction::Reverse, Read::PRESENT)?;
    Ok(cursor.key().and_then(parse_number))
}
