//! Tokens: from a key to its position on the ring.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A position on the ring: the hash of a key, or of the part of the key that its keyspace hashes.
///
/// Shown as 16 hexadecimal digits, and read back from exactly that.
///
/// ```
/// use annulus::placement::Token;
///
/// let token: Token = "00000000000000ff".parse()?;
/// assert_eq!(token, Token(255));
/// assert_eq!(token.to_string(), "00000000000000ff");
/// # Ok::<(), annulus::Error>(())
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Token(pub u64);

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Token {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = || Error::invalid(format!("token {text:?}: give 16 hexadecimal digits"));
        // `from_str_radix` alone would also take a sign and fewer digits.
        if text.len() != 16 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(invalid());
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|source| invalid().with_source(source))
    }
}

/// The function that turns bytes into a [`Token`]. It is stored with its keyspace, because another
/// function or another seed would look for every key in the wrong place.
///
/// ```
/// use annulus::placement::{Token, TokenFunction};
///
/// let function = TokenFunction::default();
/// assert_eq!(function.token(b""), Token(0x2d06800538d394c2));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TokenFunction {
    /// XXH3 with 64 bits of output (Collet, <https://github.com/Cyan4973/xxHash>), as xxHash 0.8
    /// defines it.
    Xxh3 {
        /// Should be a secret of each store when its keys come from people who might choose them to
        /// collide.
        seed: u64,
    },
}

impl Default for TokenFunction {
    /// XXH3 with seed 0.
    fn default() -> Self {
        Self::Xxh3 { seed: 0 }
    }
}

impl TokenFunction {
    /// Returns the token of `bytes`. Costs some nanoseconds for a short key, then about a
    /// nanosecond for every 10 bytes; allocates nothing.
    #[inline]
    #[must_use]
    pub fn token(&self, bytes: &[u8]) -> Token {
        match *self {
            Self::Xxh3 { seed } => Token(xxhash_rust::xxh3::xxh3_64_with_seed(bytes, seed)),
        }
    }
}

/// The part of a key that decides its partition in a hash keyspace.
///
/// Keys with the same part lie in one partition, in key order, so that the keys of one entity can
/// be scanned, and written in one atomic batch, on one shard.
///
/// Reads back from its own text, for use on a command line: `whole`, `prefix:8`, `up-to:/`
/// (or `up-to:0x2f`), `tag`.
///
/// ```
/// use annulus::placement::HashPart;
///
/// let part: HashPart = "up-to:/".parse()?;
/// assert_eq!(part.of(b"user42/cart/7"), b"user42");
/// assert_eq!(part.to_string(), "up-to:/");
/// # Ok::<(), annulus::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum HashPart {
    /// The whole key: the most even spread.
    #[default]
    Whole,
    /// The first bytes of the key, or all of a shorter key.
    Prefix {
        /// How many bytes. With 0, all keys share one partition.
        bytes: u16,
    },
    /// The bytes before the first delimiter, without it, or the whole key if it has none: `user42`
    /// and `user42/cart` are hashed alike when the delimiter is `/`.
    UpTo {
        /// The delimiter.
        delimiter: u8,
    },
    /// The bytes between the first `{` and the first `}` after it. If either is missing, or
    /// nothing lies between them, the whole key: the rule of Redis Cluster.
    Tag,
}

impl HashPart {
    /// Returns the part of `key` to hash. Takes time linear in the key at most; allocates nothing.
    ///
    /// ```
    /// use annulus::placement::HashPart;
    ///
    /// assert_eq!(HashPart::Prefix { bytes: 3 }.of(b"abcdef"), b"abc");
    /// assert_eq!(HashPart::Tag.of(b"cart:{user42}:7"), b"user42");
    /// assert_eq!(HashPart::Tag.of(b"cart:{}:7"), b"cart:{}:7");
    /// ```
    #[inline]
    #[must_use]
    pub fn of<'k>(&self, key: &'k [u8]) -> &'k [u8] {
        self.fixed_by_prefix(key).unwrap_or(key)
    }

    /// Returns the hashed part that all keys beginning with `prefix` share, if the prefix decides
    /// it. Then a scan of that prefix reads one partition; with `None` it must read all of them.
    ///
    /// ```
    /// use annulus::placement::HashPart;
    ///
    /// let part = HashPart::UpTo { delimiter: b'/' };
    /// assert_eq!(part.fixed_by_prefix(b"user42/"), Some(&b"user42"[..]));
    /// // `user42` also begins `user421/cart`, which is hashed differently.
    /// assert_eq!(part.fixed_by_prefix(b"user42"), None);
    /// ```
    #[inline]
    #[must_use]
    pub fn fixed_by_prefix<'p>(&self, prefix: &'p [u8]) -> Option<&'p [u8]> {
        match *self {
            Self::Whole => None,
            Self::Prefix { bytes } => prefix.get(..usize::from(bytes)),
            Self::UpTo { delimiter } => before(prefix, delimiter),
            // `{}` is not `None` for lack of bytes: no later tag counts, the key is hashed whole.
            Self::Tag => tag(prefix).filter(|tag| !tag.is_empty()),
        }
    }
}

