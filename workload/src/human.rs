//! Numbers in the form that people read.

use bytesize::ByteSize;
use jiff::Timestamp;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Formats `1234567` as `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats bytes in the unit that leaves one to four digits before the point: `1023 B`, `1.5 MiB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

/// Formats milliseconds, with more digits the shorter they are: `0.45 ms`, `12.3 ms`, `4.56 s`.
pub fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms >= 1000.0 => format!("{:.2} s", ms / 1000.0),
        ms if ms >= 10.0 => format!("{ms:.1} ms"),
        ms => format!("{ms:.2} ms"),
    }
}

/// A duration in milliseconds, with their fraction.
pub fn ms(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e6
}

/// A short time, as precisely as it is short; see [`milliseconds`].
pub fn brief(duration: Duration) -> String {
    milliseconds(ms(duration))
}

/// A span of time to the second: `7s`, `3m20s`, `2h05m`.
pub fn span(span: Duration) -> String {
    match span.as_secs() {
        seconds @ ..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        seconds => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// Formats a moment, from seconds since 1970, in UTC: `2026-11-22T02:33:24Z`.
#[must_use]
pub fn moment(unix_seconds: u64) -> String {
    let seconds = i64::try_from(unix_seconds).unwrap_or(i64::MAX);
    let moment = Timestamp::from_second(seconds);
    moment.map_or_else(|_| format!("{unix_seconds} s after 1970"), |moment| moment.to_string())
}

/// The same, from the system's clock.
#[must_use]
pub fn date(at: SystemTime) -> String {
    moment(at.duration_since(UNIX_EPOCH).map_or(0, |since_1970| since_1970.as_secs()))
}

/// The same to the millisecond: `2026-11-22T02:33:24.071Z`.
#[must_use]
pub fn precise_date(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).map_or(0, |since_1970| since_1970.as_millis());
    let at = i64::try_from(since).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    at.map_or_else(|| format!("{since} ms after 1970"), |at| format!("{at:.3}"))
}

/// Parses a moment as RFC 3339 has it: `2026-11-22T02:33:24Z`, `2026-11-22T03:33:24.5+01:00`.
#[must_use]
pub fn parse_date(text: &str) -> Option<SystemTime> {
    let since_1970 = u64::try_from(text.parse::<Timestamp>().ok()?.as_millisecond()).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_millis(since_1970))
}

/// A rate, rounded: `12,345/s`.
pub fn rate(per_second: f64) -> String {
    format!("{}/s", count(per_second.round() as u64))
}

/// Formats a fraction of a whole: `25.0%`.
pub fn percent(part: f64) -> String {
    format!("{:.1}%", part * 100.0)
}

/// Returns a fraction of a whole; zero if the whole is zero.
pub fn part(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Returns the maximum of some amounts relative to their mean: 1 is perfect balance. 1 without any.
pub fn max_over_mean(amounts: impl ExactSizeIterator<Item = u64> + Clone) -> f64 {
    let (number, sum) = (amounts.len() as f64, amounts.clone().sum::<u64>() as f64);
    if sum == 0.0 { 1.0 } else { amounts.max().unwrap_or(0) as f64 * number / sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(["0", "999", "1,000", "120,000"], [0, 999, 1000, 120_000].map(count)[..]);
        assert_eq!(["1023 B", "1.0 KiB", "1.5 MiB"], [1023, 1024, 3 << 19].map(bytes)[..]);
        assert_eq!(max_over_mean([1, 1, 2].into_iter()), 1.5);
        assert_eq!(max_over_mean([0, 0].into_iter()), 1.0);
        assert_eq!(["0.45 ms", "12.3 ms", "4.56 s"], [0.45, 12.34, 4560.0].map(milliseconds)[..]);
        assert_eq!(["7s", "3m20s", "2h05m"], [7, 200, 7500].map(Duration::from_secs).map(span)[..]);
    }

    #[test]
    fn moments_are_dates() {
        assert_eq!(moment(0), "1970-01-01T00:00:00Z");
        assert_eq!(moment(1_795_311_204), "2026-11-22T01:33:24Z");
        assert_eq!(
            date(UNIX_EPOCH + Duration::from_millis(1_795_311_204_999)),
            moment(1_795_311_204)
        );
        let precise = UNIX_EPOCH + Duration::from_millis(1_795_311_204_040);
        assert_eq!(precise_date(precise), "2026-11-22T01:33:24.040Z");
        assert_eq!(parse_date(&precise_date(precise)), Some(precise));
        assert_eq!(parse_date("2026-11-22T02:33:24.04+01:00"), Some(precise));
        assert_eq!(["", "12", "yesterday"].map(parse_date), [None; 3]);
        // Whatever a damaged file says.
        assert_eq!(moment(u64::MAX), "18446744073709551615 s after 1970");
    }
}
