//! The options of transactions.

use crate::engine::Durability;
use crate::error::{Error, Result};
use crate::setters::setters;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a transaction is protected from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Isolation {
    /// The transactions that are committed have the effect of some order, one after the other, and
    /// the order in which they were committed is one: everything that a transaction has read (keys,
    /// keys that were not there, ranges) is still so when it is committed.
    #[default]
    Serializable,
    /// Two transactions that have written the same key and were open at the same time are not both
    /// committed. What was only read may have changed meanwhile: two transactions that each read
    /// what the other writes may both be committed (write skew). Reads are not remembered, which is
    /// less work.
    Snapshot,
}

/// How a transaction is run.
///
/// ```
/// use annulus::{Isolation, TransactionOptions};
/// use std::time::Duration;
///
/// let options = TransactionOptions::new().isolation(Isolation::Snapshot).attempts_max(4);
/// assert!(options.validate().is_ok());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransactionOptions {
    /// What it is protected from. Default: `Serializable`.
    pub isolation: Isolation,
    /// Durability of its commit. Default: `None`, which is that of the store.
    pub durability: Option<Durability>,
    /// The most memory, about, for what it has read (the keys, not the values) and written. Rows of
    /// a scan that follow one another count as one range. Default: 64 MiB; at least 4 KiB.
    pub bytes_max: usize,
    /// How often [`Store::transact`](crate::Store::transact) runs it, the first time included.
    /// Default: 16; at least 1.
    pub attempts_max: u32,
    /// After this long `transact` makes no further attempt. One that has begun is not ended.
    /// Default: 10 seconds; `None` for no limit.
    pub time_max: Option<Duration>,
    /// After this many attempts that have met a conflict, `transact` runs it once with all other
    /// writes of the store waiting: then it meets none. Default: 8; `None` for never.
    pub exclusive_after: Option<u32>,
}

impl Default for TransactionOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl TransactionOptions {
    /// Returns the defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            isolation: Isolation::Serializable,
            durability: None,
            bytes_max: 64 << 20,
            attempts_max: 16,
            time_max: Some(Duration::from_secs(10)),
            exclusive_after: Some(8),
        }
    }

    setters! {
        isolation: Isolation,
        bytes_max: usize,
        attempts_max: u32;
        optional durability: Durability, time_max: Duration, exclusive_after: u32,
    }

    /// Checks every field against its bounds.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument), naming the field and the bounds.
    pub fn validate(&self) -> Result<()> {
        const BYTES_LEAST: usize = 4 << 10;
        if self.bytes_max < BYTES_LEAST {
            return Err(Error::invalid(format!(
                "option bytes_max of a transaction is {}; it must be at least {BYTES_LEAST}",
                self.bytes_max
            )));
        }
        if self.attempts_max == 0 {
            return Err(Error::invalid("option attempts_max of a transaction must be at least 1"));
        }
        Ok(())
    }
}
