//! Boundaries for keys that are not partitioned yet.

use super::RangeMap;
use super::keys::common_prefix;

impl RangeMap {
    /// Returns up to `parts - 1` boundaries that divide `samples` into `parts` partitions of as
    /// equal numbers as possible. The samples are in ascending order; a key that counts more
    /// appears more often. Fewer boundaries are returned when there are fewer samples or the same
    /// key fills several parts. If the samples are not in order, the boundaries still are.
    ///
    /// Each boundary is the shortest key that separates the samples on its two sides (Bayer and
    /// Unterauer 1977, prefix B-trees), so it need not be a sample itself.
    /// O(parts × log samples).
    ///
    /// ```
    /// use annulus::placement::RangeMap;
    ///
    /// let samples = ["anna", "bertha", "chris", "christa"];
    /// assert_eq!(RangeMap::split_points(&samples, 2), [b"c"]);
    /// assert_eq!(RangeMap::split_points(&samples, 4), [&b"b"[..], b"c", b"christ"]);
    /// let map = RangeMap::new(RangeMap::split_points(&samples, 3))?;
    /// assert_eq!(map.len(), 3);
    /// # Ok::<(), annulus::Error>(())
    /// ```
    #[must_use]
    pub fn split_points<K: AsRef<[u8]>>(samples: &[K], parts: usize) -> Vec<Vec<u8>> {
        let parts = parts.min(samples.len());
        let mut points: Vec<Vec<u8>> = Vec::new();
        for part in 1..parts {
            let wanted = (samples.len() as u128 * part as u128 / parts as u128) as usize;
            let Some((one, other)) = pair_near(samples, wanted) else {
                continue;
            };
            let point = separator(one, other);
            if points.last().is_none_or(|last| **last < *point) {
                points.push(point.to_vec());
            }
        }
        points
    }
}

/// Returns the two different adjacent samples that are nearest to the position before `at`; `None`
/// if all samples are equal.
fn pair_near<K: AsRef<[u8]>>(samples: &[K], at: usize) -> Option<(&[u8], &[u8])> {
    let (before, after) = samples.split_at_checked(at)?;
    let key = after.first()?.as_ref();
    // The samples equal to `key`, which no boundary can divide.
    let first = before.partition_point(|sample| sample.as_ref() < key);
    let end = at + after.partition_point(|sample| sample.as_ref() <= key);
    let position =
        if first > 0 && at - first <= end - at || end == samples.len() { first } else { end };
    let sample = |index: usize| samples.get(index).map(AsRef::as_ref);
    let (one, other) = (sample(position.checked_sub(1)?)?, sample(position)?);
    (one < other).then_some((one, other))
}

/// Returns the shortest key that is greater than `one` and not greater than `other`.
fn separator<'k>(one: &[u8], other: &'k [u8]) -> &'k [u8] {
    other.get(..=common_prefix(one, other)).unwrap_or(other)
}
