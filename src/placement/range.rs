//! Ranges: what a partition covers.

use super::Token;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Tokens from `start` up to, not including, `end`.
///
/// ```
/// use annulus::placement::{Token, TokenRange};
///
/// let range = TokenRange::new(Token(16), Some(Token(32)));
/// assert!(range.contains(Token(16)) && !range.contains(Token(32)));
/// assert_eq!(range.width(), 16);
/// assert_eq!(range.to_string(), "0000000000000010..0000000000000020");
/// assert_eq!(TokenRange::WHOLE.width(), 1 << 64);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TokenRange {
    /// The first token inside.
    pub start: Token,
    /// The first token outside; `None` is the top of the token space.
    pub end: Option<Token>,
}

impl TokenRange {
    /// All tokens.
    pub const WHOLE: Self = Self::new(Token(0), None);

    /// Returns the range from `start` up to, not including, `end`.
    #[must_use]
    pub const fn new(start: Token, end: Option<Token>) -> Self {
        Self { start, end }
    }

    /// Returns true if `token` lies inside.
    #[inline]
    #[must_use]
    pub fn contains(&self, token: Token) -> bool {
        self.start <= token && self.end.is_none_or(|end| token < end)
    }

    /// Returns true if no token lies inside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end.is_some_and(|end| end <= self.start)
    }

    /// Returns how many tokens lie inside, from 0 to 2^64.
    #[must_use]
    pub fn width(&self) -> u128 {
        self.end_u128().saturating_sub(u128::from(self.start.0))
    }

    /// Returns true if some token lies in both.
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        let start = self.start.max(other.start);
        self.contains(start) && other.contains(start)
    }

    pub(super) fn end_u128(&self) -> u128 {
        self.end.map_or(1 << 64, |end| u128::from(end.0))
    }
}

impl fmt::Display for TokenRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..", self.start)?;
        self.end.map_or(Ok(()), |end| end.fmt(f))
    }
}

/// Keys from `start` up to, not including, `end`, in byte order.
///
/// ```
/// use annulus::placement::KeyRange;
///
/// let range = KeyRange::new("b", Some("d"));
/// assert!(range.contains(b"cat") && !range.contains(b"d"));
/// assert_eq!(range.to_string(), r#""b".."d""#);
/// assert!(KeyRange::whole().contains(b""));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct KeyRange {
    /// The first key inside.
    pub start: Box<[u8]>,
    /// The first key outside; `None` is the end of all keys.
    pub end: Option<Box<[u8]>>,
}

impl KeyRange {
    /// Returns the range from `start` up to, not including, `end`.
    #[must_use]
    pub fn new<K: AsRef<[u8]>>(start: K, end: Option<K>) -> Self {
        Self { start: start.as_ref().into(), end: end.map(|end| end.as_ref().into()) }
    }

    /// Returns the range of all keys.
    #[must_use]
    pub fn whole() -> Self {
        Self::new("", None)
    }

    /// All keys that begin with `prefix`.
    ///
    /// ```
    /// use annulus::placement::KeyRange;
    ///
    /// let bees = KeyRange::of_prefix(b"bee");
    /// assert_eq!(bees, KeyRange::new("bee", Some("bef")));
    /// assert_eq!(KeyRange::of_prefix(&[0xff]).end, None);
    /// ```
    #[must_use]
    pub fn of_prefix(prefix: &[u8]) -> Self {
        Self { start: prefix.into(), end: after_prefix(prefix).map(Into::into) }
    }

    /// Returns true if `key` lies inside.
    #[inline]
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        *self.start <= *key && self.end.as_deref().is_none_or(|end| key < end)
    }

    /// Returns true if no key lies inside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// Returns true if some key lies in both.
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        let start = &self.start.as_ref().max(&other.start);
        self.contains(start) && other.contains(start)
    }
}

