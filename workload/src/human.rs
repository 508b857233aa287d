//! Numbers as people read them.

use bytesize::ByteSize;
use std::time::Duration;

/// `1234567` as `1,234,567`.
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

/// Bytes in the unit that leaves one to four digits before the point: `1023 B`, `1.5 MiB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

/// Milliseconds, as precisely as they are short: `0.45 ms`, `12.3 ms`, `4.56 s`.
pub fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms >= 1000.0 => format!("{:.2} s", ms / 1000.0),
        ms if ms >= 10.0 => format!("{ms:.1} ms"),
        ms => format!("{ms:.2} ms"),
    }
}

/// A span of time to the second: `7s`, `3m20s`, `2h05m`.
pub fn span(span: Duration) -> String {
    match span.as_secs() {
        seconds @ ..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        seconds => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// A moment, from seconds since 1970, in UTC: `2026-11-22T02:33:24Z`.
pub fn moment(unix_seconds: u64) -> String {
    let (days, second) = (unix_seconds / 86_400, unix_seconds % 86_400);
    // Years from March to February, in eras of 400, so that the leap day is the last of its year:
    // Howard Hinnant, "chrono-compatible low-level date algorithms".
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z", second % 60)
}

/// A rate, rounded: `12,345/s`.
pub fn rate(per_second: f64) -> String {
    format!("{}/s", count(per_second.round() as u64))
}

/// A part of a whole: `25.0%`.
pub fn percent(part: f64) -> String {
    format!("{:.1}%", part * 100.0)
}

/// A part of a whole; zero if there is nothing.
pub fn part(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The greatest of some amounts in relation to their mean: 1 is perfect balance. 1 for nothing.
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
        assert_eq!(moment(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(moment(1_795_311_204), "2026-11-22T01:33:24Z");
        assert_eq!(moment(4_107_542_399), "2100-02-28T23:59:59Z");
        assert_eq!(moment(4_107_542_400), "2100-03-01T00:00:00Z");
    }
}
