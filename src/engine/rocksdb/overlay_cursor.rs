//! The rows of a column family and of its overlay as one sequence.

use super::overlay::OverlayRows;
use crate::engine::Direction;
use crate::placement::KeyRange;
use std::ops::Range;
use std::sync::Arc;

/// The rows in files: a position among them that moves in one direction, within bounds.
pub(super) trait FileRows {
    fn row(&self) -> Option<(&[u8], &[u8])>;
    fn key(&self) -> Option<&[u8]>;
    fn advance(&mut self, direction: Direction);
    /// Moves on past the keys from `start` up to, not including, `end`, in which it stands.
    fn pass(&mut self, start: &[u8], end: &[u8], direction: Direction);
    /// Returns true if it ended at an error.
    fn is_failed(&self) -> bool;
}

/// The part of a cursor that knows the overlay. It is passed the rows in files with each call.
pub(super) struct OverlayCursor {
    overlay: Arc<OverlayRows>,
    /// The rows of the overlay that the cursor has not passed.
    left: Range<usize>,
    direction: Direction,
    stands: Stands,
}

/// Whose row the cursor stands on.
#[derive(Clone, Copy)]
enum Stands {
    InFiles,
    InOverlay,
    AtEnd,
}

impl OverlayCursor {
    /// Makes a cursor of the rows in files, which stand on their first one in the range.
    pub(super) fn new(
        overlay: &Arc<OverlayRows>,
        range: &KeyRange,
        direction: Direction,
        files: &mut impl FileRows,
    ) -> Self {
        let left = overlay.indexes(&range.start, range.end.as_deref());
        let overlay = Arc::clone(overlay);
        let mut cursor = Self { overlay, left, direction, stands: Stands::AtEnd };
        cursor.settle(files);
        cursor
    }

