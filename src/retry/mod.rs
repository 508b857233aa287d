//! Calls that are made again: after random waits, and no more often than their successes allow.
//!
//! An error that [is retryable](crate::Error::is_retryable) says that nothing was done and that the
//! same call may succeed later: its partition is being brought up, a transaction has met a conflict, a
//! deadline has passed. [`Retry::run`] makes such a call again. Three rules keep that from doing harm:
//!
//! * **Full jitter.** Each wait is a random time up to a bound, which doubles with each failure in a row.
//!   Threads that were refused at the same moment do not come back at the same moment.
//! * **A budget.** Each retry costs a token, and each call that succeeds earns a part of one
//!   ([`RetryBudget`]). When most calls fail, as they do at overload, the tokens are soon spent, and
//!   retries add a few percent to the load instead of multiplying it.
//! * **Nothing is repeated that may have been done.** Errors of other kinds are returned at once: after
//!   [`InDoubt`](crate::ErrorKind::InDoubt) a write may be there, and after
//!   [`Io`](crate::ErrorKind::Io) another attempt proves nothing.
//!
//! ```
//! use annulus::retry::Retry;
//! use annulus::{Store, topology::KeyspaceSpec};
//!
//! # fn main() -> annulus::Result<()> {
//! # let directory = tempfile::tempdir().unwrap();
//! # let store = Store::open(directory.path().join("store"))?;
//! # let users = store.create_keyspace("users", KeyspaceSpec::hash())?;
//! // One for all threads of an application: they share its budget.
//! let retry = Retry::default();
//! retry.run(|| users.put("ada", "countess"))?;
//! # Ok(())
//! # }
//! ```
//!
//! The rules are those of Brooker, "Exponential Backoff and Jitter" (2015), and of the retry throttling
//! of gRPC (proposal A6) and of the AWS SDKs. The loop is that of the crate `backon`, which has one for
//! asynchronous calls, too: pass it [`Retry::waits`].

mod budget;
mod options;
mod waits;

pub use budget::RetryBudget;
pub use options::RetryOptions;
pub use waits::Waits;

use crate::error::{Error, Result};
use backon::BlockingRetryable as _;
use std::sync::Arc;
use std::time::Duration;

/// Makes calls again that may succeed later.
///
/// Cheap to clone; the clones have one budget together. Every method may be called from any thread.
#[derive(Debug, Clone)]
pub struct Retry {
    options: RetryOptions,
    budget: Arc<RetryBudget>,
}

impl Default for Retry {
    fn default() -> Self {
        let options = RetryOptions::new();
        Self { options, budget: Arc::new(options.budget()) }
    }
}

impl Retry {
    /// Returns what makes calls again as the options say, with a budget of its own.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for options that are out of bounds.
    pub fn new(options: RetryOptions) -> Result<Self> {
        options.validate()?;
        Ok(Self { options, budget: Arc::new(options.budget()) })
    }

    /// Makes a call, and makes it again as long as its error [is retryable](Error::is_retryable), attempts
    /// and time are left, and the budget has a token. Returns what the last attempt returned. The thread
    /// sleeps between attempts, at least as long as the error [asks for](Error::retry_after).
    ///
    /// IMPORTANT: `call` is made several times. A single operation of the store may be: an error that is
    /// retryable says that nothing was done. A function that consists of several is to be one that may be
    /// made again after any of them, as the closure of a
    /// [transaction](crate::Store::transact) is.
    ///
    /// Cost: where the first attempt succeeds, a look at the time and one atomic addition.
    ///
    /// # Errors
    ///
    /// That of the last attempt.
    pub fn run<T>(&self, call: impl FnMut() -> Result<T>) -> Result<T> {
        let waits = self.waits();
        let hint = Arc::clone(waits.hint());
        let is_retryable = |error: &Error| {
            hint.note(error);
            error.is_retryable()
        };
        let returned =
            call.retry(waits).when(is_retryable).notify(note).sleep(std::thread::sleep).call();
        if returned.is_ok() {
            self.budget.earn();
        }
        returned
    }

