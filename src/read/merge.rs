//! The ordered merge of several cursors, each of which is ordered.
//!
//! A binary heap of cursors by their present key (Knuth, *The Art of Computer Programming*, volume
//! 3, 5.4.1). The first eight bytes of each key are kept next to it, so that most comparisons touch
//! neither the cursors nor the keys. Space: O(k); each step: O(log k).

use crate::engine::{Cursor, Direction};
use crate::error::Result;
use std::cmp::Ordering;

struct Entry<C> {
    head: u64,
    cursor: C,
}

impl<C: Cursor> Entry<C> {
    /// Returns the entry of a cursor, or `None` if it has no row left.
    fn of(cursor: C) -> Option<Self> {
        let head = head(cursor.key()?);
        Some(Self { head, cursor })
    }

    /// Returns true if this entry's row comes before the other's.
    fn precedes(&self, other: &Self, direction: Direction) -> bool {
        let order =
            self.head.cmp(&other.head).then_with(|| self.cursor.key().cmp(&other.cursor.key()));
        match direction {
            Direction::Forward => order == Ordering::Less,
            Direction::Reverse => order == Ordering::Greater,
        }
    }
}

/// Returns the first eight bytes as a number that sorts like them; missing bytes count as zeros, so
/// equal heads decide nothing.
fn head(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(key) {
        *to = *from;
    }
    u64::from_be_bytes(bytes)
}

/// A merge of cursors whose keys are disjoint.
pub(crate) struct MergeCursor<C> {
    /// A heap: no entry precedes its parent, which is at half its position.
    heap: Vec<Entry<C>>,
    direction: Direction,
}

impl<C: Cursor> MergeCursor<C> {
    pub(crate) fn new(cursors: impl IntoIterator<Item = C>, direction: Direction) -> Self {
        let heap = cursors.into_iter().filter_map(Entry::of).collect();
        let mut merge = Self { heap, direction };
        for position in (0..merge.heap.len() / 2).rev() {
            merge.sift_down(position);
        }
        merge
    }

    /// Returns the next row.
    #[inline]
    pub(crate) fn row(&self) -> Option<(&[u8], &[u8])> {
        self.heap.first()?.cursor.row()
    }

    /// Moves past it.
    pub(crate) fn advance(&mut self) -> Result<()> {
        let Some(top) = self.heap.first_mut() else { return Ok(()) };
        top.cursor.advance();
        match top.cursor.key() {
            Some(key) => top.head = head(key),
            None => {
                let ended = self.heap.swap_remove(0);
                ended.cursor.status()?;
            }
        }
        self.sift_down(0);
        Ok(())
    }

    fn sift_down(&mut self, mut position: usize) {
        while let Some(first) = self.first_child(position) {
            let [Some(child), Some(parent)] = [self.heap.get(first), self.heap.get(position)]
            else {
                return;
            };
            if !child.precedes(parent, self.direction) {
                return;
            }
            self.heap.swap(first, position);
            position = first;
        }
    }

    /// Returns the child of a position that precedes the other child.
    fn first_child(&self, position: usize) -> Option<usize> {
        let left = 2 * position + 1;
        let left_entry = self.heap.get(left)?;
        match self.heap.get(left + 1) {
            Some(right) if right.precedes(left_entry, self.direction) => Some(left + 1),
            _ => Some(left),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails panics")]
mod tests {
    //! Goal: merging yields the rows in order, whatever the cursors hold. Method: cursors over
    //! vectors against a sorted vector, for random divisions of random keys.

    use super::*;
    use proptest::prelude::*;

    struct Rows {
        rows: Vec<Vec<u8>>,
        at: usize,
    }

    impl Cursor for Rows {
        fn row(&self) -> Option<(&[u8], &[u8])> {
            self.key().map(|key| (key, key))
        }

        fn key(&self) -> Option<&[u8]> {
            self.rows.get(self.at).map(Vec::as_slice)
        }

        fn advance(&mut self) {
            self.at += 1;
        }

        fn status(&self) -> Result<()> {
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn merges_in_order(
            keys in proptest::collection::btree_map(
                proptest::collection::vec(0_u8..3, 0..12), 0_usize..9, 0..80),
            reverse in any::<bool>(),
        ) {
            let direction = if reverse { Direction::Reverse } else { Direction::Forward };
            let mut expected: Vec<_> = keys.keys().cloned().collect();
            let mut cursors: Vec<_> = (0..9).map(|_| Rows { rows: Vec::new(), at: 0 }).collect();
            if reverse {
                expected.reverse();
            }
            for key in &expected {
                cursors[keys[key]].rows.push(key.clone());
            }
            let mut merge = MergeCursor::new(cursors, direction);
            let mut merged = Vec::new();
            while let Some((key, _)) = merge.row() {
                merged.push(key.to_vec());
                merge.advance().unwrap();
            }
            prop_assert_eq!(merged, expected);
        }
    }
}
