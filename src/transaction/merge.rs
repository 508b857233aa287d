//! The rows of a range as a transaction sees them: those of the snapshot, and on top of them its
//! own.

use super::intervals::Intervals;
use super::pending::{OwnRow, OwnRows};
use crate::error::Result;
use crate::read::Scan;
use std::cmp::Ordering;
use std::iter::Peekable;

type Row = (Vec<u8>, Vec<u8>);

/// A source of rows in order, each lent until the next call.
pub(crate) trait Rows {
    fn next_row(&mut self) -> Result<Option<(&[u8], &[u8])>>;
}

impl Rows for Scan {
    fn next_row(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        Self::next_row(self)
    }
}

/// Rows in order, those of a source merged with a transaction's own.
pub(crate) struct MergedRows<R> {
    source: R,
    /// `None` where the transaction has written nothing, or nothing that is still to come.
    own: Option<Merge>,
}

struct Merge {
    own: Peekable<std::vec::IntoIter<OwnRow>>,
    deleted: Intervals,
    reverse: bool,
    /// The next row of the source; `None` if it is to be read, or if there is none.
    front: Option<Row>,
    /// True once the source has ended.
    ended: bool,
    /// The row that is lent.
    lent: Row,
}

impl<R: Rows> MergedRows<R> {
    pub(crate) fn new(source: R, own: Option<OwnRows>, reverse: bool) -> Self {
        let merge = |own: OwnRows| Merge {
            own: own.rows.into_iter().peekable(),
            deleted: own.deleted,
            reverse,
            front: None,
            ended: false,
            lent: Row::default(),
        };
        Self { source, own: own.map(merge) }
    }

    /// Returns the next row, lent until the next call.
    pub(crate) fn next_row(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        match &mut self.own {
            None => self.source.next_row(),
            Some(merge) => Ok(if merge.step(&mut self.source)? {
                Some((&*merge.lent.0, &*merge.lent.1))
            } else {
                None
            }),
        }
    }
}

impl Merge {
    /// Finds the next row, and lends it. Returns false if there is none.
    fn step(&mut self, source: &mut impl Rows) -> Result<bool> {
        loop {
            self.fill(source)?;
            let Some(row) = self.take_first() else {
                // It may have been a row that the transaction has deleted.
                let at_end = self.ended && self.front.is_none() && self.own.peek().is_none();
                if at_end {
                    return Ok(false);
                }
                continue;
            };
            self.lent = row;
            return Ok(true);
        }
    }

    /// Reads the next row of the source that the transaction has not deleted with a range.
    fn fill(&mut self, source: &mut impl Rows) -> Result<()> {
        while self.front.is_none() && !self.ended {
            match source.next_row()? {
                None => self.ended = true,
                Some((key, _)) if self.deleted.contains(key) => {}
                Some((key, value)) => self.front = Some((key.to_vec(), value.to_vec())),
            }
        }
        Ok(())
    }

    /// Takes the first row of both. Returns `None` if the transaction has deleted it, or if there
    /// is none.
    fn take_first(&mut self) -> Option<Row> {
        let order = match (&self.front, self.own.peek()) {
            (_, None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((front, _)), Some((own, _))) if self.reverse => own.cmp(front),
            (Some((front, _)), Some((own, _))) => front.cmp(own),
        };
        if order == Ordering::Less {
            return self.front.take();
        }
        if order == Ordering::Equal {
            self.front = None;
        }
        let (key, value) = self.own.next()?;
        Some((key, value?))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    //! Goal: the rows are those of a map to which the transaction's writes were applied. Method:
    //! random rows and writes, in both directions.

    use super::super::pending::Pending;
    use super::*;
    use crate::id::KeyspaceId;
    use crate::placement::KeyRange;
    use crate::read::Bounds;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    struct ExpiringValue(std::vec::IntoIter<Row>, Row);

    impl Rows for ExpiringValue {
        fn next_row(&mut self) -> Result<Option<(&[u8], &[u8])>> {
            let Some(row) = self.0.next() else { return Ok(None) };
            self.1 = row;
            Ok(Some((&self.1.0, &self.1.1)))
        }
    }

    fn rows_of(mut merged: MergedRows<ExpiringValue>) -> Vec<Row> {
        let mut rows = Vec::new();
        while let Some((key, value)) = merged.next_row().unwrap() {
            rows.push((key.to_vec(), value.to_vec()));
        }
        assert!(merged.next_row().unwrap().is_none(), "the end stays the end");
        rows
    }

    proptest! {
        #[test]
        fn own_rows_come_on_top(
            stored in proptest::collection::btree_map(0_u8..12, 0_u8..2, 0..10),
            writes in proptest::collection::vec((0_u8..12, 0_u8..6, 0_u8..14), 0..10),
            reverse in any::<bool>(),
        ) {
            let keyspace = KeyspaceId(1);
            let (mut model, mut pending) = (BTreeMap::new(), Pending::default());
            model.extend(stored.iter().map(|(key, value)| (vec![*key], vec![*value])));
            let in_order = |model: &BTreeMap<Vec<u8>, Vec<u8>>| {
                let mut rows: Vec<Row> = model.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
                if reverse {
                    rows.reverse();
                }
                rows
            };
            let source = ExpiringValue(in_order(&model).into_iter(), Row::default());
            for (key, what, end) in writes {
                match what {
                    0 => {
                        let range = KeyRange::new([key], Some([end]));
                        model.retain(|key, _| !range.contains(key));
                        pending.delete_range(keyspace, Bounds { range, prefix: Vec::new() });
                    }
                    1 => {
                        model.remove(&vec![key]);
                        pending.write(keyspace, &[key], None, None);
                    }
                    value => {
                        model.insert(vec![key], vec![value]);
                        pending.write(keyspace, &[key], Some(&[value]), None);
                    }
                }
            }
            let own = pending.rows(keyspace, &KeyRange::whole(), reverse);
            let merged = MergedRows::new(source, own, reverse);
            prop_assert_eq!(rows_of(merged), in_order(&model));
        }
    }
}
