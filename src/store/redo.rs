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
//! | 3. the caller is told | the record, all parts | finds all markers, applies nothing |
//! | 4. settling: every shard is synced | the same | the same |
//! | 5. settling: the record goes, synced and flushed | markers | nothing |
//! | 6. settling: the markers go | nothing, or some markers | nothing |
//!
//! Why a replay never overwrites a later write: what survives of a shard is a prefix of what was
//! written to it. If a write that came after the part survived, the part and its marker did too,
//! and the replay skips it. If the marker is missing, everything after it is missing as well.
//! Markers go only after the record is gone for good (5 before 6), and the record goes only
//! after all parts are on disk (4 before 5).
//!
//! Why a replay ends with the same value where two batches wrote one key: batches own their keys'
//! stripes from the number to the last part, so numbers and parts have one order.
//!
//! Durability. `Synced` syncs the record before it answers, and only that: one sync, however many
//! shards. `Buffered` syncs nothing: after a crash of the process the batch is whole; a power cut
//! may lose the record and some of the parts, and so cut the batch.
//!
//! Reshapes. A part's marker is on the shard that owned its partition when it was written; a
//! replay looks for it on the present owner. So the commit of a reshape leaves a *fence* with each
//! target: the number that the next batch will get. Batches with lower numbers that concern the
//! target were complete when its sources were sealed, since they own stripes until then, and
//! what they wrote was synced on the target before the commit; a replay leaves it alone. Fences
//! go when an opening has replayed everything, because numbers may then begin anew.
//!
//! An error from step 1 on leaves the batch in doubt: the record may be on disk. The store then
//! refuses writes, since a write after a lost part would be overwritten by the replay; opening it
//! anew completes the batch.

use super::batch::Op;
use super::core::Core;
use super::metadata::Metadata;
use super::record_key::{self, parse_number};
use super::routes::{Part, Routes, Views};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ShardId;
use crate::options::Durability;
use crate::shard::{Batch as _, Cursor, Direction, Engine, EngineBatch, KeyRange, Read, Shard};
use crate::topology::{PartitionName, decode, encode};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const RECORD_PREFIX: &[u8] = b"redo/";
const FENCE_PREFIX: &[u8] = b"fence/";
/// The first key after all fences.
const FENCE_END: &[u8] = b"fence0";

/// Settling waits for this many batches, or this many bytes of records: its syncs are shared by
/// all of them, and the opening after a crash has at most so much to look at.
const SETTLE_RECORDS: u64 = 4096;
const SETTLE_BYTES: usize = 16 << 20;

/// What a replay needs: the operations, to be routed again.
#[derive(Serialize, Deserialize)]
pub(super) struct RedoRecord<'a> {
    ops: Cow<'a, [Op]>,
}

impl<'a> RedoRecord<'a> {
    pub(super) fn of(ops: &'a [Op]) -> Self {
        Self { ops: Cow::Borrowed(ops) }
    }
}

/// The numbers of batches over several shards.
#[derive(Default)]
pub(crate) struct Redo {
    state: Mutex<State>,
    settling: Mutex<()>,
}

#[derive(Default)]
struct State {
    /// The number of the next batch.
    next: u64,
    /// Batches between steps 1 and 3.
    running: BTreeSet<u64>,
    /// All batches below this number are settled.
    settled: u64,
    /// Bytes of the records since.
    unsettled_bytes: usize,
}

impl State {
    /// All batches below this number are complete.
    fn complete_below(&self) -> u64 {
        self.running.first().copied().unwrap_or(self.next)
    }
}

impl Redo {
    /// Steps 1 to 3. The caller owns the stripes of every key.
    pub(super) fn commit(
        &self,
        core: &Core,
        record: &RedoRecord<'_>,
        parts: Vec<Part>,
        durability: Durability,
    ) -> Result<()> {
        let record = encode("a redo record", record)?;
        let number = self.begin(record.len());
        let done = write_steps(core, number, &record, parts, durability);
        if let Err(error) = done {
            // The number stays among the running ones, so settling never passes it.
            core.doubt();
            return Err(Error::new(
                ErrorKind::InDoubt,
                format!("batch {number} may be half applied; open the store anew to complete it ({error})"),
            )
            .with_source(error));
        }
        self.state.lock().running.remove(&number);
        Ok(())
    }

    /// Adds to the commit of a reshape, whose sources are sealed, that batches up to now have
    /// reached this target: see the module's documentation.
    pub(crate) fn add_fence(
        &self,
        commit: &mut EngineBatch,
        metadata: &Engine,
        target: PartitionName,
    ) {
        let next = self.state.lock().next;
        commit.put(
            metadata.bookkeeping(),
            &record_key::of_partition(FENCE_PREFIX, target),
            &next.to_be_bytes(),
        );
    }

    fn begin(&self, bytes: usize) -> u64 {
        let mut state = self.state.lock();
        let number = state.next;
        state.next += 1;
        state.running.insert(number);
        state.unsettled_bytes += bytes;
        number
    }

