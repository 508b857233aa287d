//! The partitions that a range of keys needs.

use super::RangeMap;
use std::ops::{Bound, Range, RangeBounds};

impl RangeMap {
    /// Returns the partitions that can hold a key within `bounds`: no more and no fewer. Empty if
    /// no key is within, even if the end lies before the start. Costs two lookups.
    ///
    /// ```
    /// use annulus::placement::RangeMap;
    ///
    /// let map = RangeMap::new(["g", "p"])?;
    /// assert_eq!(map.intersecting("a".."g"), 0..1);
    /// assert_eq!(map.intersecting("a"..="g"), 0..2);
    /// assert_eq!(map.intersecting::<[u8], _>(..), 0..3);
    /// assert!(map.intersecting("z".."a").is_empty());
    /// # Ok::<(), annulus::Error>(())
    /// ```
    pub fn intersecting<K, R>(&self, bounds: R) -> Range<usize>
    where
        K: AsRef<[u8]> + ?Sized,
        R: RangeBounds<K>,
    {
        let start = bounds.start_bound().map(AsRef::as_ref);
        let end = bounds.end_bound().map(AsRef::as_ref);
        let first = self.first_partition(start);
        if is_empty(start, end) {
            return first..first;
        }
        first..self.end_partition(end)
    }

    fn first_partition(&self, start: Bound<&[u8]>) -> usize {
        match start {
            Bound::Unbounded => 0,
            Bound::Included(key) => self.find(key),
            Bound::Excluded(key) => {
                let index = self.find(key);
                // The last key of a partition may be the excluded one.
                let is_last = self.keys.get(index).is_some_and(|next| follows(next, key));
                index + usize::from(is_last)
            }
        }
    }

    fn end_partition(&self, end: Bound<&[u8]>) -> usize {
        match end {
            Bound::Unbounded => self.len(),
            Bound::Included(key) => self.find(key) + 1,
            Bound::Excluded(key) => {
                let index = self.find(key);
                index + usize::from(self.start(index) != Some(key))
            }
        }
    }
}

fn is_empty(start: Bound<&[u8]>, end: Bound<&[u8]>) -> bool {
    match (start, end) {
        (_, Bound::Unbounded) => false,
        (Bound::Unbounded, Bound::Included(_)) => false,
        (Bound::Unbounded, Bound::Excluded(end)) => end.is_empty(),
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (Bound::Included(start), Bound::Excluded(end)) => start >= end,
        (Bound::Excluded(start), Bound::Included(end)) => start >= end,
        (Bound::Excluded(start), Bound::Excluded(end)) => start >= end || follows(end, start),
    }
}

/// Returns true if no key lies between `key` and `next`, which is greater.
fn follows(next: &[u8], key: &[u8]) -> bool {
    next.split_last() == Some((&0, key))
}