fn before(bytes: &[u8], delimiter: u8) -> Option<&[u8]> {
    let at = bytes.iter().position(|&byte| byte == delimiter)?;
    bytes.get(..at)
}

fn tag(bytes: &[u8]) -> Option<&[u8]> {
    let open = bytes.iter().position(|&byte| byte == b'{')?;
    before(bytes.get(open + 1..)?, b'}')
}

impl fmt::Display for HashPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Whole => f.write_str("whole"),
            Self::Prefix { bytes } => write!(f, "prefix:{bytes}"),
            Self::UpTo { delimiter } if delimiter.is_ascii_graphic() => {
                write!(f, "up-to:{}", char::from(delimiter))
            }
            Self::UpTo { delimiter } => write!(f, "up-to:0x{delimiter:02x}"),
            Self::Tag => f.write_str("tag"),
        }
    }
}

impl FromStr for HashPart {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let part = match text.split_once(':') {
            None if text == "whole" => Some(Self::Whole),
            None if text == "tag" => Some(Self::Tag),
            Some(("prefix", bytes)) => bytes.parse().ok().map(|bytes| Self::Prefix { bytes }),
            Some(("up-to", byte)) => parse_byte(byte).map(|delimiter| Self::UpTo { delimiter }),
            _ => None,
        };
        part.ok_or_else(|| {
            Error::invalid(format!(
                "hashed part {text:?}: give `whole`, `prefix:BYTES` with at most 65535 bytes, \
                 `up-to:DELIMITER` with one ASCII character or a byte like 0x2f, or `tag`"
            ))
        })
    }
}

/// One ASCII character, or `0x` and two hexadecimal digits.
fn parse_byte(text: &str) -> Option<u8> {
    match *text.as_bytes() {
        [byte] if byte.is_ascii() => Some(byte),
        [b'0', b'x', high, low] => {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            u8::try_from(digit(high)? * 16 + digit(low)?).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    /// Stores on disk depend on these. Computed with xxHash 0.8 itself, the library in C.
    #[test]
    fn tokens_never_change() {
        let long: Vec<u8> = (0..=255).collect();
        let golden: [(u64, &[u8], u64); 8] = [
            (0, b"", 0x2d06_8005_38d3_94c2),
            (0, b"a", 0xe6c6_32b6_1e96_4e1f),
            (0, b"user:42", 0x9fc1_e605_fa71_74aa),
            (0, b"0123456789abcdef", 0x6443_9946_d8fa_212d),
            (0, b"0123456789abcdef0", 0xc92e_2385_daf3_6034),
            (0, &long, 0x9408_a443_3b95_2d71),
            (1, b"", 0x4dc5_b0cc_826f_6703),
            (0x0123_4567_89ab_cdef, b"user:42", 0xde4d_133e_17a5_b650),
        ];
        for (seed, bytes, token) in golden {
            let found = TokenFunction::Xxh3 { seed }.token(bytes);
            assert_eq!(found, Token(token), "seed {seed}, {}", bytes.escape_ascii());
        }
    }

    #[test]
    fn tokens_read_back_from_sixteen_digits_only() {
        for token in [0, 1, 0x0123_4567_89ab_cdef, u64::MAX].map(Token) {
            assert_eq!(token.to_string().parse::<Token>().unwrap(), token);
        }
        for text in ["", "0", "+00000000000000f", "00000000000000000", "000000000000000g"] {
            assert!(text.parse::<Token>().is_err(), "{text}");
        }
    }

    #[test]
    fn hashed_parts() {
        let part = |text: &str, key: &str| {
            let part: HashPart = text.parse().unwrap();
            String::from_utf8(part.of(key.as_bytes()).to_vec()).unwrap()
        };
        assert_eq!(part("whole", "a/b"), "a/b");
        assert_eq!(part("prefix:2", "abc"), "ab");
        assert_eq!(part("prefix:2", "a"), "a");
        assert_eq!(part("prefix:0", "a"), "");
        assert_eq!(part("up-to:/", "a/b/c"), "a");
        assert_eq!(part("up-to:/", "/b"), "");
        assert_eq!(part("up-to:0x2f", "abc"), "abc");
        assert_eq!(part("up-to::", "a:b"), "a");
        assert_eq!(part("tag", "a{b}c{d}"), "b");
        assert_eq!(part("tag", "a{b{c}d"), "b{c");
        assert_eq!(part("tag", "a}b{c}"), "c");
        // As in Redis Cluster, a later tag does not count.
        assert_eq!(part("tag", "a{}b{c}"), "a{}b{c}");
        assert_eq!(part("tag", "a{b"), "a{b");
    }

    #[test]
    fn hashed_parts_refuse_other_texts() {
        for text in
            ["", "all", "whole:1", "prefix", "prefix:-1", "prefix:70000", "up-to:", "up-to:ab"]
        {
            let error = text.parse::<HashPart>().unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::InvalidArgument, "{text}");
        }
        assert!("up-to:0xf".parse::<HashPart>().is_err());
        assert!("up-to:é".parse::<HashPart>().is_err());
    }
}
