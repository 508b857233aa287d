//! The ranges of a range keyspace.

mod bounds;
mod edit;
mod encoding;
mod keys;
mod search;
mod separators;

use super::KeyRange;
use crate::error::{Error, Result};
use keys::Keys;
use search::Heads;
use std::fmt;

/// The keys of a range keyspace, divided at `n` boundaries into `n + 1` partitions.
///
/// The first partition begins at the empty key and the last one has no end, so every key is in
/// exactly one. A map is a value: clones share their memory, edits return a new map.
///
/// # Cost
///
/// A lookup takes O(key length + log boundaries), whatever prefixes the boundaries share. Memory is
/// the bytes of the boundaries and 32 to 80 bytes for each. An edit copies the map:
/// O(boundaries + their bytes).
///
/// ```
/// use annulus::placement::RangeMap;
///
/// let map = RangeMap::new(["user/h", "user/q"])?;
/// assert_eq!(map.len(), 3);
/// assert_eq!(map.find(b"user/anna"), 0);
/// assert_eq!(map.find(b"user/h"), 1);
/// assert_eq!(map.find(b"zebra"), 2);
/// assert_eq!(map.range(1).unwrap().to_string(), r#""user/h".."user/q""#);
/// # Ok::<(), annulus::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RangeMap {
    keys: Keys,
    heads: Heads,
}

impl RangeMap {
    /// Returns a map with these boundaries. O(boundaries + their bytes).
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument), with a message that names the
    /// boundary, if one is empty or not greater than the one before it, or if there are more
    /// than 2^30 or one has more than 2^30 bytes.
    pub fn new(boundaries: impl IntoIterator<Item: AsRef<[u8]>>) -> Result<Self> {
        let mut keys = keys::Builder::default();
        for boundary in boundaries {
            keys.push(boundary.as_ref())?;
        }
        Ok(Self::from_keys(keys.finish()))
    }

    /// Returns a map with one partition, which has all keys.
    #[must_use]
    pub fn whole() -> Self {
        Self::from_keys(keys::Builder::default().finish())
    }

    fn from_keys(keys: Keys) -> Self {
        let heads = Heads::new(&keys);
        Self { keys, heads }
    }

    /// Returns the index of the partition that holds `key`: the number of boundaries not greater
    /// than it. O(key length + log boundaries); allocates nothing.
    #[inline]
    #[must_use]
    pub fn find(&self, key: &[u8]) -> usize {
        self.heads.rank(&self.keys, key)
    }

    /// Returns how many partitions there are: one more than boundaries.
    #[expect(clippy::len_without_is_empty, reason = "there is always a partition")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len() + 1
    }

    /// Returns the first key of the partition `index`; `None` if there is none.
    #[must_use]
    pub fn start(&self, index: usize) -> Option<&[u8]> {
        index.checked_sub(1).map_or(Some(&[]), |boundary| self.keys.get(boundary))
    }

    /// Returns the keys of the partition `index`; `None` if there is none.
    #[must_use]
    pub fn range(&self, index: usize) -> Option<KeyRange> {
        Some(KeyRange::new(self.start(index)?, self.keys.get(index)))
    }

    /// Returns the boundaries in order.
    #[must_use]
    pub fn boundaries(&self) -> impl DoubleEndedIterator<Item = &[u8]> + ExactSizeIterator + '_ {
        self.keys.iter()
    }

    /// Checks every invariant: the boundaries are not empty and ascend strictly, so that the
    /// partitions tile all keys, and lookups agree with a plain binary search on and
    /// around every boundary. A map keeps them from the start; `verify` and tests check again.
    /// O(boundaries × (log boundaries + their length)).
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for the boundaries, or
    /// [`Internal`](crate::ErrorKind::Internal) for the lookups, with a message that names the
    /// first boundary in error.
    pub fn check(&self) -> Result<()> {
        let mut keys = keys::Builder::default();
        self.boundaries().try_for_each(|boundary| keys.push(boundary))?;
        let mut probe = Vec::new();
        for (index, boundary) in self.boundaries().enumerate() {
            self.check_find(boundary, index + 1)?;
            if let Some((_, shorter)) = boundary.split_last() {
                self.check_find(shorter, self.keys.rank(shorter))?;
            }
            // The next possible key.
            probe.clear();
            probe.extend_from_slice(boundary);
            probe.push(0);
            self.check_find(&probe, self.keys.rank(&probe))?;
        }
        Ok(())
    }

    fn check_find(&self, key: &[u8], expected: usize) -> Result<()> {
        let found = self.find(key);
        if found == expected {
            return Ok(());
        }
        let key = key.escape_ascii();
        Err(Error::new(
            crate::error::ErrorKind::Internal,
            format!("key \"{key}\" of partition {expected} is looked for in partition {found}"),
        ))
    }
}

impl fmt::Debug for RangeMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |boundary: &[u8]| boundary.escape_ascii().to_string();
        let boundaries: Vec<String> = self.boundaries().map(text).collect();
        f.debug_struct("RangeMap").field("boundaries", &boundaries).finish_non_exhaustive()
    }
}