impl fmt::Display for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"..", self.start.escape_ascii())?;
        self.end.as_ref().map_or(Ok(()), |end| write!(f, "\"{}\"", end.escape_ascii()))
    }
}

/// Returns the smallest key that is greater.
pub(crate) fn just_after(key: &[u8]) -> Vec<u8> {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next
}

/// Returns the smallest key that is greater than all keys with this prefix; none for `FF FF …`.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix.get(..=kept)?.to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    Some(end)
}

/// What a partition covers: tokens in a hash keyspace, keys in a range keyspace.
///
/// ```
/// use annulus::placement::{KeyRange, PartitionRange, TokenFunction, TokenRange};
///
/// let function = TokenFunction::default();
/// let range = PartitionRange::from(TokenRange::WHOLE);
/// assert!(range.contains(b"key", |key| function.token(key)));
/// assert!(!range.intersects(&KeyRange::whole().into()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PartitionRange {
    /// Of a hash keyspace.
    Tokens(TokenRange),
    /// Of a range keyspace.
    Keys(KeyRange),
}

impl PartitionRange {
    /// Returns true if `key` lies inside. `token_of` returns the key's token and is called only for
    /// a range of tokens.
    #[inline]
    #[must_use]
    pub fn contains(&self, key: &[u8], token_of: impl FnOnce(&[u8]) -> Token) -> bool {
        match self {
            Self::Tokens(range) => range.contains(token_of(key)),
            Self::Keys(range) => range.contains(key),
        }
    }

    /// Returns true if nothing lies inside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Tokens(range) => range.is_empty(),
            Self::Keys(range) => range.is_empty(),
        }
    }

    /// Returns how many tokens lie inside; `None` for a range of keys, which cannot be counted.
    #[must_use]
    pub fn width(&self) -> Option<u128> {
        match self {
            Self::Tokens(range) => Some(range.width()),
            Self::Keys(_) => None,
        }
    }

    /// Returns true if some token or key lies in both. Tokens never intersect keys.
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tokens(one), Self::Tokens(other)) => one.intersects(other),
            (Self::Keys(one), Self::Keys(other)) => one.intersects(other),
            _ => false,
        }
    }
}

impl From<TokenRange> for PartitionRange {
    fn from(range: TokenRange) -> Self {
        Self::Tokens(range)
    }
}

impl From<KeyRange> for PartitionRange {
    fn from(range: KeyRange) -> Self {
        Self::Keys(range)
    }
}

impl fmt::Display for PartitionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokens(range) => range.fmt(f),
            Self::Keys(range) => range.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(start: u64, end: impl Into<Option<u64>>) -> TokenRange {
        TokenRange::new(Token(start), end.into().map(Token))
    }

    #[test]
    fn token_ranges() {
        assert_eq!(tokens(u64::MAX, None).width(), 1);
        assert_eq!(tokens(5, 5).width(), 0);
        assert_eq!(tokens(5, 3).width(), 0);
        assert!(tokens(5, 3).is_empty() && !tokens(5, 3).contains(Token(4)));
        assert!(tokens(0, 5).intersects(&tokens(4, None)));
        assert!(!tokens(0, 5).intersects(&tokens(5, None)));
        assert!(!tokens(5, 3).intersects(&TokenRange::WHOLE));
        assert!(!TokenRange::WHOLE.intersects(&tokens(5, 5)));
    }

    #[test]
    fn key_ranges() {
        assert!(KeyRange::new("a", Some("a")).is_empty());
        assert!(KeyRange::new("b", Some("a")).is_empty());
        assert!(!KeyRange::new("b", Some("a")).intersects(&KeyRange::whole()));
        assert!(KeyRange::new("a", Some("c")).intersects(&KeyRange::new("b", None)));
        assert!(!KeyRange::new("a", Some("b")).intersects(&KeyRange::new("b", None)));
        assert_eq!(KeyRange::new(&b"\xff\n\""[..], None).to_string(), r#""\xff\n\"".."#);
    }
}
