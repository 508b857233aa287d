//! A durable queue of jobs, with leases, retries and a place for those that fail too often.
//!
//! A [`Queue`] is a keyspace of its own. A worker [takes](Queue::take) the first job that is due,
//! and gets a [`Lease`]: for as long as that lasts, no other worker gets the job. It does the job's
//! work in a [transaction](crate::Transaction) that also [finishes](Queue::finish_in) the lease: the
//! effects and the end of the job are one commit, so **each job takes effect exactly once**, whenever
//! a worker dies, stalls, or is late.
//!
//! ```
//! use annulus::queue::{Queue, QueueOptions};
//! use annulus::{Store, topology::KeyspaceSpec};
//!
//! # fn main() -> annulus::Result<()> {
//! # let directory = tempfile::tempdir().unwrap();
//! let store = Store::open(directory.path().join("store"))?;
//! let sums = store.keyspace_or_create("sums", KeyspaceSpec::hash())?;
//! let queue = Queue::open(&store, "jobs", QueueOptions::new())?;
//! queue.push("3")?;
//!
//! // A worker:
//! while let Some(lease) = queue.take()? {
//!     let n: i64 = String::from_utf8_lossy(lease.payload()).parse().unwrap();
//!     store.transact(|tx| {
//!         tx.add(&sums, "all", n)?;
//!         queue.finish_in(tx, &lease)
//!     })?;
//! }
//! assert_eq!(sums.add("all", 0)?, 3);
//! # Ok(())
//! # }
//! ```
//!
//! A job can be pushed in a transaction, too ([`push_in`](Queue::push_in)): it is there if, and only
//! if, the transaction is committed. Work outside of the store, such as a mail, is done *at least* once;
//! pass the receiver the [job's number](Lease::id), by which it recognizes what it has.
//!
//! # What happens when
//!
//! * A worker dies, or takes longer than its lease: the job is due again when the lease has run out,
//!   and another worker takes it. The first one's `finish` fails with
//!   [`Gone`](crate::ErrorKind::Gone), and so does the transaction that it is in: none of its writes
//!   are made. [`extend`](Queue::extend) makes a lease longer.
//! * A worker says that a job [failed](Queue::fail): it is due again after a while, which doubles each
//!   time.
//! * A job was taken [`attempts_max`](QueueOptions::attempts_max) times and was not finished: it is
//!   dead. [`dead`](Queue::dead) lists such jobs, [`revive`](Queue::revive) puts one back.
//!
//! Jobs are taken in the order in which they are due, which is that of the pushes; retries come later.
//! All of this holds through crashes, at either durability: a power cut takes back a suffix of what
//! was done, jobs and effects alike.
//!
//! `docs/queue.md` has the rows, the argument for all this, and why the first job is found quickly
//! after any number of jobs that are done.

mod dead;
mod head;
mod lease;
mod options;
mod row;
mod take;

pub use dead::DeadJob;
pub use lease::Lease;
pub use options::QueueOptions;
pub use row::JobId;

use crate::error::{Error, Result};
use crate::os::failpoint;
use crate::read::Value;
use crate::store::{Keyspace, Store, Transaction};
use crate::topology::KeyspaceSpec;
use crate::transaction::{Isolation, TransactionOptions};
use crate::write::{Batch, ConditionalWrite, Expect};
use head::Head;
use parking_lot::Mutex;
use row::{Job, MARK, Moment, Place, decode_mark, payload_bytes_max};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What a transaction that moves a job remembers next to the payload: keys, ranges and dead jobs that
/// it has buried before, far less than this.
const ROOM_BYTES: usize = 16 << 20;

/// A durable queue of jobs: see the [module](self). Cheap to clone; every method may be called from
/// any thread.
///
/// The methods that end in `_in` are parts of the caller's transaction, which must be
/// [`Serializable`](Isolation::Serializable), as transactions are by default. The others are
/// transactions or batches of their own, of the store's durability, and must not be called within a
/// transaction's closure.
#[derive(Clone)]
pub struct Queue {
    store: Store,
    keyspace: Keyspace,
    options: Arc<QueueOptions>,
    head: Arc<Head>,
    /// Held while a job is taken: workers of one process would only conflict.
    taking: Arc<Mutex<()>>,
}

impl Queue {
    /// Opens the queue with a name, or creates it: a range keyspace of this name, which should be
    /// used for nothing else. One handle should be cloned for all workers, but several are right, too.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for options that are out of bounds, and
    /// if the keyspace is there and is not partitioned by range; those of
    /// [`Store::keyspace_or_create`].
    pub fn open(store: &Store, name: &str, options: QueueOptions) -> Result<Self> {
        options.validate()?;
        let keyspace = store.keyspace_or_create(name, KeyspaceSpec::range())?;
        let left_behind = moment(options.now()).saturating_add(micros(options.lease));
        Ok(Self {
            store: store.clone(),
            keyspace,
            options: Arc::new(options),
            head: Arc::new(Head::new(left_behind)),
            taking: Arc::default(),
        })
    }

    /// Returns the keyspace that has the queue, for example to [watch](Store::watch) it.
    #[must_use]
    pub const fn keyspace(&self) -> &Keyspace {
        &self.keyspace
    }

