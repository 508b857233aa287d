//! Group commit: one thread syncs for all that wait.

use super::state::{Inner, Tail};
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
        // A mark behind the last operations need not be synced, or each sync would make work for the
        // next one.
        self.sync_all_to(position.min(self.content_end.load(Ordering::Acquire)))
    }

    /// The same, marks included.
    pub(super) fn sync_all_to(&self, position: u64) -> Result<()> {
        let is_there = || self.synced.load(Ordering::Acquire) >= position;
        if is_there() {
            return self.check();
        }
        let mut leader = self.leader.lock();
        while *leader && !is_there() {
            self.sync_done.wait(&mut leader);
        }
        // One that failed is never repeated: the kernel may have dropped what it could not write,
        // and would report success.
        self.check()?;
        if is_there() {
            return Ok(());
        }
        *leader = true;
        drop(leader);
        let _end = Leading(self);
        self.lead(Extent::All)
    }

    /// Syncs the segments that are no longer written, if no one is syncing.
    pub(super) fn sync_closed(&self) -> Result<()> {
        self.check()?;
        if self.tail.lock().unsynced.is_empty() {
            return Ok(());
        }
        let mut leader = self.leader.lock();
        if *leader {
            return Ok(());
        }
        *leader = true;
        drop(leader);
        let _end = Leading(self);
        self.lead(Extent::Closed)
    }

    fn lead(&self, extent: Extent) -> Result<()> {
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
        // The older first: what is on the disk is to be one prefix.
        for segment in &segments {
            let synced = if failpoint::fails_in(&self.place.directory, "log-sync") {
                Err(crate::error::Error::new(
                    crate::error::ErrorKind::Io,
                    "a test makes the sync fail",
                ))
            } else {
                segment.sync()
            };
            synced.map_err(|error| self.fail(error))?;
        }
        drop(segments);
        self.synced.fetch_max(target, Ordering::AcqRel);
        let mut tail = self.tail.lock();
        tail.unsynced.retain(|segment| closed.is_none_or(|closed| segment.number > closed));
        if extent == Extent::All { self.say_synced(&mut tail, target) } else { Ok(()) }
    }

    /// Syncs everything, states from where on the log is kept, and ends appending.
    pub(super) fn close(&self) -> Result<()> {
        if self.tail.lock().active.is_some() && !self.is_closed() {
            self.sync_all_to(self.content_end.load(Ordering::Acquire))?;
            self.free_segments();
            let mut tail = self.tail.lock();
            // Without room for it, the next opening replays what is in files already.
            if tail.stated_first < self.first.load(Ordering::Acquire) {
                self.mark_if_room(&mut tail)?;
            }
            let end = tail.end;
            drop(tail);
            self.sync_all_to(end)?;
        }
        let mut tail = self.tail.lock();
        tail.closed = true;
        Ok(())
    }

    fn is_closed(&self) -> bool {
        self.tail.lock().closed
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

/// Ends the leading of a thread, even if it panics.
struct Leading<'a>(&'a Inner);

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        *self.0.leader.lock() = false;
        self.0.sync_done.notify_all();
    }
}
