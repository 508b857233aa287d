//! Times in serialized forms, where they are numbers with their unit in the name: for
//! `#[serde(with = "…")]`.

use crate::error::{Error, Result};
use std::time::Duration;

/// Checks a time against bounds in milliseconds.
pub(crate) fn check(name: &str, value: Duration, least_ms: u64, most_ms: u64) -> Result<()> {
    let (least, most) = (Duration::from_millis(least_ms), Duration::from_millis(most_ms));
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "option {name} is {value:?}; it must be from {least:?} to {most:?}"
    )))
}

/// Returns whole milliseconds.
pub(crate) fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Whole milliseconds.
pub(crate) mod ms {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
    use std::time::Duration;

    pub(crate) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        super::whole_ms(*value).serialize(to)
    }

    pub(crate) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}
