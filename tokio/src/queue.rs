//! Queues of jobs.

use crate::changes::Watch;
use crate::inner::Inner;
use crate::portions::{BYTES_MAX, Portions, Source, stream_of_portions};
use crate::store::Store;
use annulus::queue::{DeadJob, JobId, Lease, QueueOptions};
use annulus::{Error, ErrorKind, Result};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// A worker that waits looks again after this long without a push: retries, delayed jobs and leases
/// that run out are noticed so late at most.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// A durable queue of jobs, for tasks: the calls of [`annulus::queue::Queue`], which says what each of
/// them returns, costs and guarantees. Made by [`Store::queue`]. Cheap to clone.
///
/// All of them run on the pool, and need a place in it only while they work: a task that
/// [waits](Self::take_within) for a job occupies neither a thread nor a place. What belongs to a
/// transaction, as [`finish_in`](annulus::queue::Queue::finish_in), is called on the
/// [blocking](Self::blocking) handle in its closure.
///
/// ```
/// use annulus::{queue::QueueOptions, topology::KeyspaceSpec};
/// use std::time::Duration;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> annulus::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let store = annulus_tokio::Store::open(directory.path().join("store")).await?;
/// let sums = store.keyspace_or_create("sums", KeyspaceSpec::hash()).await?;
/// let queue = store.queue("numbers", QueueOptions::new()).await?;
/// queue.push("7").await?;
///
/// // A worker:
/// let lease = queue.take_within(Duration::from_secs(10)).await?.expect("a job");
/// let n: i64 = String::from_utf8_lossy(lease.payload()).parse().unwrap();
/// let (jobs, sums) = (queue.blocking().clone(), sums.blocking().clone());
/// let finish = move |tx: &annulus::Transaction| {
///     jobs.finish_in(tx, &lease)?;
///     tx.add(&sums, "all", n)
/// };
/// assert_eq!(store.transact(finish).await?, 7);
/// assert!(queue.take().await?.is_none());
/// # store.shutdown().await
/// # }
/// ```
#[derive(Clone)]
pub struct Queue {
    queue: annulus::queue::Queue,
    store: Store,
}

impl Store {
    /// Opens the queue with a name, or creates it: [`annulus::queue::Queue::open`].
    ///
    /// # Errors
    ///
    /// Those of [`annulus::queue::Queue::open`] and of [`run`](Self::run).
    pub async fn queue(&self, name: &str, options: QueueOptions) -> Result<Queue> {
        let name = name.to_owned();
        let open = move |store: &annulus::Store| annulus::queue::Queue::open(store, &name, options);
        Ok(Queue { queue: self.run(open).await?, store: self.clone() })
    }
}

impl Queue {
    /// Returns the handle for threads that may wait, and for closures of transactions.
    #[must_use]
    pub const fn blocking(&self) -> &annulus::queue::Queue {
        &self.queue
    }

    fn inner(&self) -> &Arc<Inner> {
        &self.store.inner
    }

