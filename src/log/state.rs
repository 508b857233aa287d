//! What an open log consists of, and appending.

use super::copies::Copies;
use super::group::Group;
use super::opened::{Prepared, Segment};
use super::pins::Pins;
use super::record::{self, HEADER_BYTES, Header, Kind, MARK_BYTES};
use super::segment::CONTENT;
use super::sync_helper::SyncHelper;
use super::writer::{Failed, Writer};
use super::{CopyRepair, LogLoss, Operation};
use crate::clock::{HybridClock, Timestamp};
use crate::error::{Error, ErrorKind, Result};
use crate::os::failpoint;
use parking_lot::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// How much of a segment is ready for writing in front of the end.
pub(super) const POPULATED_AHEAD: u64 = 1 << 20;
/// How much of it is made ready at once: little, since a writer may have to wait for the processor that
/// this takes.
pub(super) const POPULATED_STEP: u64 = 64 << 10;

/// An open log. Locks are taken in the order in which they stand here.
pub(super) struct Inner {
    pub(super) copies: Copies,
    pub(super) clock: Arc<HybridClock>,
    pub(super) lost: Vec<LogLoss>,
    pub(super) repairs: Vec<CopyRepair>,
    pub(super) tail: Mutex<Tail>,
    pub(super) spares: Mutex<Spares>,
    /// The bytes of the spares, known without waiting for one that is being prepared.
    pub(super) spare_bytes: Arc<AtomicU64>,
    pub(super) holds: Mutex<super::holds::Holds>,
    /// The segments with records, in their order.
    pub(super) segments: Mutex<VecDeque<Arc<Segment>>>,
    pub(super) pins: Mutex<Pins>,
    pub(super) flight: Mutex<Flight>,
    /// Where the log ends, for readers.
    pub(super) end: AtomicU64,
    /// Where the last record with operations ends.
    pub(super) content_end: AtomicU64,
    pub(super) synced: AtomicU64,
    /// From where on records are kept.
    pub(super) first: AtomicU64,
    /// From where on files stay for readers of changes.
    pub(super) floor: AtomicU64,
    /// Where readers wait for records to be applied.
    pub(super) applied_bell: super::bell::Bell,
    /// Where they wait for records to be synced.
    pub(super) synced_bell: super::bell::Bell,
    /// The threads that need a sync.
    pub(super) group: Group,
    pub(super) failed: OnceLock<Error>,
    pub(super) keeper: super::signal::Signal,
    /// Syncs the mirror, if there is one.
    pub(super) sync_helper: SyncHelper,
    /// Dropped last: keeps the store's directory locked.
    pub(super) _guard: Option<Arc<dyn Send + Sync>>,
}

/// The end of the log, where records are appended.
pub(super) struct Tail {
    /// The segment that is written; none if the log is read-only.
    pub(super) active: Option<(Arc<Segment>, Writer)>,
    pub(super) end: u64,
    pub(super) closed: bool,
    /// The greatest position up to which a record says that the log was synced.
    pub(super) stated_synced: u64,
    /// The first position that is kept, as the last mark says.
    pub(super) stated_first: u64,
    /// That of the last record.
    pub(super) timestamp: Timestamp,
    /// Segments before the active one that are not synced yet.
    pub(super) unsynced: Vec<Arc<Segment>>,
}

impl Tail {
    /// Returns true if a record of this many bytes is copied to memory, and nothing else.
    fn has_room_in_memory(&self, bytes: u64) -> bool {
        self.active.as_ref().is_some_and(|(segment, writer)| {
            writer.is_mapped() && segment.offset(self.end) + bytes <= segment.file_bytes
        })
    }

    /// Returns true if at least half of the active segment is used.
    pub(super) fn is_half_used(&self) -> bool {
        let is_half = |(segment, _): &(Arc<Segment>, Writer)| {
            segment.offset(self.end) >= segment.file_bytes / 2
        };
        self.active.as_ref().is_some_and(is_half)
    }
}

/// Segments that are ready for use.
pub(super) struct Spares {
    pub(super) ready: VecDeque<Prepared>,
    pub(super) next_number: u64,
    pub(super) bytes: Arc<AtomicU64>,
}

impl Spares {
    pub(super) fn put(&mut self, prepared: Prepared) {
        self.next_number = prepared.number + 1;
        self.bytes.fetch_add(prepared.file_bytes, Ordering::Relaxed);
        self.ready.push_back(prepared);
    }

    fn take(&mut self) -> Option<Prepared> {
        let prepared = self.ready.pop_front()?;
        self.bytes.fetch_sub(prepared.file_bytes, Ordering::Relaxed);
        Some(prepared)
    }

