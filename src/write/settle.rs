//! Settling: steps 4 to 6 of the protocol of batches over several shards, which `redo.rs` argues.
//!
//! A batch is settled as soon as the shards that *it* concerns are synced, whatever its number. A
//! shard that cannot be synced therefore holds up its own batches and no others. Their number is
//! bounded: as long as the shard's last sync failed, further batches that concern it are refused
//! before anything of them is written. The sync is tried again after a rest that grows with each
//! failure, by the next batch that comes along, so that healthy batches do not each pay for a
//! failing sync.

use super::records::{fence_key, read_fences, record_key};
use crate::catalog::Catalog;
use crate::engine::Durability;
use crate::engine::{Engine, EngineBatch, ShardEngine, WriteBatch as _};
use crate::error::{Error, Result};
use crate::id::ShardId;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher as _;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Settling waits for this many batches, or this many bytes of records: all of them share its
/// syncs, and the opening after a crash has no more than this to look at.
const SETTLE_RECORDS: usize = 4096;
const SETTLE_BYTES: usize = 16 << 20;
/// Or for this many fences, which it then removes.
const SETTLE_FENCES: usize = 256;

/// A shard that could not be synced rests for at most this long after the first failure, up to
/// twice as long after each further one, and never longer than `REST_MAX`.
const REST_MIN: Duration = Duration::from_millis(100);
const REST_MAX: Duration = Duration::from_secs(60);

/// The numbers of batches over several shards, and what remains to be settled.
#[derive(Default)]
pub(crate) struct Redo {
    pub(crate) state: Mutex<State>,
    pub(crate) settling: Mutex<()>,
}

/// A batch between steps 3 and 5.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Whole {
    pub(crate) number: u64,
    /// The bytes of its record.
    pub(crate) bytes: usize,
    /// The shards of its parts.
    pub(crate) shards: Box<[ShardId]>,
}

/// A shard whose last sync failed.
struct Sick {
    failures: u32,
    rests_until: Instant,
    why: Error,
}

/// The numbers of batches, and what is to be settled.
#[derive(Default)]
pub(crate) struct State {
    /// The number of the next batch.
    next: u64,
    /// Batches between steps 1 and 3.
    running: BTreeSet<u64>,
    /// Batches that may be settled, and the bytes of their records.
    whole: Vec<Whole>,
    bytes: usize,
    /// Batches of shards that rest.
    held_up: Vec<Whole>,
    /// The lowest number among the batches that are being settled.
    lowest_in_work: Option<u64>,
    sick: BTreeMap<ShardId, Sick>,
    /// About how many fences are on disk.
    fences: usize,
}

/// The batches and shards of one settling.
struct Work {
    batches: Vec<Whole>,
    shards: BTreeSet<ShardId>,
}

impl State {
    pub(crate) fn beginning_at(next: u64) -> Self {
        Self { next, ..Self::default() }
    }

    /// Takes a number for a batch.
    ///
    /// # Errors
    ///
    /// Those of a shard that could not be synced; the batch must be refused.
    pub(crate) fn begin(&mut self, shards: &[ShardId]) -> Result<u64> {
        if let Some((id, sick)) = shards.iter().find_map(|id| self.sick.get_key_value(id)) {
            return Err(sick.refusal(*id));
        }
        let number = self.next;
        self.next += 1;
        self.running.insert(number);
        Ok(number)
    }

    /// Notes that all parts of a batch are written.
    pub(crate) fn end(&mut self, batch: Whole) {
        self.running.remove(&batch.number);
        self.add(batch);
    }

    fn add(&mut self, batch: Whole) {
        self.bytes += batch.bytes;
        self.whole.push(batch);
    }

    pub(crate) fn is_due(&self) -> bool {
        self.whole.len() >= crate::os::failpoint::size("ANNULUS_SETTLE_RECORDS", SETTLE_RECORDS)
            || self.bytes >= SETTLE_BYTES
            || (self.fences >= SETTLE_FENCES && !self.whole.is_empty())
            || self.sick.values().any(|sick| sick.rests_until <= Instant::now())
    }

    /// Returns the number below which all batches are settled.
    fn settled_below(&self) -> u64 {
        let unsettled = self.whole.iter().chain(&self.held_up).map(|batch| batch.number);
        let others = [self.running.first().copied(), self.lowest_in_work];
        unsettled.chain(others.into_iter().flatten()).min().unwrap_or(self.next)
    }