    async fn run<T: Send + 'static>(
        &self,
        run: impl FnOnce(&annulus::queue::Queue) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let queue = self.queue.clone();
        self.inner().pool().run(move || run(&queue)).await
    }

    /// Adds a job, which may be taken at once: [`annulus::queue::Queue::push`].
    ///
    /// # Errors
    ///
    /// Those of [`annulus::queue::Queue::push`] and of [`Store::run`].
    pub async fn push(&self, payload: impl AsRef<[u8]>) -> Result<JobId> {
        self.push_after(payload, Duration::ZERO).await
    }

    /// Adds a job, which may be taken after some time.
    ///
    /// # Errors
    ///
    /// Those of [`push`](Self::push).
    pub async fn push_after(&self, payload: impl AsRef<[u8]>, delay: Duration) -> Result<JobId> {
        let payload = payload.as_ref().to_vec();
        self.run(move |queue| queue.push_after(payload, delay)).await
    }

    /// Takes the first job that is due, or returns `None`: [`annulus::queue::Queue::take`].
    ///
    /// If the future is dropped, a job may have been taken that no worker has: it is due again when its
    /// lease has run out, and the attempt counts.
    ///
    /// # Errors
    ///
    /// Those of [`annulus::queue::Queue::take`] and of [`Store::run`].
    pub async fn take(&self) -> Result<Option<Lease>> {
        self.run(annulus::queue::Queue::take).await
    }

    /// Takes the first job that is due, and waits in the task for one if there is none, until the time is
    /// up. Pushes are noticed at once; retries, delayed jobs and leases that run out, up to 200 ms late.
    /// Dropping the future is as for [`take`](Self::take). Needs tokio's timers.
    ///
    /// # Errors
    ///
    /// Those of [`take`](Self::take) and of [`annulus::Store::watch`].
    pub async fn take_within(&self, time: Duration) -> Result<Option<Lease>> {
        let deadline = Instant::now().checked_add(time);
        let mut watch = None;
        loop {
            if let Some(lease) = self.take().await? {
                return Ok(Some(lease));
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            match &mut watch {
                // Looks once more before it waits: something may have come before the watch began.
                None => {
                    let seen = self.run(annulus::queue::Queue::watch).await?;
                    watch = Some(Watch::new(seen, self.inner()));
                }
                Some(watch) => {
                    let most = left.map_or(LOOK_AGAIN, |left| left.min(LOOK_AGAIN));
                    match timeout(most, watch.next()).await {
                        Ok(Some(seen)) => drop(seen?),
                        Ok(None) => return Err(closed()),
                        // The time is up, or it looks again.
                        Err(_) => {}
                    }
                }
            }
        }
    }

    /// Finishes a job whose work has no effects in the store: [`annulus::queue::Queue::finish`].
    ///
    /// # Errors
    ///
    /// Those of [`annulus::queue::Queue::finish`] and of [`Store::run`].
    pub async fn finish(&self, lease: &Lease) -> Result<()> {
        let lease = lease.clone();
        self.run(move |queue| queue.finish(&lease)).await
    }

    /// Ends a lease and has the job tried again later, or no more: [`annulus::queue::Queue::fail`].
    ///
    /// # Errors
    ///
    /// Those of [`annulus::queue::Queue::fail`] and of [`Store::run`].
    pub async fn fail(&self, lease: &Lease, reason: &str) -> Result<()> {
        let (lease, reason) = (lease.clone(), reason.to_owned());
        self.run(move |queue| queue.fail(&lease, &reason)).await
    }

    /// Makes a lease last from now on as long as a new one would: [`annulus::queue::Queue::extend`].
    ///
    /// If the future is dropped, the lease may have been extended without this handle of it: then it has
    /// ended, and the job is taken again when the extended one has run out.
    ///
    /// # Errors
    ///
    /// Those of [`annulus::queue::Queue::extend`] and of [`Store::run`].
    pub async fn extend(&self, lease: &mut Lease) -> Result<()> {
        let mut extended = lease.clone();
        let extend = move |queue: &annulus::queue::Queue| {
            queue.extend(&mut extended)?;
            Ok(extended)
        };
        *lease = self.run(extend).await?;
        Ok(())
    }

    /// Returns the jobs that have failed too often, by their numbers, as a [stream](DeadJobs).
    ///
    /// # Errors
    ///
    /// Those of [`annulus::queue::Queue::dead`] and of [`Store::run`].
    pub async fn dead(&self) -> Result<DeadJobs> {
        let queue = self.queue.clone();
        let open = move || Ok(Dead(Box::new(queue.dead()?)));
        Ok(DeadJobs { portions: Portions::open(self.inner(), open).await? })
    }

    /// Puts a dead job back into the queue: [`annulus::queue::Queue::revive`].
    ///
    /// # Errors
    ///
    /// Those of [`annulus::queue::Queue::revive`] and of [`Store::run`].
    pub async fn revive(&self, id: JobId) -> Result<()> {
        self.run(move |queue| queue.revive(id)).await
    }

    /// Removes a dead job.
    ///
    /// # Errors
    ///
    /// Those of [`revive`](Self::revive).
    pub async fn remove_dead(&self, id: JobId) -> Result<()> {
        self.run(move |queue| queue.remove_dead(id)).await
    }
}

#[cold]
fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the store is closed: no more jobs come")
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.queue.fmt(f)
    }
}

/// The dead jobs of a queue, as a [`Stream`](futures_core::Stream); read in portions as a
/// [`Scan`](crate::Scan) is.
pub struct DeadJobs {
    portions: Portions<Dead>,
}

stream_of_portions!(DeadJobs, DeadJob, "job");

struct Dead(Box<dyn Iterator<Item = Result<DeadJob>> + Send>);

impl Source for Dead {
    type Item = DeadJob;

    fn read(&mut self, items_max: usize, jobs: &mut Vec<DeadJob>) -> Result<bool> {
        let mut bytes = 0;
        while jobs.len() < items_max && bytes < BYTES_MAX {
            let Some(job) = self.0.next().transpose()? else { return Ok(false) };
            bytes += job.payload.len() + job.reason.len();
            jobs.push(job);
        }
        Ok(true)
    }
}
