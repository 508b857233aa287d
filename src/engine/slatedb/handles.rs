//! Handles of an open database: what is held of a shard after the shard itself is gone.

use super::error::{failed, unavailable};
use super::guarded::Guarded;
use super::names::Prefix;
use super::place::ObjectPlace;
use super::threads::Task;
use crate::engine::LockGuard;
use crate::error::{Error, ErrorKind, Result};
use crate::topology::PartitionName;
use parking_lot::Mutex;
use slatedb::config::CloseOptions;
use slatedb::{Db, DbSnapshot, DbStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch::Receiver;

/// How long the end of a database is waited for.
const CLOSE_MAX: Duration = Duration::from_secs(20);

/// An open database. It is closed, without a flush, when its last handle goes: what is in memory
/// only is in the log.
pub(crate) struct OpenDb {
    pub(super) db: Db,
    pub(super) place: ObjectPlace,
    pub(super) guarded: Arc<Guarded>,
    pub(super) status: Receiver<DbStatus>,
    /// Takes partitions that are not needed any more.
    pub(super) drained: UnboundedSender<PartitionName>,
    /// Removes their tables.
    pub(super) drainer: Mutex<Option<Task>>,
    /// True if everything at the place is to be removed.
    pub(super) is_retired: AtomicBool,
    /// How long a call waits for the object store, in milliseconds.
    pub(super) unavailable_after: AtomicU64,
    pub(super) _keep: LockGuard,
}

impl OpenDb {
    /// Returns the number of the last write that is in tables.
    pub(super) fn flushed(&self) -> u64 {
        self.status.borrow().durable_seq
    }

    /// Waits for SlateDB: until a deadline of the caller's, and no longer than the object store may
    /// take.
    ///
    /// # Errors
    ///
    /// `DeadlineExceeded`; `Unavailable`; those of SlateDB.
    pub(super) fn wait<T>(
        &self,
        doing: &str,
        deadline: Option<Instant>,
        work: impl Future<Output = std::result::Result<T, slatedb::Error>>,
    ) -> Result<T> {
        let most = Duration::from_millis(self.unavailable_after.load(Ordering::Relaxed));
        let latest = Instant::now() + most;
        let until = deadline.map_or(latest, |deadline| deadline.min(latest));
        let doing = format_args!("{doing} at {}", self.place);
        match self.place.threads.wait(Some(until), work) {
            Some(done) => done.map_err(|error| failed(doing, error)),
            None if deadline.is_some_and(|deadline| deadline <= latest) => Err(Error::new(
                ErrorKind::DeadlineExceeded,
                format!("{doing} had not ended by its deadline"),
            )),
            None => Err(unavailable(doing, most.as_secs())),
        }
    }
}

impl Drop for OpenDb {
    fn drop(&mut self) {
        self.drainer.get_mut().take();
        self.guarded.close();
        let without_flush = CloseOptions::default().with_flush_type(None);
        let closing = self.db.close_with_options(without_flush);
        let closed = self.place.threads.wait(Some(Instant::now() + CLOSE_MAX), closing);
        match closed {
            Some(Ok(())) => {}
            // Of one that has ended by an error; its caller has got it then.
            Some(Err(error)) => tracing::debug!(%error, place = %self.place, "closed"),
            None => tracing::warn!(place = %self.place, "a shard's database takes long to close"),
        }
        if self.is_retired.load(Ordering::Acquire)
            && let Err(error) = self.place.remove()
        {
            tracing::warn!(
                error = format_args!("{error:#}"),
                "left objects of a removed shard, which the next opening removes"
            );
        }
    }
}

/// A partition of a database that it keeps open. After it was dropped from the shard its rows stay
/// until the last handle goes.
pub(crate) struct Partition {
    pub(super) name: PartitionName,
    pub(super) prefix: Prefix,
    pub(super) in_memory: Mutex<InMemory>,
    pub(super) is_dropped: AtomicBool,
    pub(super) open: Arc<OpenDb>,
}

impl Partition {
    pub(super) fn new(name: PartitionName, open: &Arc<OpenDb>) -> Arc<Self> {
        Arc::new(Self {
            name,
            prefix: Prefix::of(name),
            in_memory: Mutex::default(),
            is_dropped: AtomicBool::new(false),
            open: Arc::clone(open),
        })
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        if *self.is_dropped.get_mut() {
            // If the shard is closing, the next opening removes it.
            let _ = self.open.drained.send(self.name);
        }
    }
}

/// About how many bytes of a partition are in memory only: of the last memtable, and of what has
/// been written since.
#[derive(Debug, Default)]
pub(super) struct InMemory {
    recent: u64,
    sealed: u64,
    /// The number of the last write of each.
    last: u64,
    sealed_last: u64,
}

impl InMemory {
    /// Notes a write by its number; what is in tables up to `flushed` no longer counts.
    pub(super) fn add(&mut self, bytes: u64, write: u64, flushed: u64) {
        self.bytes(flushed);
        self.recent += bytes;
        self.last = self.last.max(write);
    }

    /// Returns about how many bytes are in memory only.
    pub(super) fn bytes(&mut self, flushed: u64) -> u64 {
        if flushed >= self.sealed_last {
            (self.sealed, self.sealed_last) = (self.recent, self.last);
            self.recent = 0;
            if flushed >= self.sealed_last {
                self.sealed = 0;
            }
        }
        self.sealed + self.recent
    }
}

/// A snapshot of a database that it keeps open.
pub(crate) struct Snapshot {
    pub(super) inner: Arc<DbSnapshot>,
    pub(super) _open: Arc<OpenDb>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_flushed_is_not_in_memory() {
        let mut in_memory = InMemory::default();
        in_memory.add(10, 1, 0);
        in_memory.add(10, 2, 0);
        assert_eq!(in_memory.bytes(0), 20);
        // Up to the second write: the first two.
        in_memory.add(5, 3, 0);
        assert_eq!(in_memory.bytes(2), 25, "those that were noted together go together");
        assert_eq!(in_memory.bytes(3), 0);
        in_memory.add(7, 4, 3);
        assert_eq!(in_memory.bytes(3), 7);
        assert_eq!(in_memory.bytes(4), 0);
    }
}
