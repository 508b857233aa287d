//! New maps from old ones.

use super::{RangeMap, keys};
use crate::error::{Error, ErrorKind, Result};

impl RangeMap {
    /// Returns this map with one more boundary: the partition that holds `key` becomes two, of
    /// which the second begins with it. O(boundaries + their bytes).
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if the key is empty;
    /// [`AlreadyExists`](ErrorKind::AlreadyExists) if a partition begins with it.
    ///
    /// ```
    /// use annulus::placement::RangeMap;
    ///
    /// let map = RangeMap::whole().insert("m")?;
    /// assert_eq!(map, RangeMap::new(["m"])?);
    /// assert_eq!(map.remove("m")?, RangeMap::whole());
    /// # Ok::<(), annulus::Error>(())
    /// ```
    pub fn insert(&self, key: impl AsRef<[u8]>) -> Result<Self> {
        let key = key.as_ref();
        if key.is_empty() {
            return Err(Error::invalid("the empty key: the first partition begins there already"));
        }
        let index = self.find(key);
        if self.start(index) == Some(key) {
            let key = key.escape_ascii();
            let message = format!("a partition begins with \"{key}\" already");
            return Err(Error::new(ErrorKind::AlreadyExists, message));
        }
        let (before, after) = (self.boundaries().take(index), self.boundaries().skip(index));
        Self::new(before.chain([key]).chain(after))
    }

    /// Returns this map with one boundary fewer: the partition that begins with `key` becomes part
    /// of the one before it. O(boundaries + their bytes).
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if `key` is no boundary.
    pub fn remove(&self, key: impl AsRef<[u8]>) -> Result<Self> {
        let key = key.as_ref();
        let index = self.find(key);
        if index == 0 || self.start(index) != Some(key) {
            let key = key.escape_ascii();
            let message = format!("\"{key}\" is no boundary: no two partitions meet there");
            return Err(Error::new(ErrorKind::NotFound, message));
        }
        let mut keys = keys::Builder::default();
        for boundary in self.boundaries().filter(|boundary| *boundary != key) {
            keys.push(boundary)?;
        }
        Ok(Self::from_keys(keys.finish()))
    }

    /// Returns this map with the `count` partitions from `first` on replaced by new ones, which
    /// begin where the first of them did and at each of `split_points`. O(boundaries + their
    /// bytes), however many are replaced.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if there are no such partitions;
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if `count` is 0, or the split points do not
    /// ascend strictly inside the partitions.
    ///
    /// ```
    /// use annulus::placement::RangeMap;
    ///
    /// let map = RangeMap::new(["g", "p"])?;
    /// assert_eq!(map.replace(1, 1, ["k", "m"])?, RangeMap::new(["g", "k", "m", "p"])?);
    /// assert_eq!(map.replace(0, 3, [""; 0])?, RangeMap::whole());
    /// # Ok::<(), annulus::Error>(())
    /// ```
    pub fn replace<K: AsRef<[u8]>>(
        &self,
        first: usize,
        count: usize,
        split_points: impl IntoIterator<Item = K>,
    ) -> Result<Self> {
        let end = first.saturating_add(count);
        if count == 0 {
            return Err(Error::invalid("no partition to replace: give at least one"));
        }
        if end > self.len() {
            let message = format!("partitions {first} to {} of {}", end - 1, self.len());
            return Err(Error::new(ErrorKind::NotFound, message));
        }
        let mut keys = keys::Builder::default();
        self.boundaries().take(first).try_for_each(|boundary| keys.push(boundary))?;
        split_points.into_iter().try_for_each(|point| keys.push(point.as_ref()))?;
        self.boundaries().skip(end - 1).try_for_each(|boundary| keys.push(boundary))?;
        Ok(Self::from_keys(keys.finish()))
    }
}
