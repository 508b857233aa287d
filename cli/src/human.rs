//! Numbers as people read them.

/// `1234567` as `1,234,567`.
pub(crate) fn count(number: u64) -> String {
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

/// Bytes in the unit that leaves one to four digits before the point.
pub(crate) fn bytes(bytes: u64) -> String {
    let mut amount = bytes as f64;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if amount < 1024.0 {
            break;
        }
        amount /= 1024.0;
        unit = larger;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{amount:.1} {unit}") }
}

/// A rate, rounded: `12,345/s`.
pub(crate) fn rate(per_second: f64) -> String {
    format!("{}/s", count(per_second.round() as u64))
}

/// A part of a whole: `25.0%`.
pub(crate) fn percent(part: f64) -> String {
    format!("{:.1}%", part * 100.0)
}

/// A part of a whole; zero if there is nothing.
pub(crate) fn part(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The greatest of some amounts in relation to their mean: 1 is perfect balance. 1 for nothing.
pub(crate) fn max_over_mean(amounts: impl ExactSizeIterator<Item = u64> + Clone) -> f64 {
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
    }
}
