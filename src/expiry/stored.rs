//! Values that say when they expire: as they are on disk, in the log, and in caches.
//!
//! ```text
//! offset  bytes
//!      0      8  milliseconds since 1970 from which on the row has expired, little-endian; all
//!                bits set if it never does
//!      8      …  the value
//! ```

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The bytes before a value.
pub(crate) const HEADER_BYTES: usize = 8;

/// The field of a row that never expires.
pub(crate) const NEVER: u64 = u64::MAX;

/// A moment at which rows have expired or have not, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    pub(crate) const fn of(timestamp: Timestamp) -> Self {
        Self(timestamp.millis())
    }

    /// Returns the field of a row that lives from now on for a time: never less than that.
    pub(crate) fn after(self, lifetime: Duration) -> u64 {
        self.0.saturating_add(whole_millis(lifetime))
    }

    /// Returns true if a row with this field has expired.
    pub(crate) const fn has_passed(self, expires: u64) -> bool {
        expires <= self.0 && expires != NEVER
    }
}

/// Returns the field of a row that lives until a time, never less. A time before 1970 is 1970.
pub(super) fn field_of(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, whole_millis)
}

/// Returns the time of a field; `None` if the row never expires.
pub(crate) fn time_of(field: u64) -> Option<SystemTime> {
    let time = || UNIX_EPOCH.checked_add(Duration::from_millis(field));
    if field == NEVER { None } else { time() }
}

/// Returns the milliseconds of a time, with a part of one counted as a whole one.
fn whole_millis(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(NEVER)
}

/// A value that says when it expires, as the log has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpiringValue<'a>(&'a [u8]);

impl<'a> ExpiringValue<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes with what says when it expires.
    pub(crate) const fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// Returns the field that says when it expires, and the value.
    ///
    /// # Errors
    ///
    /// `Damaged` if it is shorter than the field.
    pub(crate) fn split(self) -> Result<(u64, &'a [u8])> {
        let (field, value) = self.0.split_first_chunk::<HEADER_BYTES>().ok_or_else(|| {
            let bytes = self.0.len();
            let text = format!(
                "a row of a keyspace whose rows expire does not say when: it has {bytes} bytes; \
                 restore the store from a copy"
            );
            Error::new(ErrorKind::Damaged, text)
        })?;
        Ok((u64::from_le_bytes(*field), value))
    }

    /// Returns the value.
    #[must_use]
    pub fn value(self) -> &'a [u8] {
        self.0.get(HEADER_BYTES..).unwrap_or_default()
    }

    /// Returns when it expires; `None` if it never does.
    #[must_use]
    pub fn expires(self) -> Option<SystemTime> {
        self.split().ok().and_then(|(field, _)| time_of(field))
    }

    /// Returns true if it has expired. What does not say when it expires has not.
    pub(crate) fn has_expired(self, at: Moment) -> bool {
        self.split().is_ok_and(|(expires, _)| at.has_passed(expires))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::of(Timestamp::from_millis(1000));

    #[test]
    fn a_row_has_expired_from_its_time_on() {
        let expires = NOW.after(Duration::from_millis(5));
        let bytes = [&expires.to_le_bytes()[..], b"value"].concat();
        let stored = ExpiringValue::new(&bytes);
        assert_eq!(stored.value(), b"value");
        assert_eq!(stored.expires(), Some(Timestamp::from_millis(1005).time()));
        for (millis, has_expired) in [(1000, false), (1004, false), (1005, true), (9999, true)] {
            let at = Moment::of(Timestamp::from_millis(millis));
            assert_eq!(stored.has_expired(at), has_expired, "{millis}");
        }
    }

    #[test]
    fn lifetimes_are_not_cut_short_and_may_be_endless() {
        assert_eq!(NOW.after(Duration::from_nanos(1)), 1001);
        assert_eq!(NOW.after(Duration::MAX), NEVER);
        let never = NEVER.to_le_bytes();
        assert!(!ExpiringValue::new(&never).has_expired(Moment(u64::MAX)));
        assert_eq!(ExpiringValue::new(&never).expires(), None);
    }

    #[test]
    fn a_time_comes_back_as_it_was_and_is_never_earlier() {
        for field in [0, 1, 1 << 40, 1 << 47, (1 << 60) + 1] {
            assert_eq!(field_of(time_of(field).unwrap()), field);
        }
        assert_eq!(time_of(NEVER), None);
        assert_eq!(field_of(UNIX_EPOCH + Duration::from_nanos(1_000_001)), 2);
        assert_eq!(field_of(UNIX_EPOCH - Duration::from_secs(1)), 0);
    }

    #[test]
    fn what_is_too_short_is_damaged() {
        let short = ExpiringValue::new(b"1234567");
        assert_eq!(short.split().unwrap_err().kind(), ErrorKind::Damaged);
        assert!(!short.has_expired(Moment(u64::MAX)) && short.value().is_empty());
    }
}
