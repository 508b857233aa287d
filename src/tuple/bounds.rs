//! Ranges of keys that are values.

use super::code::ESCAPE;
use super::{KeyWriter, PrefixOf};
use crate::error::{Error, Result};
use crate::placement::KeyRange;
use sealed::RawTupleBounds;
use std::ops::{
    Bound, Range, RangeBounds, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive,
};

/// A range of keys of type `K`: every range type of the standard library, over keys and their
/// [prefixes](PrefixOf), and [`TuplePrefix`].
///
/// A bound that is a prefix stands for all keys that begin with it: `("a",)..=("c",)` has the keys
/// whose first elements are from `"a"` to `"c"`, both included, whatever their second elements are.
///
/// It is sealed: no other type can implement it.
///
/// ```
/// use annulus::tuple::{TupleBounds, TuplePrefix};
///
/// fn accepts(_: impl TupleBounds<(String, u64)>) {}
/// accepts(..);
/// accepts(("user", 7)..("user", 9));
/// accepts(("a",)..=("c",));
/// accepts(TuplePrefix(("user",)));
/// ```
pub trait TupleBounds<K>: RawTupleBounds<K> {}

/// All keys that begin with a [prefix](PrefixOf), as bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TuplePrefix<P>(pub P);

/// A range of encoded keys, which calls on keyspaces of bytes take; made by [`encode_bounds`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedRange {
    pub(crate) range: KeyRange,
    /// What every key within the range begins with, if it is that of a prefix.
    pub(crate) prefix: Vec<u8>,
}

/// Returns a range in the encoding of keys: for calls that take bytes.
///
/// ```
/// use annulus::tuple;
///
/// let range = tuple::encode_range::<(String, u64)>(("user", 7)..=("user", 9))?;
/// assert!(range.contains(&tuple::encode(&("user", 9))));
/// # Ok::<(), annulus::Error>(())
/// ```
///
/// # Errors
///
/// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if the range is inverted.
pub fn encode_range<K>(range: impl TupleBounds<K>) -> Result<KeyRange> {
    Ok(range.encoded()?.range)
}

/// Returns a range in the encoding of keys, for calls on keyspaces of bytes that take a range. It knows
/// of a prefix that it is one, so that such a call looks only where keys with the prefix are.
///
/// ```
/// use annulus::tuple::{self, TuplePrefix};
///
/// let range = tuple::encode_bounds::<(String, u64)>(TuplePrefix(("user",)))?;
/// assert_eq!(range, tuple::encode_bounds::<(String, u64)>(TuplePrefix(("user",)))?);
/// # Ok::<(), annulus::Error>(())
/// ```
///
/// # Errors
///
/// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if the range is inverted.
pub fn encode_bounds<K>(range: impl TupleBounds<K>) -> Result<EncodedRange> {
    range.encoded()
}

pub(super) mod sealed {
    use super::{EncodedRange, Result};

    /// What [`TupleBounds`](super::TupleBounds) have; not to be named outside of this crate.
    pub trait RawTupleBounds<K> {
        /// Returns the bounds in the encoding of keys.
        ///
        /// # Errors
        ///
        /// `InvalidArgument` if the range is inverted.
        fn encoded(&self) -> Result<EncodedRange>;
    }
}

impl<K> TupleBounds<K> for RangeFull {}

impl<K> RawTupleBounds<K> for RangeFull {
    fn encoded(&self) -> Result<EncodedRange> {
        Ok(EncodedRange { range: KeyRange::whole(), prefix: Vec::new() })
    }
}

impl<K, P: PrefixOf<K>> TupleBounds<K> for TuplePrefix<P> {}

impl<K, P: PrefixOf<K>> RawTupleBounds<K> for TuplePrefix<P> {
    fn encoded(&self) -> Result<EncodedRange> {
        let (prefix, end) = encode_prefix(&self.0);
        let range = KeyRange { start: prefix.as_slice().into(), end: Some(end.into()) };
        Ok(EncodedRange { range, prefix })
    }
}

macro_rules! tuple_bounds {
    ($($range:ty),*) => {$(
        impl<K, P: PrefixOf<K>> TupleBounds<K> for $range {}

        impl<K, P: PrefixOf<K>> RawTupleBounds<K> for $range {
            fn encoded(&self) -> Result<EncodedRange> {
                range(RangeBounds::<P>::start_bound(self), RangeBounds::<P>::end_bound(self))
            }
        }
    )*};
}

tuple_bounds!(
    Range<P>,
    RangeInclusive<P>,
    RangeFrom<P>,
    RangeTo<P>,
    RangeToInclusive<P>,
    (Bound<P>, Bound<P>)
);

/// Returns the encoding of a prefix, and what the keys that begin with it are less than.
///
/// IMPORTANT: these are not all keys whose bytes begin with those of the prefix. The text "a" is
/// `02 61 00`, and "a" with a NUL after it `02 61 00 FF 00`. After a whole element another one
/// begins, or the key ends; none begins with `FF`.
fn encode_prefix<K>(prefix: &impl PrefixOf<K>) -> (Vec<u8>, Vec<u8>) {
    let mut writer = KeyWriter::new();
    prefix.encode_prefix(&mut writer);
    let open = writer.is_open();
    let prefix = writer.into_bytes();
    let end = match KeyRange::of_prefix(&prefix).end {
        Some(end) if open => end.into(),
        _ => [&prefix, &[ESCAPE][..]].concat(),
    };
    (prefix, end)
}