    /// Returns the fence for the target of a reshape, whose sources are sealed, or `None` if there
    /// is no record that a replay could apply.
    pub(crate) fn fence(&mut self) -> Option<u64> {
        (self.settled_below() < self.next).then(|| {
            self.fences += 1;
            self.next
        })
    }

    /// Takes out what can be settled now, without the batches of shards that rest.
    fn take(&mut self, now: Instant) -> Work {
        let mut batches = std::mem::take(&mut self.held_up);
        batches.append(&mut self.whole);
        self.bytes = 0;
        let rests = |id: &ShardId| self.sick.get(id).is_some_and(|sick| sick.rests_until > now);
        let (held_up, batches): (_, Vec<_>) =
            batches.into_iter().partition(|batch| batch.shards.iter().any(rests));
        let tried_again = self.sick.keys().filter(|id| !rests(id)).copied();
        let shards = batches.iter().flat_map(|batch| batch.shards.iter().copied());
        let shards = shards.chain(tried_again).collect();
        self.held_up = held_up;
        self.lowest_in_work = batches.iter().map(|batch| batch.number).min();
        Work { batches, shards }
    }

    /// Notes how the syncs went. Returns the batches whose shards are all synced; the others wait.
    fn note_syncs(
        &mut self,
        batches: Vec<Whole>,
        synced: BTreeMap<ShardId, Result<()>>,
    ) -> Vec<Whole> {
        for (id, synced) in synced {
            match synced {
                Ok(()) => drop(self.sick.remove(&id)),
                Err(error) => self.note_failure(id, error),
            }
        }
        let sick = |batch: &Whole| batch.shards.iter().any(|id| self.sick.contains_key(id));
        let (held_up, settled): (Vec<_>, _) = batches.into_iter().partition(sick);
        self.held_up.extend(held_up);
        self.lowest_in_work = None;
        settled
    }

    fn note_failure(&mut self, id: ShardId, why: Error) {
        let failures = self.sick.get(&id).map_or(1, |sick| sick.failures.saturating_add(1));
        tracing::warn!(shard = %id, error = format_args!("{why:#}"), failures, "cannot settle the batches of a shard yet");
        self.sick.insert(id, Sick { failures, rests_until: Instant::now() + rest(failures), why });
    }

    /// Allows every shard to be tried again now.
    fn end_rests(&mut self) {
        let now = Instant::now();
        self.sick.values_mut().for_each(|sick| sick.rests_until = now);
    }

    fn first_failure(&self) -> Option<Error> {
        self.sick.values().next().map(|sick| sick.why.clone())
    }
}

impl Sick {
    fn refusal(&self, id: ShardId) -> Error {
        Error::new(
            self.why.kind(),
            format!(
                "shard {id} could not be synced, so batches over several shards that concern it \
                 are refused until it can be; nothing was written; look after its disk, and open \
                 the store again if that does not help ({})",
                self.why
            ),
        )
    }
}

/// Returns how long a shard rests: a random part of a time that doubles with each failure, so that
/// stores on one disk do not retry in step.
fn rest(failures: u32) -> Duration {
    let most = REST_MIN.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(REST_MAX);
    let random = std::hash::RandomState::new().hash_one(failures);
    most.mul_f64((random >> 11) as f64 / (1_u64 << 53) as f64)
}

impl Redo {
    /// Settles when enough has accumulated, or a shard is to be tried again, unless another thread
    /// is already doing it. A failure is logged; it is not the caller's, whose batch is whole.
    pub(crate) fn settle_if_due(&self, catalog: &Catalog) {
        if self.state.lock().is_due()
            && let Some(_settling) = self.settling.try_lock()
            && let Err(error) = self.settle_locked(catalog)
        {
            tracing::warn!(error = format_args!("{error:#}"), "cannot settle batches yet");
        }
    }

    /// Steps 4 to 6 for every batch that is whole, including those of shards that rest.
    ///
    /// # Errors
    ///
    /// Those of a shard that cannot be synced. The batches of others are settled.
    pub(crate) fn settle(&self, catalog: &Catalog) -> Result<()> {
        let _settling = self.settling.lock();
        self.state.lock().end_rests();
        self.settle_locked(catalog)?;
        self.state.lock().first_failure().map_or(Ok(()), Err)
    }