    /// Removes what is ready, the last first: their numbers are for other segments.
    pub(super) fn clear(&mut self, copies: &Copies) -> Result<()> {
        while let Some(last) = self.ready.back() {
            let of_copy = |copy| last.files().find(|file| file.copy == copy);
            copies.remove(|place| of_copy(place.copy).map(|file| &*file.path))?;
            self.next_number = last.number;
            self.bytes.fetch_sub(last.file_bytes, Ordering::Relaxed);
            self.ready.pop_back();
        }
        Ok(())
    }
}

/// The records that are in the log and not applied yet.
#[derive(Default)]
pub(super) struct Flight {
    /// The number of the first entry.
    base: u64,
    /// Where each record begins, and whether it is still in flight.
    entries: VecDeque<(u64, bool)>,
}

impl Flight {
    pub(super) fn begin(&mut self, position: u64) -> u64 {
        self.entries.push_back((position, true));
        self.base + self.entries.len() as u64 - 1
    }

    pub(super) fn finish(&mut self, number: u64) {
        let index = number.saturating_sub(self.base) as usize;
        if let Some(entry) = self.entries.get_mut(index) {
            entry.1 = false;
        }
        while self.entries.front().is_some_and(|(_, in_flight)| !in_flight) {
            self.entries.pop_front();
            self.base += 1;
        }
    }

    fn oldest(&self) -> Option<u64> {
        self.entries.front().map(|(position, _)| *position)
    }
}

/// A record that was appended.
pub(super) struct Appended {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) number: u64,
}

impl Inner {
    pub(super) fn check(&self) -> Result<()> {
        self.failed.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Makes every later append and sync fail: what is on the disk is not known any more.
    pub(super) fn fail(&self, cause: Error) -> Error {
        let error = self.failed.get_or_init(|| {
            tracing::error!(error = format_args!("{cause:#}"), "the commit log has failed");
            let text =
                "the commit log has failed, so nothing is written any more; open the store again";
            Error::new(ErrorKind::Io, text).with_source(cause)
        });
        self.wake_readers();
        error.clone()
    }

    pub(super) fn applied(&self) -> u64 {
        let flight = self.flight.lock();
        // IMPORTANT: read under the lock. A record is in flight before the end includes it.
        flight.oldest().unwrap_or_else(|| self.end.load(Ordering::Acquire))
    }

    pub(super) fn append<'a>(
        &self,
        operations: impl Iterator<Item = Operation<'a>> + Clone,
    ) -> Result<Appended> {
        let bytes = Self::size(operations.clone())?;
        self.append_at(self.tail.lock(), operations, bytes)
    }

