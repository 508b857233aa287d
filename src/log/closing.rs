//! Closing: little is left, so that the next opening has little to read.

use super::state::Inner;
use crate::error::Result;
use crate::os::failpoint;
use std::sync::atomic::Ordering;

/// A segment of which less than one part in this many is used is left as it is.
const LITTLE: u64 = 64;

impl Inner {
    /// Syncs everything, states from where on the log is kept, and ends appending.
    pub(super) fn close(&self) -> Result<()> {
        if self.tail.lock().active.is_some() && !self.is_closed() {
            self.sync_all_to(self.content_end.load(Ordering::Acquire))?;
            self.keeper.closing.store(true, Ordering::Release);
            if let Err(error) = self.leave_little() {
                // The next opening has more to read, which is the only harm.
                tracing::warn!(error = format_args!("{error:#}"), "cannot make the log short");
            }
            self.free_segments();
            let mut tail = self.tail.lock();
            let states_first = tail.stated_first >= self.first.load(Ordering::Acquire);
            // A time that was shown, and that no record has, is to bound that of the next opening.
            let states_time =
                tail.timestamp >= self.clock.latest() || failpoint::skip("log-close-mark");
            let is_marked = states_first && states_time || self.mark_if_room(&mut tail)?;
            // Without room for what the mark says of the first position, the next opening replays
            // what is in files already; the time is stated, in the next segment if need be.
            if !is_marked && !states_time {
                self.switch(&mut tail, 0)?;
            }
            let end = tail.end;
            drop(tail);
            self.sync_all_to(end)?;
        }
        let mut tail = self.tail.lock();
        tail.closed = true;
        drop(tail);
        self.end_readers();
        Ok(())
    }

    fn is_closed(&self) -> bool {
        self.tail.lock().closed
    }

    /// Removes the segments that are ready for use, and begins one if nothing in the present one is
    /// needed.
    fn leave_little(&self) -> Result<()> {
        let mut tail = self.tail.lock();
        self.spares.lock().clear(&self.copies)?;
        let is_released =
            self.first.load(Ordering::Acquire) >= self.content_end.load(Ordering::Acquire);
        let used = tail.active.as_ref().map_or(0, |(segment, _)| tail.end - segment.first);
        // What is kept is read by the next opening anyway.
        if !is_released
            || self.copies.keep_bytes() > 0
            || used < self.copies.segment_bytes() / LITTLE
        {
            return Ok(());
        }
        self.switch(&mut tail, 0)?;
        let end = tail.end;
        drop(tail);
        // Only marks are between.
        self.release(end);
        Ok(())
    }
}
