//! Jobs that have failed too often.

use super::Queue;
use super::row::{DEAD_JOBS, Dead, Job, JobId, dead_key, id_of_dead};
use crate::error::{Error, ErrorKind, Result};
use crate::read::Scan;
use crate::store::Transaction;
use std::time::Duration;

/// A job that was tried too often, and is tried no more.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadJob {
    /// Its number.
    pub id: JobId,
    /// What was pushed.
    pub payload: Vec<u8>,
    /// How often it was tried.
    pub attempts: u32,
    /// Why the last attempt failed, as its worker has said, up to 1,024 bytes of it; or that its lease
    /// ran out.
    pub reason: String,
}

/// The dead jobs of a queue, by number.
#[derive(Debug)]
struct DeadJobs(Scan);

impl Iterator for DeadJobs {
    type Item = Result<DeadJob>;

    fn next(&mut self) -> Option<Self::Item> {
        let decode = |(key, value): (&[u8], &[u8])| {
            let Dead { job, reason } = Dead::decode(key, value)?;
            let (payload, reason) = (job.payload.to_vec(), reason.to_owned());
            Ok(DeadJob { id: id_of_dead(key)?, payload, attempts: job.attempts, reason })
        };
        self.0.next_row().and_then(|row| row.map(decode).transpose()).transpose()
    }
}

impl Queue {
    /// Returns the jobs that have failed too often, by their numbers; they stay until they are
    /// [revived](Self::revive) or [removed](Self::remove_dead).
    ///
    /// # Errors
    ///
    /// Those of [`Keyspace::scan`](crate::Keyspace::scan).
    pub fn dead(&self) -> Result<impl Iterator<Item = Result<DeadJob>> + use<>> {
        self.keyspace.scan_prefix(DEAD_JOBS).map(DeadJobs)
    }

    /// Puts a dead job back into the queue, as if it had just been pushed; it keeps its number.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if there is no such dead job; those of
    /// [`Store::transact`](crate::Store::transact).
    pub fn revive(&self, id: JobId) -> Result<()> {
        self.transact(|tx| {
            let row = self.take_dead(tx, id)?;
            let Dead { job, .. } = Dead::decode(&dead_key(id), &row)?;
            let place = self.new_place(self.mark_in(tx)?, Duration::ZERO);
            let (place, job) = (super::row::Place { id, ..place }, Job { attempts: 0, ..job });
            tx.put(&self.keyspace, place.key(), job.encode())
        })
    }

    /// Removes a dead job.
    ///
    /// # Errors
    ///
    /// Those of [`revive`](Self::revive).
    pub fn remove_dead(&self, id: JobId) -> Result<()> {
        self.transact(|tx| self.take_dead(tx, id).map(drop))
    }

    fn take_dead(&self, tx: &Transaction, id: JobId) -> Result<Vec<u8>> {
        let key = dead_key(id);
        let Some(row) = tx.get(&self.keyspace, &key)? else {
            let queue = self.keyspace.name();
            let text = format!("queue `{queue}` has no dead job {id}; list those there are");
            return Err(Error::new(ErrorKind::NotFound, text));
        };
        let row = row.to_vec();
        tx.delete(&self.keyspace, key)?;
        Ok(row)
    }
}
