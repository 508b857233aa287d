//! One commit, as a feed returns it.

use super::filter::Filter;
use crate::clock::Timestamp;
use crate::log::{Change, Operations, Position, Record, changes};
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

/// What one write, swap or batch changed, as far as the feed's filter wants it: all of it together.
pub struct Commit {
    start: Position,
    end: Position,
    timestamp: Timestamp,
    payload: Box<[u8]>,
    filter: Arc<Filter>,
}

impl Commit {
    /// Returns the commit of a record, unless the filter wants nothing of it.
    pub(super) fn of(record: &Record<'_>, filter: &Arc<Filter>) -> Option<Self> {
        record.operations().any(|operation| filter.wants(&operation)).then(|| Self {
            start: record.start(),
            end: record.end(),
            timestamp: record.timestamp(),
            payload: record.payload().into(),
            filter: Arc::clone(filter),
        })
    }

    /// Returns its position. No two commits have the same, and later ones have greater ones.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.start
    }

    /// Returns where to go on after it: what a consumer commits once it has done its work for it.
    #[must_use]
    pub const fn end(&self) -> Position {
        self.end
    }

    /// Returns its timestamp, which is that of all its changes. Later commits have greater ones.
    /// Logs that earlier versions wrote have the millisecond alone: there several commits may have
    /// the same.
    #[must_use]
    pub const fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// Returns when it was written to the log, by the clock of the store; never before an earlier
    /// commit.
    #[must_use]
    pub fn time(&self) -> SystemTime {
        self.timestamp.time()
    }

    /// Returns what was changed, in order; a later change of a key wins over an earlier one.
    pub fn changes(&self) -> impl Iterator<Item = Change<'_>> {
        changes(Operations::new(&self.payload).filter(|operation| self.filter.wants(operation)))
    }
}

impl fmt::Debug for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commit")
            .field("position", &self.start)
            .field("changes", &self.changes().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
