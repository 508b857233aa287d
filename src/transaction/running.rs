//! Which threads are running transactions: what they must not call meanwhile.
//!
//! A transaction that has met many conflicts is run with all other writes waiting. One that holds a lock
//! and writes is among those that wait; so the thread of the transaction must not ask for that lock. It
//! would seldom do harm, and then for ever. So it is refused each time.

use crate::error::{Error, Result};
use crate::os::failpoint;
use std::cell::RefCell;

thread_local! {
    /// The stores whose transactions this thread is running, the innermost last.
    static RUNNING: RefCell<Vec<u128>> = const { RefCell::new(Vec::new()) };
}

/// A run of a transaction by this thread, until it is dropped.
#[must_use = "the run ends when this is dropped"]
pub(crate) struct Running(());

impl Running {
    /// Begins a run of a transaction of a store.
    pub(crate) fn begin(store: u128) -> Self {
        RUNNING.with_borrow_mut(|running| running.push(store));
        Self(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.with_borrow_mut(Vec::pop);
    }
}

/// Refuses an operation that takes a lock which is held by others while they write.
///
/// # Errors
///
/// `InvalidArgument` on a thread that is running a transaction of this store.
pub(crate) fn refuse_while_running(store: u128, what: &str) -> Result<()> {
    // None on a thread whose local values are being destroyed.
    let runs = RUNNING.try_with(|running| running.borrow().contains(&store)).unwrap_or(false);
    if !runs || failpoint::skip("transaction-refuses") {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the closure of a transaction cannot {what}: it may be run with all other writes waiting, and \
         would wait for one of them; do it before the transaction"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_inside_a_run_does_not_end_the_outer_one() {
        let is_refused = |store| refuse_while_running(store, "do that").is_err();
        let outer = Running::begin(1);
        let inner = Running::begin(2);
        assert!(is_refused(1) && is_refused(2) && !is_refused(3));
        drop(inner);
        assert!(is_refused(1) && !is_refused(2));
        let panicked = std::panic::catch_unwind(|| {
            let _running = Running::begin(3);
            assert!(!is_refused(3), "it is");
        });
        assert!(panicked.is_err() && !is_refused(3));
        drop(outer);
        assert!(!is_refused(1));
    }
}
