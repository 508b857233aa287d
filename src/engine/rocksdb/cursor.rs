//! A cursor over one column family.

use super::error::context;
use super::handles::{ColumnFamily, Iter, Snapshot};
use crate::engine::{Cursor, Direction, Read};
use crate::error::Result;
use crate::placement::KeyRange;
use rocksdb::ReadOptions;
use std::sync::Arc;

pub(crate) struct RocksDbCursor {
    iter: Iter,
    direction: Direction,
}

impl RocksDbCursor {
    pub(super) fn open(
        partition: &Arc<ColumnFamily>,
        range: &KeyRange,
        direction: Direction,
        read: Read<'_, Snapshot>,
        mut options: ReadOptions,
    ) -> Result<Self> {
        if !range.start.is_empty() {
            options.set_iterate_lower_bound(&*range.start);
        }
        if let Some(end) = &range.end {
            options.set_iterate_upper_bound(&**end);
        }
        let mut iter = Iter::new(partition, options, read.at);
        match direction {
            Direction::Forward => iter.get_mut().seek_to_first(),
            Direction::Reverse => iter.get_mut().seek_to_last(),
        }
        let cursor = Self { iter, direction };
        cursor.status()?;
        Ok(cursor)
    }
}

impl Cursor for RocksDbCursor {
    #[inline]
    fn row(&self) -> Option<(&[u8], &[u8])> {
        self.iter.get().item()
    }

    #[inline]
    fn key(&self) -> Option<&[u8]> {
        self.iter.get().key()
    }

    #[inline]
    fn advance(&mut self) {
        match self.direction {
            Direction::Forward => self.iter.get_mut().next(),
            Direction::Reverse => self.iter.get_mut().prev(),
        }
    }

    fn status(&self) -> Result<()> {
        self.iter.get().status().map_err(context("a scan ended early"))
    }
}
