//! Handles whose calls give up at a deadline, and what they say of it.
//!
//! Before a write is in the log, all that it waits for can be given up: the commit gate, stripes, room in
//! memory. From then on it cannot; so a write that is to be synced, which may take as long as the disk
//! of the log does, is made on a [helping thread](crate::os::helpers), and only the caller gives up. Reads
//! that memory cannot answer are made on threads of their shard for the same reason.

use super::core::Core;
use super::{Keyspace, Store};
use crate::catalog::Catalog;
use crate::engine::{Engine as _, ShardEngine};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ShardId;
use crate::os::helpers::Late;
use crate::write::Claim;
use std::sync::Arc;
use std::time::{Duration, Instant};

impl Store {
    /// Returns a handle of the same store whose calls give up at a deadline: batches, snapshots,
    /// transactions with what they do, [`sync`](Self::sync), [`flush`](Self::flush) and
    /// [`close`](Self::close). Other calls of it are those of this handle; keyspaces have
    /// [a deadline of their own](Keyspace::with_deadline).
    ///
    /// A call that is late returns [`DeadlineExceeded`](ErrorKind::DeadlineExceeded) with what it has waited
    /// for, and on which shard, if nothing was done; a write that is in the log and waits for a sync
    /// returns [`InDoubt`](ErrorKind::InDoubt): it may still take effect. A sync, a flush or a close that has
    /// begun goes on, and does no harm.
    ///
    /// Cost: nothing for what does not wait; for a `Synced` write, and for `sync`, `flush` and `close`, a
    /// handover to another thread and back, some ten microseconds.
    ///
    /// ```
    /// # use annulus::{Batch, Store, topology::KeyspaceSpec};
    /// # use std::time::{Duration, Instant};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// # let users = store.create_keyspace("users", KeyspaceSpec::hash())?;
    /// let request = Instant::now() + Duration::from_millis(500);
    /// let (store, users) = (store.with_deadline(request), users.with_deadline(request));
    /// let mut batch = Batch::new();
    /// batch.put(&users, "ada", "countess");
    /// store.write(batch)?;
    /// assert!(users.get("ada")?.is_some());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_deadline(&self, deadline: Instant) -> Self {
        Self { deadline: Some(deadline), ..self.clone() }
    }

    /// Returns a handle of the same store whose calls give up after a time, which begins now: see
    /// [`with_deadline`](Self::with_deadline).
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { deadline: Instant::now().checked_add(timeout), ..self.clone() }
    }
}

impl Keyspace {
    /// Returns a handle of the same keyspace whose reads and writes give up at a deadline: an instant, not
    /// a time for each of them, so that a request that consists of several has one.
    ///
    /// A write that is late returns [`DeadlineExceeded`](ErrorKind::DeadlineExceeded) if nothing was
    /// written, with what it has waited for, and on which shard; [`InDoubt`](ErrorKind::InDoubt) if it is
    /// in the log and waits for a sync: it may still take effect. The function of an
    /// [update](Self::update) is not interrupted, nor is the sync after it. A read whose shard does not
    /// answer returns `DeadlineExceeded` with the shard. A [scan](Self::scan) gives up in between rows; the
    /// read of one that hangs is waited for.
    ///
    /// Cost: nothing for writes that are `Buffered` and for reads that memory answers; for others a
    /// handover to another thread and back, some ten microseconds.
    ///
    /// ```
    /// # use annulus::{ErrorKind, Store, topology::KeyspaceSpec};
    /// # use std::time::{Duration, Instant};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// # let users = store.create_keyspace("users", KeyspaceSpec::hash())?;
    /// let in_time = users.with_deadline(Instant::now() + Duration::from_secs(1));
    /// in_time.put("ada", "countess")?;
    /// assert!(in_time.get("ada")?.is_some());
    ///
    /// let late = users.with_deadline(Instant::now());
    /// let error = late.scan(..).err().unwrap();
    /// assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_deadline(&self, deadline: Instant) -> Self {
        self.with(Some(deadline))
    }

    /// Returns a handle of the same keyspace whose reads and writes give up after a time, which begins
    /// now: see [`with_deadline`](Self::with_deadline).
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        self.with(Instant::now().checked_add(timeout))
    }
}

