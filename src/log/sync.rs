//! Group commit: one thread syncs for all that wait.

use super::copy_set::CopyNumber;
use super::group::Leadership;
use super::opened::{Segment, sync_copy};
use super::state::{Inner, Tail};
use super::writer::Failed;
use crate::error::Result;
use crate::os::failpoint;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What is synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Everything that is in the log.
    All,
    /// The segments that are no longer written.
    Closed,
}

impl Inner {
    /// Returns when everything before a position is on the disk, of what has operations.
    pub(super) fn sync_to(&self, position: u64) -> Result<()> {
        // A mark after the last operations need not be synced, or each sync would make work for
        // the next one.
        self.sync_all_to(position.min(self.content_end.load(Ordering::Acquire)))
    }

    /// The same, marks included.
    pub(super) fn sync_all_to(&self, position: u64) -> Result<()> {
        let is_there = || self.synced.load(Ordering::Acquire) >= position;
        if is_there() {
            return self.check();
        }
        let leadership = self.group.enter(position, is_there);
        // A sync that failed is never repeated: the kernel may have dropped what it could not write,
        // and would report success.
        self.check()?;
        let Some(mut leadership) = leadership else { return Ok(()) };
        leadership.gather();
        self.lead(Extent::All, leadership)
    }

    /// Syncs the segments that are no longer written, if no one is syncing.
    pub(super) fn sync_closed(&self) -> Result<()> {
        self.check()?;
        if self.tail.lock().unsynced.is_empty() {
            return Ok(());
        }
        match self.group.try_lead() {
            Some(leadership) => self.lead(Extent::Closed, leadership),
            None => Ok(()),
        }
    }

    fn lead(&self, extent: Extent, mut leadership: Leadership<'_>) -> Result<()> {
        let tail = self.tail.lock();
        let mut segments = tail.unsynced.clone();
        let closed = segments.last().map(|last| last.number);
        let Some((active, _)) = &tail.active else { return Ok(()) };
        let target = match extent {
            Extent::All => {
                segments.push(Arc::clone(active));
                tail.end
            }
            Extent::Closed => active.first,
        };
        drop(tail);
        failpoint::hit("log-sync");
        self.sync_copies(segments)?;
        self.synced.fetch_max(target, Ordering::AcqRel);
        leadership.synced(target);
        std::sync::atomic::fence(Ordering::SeqCst);
        self.synced_bell.ring();
        drop(leadership);
        let mut tail = self.tail.lock();
        tail.unsynced.retain(|segment| closed.is_none_or(|closed| segment.number > closed));
        if extent == Extent::All { self.say_synced(&mut tail, target) } else { Ok(()) }
    }

    /// Syncs segments in all copies, at the same time if a thread helps. A copy for which it fails
    /// is given up, as long as it succeeds for another one.
    fn sync_copies(&self, segments: Vec<Arc<Segment>>) -> Result<()> {
        let copies: Vec<CopyNumber> = self.copies.places().map(|place| place.copy).collect();
        let mut failed = Failed::new();
        if let [first, second] = copies[..] {
            let helped = self.sync_helper.begin(segments.clone(), second);
            let synced = sync_copy(&segments, first);
            let other = if helped { self.sync_helper.end() } else { sync_copy(&segments, second) };
            failed.extend(synced.err().map(|error| (first, error)));
            failed.extend(other.err().map(|error| (second, error)));
        } else if let Some(copy) = copies.first() {
            failed.extend(sync_copy(&segments, *copy).err().map(|error| (*copy, error)));
        }
        if failed.is_empty() { Ok(()) } else { self.go_on_without(failed) }
    }

    /// Appends a mark that says how far the log is synced, unless a record says so: the evidence by
    /// which the next opening tells damage from a torn end.
    pub(super) fn say_synced(&self, tail: &mut Tail, synced: u64) -> Result<()> {
        if tail.stated_synced < synced && !failpoint::skip("log-mark") {
            self.mark_if_room(tail)?;
        }
        Ok(())
    }
}
