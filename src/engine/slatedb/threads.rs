//! The threads on which SlateDB works, and how those of the store wait for it.
//!
//! SlateDB is asynchronous, and the store's calls are not. A caller polls the future itself, on its
//! own thread, and sleeps until it is woken: what is in memory is answered without a change of
//! threads, and nothing of the application's runtime, if it has one, is used or blocked twice.

use crate::error::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Instant;
use tokio::runtime::{Builder, Runtime};

/// The threads that the shards of a process share, as long as one is open.
pub(crate) struct Threads {
    /// Taken when it is dropped.
    runtime: Option<Runtime>,
}

static THREADS: Mutex<Weak<Threads>> = Mutex::new(Weak::new());

impl Threads {
    /// Returns the threads of this process; starts them if there are none.
    ///
    /// # Errors
    ///
    /// `Io` if the system refuses them.
    pub(super) fn shared() -> Result<Arc<Self>> {
        let mut shared = THREADS.lock();
        if let Some(threads) = shared.upgrade() {
            return Ok(threads);
        }
        let workers = std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 8));
        let runtime = Builder::new_multi_thread()
            .worker_threads(workers)
            .thread_name("annulus-slate")
            .enable_all()
            .build()
            .map_err(|error| {
                let message = "cannot start the threads of shards in an object store";
                Error::new(ErrorKind::Io, message).with_source(error)
            })?;
        let threads = Arc::new(Self { runtime: Some(runtime) });
        *shared = Arc::downgrade(&threads);
        Ok(threads)
    }

    fn runtime(&self) -> &Runtime {
        // IMPORTANT: it is there until the drop.
        #[expect(clippy::unwrap_used, reason = "taken by the drop only")]
        self.runtime.as_ref().unwrap()
    }

    /// Runs a task on the threads.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Task {
        Task(self.runtime().spawn(task))
    }

    /// Runs a task that ends by itself.
    pub(super) fn spawn_detached(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.runtime().spawn(task));
    }

    /// Waits for a future on the calling thread. Returns `None` if it has not ended by the deadline:
    /// it is dropped then.
    pub(super) fn wait<F: Future>(
        &self,
        deadline: Option<Instant>,
        future: F,
    ) -> Option<F::Output> {
        // Timers and tasks that the future starts belong to these threads.
        let _context = self.runtime().enter();
        let mut future = pin!(future);
        let signal =
            Arc::new(Signal { thread: std::thread::current(), is_given: AtomicBool::new(false) });
        let waker = Waker::from(Arc::clone(&signal));
        let mut context = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
                return Some(done);
            }
            while !signal.is_given.swap(false, Ordering::Acquire) {
                let Some(deadline) = deadline else {
                    std::thread::park();
                    continue;
                };
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return None;
                }
                std::thread::park_timeout(left);
            }
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Without waiting: this may be the end of a task of an application's runtime.
            runtime.shutdown_background();
        }
    }
}

/// A task that ends when this is dropped.
pub(super) struct Task(tokio::task::JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Wakes a thread that waits.
struct Signal {
    thread: Thread,
    is_given: AtomicBool,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_given.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_future_is_waited_for_until_its_end_or_a_deadline() {
        let threads = Threads::shared().unwrap();
        let later = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            7
        };
        assert_eq!(threads.wait(None, later), Some(7));
        let begun = Instant::now();
        let never = std::future::pending::<()>();
        assert_eq!(threads.wait(Some(begun + Duration::from_millis(20)), never), None);
        assert!(begun.elapsed() >= Duration::from_millis(20));
        assert_eq!(threads.wait(Some(begun), async { 8 }), Some(8), "what is there needs no time");
    }

    /// The store may be called where an application's runtime waits for it.
    #[test]
    fn a_thread_of_another_runtime_may_wait() {
        let threads = Threads::shared().unwrap();
        let of_application = Builder::new_current_thread().enable_time().build().unwrap();
        let later = async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            7
        };
        assert_eq!(of_application.block_on(async { threads.wait(None, later) }), Some(7));
    }
}
