//! Taking jobs.

use super::lease::Lease;
use super::row::{
    Dead, JOBS, Job, MARK, Moment, Place, after_due, dead_key, first_due, reason_beside,
};
use super::{Queue, micros};
use crate::changes::Watch;
use crate::error::Result;
use crate::os::failpoint;
use crate::read::ScanOptions;
use crate::store::Transaction;
use crate::transaction::refuse_while_running;
use std::time::{Duration, Instant};

/// How many jobs one transaction buries at most.
const DEAD_MAX: usize = 64;

/// How many bytes of payloads one transaction buries at most, unless a single job has more.
const DEAD_BYTES_MAX: usize = 8 << 20;

/// A worker that waits looks again after this long without a push: retries, delayed jobs and leases
/// that run out are noticed so late at most.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What one transaction has come to.
enum Taken {
    Job(Lease),
    /// Nothing is due.
    Nothing,
    /// Dead jobs were in the way; there may be more.
    Buried,
}

impl Queue {
    /// Takes the first job that is due, or returns `None` if none is. The job is the caller's until
    /// the lease runs out; durable as the store's writes are.
    ///
    /// Moves jobs that come first and were taken
    /// [`attempts_max`](super::QueueOptions::attempts_max) times to the [dead](Self::dead) ones, up to
    /// 64 of them, or 8 MiB of payloads, in each transaction.
    ///
    /// Cost: a transaction with a read, a scan of one row and two writes. Workers of one process take
    /// jobs one after the other.
    ///
    /// # Errors
    ///
    /// Those of [`Store::transact`](crate::Store::transact);
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) in the closure of one.
    pub fn take(&self) -> Result<Option<Lease>> {
        refuse_while_running(self.store.core().catalog.home.id, "take a job from a queue")?;
        loop {
            let taken = {
                let _one_at_a_time = self.taking.lock();
                self.take_once()?
            };
            match taken {
                Taken::Job(lease) => return Ok(Some(lease)),
                Taken::Nothing => return Ok(None),
                Taken::Buried => {}
            }
        }
    }

    fn take_once(&self) -> Result<Taken> {
        let (taken, moved) = self.transact(|tx| {
            let mark = self.mark_in(tx)?;
            self.take_in(tx, mark, self.now(mark))
        })?;
        match &taken {
            Taken::Job(lease) => {
                self.head.will_delete(lease.place().due);
                self.head.has_taken(moved);
            }
            Taken::Nothing if moved => self.head.has_taken(true),
            _ => {}
        }
        Ok(taken)
    }

    /// Returns also whether the mark was moved.
    ///
    /// IMPORTANT: the transaction relies on everything from the mark to the job, in which it has found
    /// nothing. That is why the mark may be moved to the job: a push into that range in the meantime makes
    /// this transaction fail, and a later one finds the new mark.
    fn take_in(&self, tx: &Transaction, mark: Moment, now: Moment) -> Result<(Taken, bool)> {
        let mut buried_bytes = 0;
        for _ in 0..DEAD_MAX {
            let range = first_due(mark)..after_due(now);
            let first = ScanOptions::new().limit(1);
            let mut scan = tx.scan_with(&self.keyspace, range, first)?;
            let Some((key, value)) = scan.next_row()? else {
                drop(scan);
                let moves = self.head.is_due_when_empty(mark, now);
                if moves {
                    tx.put(&self.keyspace, MARK, now.to_be_bytes())?;
                }
                return Ok((Taken::Nothing, moves));
            };
            let (place, job) = (Place::of_key(key)?, Job::decode(key, value)?);
            let (attempts, payload) = (job.attempts, job.payload.to_vec());
            drop(scan);
            // IMPORTANT: dead jobs are moved with their payloads, so their number alone does not bound
            // the transaction. What it does not take is the next one's.
            let is_full = buried_bytes > 0 && buried_bytes + payload.len() > DEAD_BYTES_MAX;
            if is_full && !failpoint::skip("queue-dead-bytes") {
                return Ok((Taken::Buried, false));
            }
            tx.delete(&self.keyspace, place.key())?;
            if attempts >= self.options.attempts_max {
                buried_bytes += payload.len();
                self.bury_in(tx, place, attempts, &payload, "its last lease ran out")?;
                continue;
            }
            let moves = self.head.is_due();
            if moves {
                tx.put(&self.keyspace, MARK, place.due.to_be_bytes())?;
            }
            let due = now.saturating_add(micros(self.options.lease));
            let lease = Lease::new(Place { due, id: place.id }, attempts + 1, payload);
            tx.put(&self.keyspace, lease.place().key(), lease.row())?;
            return Ok((Taken::Job(lease), moves));
        }
        Ok((Taken::Buried, false))
    }

    /// Puts a job among the dead ones.
    pub(super) fn bury_in(
        &self,
        tx: &Transaction,
        place: Place,
        attempts: u32,
        payload: &[u8],
        reason: &str,
    ) -> Result<()> {
        let reason = reason_beside(reason, payload.len(), self.store.options().value_bytes_max);
        let dead = Dead { job: Job { attempts, payload }, reason };
        tx.put(&self.keyspace, dead_key(place.id), dead.encode())
    }

    /// Returns the commits from now on that push jobs, or put them back: for workers that wait for one
    /// and do something else meanwhile, or wait as tasks. A job that is due at a later time is no commit
    /// then, so look again now and then, as [`take_within`](Self::take_within) does.
    ///
    /// # Errors
    ///
    /// Those of [`Store::watch`](crate::Store::watch).
    pub fn watch(&self) -> Result<Watch> {
        self.store.watch(&self.keyspace, JOBS)
    }

    /// Takes the first job that is due, and waits for one if there is none, until the time is up.
    /// Pushes are noticed at once; retries, delayed jobs and leases that run out, up to 200 ms late.
    ///
    /// # Errors
    ///
    /// Those of [`take`](Self::take) and of [`Store::watch`](crate::Store::watch).
    pub fn take_within(&self, time: Duration) -> Result<Option<Lease>> {
        let deadline = Instant::now().checked_add(time);
        let mut watch: Option<Watch> = None;
        loop {
            if let Some(lease) = self.take()? {
                return Ok(Some(lease));
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            match &mut watch {
                // Looks once more before it waits: something may have come before the watch began.
                None => watch = Some(self.watch()?),
                Some(watch) => {
                    watch.next_timeout(left.map_or(LOOK_AGAIN, |left| left.min(LOOK_AGAIN)))?;
                }
            }
        }
    }
}
