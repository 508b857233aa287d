//! Ranges of keys, as callers write them.

use crate::shard::KeyRange;
use std::ops::{
    Bound, Range, RangeBounds, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive,
};

/// A range of keys: every range type of the standard library, of anything that is bytes.
///
/// It is a trait of its own so that `scan(..)` needs no type annotation.
///
/// ```
/// use annulus::KeyBounds;
/// use std::ops::Bound;
///
/// fn accepts(_: impl KeyBounds) {}
/// accepts(..);
/// accepts("a".."b");
/// accepts(b"a".to_vec()..);
/// accepts((Bound::Excluded("a"), Bound::Included("b")));
/// ```
pub trait KeyBounds {
    /// The lower bound.
    fn start(&self) -> Bound<&[u8]>;
    /// The upper bound.
    fn end(&self) -> Bound<&[u8]>;
}

impl KeyBounds for RangeFull {
    fn start(&self) -> Bound<&[u8]> {
        Bound::Unbounded
    }

    fn end(&self) -> Bound<&[u8]> {
        Bound::Unbounded
    }
}

macro_rules! key_bounds {
    ($($range:ty),*) => {$(
        impl<K: AsRef<[u8]>> KeyBounds for $range {
            fn start(&self) -> Bound<&[u8]> {
                RangeBounds::<K>::start_bound(self).map(K::as_ref)
            }

            fn end(&self) -> Bound<&[u8]> {
                RangeBounds::<K>::end_bound(self).map(K::as_ref)
            }
        }
    )*};
}

key_bounds!(
    Range<K>,
    RangeInclusive<K>,
    RangeFrom<K>,
    RangeTo<K>,
    RangeToInclusive<K>,
    (Bound<K>, Bound<K>)
);

/// A range in the engine's form, and what all its keys begin with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Bounds {
    pub(crate) range: KeyRange,
    pub(crate) prefix: Vec<u8>,
}

impl Bounds {
    pub(crate) fn of(bounds: &impl KeyBounds) -> Self {
        let start = match bounds.start() {
            Bound::Included(key) => key.to_vec(),
            Bound::Excluded(key) => just_after(key),
            Bound::Unbounded => Vec::new(),
        };
        let end = match bounds.end() {
            Bound::Included(key) => Some(just_after(key)),
            Bound::Excluded(key) => Some(key.to_vec()),
            Bound::Unbounded => None,
        };
        // Keys between two keys begin with what the two have in common.
        let shared = start.iter().zip(end.iter().flatten()).take_while(|(a, b)| a == b).count();
        let prefix = start.iter().copied().take(shared).collect();
        Self { range: KeyRange { start, end }, prefix }
    }

    pub(crate) fn of_prefix(prefix: &[u8]) -> Self {
        let range = KeyRange { start: prefix.to_vec(), end: after_prefix(prefix) };
        Self { range, prefix: prefix.to_vec() }
    }
}

/// The smallest key that is greater.
pub(crate) fn just_after(key: &[u8]) -> Vec<u8> {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next
}

/// The smallest key that is greater than all keys with this prefix; none for `FF FF …`.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix.get(..=kept)?.to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    Some(end)
}