    /// Settles when enough has gathered, unless another thread is at it. A failure is not the
    /// caller's, whose batch is whole: it is logged, and tried again with the next batch.
    pub(super) fn settle_if_due(&self, core: &Core) {
        let due = {
            let state = self.state.lock();
            state.next - state.settled >= SETTLE_RECORDS || state.unsettled_bytes >= SETTLE_BYTES
        };
        if let Some(_settling) = due.then(|| self.settling.try_lock()).flatten()
            && let Err(error) = self.settle_locked(core)
        {
            tracing::warn!(%error, "cannot settle batches yet");
        }
    }

    /// Steps 4 to 6 for every batch that is complete.
    pub(crate) fn settle(&self, core: &Core) -> Result<()> {
        let _settling = self.settling.lock();
        self.settle_locked(core)
    }

    fn settle_locked(&self, core: &Core) -> Result<()> {
        let (below, bytes) = {
            let state = self.state.lock();
            if state.complete_below() == state.settled {
                return Ok(());
            }
            (state.complete_below(), state.unsettled_bytes)
        };
        settle_below(&core.metadata.engine, &core.shards.load(), below)?;
        let mut state = self.state.lock();
        state.settled = below;
        state.unsettled_bytes -= bytes;
        Ok(())
    }

    /// Completes what a crash interrupted. Runs before anybody else can write.
    pub(super) fn replay(&self, core: &Core, views: &impl Views) -> Result<usize> {
        let records = core.metadata.records(RECORD_PREFIX, parse_number)?;
        let fences = read_fences(&core.metadata)?;
        let mut next = records.last().map_or(1, |(number, _)| number + 1);
        for shard in core.shards.load().values() {
            next = next.max(last_marker(shard)?.map_or(0, |number| number + 1));
        }
        *self.state.lock() = State { next, settled: next, ..State::default() };
        for (number, record) in &records {
            replay_one(views, &fences, *number, record)?;
        }
        if !records.is_empty() {
            settle_below(&core.metadata.engine, &core.shards.load(), next)?;
        }
        if !fences.is_empty() {
            // Numbers may begin anew now.
            let mut gone = EngineBatch::default();
            gone.delete_range(core.metadata.engine.bookkeeping(), FENCE_PREFIX, FENCE_END);
            core.metadata.engine.write(gone, Durability::Synced)?;
        }
        Ok(records.len())
    }
}

fn write_steps(
    core: &Core,
    number: u64,
    record: &[u8],
    parts: Vec<Part>,
    durability: Durability,
) -> Result<()> {
    let metadata = &core.metadata.engine;
    metadata.put(metadata.bookkeeping(), &record_key(number), record, durability)?;
    crate::failpoint::hit("batch-after-record");
    for mut part in parts {
        mark(&mut part, number);
        part.write(Durability::Buffered)?;
        crate::failpoint::hit("batch-after-part");
    }
    Ok(())
}

fn mark(part: &mut Part, number: u64) {
    if let Some(shard) = &part.shard {
        part.batch.put(shard.bookkeeping(), &number.to_be_bytes(), &[]);
    }
}

fn settle_below(
    metadata: &Engine,
    shards: &BTreeMap<ShardId, Arc<Engine>>,
    below: u64,
) -> Result<()> {
    for shard in shards.values() {
        shard.sync()?;
    }
    crate::failpoint::hit("settle-after-sync");
    let mut records = EngineBatch::default();
    records.delete_range(metadata.bookkeeping(), &record_key(0), &record_key(below));
    metadata.write(records, Durability::Synced)?;
    // Into a file, as every commit: a record that came back because the log was damaged would be
    // applied over later writes once its markers are gone.
    metadata.flush()?;
    crate::failpoint::hit("settle-after-records");
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
    let record: RedoRecord<'_> = decode(&format!("redo record {number} in the metadata"), record)?;
    let mut routes = Routes::of(&record.ops, views, true)?;
    routes.leave_out(|partition| fences.get(&partition).is_some_and(|fence| number < *fence));
    for shard in routes.shards() {
        let mut part = routes.part(shard)?;
        let Some(engine) = &part.shard else { continue };
        if engine.get(engine.bookkeeping(), &number.to_be_bytes(), Read::PRESENT)?.is_some() {
            continue;
        }
        mark(&mut part, number);
        part.write(Durability::Buffered)?;
        tracing::info!(batch = number, %shard, "completed the part of a batch that a crash interrupted");
    }
    Ok(())
}

fn record_key(number: u64) -> Vec<u8> {
    record_key::numbered(RECORD_PREFIX, number)
}

fn read_fences(metadata: &Metadata) -> Result<BTreeMap<PartitionName, u64>> {
    let fences = metadata.records(FENCE_PREFIX, record_key::parse_partition)?;
    let number = |(name, number): (PartitionName, Vec<u8>)| {
        let number = parse_number(&number).ok_or_else(|| {
            let message = format!("the fence of partition {name} in the metadata is no number");
            Error::new(ErrorKind::Damaged, message)
        })?;
        Ok((name, number))
    };
    fences.into_iter().map(number).collect()
}

fn last_marker(shard: &Engine) -> Result<Option<u64>> {
    let all = KeyRange::default();
    let cursor = shard.cursor(shard.bookkeeping(), &all, Direction::Reverse, Read::PRESENT)?;
    Ok(cursor.key().and_then(parse_number))
}
