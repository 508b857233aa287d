//! Reading changes in the order of the log, and waiting for more.
//!
//! What is returned has been applied, so an application that acts on it finds at least that in the
//! store; and, by default, it is on the disk. A store whose writers do not sync is synced by its
//! readers: one that has waited a little for others to do it syncs the log itself.

use super::commit::Commit;
use super::filter::Filter;
use super::pace::{Pace, SyncPace};
use crate::engine::Durability;
use crate::error::{Error, ErrorKind, Result};
use crate::log::{ChangesFrom, CommitLog, Position, Reader};
use crate::os::failpoint;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};

/// Reading the clock costs about as much as a record, so a reader that has a deadline looks at it once
/// in this many records that its filter does not want.
const RECORDS_PER_CLOCK: u32 = 64;

/// What is to be read, and how.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) from: ChangesFrom,
    pub(crate) filter: Filter,
    pub(crate) durability: Durability,
    pub(crate) sync_after: Duration,
    /// How many bytes before its end the reader may hold of the log.
    pub(crate) hold_bytes: u64,
}

/// The commits of a store, one after the other. Made by [`Store::changes`](crate::Store::changes) and
/// by [`Consumer::changes`](crate::Consumer::changes).
///
/// As an [`Iterator`] it waits for more, and ends when the store is closed. It keeps the directory of
/// the store locked as long as it is there.
pub struct Changes {
    log: Arc<CommitLog>,
    reader: Reader,
    filter: Arc<Filter>,
    durability: Durability,
    sync_after: Duration,
    /// Up to where it was known, when it was asked last, that records may be returned.
    published: Position,
    /// Since when there has been something that only a sync would publish.
    unsynced_since: Option<Instant>,
    watermark: Position,
    /// What there was to wait for when there was nothing to return.
    awaited: Awaited,
    /// By which the log knows it, once a task was to be woken.
    number: Option<u64>,
    pace: Pace,
    syncs: SyncPace,
    /// True if its task is to be woken since it has last found nothing.
    may_be_woken: bool,
}

/// The numbers of readers that wait as tasks.
static READERS: AtomicU64 = AtomicU64::new(0);

impl Changes {
    pub(crate) fn begin(log: &Arc<CommitLog>, settings: Settings) -> Result<Self> {
        let Settings { from, filter, durability, sync_after, hold_bytes } = settings;
        let reader = log.read_changes(from, hold_bytes)?;
        let begin = reader.position();
        Ok(Self {
            log: Arc::clone(log),
            reader,
            filter: Arc::new(filter),
            durability,
            sync_after,
            published: begin,
            unsynced_since: None,
            watermark: begin,
            awaited: Awaited::Nothing,
            number: None,
            pace: Pace::default(),
            syncs: SyncPace::default(),
            may_be_woken: false,
        })
    }

    /// Returns up to where everything was seen: returned, or not wanted by the filter. A reader
    /// that begins there misses nothing and gets nothing twice. A consumer whose filter seldom wants
    /// anything commits this, or the log would be kept for it.
    #[must_use]
    pub const fn watermark(&self) -> Position {
        self.watermark
    }

    /// Returns the bytes of the log between the [watermark](Self::watermark) and its end.
    #[must_use]
    pub fn bytes_behind(&self) -> u64 {
        self.log.end().get().saturating_sub(self.watermark.get())
    }

    /// Returns the next commit, or `None` if there is none as of now. Does not wait, except for a sync
    /// of the log where commits have been waiting for one.
    ///
    /// # Errors
    ///
    /// [`Gone`](ErrorKind::Gone) if the log was released up to a later position, which
    /// [`MissingChanges::of`](super::MissingChanges::of) tells; [`Closed`](ErrorKind::Closed) after
    /// everything that was written before the store was closed;
    /// [`Io`](ErrorKind::Io) if the log cannot be read or synced;
    /// [`Damaged`](ErrorKind::Damaged), with file and offset.
    pub fn try_next(&mut self) -> Result<Option<Commit>> {
        self.may_be_woken = false;
        loop {
            if let Found::Commit(commit) = self.next_published(None)? {
                return Ok(Some(commit));
            }
            self.awaited = self.publish()?;
            if self.awaited != Awaited::Nothing {
                return Ok(None);
            }
        }
    }

    /// Arranges for a task to be woken when [`try_next`](Self::try_next), which has returned `None`,
    /// is to be called again: because there may be more, or an error. For asynchronous runtimes: it
    /// does not wait, and reads nothing.
    ///
    /// A later call replaces the waker. The task may be woken where there is nothing after all. While
    /// commits come without a pause it is woken about a thousand times a second, and finds all that have
    /// come meanwhile.
    ///
    /// ```
    /// # use annulus::{Store, changes::Wakeup, topology::KeyspaceSpec};
    /// # use std::task::Waker;
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// let users = store.create_keyspace("users", KeyspaceSpec::hash())?;
    /// let mut changes = store.changes().open()?;
    /// assert!(changes.try_next()?.is_none());
    /// assert_eq!(changes.wake_when_ready(Waker::noop()), Wakeup::Registered { due: None });
    /// users.put("ada", "countess")?;
    /// assert_eq!(changes.wake_when_ready(Waker::noop()), Wakeup::Ready);
    /// # Ok(())
    /// # }
    /// ```
    pub fn wake_when_ready(&mut self, waker: &Waker) -> Wakeup {
        let number = || READERS.fetch_add(1, Ordering::Relaxed);
        let number = *self.number.get_or_insert_with(number);
        let (is_ready, due) = match self.awaited {
            Awaited::Nothing => (true, None),
            Awaited::Applied(beyond) => match self.pause_once() {
                None => (self.log.wake_applied(beyond, number, waker), None),
                pause => (false, pause),
            },
            Awaited::Synced(due) => (self.log.wake_synced(self.published, number, waker), due),
        };
        if is_ready { Wakeup::Ready } else { Wakeup::Registered { due } }
    }