    /// Returns the waits between the attempts at one call: for the loop of an application, or of the crate
    /// `backon`. Each one that is taken costs a token of the budget; there are no more when attempts,
    /// time or tokens are used up. Whoever uses them calls [`RetryBudget::earn`] after a success.
    #[must_use]
    pub fn waits(&self) -> Waits {
        Waits::begin(self.options, Arc::clone(&self.budget))
    }

    /// Returns the budget.
    #[must_use]
    pub fn budget(&self) -> &RetryBudget {
        &self.budget
    }
}

fn note(error: &Error, wait: Duration) {
    tracing::debug!(?wait, error = format_args!("{error:#}"), "a call is made again");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn at_once() -> RetryOptions {
        RetryOptions::new().wait_first(Duration::ZERO).wait_max(Duration::ZERO)
    }

    /// Makes a call that fails so often before it succeeds; returns its result and the attempts.
    fn call(retry: &Retry, kind: ErrorKind, failures: u32) -> (Result<u32>, u32) {
        let mut attempts = 0;
        let returned = retry.run(|| {
            attempts += 1;
            if attempts > failures { Ok(attempts) } else { Err(Error::new(kind, "not now")) }
        });
        (returned, attempts)
    }

    #[test]
    fn a_call_is_made_again_while_its_error_allows_it() {
        let retry = Retry::new(at_once().attempts_max(4).budget_reserve(1000)).unwrap();
        assert_eq!(call(&retry, ErrorKind::Busy, 0).1, 1);
        assert_eq!(call(&retry, ErrorKind::Conflict, 3).0.unwrap(), 4);
        let (returned, attempts) = call(&retry, ErrorKind::DeadlineExceeded, 9);
        assert_eq!((returned.unwrap_err().kind(), attempts), (ErrorKind::DeadlineExceeded, 4));
    }

    /// What may have been done is not done a second time.
    #[test]
    fn what_may_have_been_done_is_not_repeated() {
        let retry = Retry::new(at_once()).unwrap();
        for kind in [ErrorKind::InDoubt, ErrorKind::Io, ErrorKind::Closed, ErrorKind::Aborted] {
            let (returned, attempts) = call(&retry, kind, 1);
            assert_eq!((returned.unwrap_err().kind(), attempts), (kind, 1));
        }
    }

    /// At overload, retries add to the load what the budget allows, and no multiple of it.
    #[test]
    fn retries_of_what_always_fails_end_with_the_budget() {
        let options = at_once().attempts_max(8).budget_reserve(10).budget_percent(10);
        let retry = Retry::new(options).unwrap();
        let attempts: u32 = (0..1000).map(|_| call(&retry, ErrorKind::Busy, 9).1).sum();
        assert_eq!(attempts, 1010, "the reserve, and then one attempt for each call");
        let successes: u32 = (0..1000).map(|_| call(&retry, ErrorKind::Busy, 0).1).sum();
        assert_eq!(successes, 1000);
        let attempts: u32 = (0..1000).map(|_| call(&retry.clone(), ErrorKind::Busy, 9).1).sum();
        assert_eq!(attempts, 1010, "the reserve is full again, and the clones share it");
    }

    /// A store that is overloaded knows when it is worth coming again.
    #[test]
    fn a_retry_comes_no_sooner_than_it_is_asked_to() {
        let retry = Retry::new(at_once()).unwrap();
        let (begun, asked) = (std::time::Instant::now(), Duration::from_millis(30));
        let mut attempts = 0;
        let overloaded = || Error::new(ErrorKind::Overloaded, "later").with_retry_after(asked);
        let call = || {
            attempts += 1;
            if attempts < 3 { Err(overloaded()) } else { Ok(()) }
        };
        retry.run(call).unwrap();
        assert!(begun.elapsed() >= 2 * asked);
    }

    #[test]
    fn no_attempt_begins_after_the_time() {
        let options = at_once().attempts_max(1000).budget_reserve(1000);
        let retry = Retry::new(options.time_max(Duration::ZERO)).unwrap();
        assert_eq!(call(&retry, ErrorKind::Busy, 1).1, 1);
        let retry = Retry::new(options.time_max(None)).unwrap();
        assert_eq!(call(&retry, ErrorKind::Busy, 900).1, 901);
    }
}
