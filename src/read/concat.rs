//! Partitions that follow one another in key order, one open at a time.

use super::cursor_factory::CursorFactory;
use super::partition_cursor::{PartitionCursor, RowFilter};
use crate::catalog::{OpenPartition, View};
use crate::engine::{Cursor, Direction};
use crate::error::Result;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

pub(crate) struct ConcatCursor {
    source: CursorFactory,
    rest: Rest,
    cursor: Option<PartitionCursor>,
    /// How many partitions have been opened so far.
    opened: usize,
}

/// Partitions still to come.
enum Rest {
    /// Until the second one is opened. Most scans end in the first, and must not pay for holding
    /// each of the others: threads that scan would contend for their reference counts.
    Unopened(Arc<View>, Range<usize>),
    /// From then on only these are held: those that the scan has passed are released.
    Held(VecDeque<(Arc<OpenPartition>, RowFilter)>),
}

impl Rest {
    fn next(&mut self, from: &CursorFactory) -> Result<Option<(Arc<OpenPartition>, RowFilter)>> {
        match self {
            Self::Unopened(view, indexes) => loop {
                let index = match from.direction {
                    Direction::Forward => indexes.next(),
                    Direction::Reverse => indexes.next_back(),
                };
                let Some(index) = index else { return Ok(None) };
                if let Some(found) = from.find(view, index)? {
                    return Ok(Some(found));
                }
            },
            Self::Held(partitions) => Ok(match from.direction {
                Direction::Forward => partitions.pop_front(),
                Direction::Reverse => partitions.pop_back(),
            }),
        }
    }

    /// Releases the view if it is not needed any more: otherwise a scan that rests in a narrow
    /// range would keep the files of partitions that are moved in the meantime.
    fn release(&mut self) {
        if let Self::Unopened(_, indexes) = self
            && Range::is_empty(indexes)
        {
            *self = Self::Held(VecDeque::new());
        }
    }

    /// Replaces the view by the partitions that are left.
    fn hold(&mut self, from: &CursorFactory) -> Result<()> {
        if let Self::Unopened(view, indexes) = self {
            let found = indexes.filter_map(|index| from.find(view, index).transpose());
            let partitions: Result<_> = found.collect();
            *self = Self::Held(partitions?);
        }
        Ok(())
    }
}

impl ConcatCursor {
    /// Creates a chain that stands on its first row.
    pub(crate) fn start(
        source: CursorFactory,
        view: Arc<View>,
        indexes: Range<usize>,
    ) -> Result<Self> {
        let rest = Rest::Unopened(view, indexes);
        let mut chain = Self { source, rest, cursor: None, opened: 0 };
        chain.skip_to_row()?;
        Ok(chain)
    }

    pub(crate) fn row(&self) -> Option<(&[u8], &[u8])> {
        self.cursor.as_ref()?.row()
    }

    /// Returns how many partitions have been opened so far.
    pub(crate) fn opened(&self) -> usize {
        self.opened
    }

    pub(crate) fn advance(&mut self) -> Result<()> {
        if let Some(cursor) = &mut self.cursor {
            cursor.advance();
            self.skip_to_row()?;
        }
        Ok(())
    }

    /// Opens partitions until one has a row.
    fn skip_to_row(&mut self) -> Result<()> {
        loop {
            if let Some(cursor) = &self.cursor {
                if cursor.key().is_some() {
                    return Ok(());
                }
                cursor.status()?;
                self.rest.hold(&self.source)?;
            }
            let next = self.rest.next(&self.source)?;
            let Some((partition, filter)) = next else {
                self.cursor = None;
                return Ok(());
            };
            self.cursor = self.source.cursor(&partition, filter)?;
            self.rest.release();
            self.opened += 1;
        }
    }
}