    fn settle_locked(&self, catalog: &Catalog) -> Result<()> {
        let Work { batches, shards } = self.state.lock().take(Instant::now());
        let open = catalog.shards();
        // A shard that has left the store has no part of any batch any more: its partitions were
        // handed over, and the batches were synced there before the commit.
        let skip = crate::os::failpoint::skip("settle-sync");
        let sync = |id| match open.get(&id) {
            Some(shard) if !skip => (id, shard.sync()),
            _ => (id, Ok(())),
        };
        let synced = shards.into_iter().map(sync).collect();
        let (settled, below) = {
            let mut state = self.state.lock();
            let settled = state.note_syncs(batches, synced);
            let below = state.settled_below();
            // Until their records are gone, `fence` must not count them as settled.
            state.lowest_in_work = settled.iter().map(|batch| batch.number).min();
            (settled, below)
        };
        crate::os::failpoint::hit("settle-after-sync");
        if crate::os::failpoint::skip("settle-order") {
            // Steps 5 and 6 swapped, and the markers gone for good.
            remove_markers(&open, &settled);
            open.values().try_for_each(|shard| shard.sync())?;
        }
        let removed = self.remove_records(catalog, &settled, below);
        let mut state = self.state.lock();
        state.lowest_in_work = None;
        if removed.is_err() {
            settled.into_iter().for_each(|batch| state.add(batch));
            return removed;
        }
        drop(state);
        crate::os::failpoint::hit("settle-after-records");
        for (id, error) in remove_markers(&open, &settled) {
            self.state.lock().note_failure(id, error);
        }
        Ok(())
    }

    /// Step 5, and the fences below the lowest number that is not settled: no record that they
    /// protect is left. A fence that is just being committed is left to the next settling.
    fn remove_records(&self, catalog: &Catalog, settled: &[Whole], below: u64) -> Result<()> {
        if settled.is_empty() {
            return Ok(());
        }
        let metadata = &catalog.metadata.engine;
        let mut gone = EngineBatch::default();
        for run in runs(settled) {
            let (start, end) = (record_key(run.start), record_key(run.end));
            gone.delete_range(metadata.bookkeeping(), &start, &end);
        }
        let fences = std::mem::take(&mut self.state.lock().fences);
        if fences > 0 {
            let there = read_fences(&catalog.metadata)?;
            let (passed, left): (Vec<_>, Vec<_>) =
                there.into_iter().partition(|(_, fence)| *fence <= below);
            for (partition, _) in passed {
                gone.delete(metadata.bookkeeping(), &fence_key(partition));
            }
            self.state.lock().fences += left.len();
        }
        metadata.write(gone, Durability::synced_unless_skipped("settle-records"))?;
        if crate::os::failpoint::skip("settle-records") {
            return Ok(());
        }
        // Into a file, like every commit: a record that came back because the log was damaged would
        // be applied over later writes once its markers are gone.
        metadata.flush()
    }
}

/// Step 6. A marker without a record does no harm: one that cannot be removed is removed by the
/// next opening. Returns the shards that refuse to be written.
fn remove_markers(
    open: &BTreeMap<ShardId, Arc<ShardEngine>>,
    settled: &[Whole],
) -> Vec<(ShardId, Error)> {
    let concerned: BTreeSet<_> = settled.iter().flat_map(|batch| &batch.shards[..]).collect();
    let runs = runs(settled);
    let remove = |id: &ShardId| {
        let shard = open.get(id)?;
        let mut markers = EngineBatch::default();
        for run in &runs {
            let (start, end) = (run.start.to_be_bytes(), run.end.to_be_bytes());
            markers.delete_range(shard.bookkeeping(), &start, &end);
        }
        Some((*id, shard.write(markers, Durability::Buffered).err()?))
    };
    concerned.into_iter().filter_map(remove).collect()
}

/// Returns the numbers of batches as intervals that contain no other number.
fn runs(batches: &[Whole]) -> Vec<Range<u64>> {
    let mut numbers: Vec<u64> = batches.iter().map(|batch| batch.number).collect();
    numbers.sort_unstable();
    let mut runs: Vec<Range<u64>> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some(run) if run.end == number => run.end += 1,
            _ => runs.push(number..number + 1),
        }
    }
    runs
}

#[cfg(test)]
mod tests;
