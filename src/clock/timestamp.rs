//! Timestamps: milliseconds, and a counter for what happens within one.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How many bits the counter has.
const COUNTER_BITS: u32 = 16;

/// The greatest timestamp: milliseconds have 47 bits, which end in the year 6429.
const MAX: u64 = u64::MAX >> 1;

/// When a commit was made: a time in milliseconds, and a counter that orders what has the same.
///
/// No two commits of a store have the same timestamp, and of two commits the later one, in the
/// order of the log, has the greater one.
///
/// Its text is the milliseconds since 1970 and the counter: `1800000000000.3`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Returns the first timestamp of a time, of which it takes whole milliseconds. Times before
    /// 1970 are taken as 1970.
    #[must_use]
    pub fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// Returns the time, in whole milliseconds.
    #[must_use]
    pub fn time(self) -> SystemTime {
        UNIX_EPOCH.checked_add(Duration::from_millis(self.millis())).unwrap_or(UNIX_EPOCH)
    }

    /// Returns the milliseconds since 1970.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0 >> COUNTER_BITS
    }

    /// Returns the counter. It usually begins at 0 in each millisecond.
    #[must_use]
    pub const fn counter(self) -> u16 {
        self.0 as u16
    }

    /// Returns the timestamp as one number, in the same order.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    pub(crate) const fn from_millis(millis: u64) -> Self {
        if millis > MAX >> COUNTER_BITS { Self(MAX) } else { Self(millis << COUNTER_BITS) }
    }

    /// Returns the timestamp with a number; greater ones than the greatest are taken as that.
    pub(crate) const fn from_number(number: u64) -> Self {
        if number > MAX { Self(MAX) } else { Self(number) }
    }

    /// Returns the next one: when the counter of a millisecond is used up, the first of the next.
    pub(super) const fn next(self) -> Self {
        Self::from_number(self.0.saturating_add(1))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.millis(), self.counter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_comes_back_in_whole_milliseconds() {
        let time = UNIX_EPOCH + Duration::from_micros(1_800_000_000_123_456);
        let timestamp = Timestamp::of(time);
        assert_eq!(timestamp.time(), UNIX_EPOCH + Duration::from_millis(1_800_000_000_123));
        assert_eq!(timestamp.next().next().to_string(), "1800000000123.2");
        assert_eq!(Timestamp::of(UNIX_EPOCH - Duration::from_secs(1)), Timestamp::default());
    }

    #[test]
    fn a_full_counter_goes_on_in_the_next_millisecond() {
        let last = Timestamp::from_number(Timestamp::from_millis(7).get() + 0xffff);
        assert_eq!((last.millis(), last.counter()), (7, 0xffff));
        assert_eq!(last.next(), Timestamp::from_millis(8));
    }

    #[test]
    fn what_is_too_late_is_the_greatest() {
        let greatest = Timestamp::from_number(u64::MAX);
        assert_eq!(Timestamp::from_millis(u64::MAX), greatest);
        assert_eq!(greatest.next(), greatest);
        assert_eq!(greatest.millis(), (1 << 47) - 1);
    }
}
