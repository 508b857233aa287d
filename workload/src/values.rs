//! Values: of the requested sizes, compressible to about half, and checkable.
//!
//! A value begins with eight bytes that distinguish its key and the rest from those of any other
//! write, and eight random bytes that decide its length and its content. The content is a piece of
//! a pool in which 32 random bytes are followed by the same 32 again, so that a compressor saves
//! about half of it.

use crate::engine::{InvalidArgument, Result};
use crate::random::{derive, mix};
use serde::Serialize;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The bytes before the content.
const HEAD_BYTES: usize = 16;

/// Large enough that one block of an engine rarely has the same piece twice.
const POOL_BYTES: usize = 1 << 20;

/// Half of a repetition.
const PIECE_BYTES: usize = 32;

const BYTES_MAX: usize = 1 << 24;

/// How long values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub enum ValueBytes {
    /// All the same.
    Constant(usize),
    /// Any length from the first to the second, all equally likely.
    Uniform(usize, usize),
    /// A number of fields and the bytes of each; an update writes all of them.
    Fields(usize, usize),
}

impl ValueBytes {
    /// Returns the shortest and the longest length.
    #[must_use]
    pub const fn bounds(self) -> (usize, usize) {
        match self {
            Self::Constant(bytes) => (bytes, bytes),
            Self::Uniform(least, most) => (least, most),
            Self::Fields(fields, bytes) => (fields * bytes, fields * bytes),
        }
    }

    /// Returns the mean length.
    #[must_use]
    pub const fn mean(self) -> usize {
        let (least, most) = self.bounds();
        least.midpoint(most)
    }

    fn checked(self) -> Result<Self> {
        let (least, most) = self.bounds();
        if least < HEAD_BYTES || most > BYTES_MAX || least > most {
            return Err(InvalidArgument::error(format!(
                "values are of {HEAD_BYTES} to {BYTES_MAX} bytes, the shortest first"
            )));
        }
        Ok(self)
    }
}

impl FromStr for ValueBytes {
    type Err = crate::Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = |text: &str| {
            let number = text.trim().parse().ok().filter(|number| *number <= BYTES_MAX);
            number.ok_or_else(|| {
                InvalidArgument::error("give bytes, such as 1000, 100..2000 or 10x100")
            })
        };
        match (text.split_once(".."), text.split_once('x')) {
            (Some((least, most)), _) => Self::Uniform(number(least)?, number(most)?),
            (_, Some((fields, bytes))) => Self::Fields(number(fields)?, number(bytes)?),
            _ => Self::Constant(number(text)?),
        }
        .checked()
    }
}

impl fmt::Display for ValueBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(bytes) => write!(f, "{bytes}"),
            Self::Uniform(least, most) => write!(f, "{least}..{most}"),
            Self::Fields(fields, bytes) => write!(f, "{fields}x{bytes}"),
        }
    }
}

impl From<ValueBytes> for String {
    fn from(bytes: ValueBytes) -> Self {
        bytes.to_string()
    }
}

/// Makes values and checks them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Values {
    bytes: ValueBytes,
    pool: Arc<[u8]>,
}

impl Values {
    /// Creates values of these lengths.
    #[must_use]
    pub fn new(bytes: ValueBytes) -> Self {
        let mut pool = vec![0; POOL_BYTES + bytes.bounds().1];
        for (number, pair) in (0..).zip(pool.chunks_mut(2 * PIECE_BYTES)) {
            let (first, second) = pair.split_at_mut(PIECE_BYTES.min(pair.len()));
            for (part, bytes) in (0..).zip(first.chunks_mut(8)) {
                let random = derive(number, &[part]).to_le_bytes();
                bytes.iter_mut().zip(random).for_each(|(byte, random)| *byte = random);
            }
            second.iter_mut().zip(first).for_each(|(byte, same)| *byte = *same);
        }
        Self { bytes, pool: pool.into() }
    }

    /// Writes into `value` what the key with this number should have after a write with a nonce.
    #[inline]
    pub fn fill(&self, value: &mut Vec<u8>, key_number: u64, nonce: u64) {
        value.clear();
        value.extend_from_slice(&mark(key_number, nonce).to_le_bytes());
        value.extend_from_slice(&nonce.to_le_bytes());
        value.extend_from_slice(self.content(nonce));
    }

    /// Returns true if a value was made for the key with this number. With `whole`, every byte is
    /// compared, otherwise the head and the length.
    #[must_use]
    #[inline]
    pub fn check(&self, value: &[u8], key_number: u64, whole: bool) -> bool {
        let Some((head, content)) = value.split_first_chunk::<8>() else { return false };
        let Some((nonce, content)) = content.split_first_chunk::<8>() else { return false };
        let nonce = u64::from_le_bytes(*nonce);
        let expected = self.content(nonce);
        u64::from_le_bytes(*head) == mark(key_number, nonce)
            && content.len() == expected.len()
            && (!whole || content == expected)
    }

    #[inline]
    fn content(&self, nonce: u64) -> &[u8] {
        let bytes = match self.bytes {
            ValueBytes::Uniform(least, most) => {
                least + ((nonce >> 32) as usize) % (most - least + 1)
            }
            constant => constant.bounds().0,
        };
        let from = nonce as usize % POOL_BYTES;
        self.pool.get(from..from + bytes - HEAD_BYTES).unwrap_or_default()
    }
}

#[inline]
const fn mark(key_number: u64, nonce: u64) -> u64 {
    mix(key_number ^ mix(nonce))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_sizes_and_are_told_apart() {
        for text in ["1000", "16", "100..300", "10x100"] {
            let bytes: ValueBytes = text.parse().unwrap();
            assert_eq!(bytes.to_string(), text);
            let (values, mut value) = (Values::new(bytes), Vec::new());
            let mut lengths = std::collections::BTreeSet::new();
            for n in 0..500 {
                values.fill(&mut value, n, mix(n));
                lengths.insert(value.len());
                assert!(values.check(&value, n, true));
                assert!(!values.check(&value, n + 1, false));
                value[9] ^= 1;
                assert!(!values.check(&value, n, false));
                value[9] ^= 1;
                let last = value.len() - 1;
                value[last] ^= 1;
                assert!(!values.check(&value, n, true));
                value.truncate(last);
                assert!(!values.check(&value, n, false));
            }
            let (least, most) = bytes.bounds();
            assert!(lengths.iter().all(|length| (least..=most).contains(length)));
            assert!(lengths.len() > (most - least) / 2);
        }
        for bad in ["", "x", "15", "3x5", "200..100", "1..2..3", "99999999999", "-5"] {
            assert!(bad.parse::<ValueBytes>().is_err(), "{bad}");
        }
    }

    #[test]
    fn half_of_a_value_repeats() {
        let (values, mut value) = (Values::new(ValueBytes::Constant(6416)), Vec::new());
        values.fill(&mut value, 1, 12_345);
        let content = &value[HEAD_BYTES..];
        let repeats = content.iter().zip(&content[PIECE_BYTES..]).filter(|(a, b)| a == b).count();
        assert!((3_100..=3_300).contains(&repeats), "{repeats}");
    }
}