    pub(super) fn row<'r>(&'r self, files: &'r impl FileRows) -> Option<(&'r [u8], &'r [u8])> {
        match self.stands {
            Stands::InFiles => files.row(),
            Stands::InOverlay => self.head().and_then(|(key, value)| Some((key, value?))),
            Stands::AtEnd => None,
        }
    }

    pub(super) fn key<'r>(&'r self, files: &'r impl FileRows) -> Option<&'r [u8]> {
        match self.stands {
            Stands::InFiles => files.key(),
            Stands::InOverlay => self.head().map(|(key, _)| key),
            Stands::AtEnd => None,
        }
    }

    pub(super) fn advance(&mut self, files: &mut impl FileRows) {
        match self.stands {
            Stands::InFiles => files.advance(self.direction),
            Stands::InOverlay => self.pass_head(),
            Stands::AtEnd => return,
        }
        self.settle(files);
    }

    /// Moves on to the next row that is there, if it does not stand on one.
    fn settle(&mut self, files: &mut impl FileRows) {
        self.stands = loop {
            let Some(key) = files.key() else {
                // IMPORTANT: after an error, the rows in files that would come next are unknown. The
                // rows of the overlay alone must not pass for all of them.
                if files.is_failed() {
                    break Stands::AtEnd;
                }
                match self.head() {
                    Some((_, Some(_))) => break Stands::InOverlay,
                    Some((_, None)) => self.pass_head(),
                    None => break Stands::AtEnd,
                }
                continue;
            };
            match self.head() {
                Some((head, _)) if head == key => files.advance(self.direction),
                Some((head, value)) if self.is_before(head, key) => match value {
                    Some(_) => break Stands::InOverlay,
                    None => self.pass_head(),
                },
                _ => match self.overlay.deleted_around(key) {
                    Some((start, end)) => files.pass(start, end, self.direction),
                    None => break Stands::InFiles,
                },
            }
        };
    }

    fn is_before(&self, one: &[u8], other: &[u8]) -> bool {
        match self.direction {
            Direction::Forward => one < other,
            Direction::Reverse => one > other,
        }
    }

    /// Returns the next row of the overlay.
    fn head(&self) -> Option<(&[u8], Option<&[u8]>)> {
        if self.left.is_empty() {
            return None;
        }
        self.overlay.row(match self.direction {
            Direction::Forward => self.left.start,
            Direction::Reverse => self.left.end - 1,
        })
    }

    /// Passes the next row of the overlay, which is there.
    fn pass_head(&mut self) {
        match self.direction {
            Direction::Forward => self.left.start += 1,
            Direction::Reverse => self.left.end -= 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::overlay::Overlay;
    use super::super::overlay::tests::{any_changes, any_key};
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, VecDeque};

    type Bytes = Vec<u8>;
    type Rows = Vec<(Bytes, Bytes)>;

    /// Rows that stand for those in files, in the order of the direction; in the place of those
    /// after the last one, perhaps an error.
    struct Model {
        rows: VecDeque<(Bytes, Bytes)>,
        fails: bool,
    }

    impl Model {
        fn of(rows: Rows, direction: Direction, fails_after: Option<usize>) -> Self {
            let mut rows = VecDeque::from(rows);
            if direction == Direction::Reverse {
                rows.make_contiguous().reverse();
            }
            rows.truncate(fails_after.unwrap_or(usize::MAX));
            Self { rows, fails: fails_after.is_some() }
        }
    }

    impl FileRows for Model {
        fn row(&self) -> Option<(&[u8], &[u8])> {
            self.rows.front().map(|(key, value)| (&**key, &**value))
        }

        fn key(&self) -> Option<&[u8]> {
            self.row().map(|(key, _)| key)
        }

        fn advance(&mut self, _direction: Direction) {
            assert!(self.rows.pop_front().is_some(), "advanced beyond the end");
        }

        fn pass(&mut self, start: &[u8], end: &[u8], direction: Direction) {
            let inside = |key: &[u8]| start <= key && key < end;
            assert!(self.key().is_some_and(inside));
            while self.key().is_some_and(inside) {
                self.advance(direction);
            }
        }

        fn is_failed(&self) -> bool {
            self.fails && self.rows.is_empty()
        }
    }

    fn read(overlay: &Overlay, range: &KeyRange, direction: Direction, mut files: Model) -> Rows {
        let mut cursor = OverlayCursor::new(overlay.rows(), range, direction, &mut files);
        let mut read = Vec::new();
        while let Some((key, value)) = cursor.row(&files) {
            assert_eq!(cursor.key(&files), Some(key));
            read.push((key.to_owned(), value.to_owned()));
            cursor.advance(&mut files);
        }
        cursor.advance(&mut files);
        assert!(cursor.row(&files).is_none() && cursor.key(&files).is_none());
        read
    }

    proptest! {
        #[test]
        fn a_cursor_shows_what_a_map_with_the_changes_has(
            in_files in proptest::collection::btree_map(any_key(), any_key(), 0..40),
            changes in any_changes(),
            start in any_key(),
            end in proptest::option::of(any_key()),
            is_reverse in any::<bool>(),
            fails_after in proptest::option::of(0_usize..30),
        ) {
            let direction = if is_reverse { Direction::Reverse } else { Direction::Forward };
            let range = KeyRange::new(start, end);
            let overlay = Overlay::new();
            let mut expected: BTreeMap<Bytes, Bytes> = in_files.clone();
            for change in &changes {
                change.apply(&overlay);
                change.apply_to_model(&mut expected);
            }
            let mut expected: Rows = expected.into_iter().collect();
            expected.retain(|(key, _)| range.contains(key));
            if is_reverse {
                expected.reverse();
            }
            let mut files: Rows = in_files.into_iter().collect();
            files.retain(|(key, _)| range.contains(key));
            let found = read(&overlay, &range, direction, Model::of(files, direction, fails_after));
            if fails_after.is_some() {
                // The end comes early, and nothing is left out before it.
                prop_assert!(expected.starts_with(&found), "{:?} of {:?}", found, expected);
            } else {
                prop_assert_eq!(found, expected);
            }
        }
    }
}
