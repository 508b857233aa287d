//! Ranges of keys, as callers write them.

use crate::error::{Error, Result};
use crate::placement::{KeyRange, just_after};
use sealed::RawBounds;
use std::ops::{
    Bound, Range, RangeBounds, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive,
};

/// A range of keys: every range type of the standard library, over anything that is bytes.
///
/// It is a trait of its own so that `scan(..)` needs no type annotation. It is sealed: the ranges
/// of the standard library and [`Prefix`] implement it, and no other type can.
///
/// A range whose end comes before its start is refused by every call that takes one, as
/// [`InvalidArgument`](crate::ErrorKind::InvalidArgument): it is nearly always a mistake. So is one
/// whose two bounds exclude the same key. `"a".."a"` is an empty range and none of these.
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
pub trait KeyBounds: RawBounds {}

pub(crate) mod sealed {
    use std::ops::Bound;

    /// What [`KeyBounds`](super::KeyBounds) have; not to be named outside of this crate.
    pub trait RawBounds {
        /// Returns the lower bound.
        fn start(&self) -> Bound<&[u8]>;
        /// Returns the upper bound.
        fn end(&self) -> Bound<&[u8]>;
        /// Returns what every key within the bounds begins with, as far as the bounds know it
        /// beyond what they have in common. Only [`Prefix`](super::Prefix) does.
        fn prefix(&self) -> &[u8] {
            &[]
        }
    }
}

/// All keys that begin with a prefix, as bounds.
///
/// ```
/// # use annulus::{Prefix, ScanOptions, Store, topology::KeyspaceSpec};
/// # fn main() -> annulus::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let store = Store::open(directory.path().join("store"))?;
/// # let words = store.create_keyspace("words", KeyspaceSpec::hash())?;
/// for word in ["ant", "bee", "beetle", "cat"] {
///     words.put(word, "")?;
/// }
/// let mut last = words.scan_with(Prefix::new("bee"), ScanOptions::new().reverse(true).limit(1))?;
/// assert_eq!(last.next_row()?, Some((&b"beetle"[..], &b""[..])));
/// words.delete_range(Prefix::new("bee"))?;
/// assert_eq!(words.scan(..)?.count(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix {
    prefix: Vec<u8>,
    end: Option<Box<[u8]>>,
}

impl Prefix {
    /// Returns the bounds of the keys that begin with `prefix`.
    pub fn new(prefix: impl Into<Vec<u8>>) -> Self {
        let prefix = prefix.into();
        let end = KeyRange::of_prefix(&prefix).end;
        Self { prefix, end }
    }
}

impl KeyBounds for Prefix {}

impl RawBounds for Prefix {
    fn start(&self) -> Bound<&[u8]> {
        Bound::Included(&self.prefix)
    }

    fn end(&self) -> Bound<&[u8]> {
        self.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded)
    }

    fn prefix(&self) -> &[u8] {
        &self.prefix
    }
}

impl KeyBounds for RangeFull {}

impl RawBounds for RangeFull {
    fn start(&self) -> Bound<&[u8]> {
        Bound::Unbounded
    }

    fn end(&self) -> Bound<&[u8]> {
        Bound::Unbounded
    }
}

