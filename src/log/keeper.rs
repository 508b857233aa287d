//! The thread that prepares segments ahead, frees released ones, and syncs closed ones.
//!
//! Where it cannot be started, appending prepares segments, and releasing frees them.

use super::opened::{Segment, SegmentFile};
use super::state::{Inner, POPULATED_AHEAD, POPULATED_STEP};
use crate::error::{Error, Result};
use crate::os::failpoint;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{Builder, JoinHandle};

/// How many segments are kept ready: the rest of what is released is deleted.
const SPARES_MAX: usize = 2;

/// The pages that were made present last: those of a segment up to an offset, since a sync.
#[derive(Default)]
struct Populated {
    segment: u64,
    until: u64,
    synced: u64,
}

/// Starts the keeper, if a thread can be started.
pub(super) fn start(inner: &Arc<Inner>) -> Option<JoinHandle<()>> {
    if failpoint::fails("thread") {
        return None;
    }
    inner.keeper.running.store(true, Ordering::Release);
    let of_thread = Arc::clone(inner);
    let started = Builder::new().name("annulus-log".into()).spawn(move || {
        let mut populated = Populated::default();
        while of_thread.keeper.next() {
            of_thread.prepare_ahead();
            of_thread.populate(&mut populated);
            // A failure is met by who writes next.
            let _ = of_thread.sync_closed();
            of_thread.free_segments();
        }
        of_thread.keeper.running.store(false, Ordering::Release);
    });
    if started.is_err() {
        inner.keeper.running.store(false, Ordering::Release);
    }
    inner.keeper.wake();
    started.ok()
}

impl Inner {
    /// Has one segment ready once half of the present one is used: a store that is opened and
    /// little written to has none to make, nor to remove. What does not succeed here, a full disk
    /// above all, is met by the append that needs the segment.
    fn prepare_ahead(&self) {
        if !self.tail.lock().is_half_used() {
            return;
        }
        let mut spares = self.spares.lock();
        if !spares.ready.is_empty() || self.failed.get().is_some() {
            return;
        }
        match self.copies.prepare_ahead(spares.next_number, self.copies.segment_bytes()) {
            Ok(prepared) => spares.put(prepared),
            Err(error) => tracing::warn!(
                error = format_args!("{error:#}"),
                "cannot prepare the log's next segment"
            ),
        }
    }

    /// Makes the pages in front of the end present, if what is appended is not synced soon: a page
    /// that is present is dirty, and each sync writes it. It is called once for each step by which
    /// the end moves, and takes two, until as much is present as there should be.
    fn populate(&self, populated: &mut Populated) {
        let tail = self.tail.lock();
        let Some((segment, _)) = &tail.active else { return };
        let (segment, end) = (Arc::clone(segment), tail.end);
        drop(tail);
        let synced = self.synced.load(Ordering::Acquire);
        if end.saturating_sub(synced) < POPULATED_AHEAD {
            return;
        }
        let at = segment.offset(end).next_multiple_of(4096);
        // A sync takes them away again: their next change is met by the kernel.
        let is_so_far = (populated.segment, populated.synced) == (segment.number, synced);
        let from = if is_so_far { at.max(populated.until) } else { at };
        let until = (at + POPULATED_AHEAD).min(from + 2 * POPULATED_STEP).min(segment.file_bytes);
        let until = until / 4096 * 4096;
        let (file, twin) = segment.files();
        let files = std::iter::once(file).chain(twin).filter(|file| segment.is_current(file));
        for map in files.filter_map(SegmentFile::mapping).filter(|_| from < until) {
            map.populate(from as usize..until as usize);
            *populated = Populated { segment: segment.number, until, synced };
        }
    }

    /// Returns true if a segment holds nothing from a position on, nor is among the bytes before it
    /// that are kept all the same.
    pub(super) fn is_released(&self, segment: &Segment, boundary: u64) -> bool {
        segment.end().saturating_add(self.copies.keep_bytes()) <= boundary
    }

    /// Returns true if that is so, and no reader of changes holds the segment.
    pub(super) fn is_freed(&self, segment: &Segment, boundary: u64) -> bool {
        self.is_released(segment, boundary) && segment.end() <= self.floor.load(Ordering::Acquire)
    }

    /// Recycles or deletes the segments that hold nothing that is kept.
    pub(super) fn free_segments(&self) {
        let _alone = self.keeper.freeing.lock();
        if let Err(error) = self.try_free_segments() {
            tracing::warn!(error = format_args!("{error:#}"), "cannot free segments of the log");
        }
    }

    fn try_free_segments(&self) -> Result<()> {
        let boundary = self.first.load(Ordering::Acquire);
        let is_freed = |segment: &Arc<Segment>| self.is_freed(segment, boundary);
        if !self.segments.lock().front().is_some_and(is_freed) {
            return Ok(());
        }
        self.check()?;
        if !self.say_first(boundary)? {
            return Ok(());
        }
        loop {
            let mut segments = self.segments.lock();
            if !segments.front().is_some_and(is_freed) {
                return Ok(());
            }
            let Some(segment) = segments.pop_front() else { return Ok(()) };
            drop(segments);
            failpoint::hit("log-free");
            if let Err((segment, error)) = self.free(segment) {
                // IMPORTANT: it stays the first, and is tried again. If later ones went before it,
                // an opening would find a gap.
                self.segments.lock().push_front(segment);
                return Err(error);
            }
        }
    }

    /// Makes the log say, on the disk, that it is kept from a position on: so an opening misses a
    /// segment that something else has removed, and none that was freed. The position after it,
    /// where the log now begins, is on the disk with it. Returns false if the log is closed and
    /// does not say it: a pin may be dropped later than that.
    fn say_first(&self, boundary: u64) -> Result<bool> {
        let mut tail = self.tail.lock();
        if tail.stated_first < boundary && !self.mark_if_room(&mut tail)? {
            if tail.closed {
                return Ok(false);
            }
            self.switch(&mut tail, 0)?;
        }
        let end = tail.end;
        drop(tail);
        self.sync_all_to(end)?;
        Ok(true)
    }

    fn free(&self, segment: Arc<Segment>) -> Result<(), (Arc<Segment>, Error)> {
        let mut spares = self.spares.lock();
        let wanted = !self.keeper.closing.load(Ordering::Acquire)
            && segment.file_bytes == self.copies.segment_bytes()
            && spares.ready.len() < SPARES_MAX
            && Arc::strong_count(&segment) == 1;
        if wanted {
            let number = spares.next_number;
            if let Err(error) = self.copies.withdraw(&segment, number) {
                return Err((segment, error));
            }
            match self.copies.recycle(number, segment) {
                Ok(prepared) => spares.put(prepared),
                Err(error) => tracing::warn!(
                    error = format_args!("{error:#}"),
                    "cannot use a segment of the log again"
                ),
            }
            return Ok(());
        }
        drop(spares);
        let of_copy = |copy| segment.file_of(copy).map(|file| &*file.path);
        let removed = self.copies.remove(|place| of_copy(place.copy));
        removed.map_err(|error| (segment, error))
    }
}
