//! Times in serialized forms, where they are numbers with their unit in the name: for
//! `#[serde(with = "…")]`.

use crate::error::{Error, Result};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

/// Returns a moment without what its serialized form in seconds leaves out.
pub(crate) fn to_the_second(moment: SystemTime) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(since_1970(moment).as_secs())
}

/// Returns a moment without what its serialized form in milliseconds leaves out.
pub(crate) fn to_the_ms(moment: SystemTime) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(whole_ms(since_1970(moment)))
}

/// Returns a duration in whole milliseconds.
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

/// Whole milliseconds, or nothing.
pub(crate) mod optional_ms {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
    use std::time::Duration;

    #[expect(clippy::ref_option, reason = "so calls serde")]
    pub(crate) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(super::whole_ms).serialize(to)
    }

    pub(crate) fn deserialize<'d, D: Deserializer<'d>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(from)?.map(Duration::from_millis))
    }
}

/// Milliseconds with their fraction.
pub(crate) mod fractional_ms {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
    use std::time::Duration;

    pub(crate) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        (value.as_nanos() as f64 / 1e6).serialize(to)
    }

    pub(crate) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Duration, D::Error> {
        // A number that is no duration, which this code never writes, becomes 0 or the longest
        // duration.
        f64::deserialize(from).map(|ms| Duration::from_nanos((ms * 1e6).round() as u64))
    }
}

/// Seconds since 1970.
pub(crate) mod unix_seconds {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
    use std::time::{Duration, SystemTime};

    pub(crate) fn serialize<S: Serializer>(value: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
        super::since_1970(*value).as_secs().serialize(to)
    }

    pub(crate) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<SystemTime, D::Error> {
        super::moment(Duration::from_secs(u64::deserialize(from)?))
    }
}

/// Milliseconds since 1970.
pub(crate) mod unix_ms {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
    use std::time::{Duration, SystemTime};

    pub(crate) fn serialize<S: Serializer>(value: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
        super::whole_ms(super::since_1970(*value)).serialize(to)
    }

    pub(crate) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<SystemTime, D::Error> {
        super::moment(Duration::from_millis(u64::deserialize(from)?))
    }
}

/// Returns the time since 1970, or 0 if the clock is before that.
fn since_1970(moment: SystemTime) -> Duration {
    moment.duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn moment<E: serde::de::Error>(since_1970: Duration) -> std::result::Result<SystemTime, E> {
    let moment = UNIX_EPOCH.checked_add(since_1970);
    moment.ok_or_else(|| E::custom("a moment that this system cannot have"))
}
