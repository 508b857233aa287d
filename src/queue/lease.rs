//! Leases: what a worker holds while it does a job.

use super::row::{Job, JobId, Moment, Place};
use super::{Queue, job_of, micros};
use crate::error::{Error, ErrorKind, Result};
use crate::os::failpoint;
use crate::store::Transaction;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A job that was taken, for as long as the lease lasts. It ends by [`Queue::finish`],
/// [`Queue::fail`], or by running out; dropping it does nothing. Cheap to clone: all clones are the
/// same lease, and when one of them is [extended](Queue::extend), the others have ended.
#[derive(Clone)]
pub struct Lease {
    /// When it runs out, and the number of the job.
    place: Place,
    attempt: u32,
    payload: Arc<[u8]>,
}

impl Lease {
    pub(super) fn new(place: Place, attempt: u32, payload: Vec<u8>) -> Self {
        Self { place, attempt, payload: payload.into() }
    }

    pub(super) const fn place(&self) -> Place {
        self.place
    }

    /// Returns the value of its row.
    pub(super) fn row(&self) -> Vec<u8> {
        Job { attempts: self.attempt, payload: &self.payload }.encode()
    }

    /// Returns the job's number: the same at each attempt.
    #[must_use]
    pub const fn id(&self) -> JobId {
        self.place.id
    }

    /// Returns what was pushed.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Returns which attempt at the job this is; the first one is 1.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Returns when it runs out.
    #[must_use]
    pub fn until(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_micros(self.place.due)
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("id", &self.id())
            .field("attempt", &self.attempt)
            .field("until", &self.until())
            .finish_non_exhaustive()
    }
}

impl Queue {
    /// Finishes a job in a transaction: it is gone when that is committed, with what the transaction
    /// has written. The one way to have a job take effect exactly once.
    ///
    /// # Errors
    ///
    /// [`Gone`](ErrorKind::Gone) if the lease has run out, or has ended: return this error from the
    /// closure, so that nothing is written; the job is another worker's. Those of
    /// [`push_in`](Self::push_in).
    pub fn finish_in(&self, tx: &Transaction, lease: &Lease) -> Result<()> {
        // Without the mark, which would make each of its moves a conflict. With a clock that was set
        // back, the row alone decides.
        self.check_isolation(tx)?;
        self.end_in(tx, lease, self.now(0))
    }

    /// Finishes a job whose work has no effects in the store.
    ///
    /// # Errors
    ///
    /// [`Gone`](ErrorKind::Gone) if the lease has run out, or has ended; those of
    /// [`Store::transact`](crate::Store::transact).
    pub fn finish(&self, lease: &Lease) -> Result<()> {
        self.transact(|tx| self.finish_in(tx, lease))
    }

    /// Ends a lease and has the job tried again later, or no more if this was its last attempt; then
    /// `reason`, its first 1,024 bytes at most, is kept with it among the [dead](Self::dead) ones.
    ///
    /// # Errors
    ///
    /// Those of [`finish`](Self::finish); then the job is tried again anyway.
    pub fn fail(&self, lease: &Lease, reason: &str) -> Result<()> {
        self.transact(|tx| self.fail_in(tx, lease, reason))
    }

    /// The same in a transaction, which may record something about the failure. It moves the job, so
    /// the transaction must have room for the payload.
    ///
    /// # Errors
    ///
    /// Those of [`finish_in`](Self::finish_in).
    pub fn fail_in(&self, tx: &Transaction, lease: &Lease, reason: &str) -> Result<()> {
        let now = self.now(self.mark_in(tx)?);
        self.end_in(tx, lease, now)?;
        if lease.attempt >= self.options.attempts_max {
            return self.bury_in(tx, lease.place, lease.attempt, &lease.payload, reason);
        }
        let due = now.saturating_add(micros(self.options.wait_after(lease.attempt)));
        tx.put(&self.keyspace, Place { due, ..lease.place }.key(), lease.row())
    }

    /// Makes a lease last from now on as long as a new one would; for work that takes longer.
    ///
    /// # Errors
    ///
    /// Those of [`finish`](Self::finish). The lease is then as it was.
    pub fn extend(&self, lease: &mut Lease) -> Result<()> {
        let place = self.transact(|tx| {
            let now = self.now(self.mark_in(tx)?);
            self.end_in(tx, lease, now)?;
            let due = now.saturating_add(micros(self.options.lease));
            let place = Place { due, ..lease.place };
            tx.put(&self.keyspace, place.key(), lease.row())?;
            Ok(place)
        })?;
        self.head.will_delete(place.due);
        lease.place = place;
        Ok(())
    }

    /// Deletes the row of a lease, if it holds.
    fn end_in(&self, tx: &Transaction, lease: &Lease, now: Moment) -> Result<()> {
        let key = lease.place.key();
        let held = match tx.get(&self.keyspace, &key)? {
            // Another lease of the job can have run out at the same moment.
            Some(row) => job_of(&key, &row)?.0 == lease.attempt,
            None => false,
        };
        let held = held || failpoint::skip("queue-lease-row");
        let is_over = now >= lease.place.due && !failpoint::skip("queue-lease-time");
        if !held || is_over {
            return Err(self.lost(lease, if held { "has run out" } else { "has ended" }));
        }
        tx.delete(&self.keyspace, key)
    }

    #[cold]
    fn lost(&self, lease: &Lease, how: &str) -> Error {
        let text = format!(
            "attempt {} at job {} of queue `{}` {how}; nothing of it may be written: leave the job to \
             the worker that has it now",
            lease.attempt,
            lease.id(),
            self.keyspace.name()
        );
        Error::new(ErrorKind::Gone, text)
    }
}
