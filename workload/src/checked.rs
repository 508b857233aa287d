//! Values of a command line that have bounds. They are checked while the command line is parsed, so
//! that the error names the argument, its value and what it may be.

use bytesize::ByteSize;
use std::ops::RangeInclusive;

/// More bytes than this are a mistake.
const BYTES_MAX: ByteSize = ByteSize::pib(1);

/// Parses a number within inclusive bounds.
///
/// # Errors
///
/// What is expected instead.
pub fn number(text: &str, bounds: RangeInclusive<f64>) -> Result<f64, String> {
    let number = text.trim().parse().ok().filter(|number| bounds.contains(number));
    number.ok_or_else(|| format!("give a number from {} to {}", bounds.start(), bounds.end()))
}

/// Parses a time in seconds: from a millisecond to a year.
///
/// # Errors
///
/// What is expected instead.
pub fn seconds(text: &str) -> Result<f64, String> {
    number(text, 1e-3..=3.2e7)
}

/// Parses how often something happens in a second.
///
/// # Errors
///
/// What is expected instead.
pub fn rate(text: &str) -> Result<f64, String> {
    number(text, 1e-3..=1e9)
}

/// Parses a number of bytes: `1048576`, `64k`, `50MiB`, `1.5GB`. Units are powers of 1024, or of
/// 1000 if they end in `B` without an `i`.
///
/// # Errors
///
/// What is expected instead.
pub fn bytes<N: TryFrom<u64>>(text: &str) -> Result<N, String> {
    let text = text.trim();
    // The parser takes only `ki` for 1024, not `k`.
    let bare = text.ends_with(|unit: char| "kmgtpe".contains(unit.to_ascii_lowercase()));
    let bytes = format!("{text}{}", if bare { "i" } else { "" }).parse().ok();
    bytes
        .filter(|bytes| *bytes <= BYTES_MAX)
        .and_then(|ByteSize(bytes)| N::try_from(bytes).ok())
        .ok_or_else(|| "give a number of bytes, such as 1048576, 64KiB, 50MiB or 1.5GB".to_owned())
}

/// Parses an amount of memory: `1048576`, `64KiB`, `256M`, `1.5g`. Units are powers of 1024 even if
/// they end in `B`, as is usual for memory.
///
/// # Errors
///
/// What is expected instead.
pub fn memory<N: TryFrom<u64>>(text: &str) -> Result<N, String> {
    let bare = text.trim().trim_end_matches(['b', 'B']).trim_end_matches(['i', 'I']);
    bytes(bare).map_err(|_| "give a number of bytes, such as 1048576, 64KiB or 1.5GiB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_and_decimal_units() {
        let good: [(&str, u64, u64); 13] = [
            ("0", 0, 0),
            ("7b", 7, 7),
            (" 1023 ", 1023, 1023),
            ("64k", 65_536, 65_536),
            ("64KiB", 65_536, 65_536),
            ("1.5 MiB", 3 << 19, 3 << 19),
            ("256M", 256 << 20, 256 << 20),
            ("1.5g", 3 << 29, 3 << 29),
            ("1gib", 1 << 30, 1 << 30),
            ("2T", 2 << 40, 2 << 40),
            ("64kB", 64_000, 65_536),
            ("200MB", 200_000_000, 200 << 20),
            ("1.5gb", 1_500_000_000, 3 << 29),
        ];
        for (text, of_bytes, of_memory) in good {
            assert_eq!((bytes(text), memory(text)), (Ok(of_bytes), Ok(of_memory)), "{text}");
        }
        for bad in
            ["", "-1", "k", "MiB", "nan", "1e300", "5 apples", "1.2.3", "2PiB", "9999999999EiB"]
        {
            assert!(bytes::<u64>(bad).is_err(), "{bad}");
            assert!(memory::<u64>(bad).is_err(), "{bad}");
        }
        assert!(bytes::<u8>("256").is_err());
    }

    #[test]
    fn numbers_are_within_their_bounds() {
        assert_eq!((seconds("0.001"), rate("5e4")), (Ok(0.001), Ok(50_000.0)));
        for bad in ["", "0", "-1", "nan", "inf", "1e99", "1s"] {
            let error = seconds(bad).unwrap_err();
            assert_eq!(error, "give a number from 0.001 to 32000000", "{bad}");
        }
    }
}
