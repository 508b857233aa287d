//! Holding files of the log, and deciding from where on they are held.

use super::holds::{Held, HoldLimits};
use super::missing::MissingChanges;
use super::opened::Segment;
use super::state::Inner;
use super::{ChangesFrom, Position};
use crate::error::{Error, Result};
use crate::os::failpoint;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Keeps the files of the log from a position on, within the limits, until it is dropped.
pub(crate) struct Hold {
    inner: Arc<Inner>,
    number: u64,
}

impl Hold {
    pub(super) fn advance(&self, position: u64) {
        if let Some(held) = self.inner.holds.lock().held.get_mut(&self.number) {
            held.position = held.position.max(position);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.inner.holds.lock().held.remove(&self.number);
    }
}

impl Inner {
    /// Returns where the oldest record begins that is there.
    pub(super) fn begin(&self) -> u64 {
        self.segments.lock().front().map_or(0, |oldest| oldest.first)
    }

    /// Keeps the files of the log from a position on; of which at most `most` bytes.
    pub(super) fn hold(self: &Arc<Self>, from: ChangesFrom, most: u64) -> Result<(Hold, u64)> {
        let mut holds = self.holds.lock();
        let segments = self.segments.lock();
        let begin = segments.front().map_or(0, |oldest| oldest.first);
        let position = match from {
            ChangesFrom::Now => self.applied(),
            ChangesFrom::Earliest => begin,
            ChangesFrom::Position(Position(position)) if position < begin => {
                return Err(MissingChanges::error(position, begin));
            }
            ChangesFrom::Position(Position(position)) => position,
        };
        let end = self.end.load(Ordering::Acquire);
        if position > end {
            return Err(Error::invalid(format!(
                "the log ends at position {end}, before {position}"
            )));
        }
        let number = holds.next;
        holds.next += 1;
        holds.held.insert(number, Held { position, most });
        // IMPORTANT: with the segments locked. They are freed under the same lock, after a look at
        // this, so what was there when the position was chosen is there afterwards.
        self.floor.fetch_min(position, Ordering::AcqRel);
        drop((segments, holds));
        Ok((Hold { inner: Arc::clone(self), number }, position))
    }

    /// Decides from where on files are kept: from the least of what consumers need and readers hold,
    /// within the limits. `needed` is `None` if there is no consumer.
    pub(super) fn retain(&self, needed: Option<u64>, limits: HoldLimits) {
        let holds = self.holds.lock();
        let end = self.end.load(Ordering::Acquire);
        let bound = |position: u64, most: u64| position.max(end.saturating_sub(most));
        let held = holds.held.values().map(|held| bound(held.position, held.most));
        let least = held.chain(needed).min();
        let mut floor = least.map_or(u64::MAX, |least| bound(least, limits.bytes));
        if let Some(age) = limits.age {
            floor = floor.max(self.older_than(age));
        }
        if failpoint::skip("changes-hold") {
            floor = u64::MAX;
        }
        self.floor.store(floor, Ordering::Release);
        drop(holds);
        self.do_or_wake();
    }

    /// Returns true if files stay on disk only because something holds them.
    pub(super) fn is_held(&self) -> bool {
        let boundary = self.first.load(Ordering::Acquire);
        let oldest = self.segments.lock().front().cloned();
        oldest.is_some_and(|segment| {
            self.is_released(&segment, boundary) && !self.is_freed(&segment, boundary)
        })
    }

    /// Returns a position before which all records are older: where the last segment begins that was
    /// begun before that.
    fn older_than(&self, age: Duration) -> u64 {
        let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let before = self.clock.now().millis().saturating_sub(age);
        let segments = self.segments.lock();
        let begun = |segment: &&Arc<Segment>| {
            segment.head(segment.first).is_ok_and(|mark| mark.timestamp.millis() < before)
        };
        segments.iter().take_while(begun).last().map_or(0, |segment| segment.first)
    }
}
