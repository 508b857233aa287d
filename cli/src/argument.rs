//! Keys and values on the command line.

use crate::exit::{Failure, Outcome};
use std::ffi::OsStr;

/// Parses a key or value of the command line: the argument unchanged, or hexadecimal digits.
pub(crate) fn parse(argument: &OsStr, hex: bool) -> Outcome<Vec<u8>> {
    let bytes = argument.as_encoded_bytes();
    if !hex {
        return Ok(bytes.to_vec());
    }
    unhex(bytes).ok_or_else(|| {
        let shown = argument.to_string_lossy();
        Failure::usage(format!("`{shown}` is not an even number of hexadecimal digits"))
    })
}

fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    let value = |digit: u8| char::from(digit).to_digit(16);
    pairs.iter().map(|[high, low]| u8::try_from(value(*high)? * 16 + value(*low)?).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::hex;

    #[test]
    fn hexadecimal_digits_go_both_ways() {
        assert_eq!(unhex(b"00fFa1"), Some(vec![0, 255, 161]));
        assert_eq!(hex(&[0, 255, 161]), "00ffa1");
        for bad in ["0", "zz", "+1", "0x00"] {
            assert_eq!(unhex(bad.as_bytes()), None, "{bad}");
        }
    }
}