macro_rules! key_bounds {
    ($($range:ty),*) => {$(
        impl<K: AsRef<[u8]>> KeyBounds for $range {}

        impl<K: AsRef<[u8]>> RawBounds for $range {
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

/// A range in the engine's form, and the prefix that all its keys share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Bounds {
    pub(crate) range: KeyRange,
    pub(crate) prefix: Vec<u8>,
}

impl Bounds {
    /// Returns the bounds in the engine's form.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if they are inverted.
    pub(crate) fn of(bounds: &impl KeyBounds) -> Result<Self> {
        if is_inverted(bounds.start(), bounds.end()) {
            return Err(inverted(&key(bounds.start()), &key(bounds.end())));
        }
        Ok(Self::unchecked(bounds))
    }

    /// Returns the bounds in the engine's form, where inverted ones stay recognisable: their end is
    /// less than their start. For a batch, which [checks](Self::check_order) when it is committed.
    pub(crate) fn unchecked(bounds: &impl KeyBounds) -> Self {
        let inverted = is_inverted(bounds.start(), bounds.end());
        let start = match bounds.start() {
            Bound::Included(key) => key.to_vec(),
            Bound::Excluded(key) => just_after(key),
            Bound::Unbounded => Vec::new(),
        };
        let end = match bounds.end() {
            // What follows an inverted end may be the start.
            Bound::Included(key) if !inverted => Some(just_after(key)),
            Bound::Included(key) | Bound::Excluded(key) => Some(key.to_vec()),
            Bound::Unbounded => None,
        };
        // Keys between two keys begin with what the two have in common.
        let shared = start.iter().zip(end.iter().flatten()).take_while(|(a, b)| a == b).count();
        let prefix = match bounds.prefix() {
            [] => start.iter().copied().take(shared).collect(),
            known => known.to_vec(),
        };
        Self { range: KeyRange { start: start.into(), end: end.map(Into::into) }, prefix }
    }

    /// Checks that a range in the engine's form was not inverted.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`.
    pub(crate) fn check_order(start: &[u8], end: Option<&[u8]>) -> Result<()> {
        match end {
            Some(end) if end < start => Err(inverted(start, end)),
            _ => Ok(()),
        }
    }
}

/// Returns true if the end comes before the start, or if both exclude one key: what ordered maps of
/// the standard library refuse with a panic.
fn is_inverted(start: Bound<&[u8]>, end: Bound<&[u8]>) -> bool {
    match (start, end) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Excluded(start), Bound::Excluded(end)) => end <= start,
        (
            Bound::Included(start) | Bound::Excluded(start),
            Bound::Included(end) | Bound::Excluded(end),
        ) => end < start,
    }
}

fn key(bound: Bound<&[u8]>) -> Vec<u8> {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => key.to_vec(),
        Bound::Unbounded => Vec::new(),
    }
}

#[cold]
fn inverted(start: &[u8], end: &[u8]) -> Error {
    Error::invalid(format!(
        "a range of keys begins at \"{}\" and ends before that, at \"{}\"; exchange the two",
        start.escape_ascii(),
        end.escape_ascii()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the engine's form two of these would be empty ranges: what follows `a` is `a\0`.
    #[test]
    fn an_inverted_range_is_recognised_whatever_its_bounds() {
        fn refused(bounds: impl KeyBounds) {
            let error = Bounds::of(&bounds).unwrap_err();
            assert!(error.to_string().contains("ends before that"), "{error}");
            let Bounds { range, .. } = Bounds::unchecked(&bounds);
            assert!(Bounds::check_order(&range.start, range.end.as_deref()).is_err());
        }
        refused("b".."a");
        refused("b"..="a");
        refused("a\0"..="a");
        refused((Bound::Excluded("a"), Bound::Excluded("a")));
        refused((Bound::Excluded("b"), Bound::Included("a")));
        refused((Bound::Excluded("b"), Bound::Included("a\0")));
    }

    #[test]
    fn an_empty_range_is_none_of_these() {
        fn accepted(bounds: impl KeyBounds) {
            let Bounds { range, .. } = Bounds::of(&bounds).unwrap();
            Bounds::check_order(&range.start, range.end.as_deref()).unwrap();
        }
        accepted("a".."a");
        accepted((Bound::Excluded("a"), Bound::Included("a")));
        accepted((Bound::Excluded("a"), Bound::Excluded("a\0")));
        accepted((Bound::Included("a"), Bound::Excluded("a")));
        accepted(..);
        accepted("b"..);
        accepted(.."");
        accepted(Prefix::new([0xff]));
    }
}