/// Returns the range from one bound to another.
fn range<K, P: PrefixOf<K>>(from: Bound<&P>, to: Bound<&P>) -> Result<EncodedRange> {
    let (from, to) = (from.map(encode_prefix), to.map(encode_prefix));
    let start = match &from {
        Bound::Included((prefix, _)) => prefix.as_slice(),
        Bound::Excluded((_, end)) => end,
        Bound::Unbounded => &[],
    };
    let end = match &to {
        Bound::Included((_, end)) => Some(end.as_slice()),
        Bound::Excluded((prefix, _)) => Some(prefix.as_slice()),
        Bound::Unbounded => None,
    };
    if let (Bound::Included(low) | Bound::Excluded(low), Some(end)) = (&from, end)
        && let Bound::Included(high) | Bound::Excluded(high) = &to
        && (start > end || (start == end && low.0 > high.0))
    {
        return Err(inverted(&low.0, &high.0));
    }
    Ok(EncodedRange { range: KeyRange::new(start, end), prefix: Vec::new() })
}

#[cold]
fn inverted(from: &[u8], to: &[u8]) -> Error {
    Error::invalid(format!(
        "a range of keys begins at {} and ends before that, at {}; exchange the two",
        super::describe(from),
        super::describe(to)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::tuple::{BeginsWith, encode};

    type Pair = (String, u64);

    fn contains(range: &impl TupleBounds<Pair>, key: &(&str, u64)) -> bool {
        let EncodedRange { range, prefix } = range.encoded().unwrap();
        let key = encode(key);
        assert!(!range.contains(&key) || key.starts_with(&prefix));
        range.contains(&key)
    }

    fn inside(range: impl TupleBounds<Pair>) -> Vec<(&'static str, u64)> {
        let keys = ["a", "ab", "b", "b\0", "c"].map(|text| [0, 5, 256].map(|n| (text, n)));
        keys.into_iter().flatten().filter(|key| contains(&range, key)).collect()
    }

    #[test]
    fn a_prefix_stands_for_all_that_begins_with_it() {
        let all_of = |texts: &[&'static str]| -> Vec<_> {
            texts.iter().flat_map(|text| [0, 5, 256].map(|n| (*text, n))).collect()
        };
        assert_eq!(inside(..), all_of(&["a", "ab", "b", "b\0", "c"]));
        assert_eq!(inside(TuplePrefix(("b",))), all_of(&["b"]));
        assert_eq!(inside(TuplePrefix((BeginsWith("a"),))), all_of(&["a", "ab"]));
        assert_eq!(inside(("ab",)..=("b",)), all_of(&["ab", "b"]));
        assert_eq!(inside(("ab",)..("b",)), all_of(&["ab"]));
        assert_eq!(
            inside((Bound::Excluded(("ab",)), Bound::Unbounded)),
            all_of(&["b", "b\0", "c"])
        );
        assert_eq!(inside(..=(BeginsWith("a"),)), all_of(&["a", "ab"]));
        assert_eq!(inside(("b", 5)..=("b", 256)), [("b", 5), ("b", 256)]);
        assert_eq!(inside(("b", 5)..("b", 256)), [("b", 5)]);
        assert_eq!(inside((Bound::Excluded(("b", 0)), Bound::Included(("b", 5)))), [("b", 5)]);
        assert_eq!(inside(("b\0", 256)..), [("b\0", 256), ("c", 0), ("c", 5), ("c", 256)]);
        assert_eq!(inside(("b", 5)..("b", 5)), []);
    }

    #[test]
    fn an_inverted_range_is_refused() {
        let refused = |range: &dyn RawTupleBounds<Pair>| {
            let error = range.encoded().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            error.to_string()
        };
        assert!(refused(&(("b", 7)..("b", 5))).contains(r#"begins at ("b", 7)"#));
        refused(&(("b", 6)..=("b", 5)));
        refused(&(("b",)..("a",)));
        refused(&(("b",)..=("a",)));
        refused(&(Bound::Excluded(("b", 5)), Bound::Excluded(("b", 5))));
        refused(&(Bound::Excluded(("b", 6)), Bound::Included(("b", 5))));
        refused(&((BeginsWith("b"),)..=(BeginsWith("a"),)));
        assert_eq!(inside((Bound::Excluded(("b", 5)), Bound::Included(("b", 5)))), []);
    }

    /// A past bug: the range of a prefix had all keys whose bytes begin with those of the prefix,
    /// and `..=key` those whose bytes begin with the key's: also texts that go on with a NUL.
    #[test]
    fn a_text_that_goes_on_with_a_nul_has_no_other_as_its_prefix() {
        assert!(encode("b\0").starts_with(&encode("b")));
        let texts = |range: &dyn RawTupleBounds<String>| {
            let range = range.encoded().unwrap().range;
            ["a", "b", "b\0", "b\0c", "bc"].map(|text| range.contains(&encode(text)))
        };
        assert_eq!(texts(&TuplePrefix("b")), [false, true, false, false, false]);
        assert_eq!(texts(&(..="b")), [true, true, false, false, false]);
        let after = (Bound::Excluded("b"), Bound::Unbounded);
        assert_eq!(texts(&after), [false, false, true, true, true]);
        assert_eq!(texts(&TuplePrefix(BeginsWith("b"))), [false, true, true, true, true]);
        assert_eq!(texts(&TuplePrefix(BeginsWith("b\0"))), [false, false, true, true, false]);
    }

    #[test]
    fn all_keys_begin_with_the_empty_tuple() {
        let range = |range: &dyn RawTupleBounds<()>| range.encoded().unwrap().range;
        assert!(range(&TuplePrefix(())).contains(&[]));
        assert!(!range(&(Bound::Excluded(()), Bound::Unbounded)).contains(&[]));
    }
}