    /// The same, but returns `None` where it would have to wait: for another thread that appends, for the
    /// next segment, or for the disk, where the files are not in memory.
    pub(super) fn append_at_once<'a>(
        &self,
        operations: impl Iterator<Item = Operation<'a>> + Clone,
    ) -> Result<Option<Appended>> {
        let bytes = Self::size(operations.clone())?;
        let Some(tail) = self.tail.try_lock() else { return Ok(None) };
        if !tail.has_room_in_memory(record::padded(bytes)) {
            return Ok(None);
        }
        self.append_at(tail, operations, bytes).map(Some)
    }

    /// Returns the bytes of a record.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if it would be too large.
    pub(super) fn size<'a>(operations: impl Iterator<Item = Operation<'a>>) -> Result<u64> {
        let payload = record::payload_bytes(operations);
        let bytes = payload.saturating_add(HEADER_BYTES as u64);
        if bytes > record::BYTES_MAX {
            return Err(Error::invalid(format!(
                "a write of {bytes} bytes is too large for the log, the most is {}; divide it",
                record::BYTES_MAX
            )));
        }
        Ok(bytes)
    }

    /// Appends a record of this many bytes where the log ends.
    pub(super) fn append_at<'a>(
        &self,
        mut tail: MutexGuard<'_, Tail>,
        operations: impl Iterator<Item = Operation<'a>> + Clone,
        bytes: u64,
    ) -> Result<Appended> {
        self.check()?;
        self.make_room(&mut tail, record::padded(bytes))?;
        let (start, was_half_used) = (tail.end, tail.is_half_used());
        let header = self.header(&tail, bytes, Kind::Operations);
        self.write(&mut tail, header, |out| record::encode(operations, out))?;
        let number = self.flight.lock().begin(start);
        let (end, is_half_used) = (tail.end, tail.is_half_used());
        self.content_end.store(end, Ordering::Release);
        self.end.store(end, Ordering::Release);
        drop(tail);
        if start / POPULATED_STEP != end / POPULATED_STEP || was_half_used != is_half_used {
            self.keeper.wake();
        }
        Ok(Appended { start, end, number })
    }

    fn header(&self, tail: &Tail, bytes: u64, kind: Kind) -> Header {
        Header {
            bytes: bytes as u32,
            payload_check: 0,
            position: tail.end,
            synced: self.synced.load(Ordering::Acquire),
            // With the tail locked: the order of timestamps is that of positions.
            timestamp: self.clock.issue(),
            kind,
        }
    }

    /// Writes a record where the log ends; readers see it when the end is published.
    fn write(
        &self,
        tail: &mut Tail,
        header: Header,
        make: impl FnOnce(&mut [u8]) -> bool,
    ) -> Result<()> {
        let Some((segment, writer)) = &mut tail.active else { return Err(read_only()) };
        // A record that does not fit was not begun; one that could not be written is half there.
        let failed = writer.write(segment, header, make)?;
        if !failed.is_empty() {
            self.go_on_without(failed)?;
        }
        tail.end = header.end();
        tail.timestamp = header.timestamp;
        tail.stated_synced = tail.stated_synced.max(header.synced);
        Ok(())
    }

    /// Goes on without copies that failed. The log has failed if none is left, or if that cannot be
    /// recorded.
    #[cold]
    pub(super) fn go_on_without(&self, failed: Failed) -> Result<()> {
        self.copies.give_up(failed).map_err(|error| self.fail(error))
    }

    /// Makes the active segment one that has room for a record of this many bytes.
    fn make_room(&self, tail: &mut Tail, bytes: u64) -> Result<()> {
        if tail.closed {
            return Err(Error::new(ErrorKind::Closed, "the store is closed"));
        }
        let Some((segment, _)) = &tail.active else { return Err(read_only()) };
        if segment.offset(tail.end) + bytes <= segment.file_bytes {
            return Ok(());
        }
        self.switch(tail, bytes)
    }

    /// Begins the next segment, with room for a record of this many bytes.
    pub(super) fn switch(&self, tail: &mut Tail, bytes: u64) -> Result<()> {
        let needed = CONTENT + MARK_BYTES + bytes;
        let mut spares = self.spares.lock();
        let usual = self.copies.segment_bytes();
        let prepared = if needed <= usual {
            match spares.take() {
                Some(prepared) => prepared,
                None => self.copies.prepare(spares.next_number, usual)?,
            }
        } else {
            spares.clear(&self.copies)?;
            self.copies.prepare(spares.next_number, needed.next_multiple_of(4096))?
        };
        spares.next_number = spares.next_number.max(prepared.number + 1);
        drop(spares);
        failpoint::hit("log-switch");
        let (segment, writer) = Writer::begin(prepared, tail.end, self.copies.current());
        if let Some((before, _)) = tail.active.replace((Arc::clone(&segment), writer)) {
            before.set_end(tail.end);
            tail.unsynced.push(before);
        }
        self.segments.lock().push_back(segment);
        self.mark(tail)?;
        self.keeper.wake();
        Ok(())
    }

    /// Appends a mark, for which there must be room.
    fn mark(&self, tail: &mut Tail) -> Result<()> {
        let first = self.first.load(Ordering::Acquire);
        let header = self.header(tail, MARK_BYTES, Kind::Mark);
        self.write(tail, header, |out| {
            out.copy_from_slice(&first.to_le_bytes());
            true
        })?;
        tail.stated_first = first;
        self.end.store(tail.end, Ordering::Release);
        Ok(())
    }

    /// Appends a mark if one fits into the active segment; returns whether it does.
    pub(super) fn mark_if_room(&self, tail: &mut Tail) -> Result<bool> {
        let Some((segment, _)) = &tail.active else { return Ok(false) };
        if tail.closed || segment.offset(tail.end) + MARK_BYTES > segment.file_bytes {
            return Ok(false);
        }
        self.mark(tail)?;
        Ok(true)
    }

    /// Returns the bytes of each copy that is written.
    pub(super) fn bytes_of_copy(&self) -> u64 {
        let spare = self.spare_bytes.load(Ordering::Relaxed);
        spare + self.segments.lock().iter().map(|segment| segment.file_bytes).sum::<u64>()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes_of_copy() * self.copies.places().count() as u64
    }
}

fn read_only() -> Error {
    Error::new(ErrorKind::ReadOnly, "the store was opened read-only; open it for writing")
}