    /// Adds a job, which may be taken at once. Atomic and durable as [`Keyspace::put`] is.
    ///
    /// A payload may have 9 bytes less than
    /// [`value_bytes_max`](crate::Options::value_bytes_max), and 1 GiB at most: a longer one could not
    /// be moved to the [dead](Self::dead) jobs.
    ///
    /// Cost: that of a batch with one condition.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for a payload that is longer: nothing was
    /// written. Those of [`Keyspace::put`]. After one of kind
    /// [`InDoubt`](crate::ErrorKind::InDoubt) the job may be there.
    pub fn push(&self, payload: impl AsRef<[u8]>) -> Result<JobId> {
        self.push_after(payload, Duration::ZERO)
    }

    /// Adds a job, which may be taken after some time.
    ///
    /// # Errors
    ///
    /// Those of [`push`](Self::push).
    pub fn push_after(&self, payload: impl AsRef<[u8]>, delay: Duration) -> Result<JobId> {
        let job = self.new_job(payload.as_ref())?;
        let mut mark = self.keyspace.get(MARK)?.as_deref().map(<[u8]>::to_vec);
        loop {
            let place = self.new_place(decode_mark(mark.as_deref())?, delay);
            let mut batch = Batch::new();
            let expected = mark.as_deref().map_or(Expect::Absent, Expect::Value);
            // IMPORTANT: no job may come to a place before the mark.
            if !failpoint::skip("queue-push-mark") {
                batch.require(&self.keyspace, MARK, expected);
            }
            batch.put(&self.keyspace, place.key(), &job);
            match self.store.write_if(batch)? {
                ConditionalWrite::Written => return Ok(place.id),
                ConditionalWrite::Unmet(unmet) => {
                    let found = unmet.into_iter().next().and_then(|unmet| unmet.found);
                    mark = found.map(|mark| mark.to_vec());
                }
            }
        }
    }

    /// Adds a job in a transaction: it is there when that is committed.
    ///
    /// # Errors
    ///
    /// Those of [`Transaction::put`] and [`Transaction::get`];
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if the transaction is not
    /// serializable.
    pub fn push_in(&self, tx: &Transaction, payload: impl AsRef<[u8]>) -> Result<JobId> {
        self.push_after_in(tx, payload, Duration::ZERO)
    }

    /// Adds a job, which may be taken after some time, in a transaction.
    ///
    /// # Errors
    ///
    /// Those of [`push_in`](Self::push_in).
    pub fn push_after_in(
        &self,
        tx: &Transaction,
        payload: impl AsRef<[u8]>,
        delay: Duration,
    ) -> Result<JobId> {
        let place = self.new_place(self.mark_in(tx)?, delay);
        tx.put(&self.keyspace, place.key(), self.new_job(payload.as_ref())?)?;
        Ok(place.id)
    }

    /// Returns the row of a job that was never taken.
    fn new_job(&self, payload: &[u8]) -> Result<Vec<u8>> {
        let most = payload_bytes_max(self.store.options().value_bytes_max);
        if payload.len() > most && !failpoint::skip("queue-payload") {
            return Err(Error::invalid(format!(
                "a job with a payload of {} bytes is too long for queue `{}`: with the store's option \
                 value_bytes_max it may have {most}; put the payload into rows of its own, and their \
                 keys into the job",
                payload.len(),
                self.keyspace.name()
            )));
        }
        Ok(Job { attempts: 0, payload }.encode())
    }

    /// Runs a transaction of the queue's own: with room for any job that it may move, whatever
    /// transactions of applications are allowed.
    fn transact<T>(&self, run: impl FnMut(&Transaction) -> Result<T>) -> Result<T> {
        let mut options = TransactionOptions::new();
        if !failpoint::skip("queue-room") {
            let row = self.store.options().value_bytes_max.saturating_add(ROOM_BYTES);
            options.bytes_max = options.bytes_max.max(row);
        }
        self.store.transact_with(options, run)
    }

    /// Reads the mark, and makes the transaction rely on it.
    fn mark_in(&self, tx: &Transaction) -> Result<Moment> {
        self.check_isolation(tx)?;
        if failpoint::skip("queue-push-mark") {
            return decode_mark(self.keyspace.get(MARK)?.as_deref());
        }
        decode_mark(tx.get(&self.keyspace, MARK)?.as_deref())
    }

    fn check_isolation(&self, tx: &Transaction) -> Result<()> {
        if tx.isolation() != Isolation::Serializable {
            return Err(Error::invalid(format!(
                "queue `{}` is used in a transaction of snapshot isolation, which may lose jobs; make \
                 it serializable",
                self.keyspace.name()
            )));
        }
        Ok(())
    }

    fn new_place(&self, mark: Moment, delay: Duration) -> Place {
        let now = self.now(mark);
        let number = self.head.next_number(now).to_be_bytes();
        // With handles that do not know of each other, and after a clock was set back.
        let random = uuid::Uuid::new_v4().as_u64_pair().0.to_be_bytes();
        let mut id = [0; 16];
        for (byte, value) in id.iter_mut().zip(number.into_iter().chain(random)) {
            *byte = value;
        }
        Place { due: now.saturating_add(micros(delay)), id: JobId(id) }
    }

    /// Returns the time in the queue, which is never before its mark.
    fn now(&self, mark: Moment) -> Moment {
        let mark = if failpoint::skip("queue-clock-mark") { 0 } else { mark };
        moment(self.options.now()).max(mark)
    }
}

fn moment(time: SystemTime) -> Moment {
    micros(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

fn micros(duration: Duration) -> Moment {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Returns what a row of a job says, with its payload.
fn job_of(key: &[u8], value: &Value) -> Result<(u32, Vec<u8>)> {
    let job = Job::decode(key, value)?;
    Ok((job.attempts, job.payload.to_vec()))
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("name", &self.keyspace.name())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