    /// Returns the next commit, or `None` if there is none until the time is up.
    ///
    /// # Errors
    ///
    /// Those of [`try_next`](Self::try_next).
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Commit>> {
        self.next_until(Instant::now().checked_add(timeout))
    }

    /// Returns the next commit, or `None` if a moment comes before it.
    pub(super) fn next_until(&mut self, deadline: Option<Instant>) -> Result<Option<Commit>> {
        loop {
            match self.next_published(deadline)? {
                Found::Commit(commit) => return Ok(Some(commit)),
                Found::TimeIsUp => return Ok(None),
                Found::End => {}
            }
            match self.publish()? {
                Awaited::Nothing => continue,
                _ if is_past(deadline) => return Ok(None),
                Awaited::Applied(beyond) => match self.pause() {
                    None => self.log.wait_applied(beyond, deadline),
                    Some(pause) => sleep_until(deadline.map_or(pause, |at| at.min(pause))),
                },
                Awaited::Synced(due) => {
                    let until = due.into_iter().chain(deadline).min();
                    self.log.wait_synced(self.published, until);
                }
            }
        }
    }

    /// Returns until when it is to pause, rather than have the next writer wake it.
    fn pause(&mut self) -> Option<Instant> {
        self.pace.pause(Instant::now()).filter(|_| !failpoint::skip("changes-pace"))
    }

    /// The same for a task, which may ask several times before it is woken.
    fn pause_once(&mut self) -> Option<Instant> {
        let pause = if self.may_be_woken { None } else { self.pause() };
        self.may_be_woken = pause.is_none();
        pause
    }

    /// Returns the next commit of what is known to be published.
    fn next_published(&mut self, deadline: Option<Instant>) -> Result<Found> {
        let mut until_clock = RECORDS_PER_CLOCK;
        while let Some(record) = self.reader.next_before(self.published)? {
            let commit = Commit::of(&record, &self.filter);
            // Behind the last commits of consumers it stays where it is: if each of them moved it,
            // consumers without work would commit for ever.
            if !record.operations().all(|operation| self.filter.is_own(&operation)) {
                self.watermark = record.end();
            }
            if let Some(commit) = commit {
                return Ok(Found::Commit(commit));
            }
            until_clock -= 1;
            if until_clock == 0 {
                until_clock = RECORDS_PER_CLOCK;
                if is_past(deadline) {
                    return Ok(Found::TimeIsUp);
                }
            }
        }
        Ok(Found::End)
    }

    /// Finds out how far records may be returned, and what is to be awaited if that is no further than
    /// before. Syncs what has waited long enough for others to do it.
    fn publish(&mut self) -> Result<Awaited> {
        // IMPORTANT: before it is asked how far the log has come. What was published before it ended, or
        // failed, is returned first.
        let (check, is_over) = (self.log.check(), self.log.is_over());
        let progress = self.log.progress();
        let published = match self.durability {
            Durability::Synced => progress.synced,
            Durability::Buffered => progress.applied,
        };
        if published > self.published {
            self.published = published;
            self.unsynced_since = None;
            return Ok(Awaited::Nothing);
        }
        check?;
        if self.durability == Durability::Buffered || !progress.unsynced {
            if is_over {
                let text = "the store is closed: no more changes come";
                return Err(Error::new(ErrorKind::Closed, text));
            }
            self.unsynced_since = None;
            return Ok(Awaited::Applied(progress.applied));
        }
        let now = Instant::now();
        let since = *self.unsynced_since.get_or_insert(now);
        let due = self.syncs.due(since, self.sync_after);
        if !is_over && due.is_none_or(|due| now < due) {
            return Ok(Awaited::Synced(due));
        }
        self.unsynced_since = None;
        self.log.sync_to(progress.applied)?;
        self.syncs.note(now, Instant::now(), self.sync_after);
        Ok(Awaited::Nothing)
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.log.forget_reader(number);
        }
    }
}

/// What [`Changes::wake_when_ready`] has arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wakeup {
    /// Nothing: there may be more already.
    Ready,
    /// The task is woken.
    Registered {
        /// The moment at which to ask it again, if the task was not woken before: it syncs then what
        /// others have not, or was woken so often that it is not woken before that moment.
        due: Option<Instant>,
    },
}

/// What a reader has come to.
enum Found {
    Commit(Commit),
    /// The end of what is published.
    End,
    TimeIsUp,
}

/// What a reader waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    /// There may be more.
    Nothing,
    /// That something beyond a position is applied.
    Applied(Position),
    /// That others sync what is applied; until a moment, at which the reader does.
    Synced(Option<Instant>),
}

fn sleep_until(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(Instant::now()));
}

fn is_past(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| Instant::now() >= deadline)
}

/// Waits for each commit. Ends when the store is closed.
impl Iterator for Changes {
    type Item = Result<Commit>;

    fn next(&mut self) -> Option<Result<Commit>> {
        match self.next_until(None) {
            Err(error) if error.kind() == ErrorKind::Closed => None,
            next => next.transpose(),
        }
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").field("watermark", &self.watermark).finish_non_exhaustive()
    }
}
