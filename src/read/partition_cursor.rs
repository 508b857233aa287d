//! The rows of a partition: those of its handle that lie in its span.
//!
//! A partition that was made by linking files may hold rows of its neighbours until it is trimmed.
//! Point reads never ask for those; cursors skip them here.

use super::left_out::{LeftOut, LeftOutList};
use crate::catalog::{OpenPartition, View};
use crate::engine::{Cursor, Direction, Engine, EngineCursor, Read, ShardEngine};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{PartitionId, ShardId};
use crate::placement::{KeyRange, PartitionRange, TokenRange};
use crate::topology;
use std::sync::Arc;

/// Which rows of a handle belong to its partition.
#[derive(Clone)]
pub(crate) enum RowFilter {
    All,
    /// The cursor's bounds enforce it.
    Keys(KeyRange),
    /// The token of each row must be checked.
    Tokens(TokenRange, Arc<topology::KeyspaceLayout>),
}

impl RowFilter {
    /// Returns the filter of the partition with this index.
    pub(crate) fn of(view: &View, index: usize) -> Result<Self> {
        if view.partition(index)?.out_of_range_permille == 0 {
            return Ok(Self::All);
        }
        let span = view.keyspace.partitioning().range(index).ok_or_else(|| {
            Error::new(ErrorKind::Internal, "a keyspace has fewer spans than partitions")
        })?;
        Ok(Self::of_range(&view.keyspace, span))
    }

    /// Returns a filter for the rows of a span of a keyspace.
    pub(crate) fn of_range(keyspace: &Arc<topology::KeyspaceLayout>, span: PartitionRange) -> Self {
        match span {
            PartitionRange::Keys(span) => Self::Keys(span),
            PartitionRange::Tokens(span) => Self::Tokens(span, Arc::clone(keyspace)),
        }
    }

    /// Returns true if a row belongs to the partition.
    #[inline]
    pub(crate) fn has(&self, key: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Keys(span) => span.contains(key),
            Self::Tokens(span, keyspace) => {
                keyspace.partitioning().token(key).is_some_and(|token| span.contains(token))
            }
        }
    }

    /// Returns the part of a range in which rows of the partition can be.
    fn clip(&self, range: &KeyRange) -> KeyRange {
        let Self::Keys(span) = self else { return range.clone() };
        let start = (&range.start).max(&span.start).clone();
        let ends = [range.end.as_deref(), span.end.as_deref()];
        KeyRange { start, end: ends.into_iter().flatten().min().map(Into::into) }
    }
}

/// Returns the partition with this index, with its filter.
pub(crate) fn filtered(view: &View, index: usize) -> Result<(Arc<OpenPartition>, RowFilter)> {
    Ok((Arc::clone(view.partition(index)?), RowFilter::of(view, index)?))
}

/// A cursor over the rows of a partition.
pub(crate) struct PartitionCursor {
    inner: EngineCursor,
    filter: RowFilter,
    /// If damage ends the cursor like the end of its rows: where to note that, and which partition
    /// it is.
    left_out: Option<Box<(LeftOutList, PartitionId, ShardId)>>,
}

impl PartitionCursor {
    pub(crate) fn open(
        partition: &OpenPartition,
        filter: RowFilter,
        range: &KeyRange,
        direction: Direction,
        read: Read<'_, <ShardEngine as Engine>::Snapshot>,
    ) -> Result<Self> {
        let (shard, handle) = (&partition.shard, &partition.handle);
        let inner = match &filter {
            RowFilter::Keys(_) => {
                let mut clipped = filter.clip(range);
                if clipped.is_empty() {
                    // A cursor's bounds must not cross.
                    clipped.end = Some(clipped.start.clone());
                }
                shard.cursor(handle, &clipped, direction, read)?
            }
            _ => shard.cursor(handle, range, direction, read)?,
        };
        let mut cursor = Self { inner, filter, left_out: None };
        cursor.skip_foreign();
        // Skipping rows may have ended at an error, which must not look like the end.
        cursor.status()?;
        Ok(cursor)
    }

    /// The same, but damage ends the cursor like the end of its rows, and is noted. Returns `None`
    /// if it cannot be opened because of damage.
    pub(crate) fn open_sound(
        partition: &OpenPartition,
        filter: RowFilter,
        range: &KeyRange,
        direction: Direction,
        read: Read<'_, <ShardEngine as Engine>::Snapshot>,
        left_out: &LeftOutList,
    ) -> Result<Option<Self>> {
        let (id, shard) = (partition.name.id, partition.owner);
        match Self::open(partition, filter, range, direction, read) {
            Ok(cursor) => {
                let left_out = Some(Box::new((Arc::clone(left_out), id, shard)));
                Ok(Some(Self { left_out, ..cursor }))
            }
            Err(error) if error.kind() == ErrorKind::Damaged => {
                left_out.lock().push(LeftOut { partition: id, shard, is_rest: false, error });
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn skip_foreign(&mut self) {
        if let RowFilter::Tokens(..) = self.filter {
            while self.inner.key().is_some_and(|key| !self.filter.has(key)) {
                self.inner.advance();
            }
        }
    }
}

impl Cursor for PartitionCursor {
    #[inline]
    fn row(&self) -> Option<(&[u8], &[u8])> {
        self.inner.row()
    }

    #[inline]
    fn key(&self) -> Option<&[u8]> {
        self.inner.key()
    }

    #[inline]
    fn advance(&mut self) {
        self.inner.advance();
        self.skip_foreign();
    }

    fn status(&self) -> Result<()> {
        match (self.inner.status(), &self.left_out) {
            (Err(error), Some(left_out)) if error.kind() == ErrorKind::Damaged => {
                let (list, partition, shard) = &**left_out;
                let (partition, shard) = (*partition, *shard);
                list.lock().push(LeftOut { partition, shard, is_rest: true, error });
                Ok(())
            }
            (status, _) => status,
        }
    }
}
