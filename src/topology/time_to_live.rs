//! How long the rows of a keyspace live.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// How long the rows of a keyspace live whose put does not say it. Only keyspaces that have this
/// have rows that expire; it is chosen when a keyspace is created, by
/// [`HashSpec::time_to_live`](super::HashSpec::time_to_live) and its kin.
///
/// In serialized form it is `{"default_ms":3600000}`, or `{"default_ms":null}` where rows expire
/// only if their put says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TimeToLive {
    #[serde(rename = "default_ms", with = "crate::units::optional_ms")]
    default: Option<Duration>,
}

impl TimeToLive {
    /// Rows expire this long after they were put, unless the put says otherwise.
    pub(super) const fn after(lifetime: Duration) -> Self {
        Self { default: Some(lifetime) }
    }

    /// Rows expire if their put says so.
    pub(super) const BY_PUT: Self = Self { default: None };

    /// Returns the lifetime of a row whose put does not say it; `None` if it never expires.
    #[must_use]
    pub const fn default_lifetime(self) -> Option<Duration> {
        self.default
    }

    /// Checks that it is in whole milliseconds, of which there is at least one.
    pub(super) fn check(self) -> Result<()> {
        let Some(lifetime) = self.default else { return Ok(()) };
        let whole = lifetime.subsec_nanos().is_multiple_of(1_000_000);
        if whole && !lifetime.is_zero() && u64::try_from(lifetime.as_millis()).is_ok() {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "a time to live of {lifetime:?} is none: give whole milliseconds, at least one"
        )))
    }
}

/// For messages: `rows expire after 1h`, `rows expire if their put says so`.
impl fmt::Display for TimeToLive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.default {
            Some(lifetime) => write!(f, "rows expire after {lifetime:?}"),
            None => f.write_str("rows expire if their put says so"),
        }
    }
}
