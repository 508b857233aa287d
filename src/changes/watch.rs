//! Watching: changes from now on, for those that would rather miss some than hold back the log.

use super::commit::Commit;
use super::reader::{Changes, Settings, Wakeup};
use crate::error::{ErrorKind, Result};
use crate::log::{ChangesFrom, CommitLog, Position};
use std::fmt;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// The commits from a moment on; made by [`Store::watch`](crate::Store::watch).
///
/// What has not been taken yet is in the log, of which a watch holds a bounded number of bytes. One
/// that is further behind returns that commits were dropped, and goes on at the present end.
pub struct Watch {
    log: Arc<CommitLog>,
    settings: Settings,
    changes: Changes,
}

/// What a [`Watch`] has seen.
#[derive(Debug)]
pub enum Watched {
    /// A commit.
    Commit(Commit),
    /// Commits between two positions were dropped, because the watch was too far behind. What was
    /// derived from earlier ones is to be read again from the store.
    Dropped {
        /// Up to where everything was seen.
        from: Position,
        /// From where on it goes on.
        until: Position,
    },
}

impl Watch {
    pub(crate) fn begin(log: &Arc<CommitLog>, settings: Settings) -> Result<Self> {
        let changes = Changes::begin(log, settings.clone())?;
        Ok(Self { log: Arc::clone(log), settings, changes })
    }

    /// Returns what was seen next, or `None` if there is nothing as of now.
    ///
    /// # Errors
    ///
    /// [`Closed`](ErrorKind::Closed) after everything that was written before the store was closed;
    /// [`Io`](ErrorKind::Io) and [`Damaged`](ErrorKind::Damaged) if the log cannot be read.
    pub fn try_next(&mut self) -> Result<Option<Watched>> {
        self.next_by(|changes| changes.try_next())
    }

    /// Returns what was seen next, or `None` if there is nothing until the time is up.
    ///
    /// # Errors
    ///
    /// Those of [`try_next`](Self::try_next).
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Watched>> {
        let deadline = Instant::now().checked_add(timeout);
        self.next_by(|changes| changes.next_until(deadline))
    }

    /// Arranges for a task to be woken when [`try_next`](Self::try_next), which has returned `None`,
    /// is to be called again: see [`Changes::wake_when_ready`].
    pub fn wake_when_ready(&mut self, waker: &Waker) -> Wakeup {
        self.changes.wake_when_ready(waker)
    }

    fn next_by(
        &mut self,
        next: impl Fn(&mut Changes) -> Result<Option<Commit>>,
    ) -> Result<Option<Watched>> {
        if self.changes.bytes_behind() > self.settings.hold_bytes {
            return self.drop_to_now().map(Some);
        }
        match next(&mut self.changes) {
            Err(error) if error.kind() == ErrorKind::Gone => self.drop_to_now().map(Some),
            next => Ok(next?.map(Watched::Commit)),
        }
    }

    fn drop_to_now(&mut self) -> Result<Watched> {
        let from = self.changes.watermark();
        let settings = Settings { from: ChangesFrom::Now, ..self.settings.clone() };
        self.changes = Changes::begin(&self.log, settings)?;
        Ok(Watched::Dropped { from, until: self.changes.watermark() })
    }
}

/// Waits for each commit. Ends when the store is closed.
impl Iterator for Watch {
    type Item = Result<Watched>;

    fn next(&mut self) -> Option<Result<Watched>> {
        match self.next_by(|changes| changes.next_until(None)) {
            Err(error) if error.kind() == ErrorKind::Closed => None,
            next => next.transpose(),
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("changes", &self.changes).finish_non_exhaustive()
    }
}
