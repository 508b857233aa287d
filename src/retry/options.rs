//! The options of retries.

use super::RetryBudget;
use crate::error::{Error, Result};
use crate::setters::setters;
use std::time::Duration;

/// How calls are made again.
///
/// ```
/// use annulus::retry::{Retry, RetryOptions};
/// use std::time::Duration;
///
/// # fn main() -> annulus::Result<()> {
/// let options = RetryOptions::new().attempts_max(3).time_max(Duration::from_millis(200));
/// let retry = Retry::new(options)?;
/// # let _ = retry;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryOptions {
    /// The bound of the wait after the first failure; it doubles with each one that follows. A wait is a
    /// random time up to its bound. Default: 10 ms.
    pub wait_first: Duration,
    /// The greatest bound of a wait. Default: 1 second; not less than `wait_first`.
    pub wait_max: Duration,
    /// How often a call is made, the first time included. Default: 8; at least 1.
    pub attempts_max: u32,
    /// No attempt begins later than this after the first one. Default: 10 seconds; `None` for no limit.
    pub time_max: Option<Duration>,
    /// How many tokens the budget has at first, and at most. Default: 100.
    pub budget_reserve: u32,
    /// How many hundredths of a token a success earns. Default: 10, so that in the long run no more than
    /// 10 retries come on 100 successes; at most 1,000.
    pub budget_percent: u32,
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl RetryOptions {
    /// Returns the defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            wait_first: Duration::from_millis(10),
            wait_max: Duration::from_secs(1),
            attempts_max: 8,
            time_max: Some(Duration::from_secs(10)),
            budget_reserve: 100,
            budget_percent: 10,
        }
    }

    setters! {
        wait_first: Duration,
        wait_max: Duration,
        attempts_max: u32,
        budget_reserve: u32,
        budget_percent: u32;
        optional time_max: Duration,
    }

    /// Checks every field against its bounds.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument), naming the field and the bounds.
    pub fn validate(&self) -> Result<()> {
        if self.attempts_max == 0 {
            return Err(Error::invalid("option attempts_max of retries must be at least 1"));
        }
        if self.wait_max < self.wait_first {
            return Err(Error::invalid(format!(
                "option wait_max of retries is {:?}; it must not be less than wait_first, {:?}",
                self.wait_max, self.wait_first
            )));
        }
        if self.budget_percent > 1000 {
            return Err(Error::invalid(format!(
                "option budget_percent of retries is {}; it must be at most 1000",
                self.budget_percent
            )));
        }
        Ok(())
    }

    pub(super) const fn budget(&self) -> RetryBudget {
        RetryBudget::new(self.budget_reserve, self.budget_percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_out_of_bounds_are_named() {
        let second = Duration::from_secs(1);
        for (options, name) in [
            (RetryOptions::new().attempts_max(0), "attempts_max"),
            (RetryOptions::new().wait_first(2 * second), "wait_max"),
            (RetryOptions::new().budget_percent(1001), "budget_percent"),
        ] {
            let error = options.validate().unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
        assert!(RetryOptions::new().validate().is_ok());
    }
}
