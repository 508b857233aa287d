//! The boundaries, one after the other in one piece of memory.

use crate::error::{Error, Result};
use std::sync::Arc;

/// The most keys, and the most bytes of one. The search tree counts in 32 bits, with some to spare.
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

    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = match index.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.bytes.get(start..end)
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &[u8]> + ExactSizeIterator + '_ {
        (0..self.len()).map(|index| self.get(index).unwrap_or_default())
    }

    /// How many keys are not greater than `key`, by a plain binary search.
    pub(super) fn rank(&self, key: &[u8]) -> usize {
        self.rank_among(0, self.len(), key)
    }

    /// Like [`rank`](Self::rank), when the answer is known to lie from `low` to `high`.
    pub(super) fn rank_among(&self, mut low: usize, mut high: usize, key: &[u8]) -> usize {
        while low < high {
            let middle = low.midpoint(high);
            if self.get(middle).is_some_and(|boundary| boundary <= key) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The bytes of all keys, and the length of each.
    pub(super) fn parts(&self) -> (&[u8], impl ExactSizeIterator<Item = usize> + '_) {
        (&self.bytes, self.iter().map(<[u8]>::len))
    }
}

/// How many bytes two keys have in common from the start.
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
    pub(super) fn push(&mut self, key: &[u8]) -> Result<()> {
        let number = self.ends.len() + 1;
        // The first key needs no case of its own: it is compared with the empty key.
        let last = self.bytes.get(self.last..).unwrap_or_default();
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
