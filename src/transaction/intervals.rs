//! Sets of keys, as single keys and disjoint intervals. Pure.

use std::collections::BTreeMap;
use std::ops::Bound;

/// What an entry occupies next to its keys, about.
const ENTRY_BYTES: usize = 64;

/// A set of keys.
#[derive(Debug, Clone, Default)]
pub(crate) struct Intervals {
    /// Where each interval ends, by its first key. No two have a key in common.
    by_start: BTreeMap<Box<[u8]>, End>,
    bytes: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    /// The interval is this one key.
    OfKey,
    Before(Box<[u8]>),
    Open,
}

impl End {
    fn before(end: Option<&[u8]>) -> Self {
        end.map_or(Self::Open, |end| Self::Before(end.into()))
    }

    /// Returns true if an interval that ends here, and begins at `start`, has a key that is not
    /// before `start`.
    fn is_after(&self, start: &[u8], key: &[u8]) -> bool {
        match self {
            Self::OfKey => start == key,
            Self::Before(end) => *key < **end,
            Self::Open => true,
        }
    }

    /// Returns the later of the ends of two intervals that have a key in common, or that touch.
    fn max(self, other: Self) -> Self {
        match (self, other) {
            (Self::Before(one), Self::Before(other)) => Self::Before(one.max(other)),
            (Self::Open, _) | (_, Self::Open) => Self::Open,
            // A single key in an interval is not its end.
            (Self::OfKey, other) => other,
            (one, Self::OfKey) => one,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::OfKey | Self::Open => 0,
            Self::Before(end) => end.len(),
        }
    }
}

impl Intervals {
    /// Returns about how many bytes of memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a key.
    pub(crate) fn insert(&mut self, key: &[u8]) {
        if !self.contains(key) {
            self.put(key.into(), End::OfKey);
        }
    }

    /// Adds the keys from `start` up to, not including, `end`; or all from `start` on.
    pub(crate) fn insert_range(&mut self, start: &[u8], end: Option<&[u8]>) {
        if end.is_some_and(|end| end <= start) {
            return;
        }
        let (mut first, mut last) = (Box::from(start), End::before(end));
        if let Some((before, its_end)) = self.at_or_before(start)
            && its_end.is_after(before, start)
        {
            (first, last) = (before.into(), last.max(its_end.clone()));
        }
        // Those that begin inside; only the last of them may end beyond.
        let inside = (Bound::Included(&*first), end.map_or(Bound::Unbounded, Bound::Excluded));
        let absorbed: Vec<Box<[u8]>> =
            self.by_start.range::<[u8], _>(inside).map(|(start, _)| start.clone()).collect();
        for start in absorbed {
            if let Some(end) = self.by_start.remove(&start) {
                self.bytes -= ENTRY_BYTES + start.len() + end.bytes();
                last = last.max(end);
            }
        }
        self.put(first, last);
    }

    fn put(&mut self, start: Box<[u8]>, end: End) {
        self.bytes += ENTRY_BYTES + start.len() + end.bytes();
        self.by_start.insert(start, end);
    }

    /// Returns true if a key is in the set.
    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        self.at_or_before(key).is_some_and(|(start, end)| end.is_after(start, key))
    }

    /// Returns true if a key of the set is at or after `start` and before `end`, if there is one.
    pub(crate) fn intersects(&self, start: &[u8], end: Option<&[u8]>) -> bool {
        if end.is_some_and(|end| end <= start) {
            return false;
        }
        let inside = (Bound::Included(start), end.map_or(Bound::Unbounded, Bound::Excluded));
        self.contains(start) || self.by_start.range::<[u8], _>(inside).next().is_some()
    }

    fn at_or_before(&self, key: &[u8]) -> Option<(&[u8], &End)> {
        let up_to = (Bound::Unbounded, Bound::Included(key));
        let (start, end) = self.by_start.range::<[u8], _>(up_to).next_back()?;
        Some((start, end))
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    //! Goal: the set has what was added, and nothing else. Method: all keys of up to three letters,
    //! against a plain set of them, for random keys and ranges.

    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    type Key = Vec<u8>;

    fn key() -> impl Strategy<Value = Key> {
        vec(prop::sample::select(b"\0ab\xff".to_vec()), 0..3)
    }

    fn all() -> Vec<Key> {
        let mut all = vec![Key::new()];
        for length in 0..3 {
            let longest: Vec<Key> = all.iter().filter(|key| key.len() == length).cloned().collect();
            all.extend(
                longest.iter().flat_map(|key| {
                    b"\0ab\xff".iter().map(|letter| [key, &[*letter][..]].concat())
                }),
            );
        }
        all
    }

    fn is_in(key: &Key, start: &Key, end: Option<&Key>) -> bool {
        key >= start && end.is_none_or(|end| key < end)
    }

    proptest! {
        #[test]
        fn has_what_was_added(
            added in vec(prop_oneof![
                2 => key().prop_map(|key| (key, None)),
                3 => (key(), prop::option::weighted(0.9, key())).prop_map(|(a, b)| (a, Some(b))),
            ], 0..12),
            asked in vec((key(), prop::option::of(key())), 0..12),
        ) {
            let (mut set, mut model) = (Intervals::default(), BTreeSet::new());
            for (start, end) in &added {
                match end {
                    None => {
                        set.insert(start);
                        model.insert(start.clone());
                    }
                    Some(end) => {
                        set.insert_range(start, end.as_deref());
                        model.extend(all().into_iter().filter(|k| is_in(k, start, end.as_ref())));
                    }
                }
            }
            for key in all() {
                prop_assert_eq!(set.contains(&key), model.contains(&key), "{:?}", key);
            }
            for (start, end) in &asked {
                let expected = model.iter().any(|key| is_in(key, start, end.as_ref()));
                prop_assert_eq!(set.intersects(start, end.as_deref()), expected);
            }
            prop_assert_eq!(set.by_start.is_empty(), set.bytes() == 0);
            let starts: Vec<_> = set.by_start.keys().cloned().collect();
            for (start, next) in starts.iter().zip(starts.iter().skip(1)) {
                let end = &set.by_start[start];
                prop_assert!(!end.is_after(start, next), "{:?} overlaps {:?}", start, next);
            }
        }
    }

    #[test]
    fn ranges_that_meet_become_one() {
        let mut set = Intervals::default();
        set.insert(b"c");
        set.insert_range(b"a", Some(b"b"));
        set.insert_range(b"d", Some(b"f"));
        assert_eq!(set.by_start.len(), 3);
        set.insert_range(b"a5", Some(b"e"));
        assert_eq!(set.by_start, [(b"a"[..].into(), End::Before(b"f"[..].into()))].into());
        assert_eq!(set.bytes(), ENTRY_BYTES + 2);
        set.insert_range(b"", None);
        assert_eq!(set.by_start, [(b""[..].into(), End::Open)].into());
        assert_eq!(set.bytes(), ENTRY_BYTES);
    }
}
