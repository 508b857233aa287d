//! The rows of a partition: those of its handle that lie in its span.
//!
//! A partition that was made by linking files may hold rows of its neighbours until it is trimmed.
//! Point reads never ask for those; cursors skip them here.

use super::left_out::{LeftOut, LeftOutList};
use crate::catalog::{OpenPartition, View};
use crate::engine::{Cursor, Direction, Engine, EngineCursor, Read, ShardEngine};
use crate::error::{Error, ErrorKind, Result};
use crate::expiry::{Counts, Expiring, ExpiringValue, Moment};
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

/// What passes over rows that have expired at a moment.
struct PassExpired {
    at: Moment,
    expiring: Arc<Expiring>,
    passed: u64,
}

impl PassExpired {
    fn passes(&mut self, value: &[u8]) -> bool {
        let has_expired = ExpiringValue::new(value).has_expired(self.at);
        self.passed += u64::from(has_expired);
        has_expired
    }
}

impl Drop for PassExpired {
    fn drop(&mut self) {
        self.expiring.count(Counts { rows_passed: self.passed, ..Counts::default() });
    }
}

/// A cursor over the rows of a partition.
pub(crate) struct PartitionCursor {
    inner: EngineCursor,
    filter: RowFilter,
    /// Where rows expire: what passes over those that have.
    expired: Option<PassExpired>,
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
        let expired = read.expired_at.zip(partition.expiring.clone());
        let expired = expired.map(|(at, expiring)| PassExpired { at, expiring, passed: 0 });
        let mut cursor = Self { inner, filter, expired, left_out: None };
        cursor.skip();
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

    /// Passes over rows of other partitions, and rows that have expired.
    fn skip(&mut self) {
        let checks_tokens = matches!(self.filter, RowFilter::Tokens(..));
        if !checks_tokens && self.expired.is_none() {
            return;
        }
        while let Some((key, value)) = self.inner.row() {
            let is_foreign = checks_tokens && !self.filter.has(key);
            if !is_foreign && !self.expired.as_mut().is_some_and(|it| it.passes(value)) {
                return;
            }
            self.inner.advance();
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
        self.skip();
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