impl Core {
    /// Makes a write that is to be synced on a helping thread, and gives up at a deadline.
    pub(super) fn write_by<T: Send + 'static>(
        &self,
        deadline: Instant,
        claim: &Claim,
        write: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        // IMPORTANT: a thread that excludes others passes the gate, and no helper of it does.
        if self.catalog.gate.is_mine() {
            return write();
        }
        self.helpers.by(deadline, write).unwrap_or_else(|late| {
            let is_in_doubt = late == Late::GoesOn && !claim.give_up();
            Err(self.late_write(is_in_doubt))
        })
    }

    #[cold]
    fn late_write(&self, is_in_doubt: bool) -> Error {
        let log = self.log_place();
        if !is_in_doubt {
            let waits = waits(&self.catalog);
            let others = format!("others{waits}, or for a sync of the log {log}");
            return late_error(format_args!("{others}; nothing was written"));
        }
        Error::new(
            ErrorKind::InDoubt,
            format!(
                "the deadline has passed while the write waited for a sync of the log {log}; it goes on, \
                 and may still take effect; until then writes of its keys wait"
            ),
        )
    }

    /// Does something that may be done any number of times on a helping thread, and gives up at a
    /// deadline. It goes on then.
    pub(super) fn work_by<T: Send + 'static>(
        &self,
        deadline: Instant,
        what: &str,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.helpers.by(deadline, work).unwrap_or_else(|late| {
            let goes_on = if late == Late::GoesOn { "it goes on" } else { "it was not begun" };
            let (waits, log) = (waits(&self.catalog), self.log_place());
            Err(late_error(format!("{what}{waits}; {goes_on} (the log is {log})")))
        })
    }

    /// Flushes all shards at the same time, and gives up at a deadline. What has begun goes on; a flush
    /// that hangs keeps no other shard from its own.
    pub(super) fn flush_by(&self, deadline: Instant) -> Result<()> {
        let shards = self.catalog.shards();
        let begin = |(id, shard): (&ShardId, &Arc<ShardEngine>)| {
            let flushed = Arc::clone(shard);
            (*id, shard.helpers().begin(move || flushed.flush()))
        };
        let begun: Vec<_> = shards.iter().map(begin).collect();
        let (mut failed, mut late) = (Ok(()), Vec::new());
        for (id, flush) in begun {
            match flush.wait(deadline) {
                Ok(flushed) => failed = failed.and(flushed),
                Err(_) => late.push(id.to_string()),
            }
        }
        if late.is_empty() {
            return failed;
        }
        let late = late.join(", ");
        Err(late_error(format!(
            "the flush of shard {late}; it goes on, and the others are flushed"
        )))
    }

    fn log_place(&self) -> String {
        let copies = self.catalog.log.copies().into_iter().filter(|copy| copy.failure.is_none());
        let places: Vec<_> = copies.map(|copy| copy.directory.display().to_string()).collect();
        format!("in {}", places.join(" and "))
    }
}

/// Names the shards that writes wait for, if there are any, as the end of a sentence.
pub(super) fn waits(catalog: &Catalog) -> String {
    let shards = catalog.shards();
    let stalled = shards.iter().filter(|(_, shard)| shard.is_stalled());
    let stalled: Vec<_> = stalled.map(|(id, _)| id.to_string()).collect();
    match stalled.is_empty() {
        true => String::new(),
        false => format!(", of shard {}, whose disk takes nothing", stalled.join(", ")),
    }
}

/// Returns the error of a call that has waited for something until its deadline.
#[cold]
pub(super) fn late_error(waited_for: impl std::fmt::Display) -> Error {
    let text = format!("the deadline has passed while the call waited for {waited_for}");
    Error::new(ErrorKind::DeadlineExceeded, text)
}

/// Returns the error of a read whose shard does not answer.
#[cold]
pub(super) fn late_read(shard: ShardId, late: Late) -> Error {
    late_error(match late {
        Late::NotBegun => format!("reads of shard {shard} that have not returned; ask again later"),
        Late::GoesOn => format!("shard {shard}, whose disk has not answered; ask again later"),
    })
}
