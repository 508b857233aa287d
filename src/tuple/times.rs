//! Times, as integers of nanoseconds.

use super::{Key, KeyEncode, KeyFor, KeyReader, KeyWriter};
use crate::error::Result;
use std::time::{Duration, SystemTime};

/// Returns a duration if it can have as many nanoseconds.
fn of_nanos(nanos: u128) -> Option<Duration> {
    const SECOND: u128 = 1_000_000_000;
    let seconds = u64::try_from(nanos / SECOND).ok()?;
    Some(Duration::new(seconds, (nanos % SECOND) as u32))
}

impl KeyEncode for Duration {
    fn encode(&self, writer: &mut KeyWriter) {
        writer.integer(false, self.as_nanos());
    }
}

impl Key for Duration {
    fn decode(reader: &mut KeyReader<'_>) -> Result<Self> {
        let here = reader.clone();
        let nanos = u128::decode(reader)?;
        of_nanos(nanos)
            .ok_or_else(|| here.error(format_args!("{nanos} nanoseconds are no duration")))
    }
}

impl KeyFor<Duration> for Duration {}

impl KeyEncode for SystemTime {
    fn encode(&self, writer: &mut KeyWriter) {
        match self.duration_since(Self::UNIX_EPOCH) {
            Ok(since) => writer.integer(false, since.as_nanos()),
            Err(before) => writer.integer(true, before.duration().as_nanos()),
        }
    }
}

impl Key for SystemTime {
    fn decode(reader: &mut KeyReader<'_>) -> Result<Self> {
        let here = reader.clone();
        let (negative, nanos) = reader.integer()?;
        let time = of_nanos(nanos).and_then(|distance| {
            if negative {
                Self::UNIX_EPOCH.checked_sub(distance)
            } else {
                Self::UNIX_EPOCH.checked_add(distance)
            }
        });
        time.ok_or_else(|| here.error("no time of this system is so far from 1970"))
    }
}

impl KeyFor<SystemTime> for SystemTime {}
