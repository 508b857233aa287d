//! The boundaries of a range map, one after the other in one piece of memory.

use crate::error::{Error, Result};
use std::sync::Arc;

/// The maximum number of keys, and of bytes of one. The search tree counts in 32 bits, and reserves
/// some of the values.
const COUNT_MAX: usize = 1 << 30;
const LEN_MAX: usize = 1 << 30;

/// Keys that ascend strictly, none of them empty.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Keys {
    bytes: Arc<[u8]>,
    /// Where each key ends; it begins where the one before ends.
    ends: Arc<[usize]>,
}

impl Keys {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns the key with this index; `None` if there is none.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "ends ascend up to the number of bytes")]
    pub(super) fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.bytes[start..end])
    }

    /// Returns the key with this index, which must be below their number.
    #[inline]
    #[expect(clippy::expect_used, reason = "indices come from the keys themselves")]
    pub(super) fn at(&self, index: usize) -> &[u8] {
        self.get(index).expect("an index of a key")
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &[u8]> + ExactSizeIterator + '_ {
        (0..self.len()).map(|index| self.at(index))
    }

    /// Returns how many keys are not greater than `key`, by a plain binary search.
    pub(super) fn rank(&self, key: &[u8]) -> usize {
        self.rank_among(0, self.len(), key)
    }

    /// Like [`rank`](Self::rank), when the answer is known to lie from `low` to `high`.
    pub(super) fn rank_among(&self, mut low: usize, mut high: usize, key: &[u8]) -> usize {
        while low < high {
            let middle = low.midpoint(high);
            if self.at(middle) <= key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Returns the bytes of all keys, and the length of each.
    pub(super) fn parts(&self) -> (&[u8], impl ExactSizeIterator<Item = usize> + '_) {
        (&self.bytes, self.iter().map(<[u8]>::len))
    }
}

/// Returns how many bytes two keys have in common from the start.
pub(super) fn common_prefix(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// Takes keys in order and checks that they are.
#[derive(Default)]
pub(super) struct Builder {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// Where the last key begins.
    last: usize,
}

impl Builder {
    /// Adds a key that is greater than the ones before.
    #[expect(clippy::indexing_slicing, reason = "the last key begins within the bytes")]
    pub(super) fn push(&mut self, key: &[u8]) -> Result<()> {
        let number = self.ends.len() + 1;
        // The first key needs no case of its own: it is compared with the empty key.
        let last = &self.bytes[self.last..];
        if key <= last {
            let (key, last) = (key.escape_ascii(), last.escape_ascii());
            return Err(Error::invalid(if number == 1 {
                "boundary 1 is empty: the first partition begins there anyway".to_owned()
            } else {
                format!("boundary {number}, \"{key}\", is not greater than \"{last}\" before it")
            }));
        }
        if number > COUNT_MAX || key.len() > LEN_MAX {
            let len = key.len();
            return Err(Error::invalid(format!(
                "boundary {number} of {len} bytes: at most {COUNT_MAX} of {LEN_MAX} bytes are possible"
            )));
        }
        self.last = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
        Ok(())
    }

    pub(super) fn finish(self) -> Keys {
        Keys { bytes: self.bytes.into(), ends: self.ends.into() }
    }
}
