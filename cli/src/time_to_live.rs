//! How long rows live, as an argument says it.

use annulus_workload::human;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

/// How long the rows of a keyspace live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeToLive {
    /// Until a time after their put.
    After(Duration),
    /// As their put says.
    ByPut,
}

impl FromStr for TimeToLive {
    type Err = String;

    /// Parses a number with a unit, or `by-put`.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "by-put" {
            return Ok(Self::ByPut);
        }
        let lifetime = lifetime(text).map_err(|problem| format!("{problem}; or by-put"))?;
        Ok(Self::After(lifetime))
    }
}

/// Parses how long a row lives: a number with a unit.
pub(crate) fn lifetime(text: &str) -> Result<Duration, String> {
    let bad =
        || format!("`{text}` is no time: write a whole number and ms, s, m, h or d, like 30m");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(bad()),
    };
    let number: u64 = number.parse().map_err(|_| bad())?;
    Ok(Duration::from_millis(number.checked_mul(unit_ms).ok_or_else(bad)?))
}

/// Parses until when a row lives.
pub(crate) fn moment(text: &str) -> Result<SystemTime, String> {
    let bad = || format!("`{text}` is no time such as 2026-11-27T14:30:00Z");
    human::parse_date(text).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        let after = |millis| Ok(TimeToLive::After(Duration::from_millis(millis)));
        for (text, parsed) in [
            ("5ms", after(5)),
            ("90s", after(90_000)),
            ("30m", after(1_800_000)),
            ("2h", after(7_200_000)),
            ("7d", after(604_800_000)),
            ("by-put", Ok(TimeToLive::ByPut)),
        ] {
            assert_eq!(text.parse::<TimeToLive>(), parsed, "{text}");
        }
        for text in ["", "5", "h", "1.5h", "5w", "-1s", "99999999999999999999s"] {
            assert!(text.parse::<TimeToLive>().is_err(), "{text}");
        }
    }
}
