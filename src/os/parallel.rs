//! Work on several threads that is done even where no thread can be started.
//!
//! A process may be refused threads at any moment: by a limit of its user, of its container, or for
//! lack of memory. `std::thread::spawn` then panics. Here the calling thread does the work instead.

use crate::error::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{Builder, Scope, ScopedJoinHandle};

/// Runs a job for each item at the same time: the first on the calling thread, each other one on a
/// separate thread or, if that cannot be started, on the calling thread, too. Returns the results
/// in the order of the items; a job that panics leaves its panic instead, and the others are run
/// all the same.
pub(crate) fn each<T: Sync, R: Send>(
    items: &[T],
    job: impl Fn(&T) -> R + Sync,
) -> Vec<std::thread::Result<R>> {
    let Some((first, others)) = items.split_first() else { return Vec::new() };
    let job = &job;
    let here = |item: &T| catch_unwind(AssertUnwindSafe(|| job(item)));
    std::thread::scope(|scope| {
        let started: Vec<_> = others
            .iter()
            .map(|item| (item, spawn(scope, "annulus-shard", move || job(item))))
            .collect();
        let mut results = Vec::with_capacity(items.len());
        results.push(here(first));
        results.extend(started.into_iter().map(|(item, thread)| match thread {
            Some(thread) => thread.join(),
            None => here(item),
        }));
        results
    })
}

/// Starts a thread, if that is possible.
pub(crate) fn spawn<'scope, R: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    run: impl FnOnce() -> R + Send + 'scope,
) -> Option<ScopedJoinHandle<'scope, R>> {
    if crate::os::failpoint::fails("thread") {
        return None;
    }
    Builder::new().name(name.to_owned()).spawn_scoped(scope, run).ok()
}

/// Threads that must be left in addition to the engine's pool: it starts some for each instance.
const ENGINE_THREADS_SPARE: usize = 8;

/// Makes sure that the engine will get the threads of its pool, which the instances of a process
/// share and which never end. If it gets one too few, it ends the process: an exception leaves it.
///
/// # Errors
///
/// `Io` if the system refuses them.
pub(crate) fn check_engine_threads(pool: usize) -> Result<()> {
    static STARTED: Mutex<usize> = Mutex::new(0);
    let mut started = STARTED.lock();
    let wanted = pool.saturating_sub(*started) + ENGINE_THREADS_SPARE;
    if crate::os::failpoint::fails("engine-thread") || !can_start(wanted) {
        return Err(Error::new(
            ErrorKind::Io,
            format!(
                "the system refuses the {wanted} threads that the engine needs; raise the limit \
                 (ulimit -u, TasksMax, pids.max), or lower option background_threads"
            ),
        ));
    }
    *started = pool.max(*started);
    Ok(())
}

/// Returns true if n more threads can run at once, which it finds out by starting them.
fn can_start(threads: usize) -> bool {
    let until_all_are_there = Mutex::new(());
    std::thread::scope(|scope| {
        let _wait = until_all_are_there.lock();
        let wait = || drop(until_all_are_there.lock());
        (0..threads).all(|_| Builder::new().spawn_scoped(scope, wait).is_ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items_and_a_panic_is_one_of_them() {
        let results = each(&[1, 2, 3, 4], |n| {
            assert_ne!(*n, 3, "on purpose");
            n * 10
        });
        let results: Vec<_> = results.into_iter().map(Result::ok).collect();
        assert_eq!(results, [Some(10), Some(20), None, Some(40)]);
        assert!(each(&[(); 0], |()| ()).is_empty());
    }

    #[test]
    fn threads_that_are_there_at_once_also_end() {
        assert!(can_start(0));
        assert!(can_start(5));
        check_engine_threads(3).unwrap();
    }

    #[test]
    fn a_panic_on_the_calling_thread_is_a_result_too() {
        let results = each(&[1, 2], |n| assert_ne!(*n, 1, "on purpose"));
        let went_well: Vec<_> = results.iter().map(Result::is_ok).collect();
        assert_eq!(went_well, [false, true]);
    }
}
