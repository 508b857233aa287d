//! Scans: rows in key order, over one partition, over ranges in turn, or merged over arcs.

use super::concat::ConcatCursor;
use super::cursor_factory::{CursorFactory, ShardSnapshots};
use super::first_expiry::FirstExpiry;
use super::key_bounds::Bounds;
use super::left_out::{LeftOut, LeftOutList};
use super::merge::MergeCursor;
use super::partition_cursor::PartitionCursor;
use crate::catalog::{KeyspaceState, View};
use crate::engine::Direction;
use crate::error::{Error, ErrorKind, Result};
use crate::expiry::{ExpiringValue, Moment, time_of};
use crate::latch::Current;
use crate::read::ReadOptions;
use crate::sampling::ScanSampler;
use crate::setters::setters;
use crate::topology::Partitioning;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// Reading the clock costs about as much as a row, so a scan reads it once in this many rows.
const ROWS_PER_CLOCK: u32 = 32;

/// A scan of this many rows is short. One of fewer seldom comes to a third block.
const SHORT_SCAN_ROWS: RangeInclusive<u64> = 8..=256;

/// How much a short scan reads from a file at once. Measured with 50 rows of 1,000 bytes each: 8
/// KiB to 64 KiB are the same where most blocks are in the cache; where a partition has several
/// files, 16 KiB are better than 32.
const SHORT_SCAN_READ_AHEAD: usize = 16 << 10;

/// How to scan: [`ReadOptions`], and what only scans have.
///
/// ```
/// use annulus::ScanOptions;
///
/// let newest_ten = ScanOptions::new().reverse(true).limit(10);
/// # let _ = newest_ten;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ScanOptions {
    /// Go from the last row to the first. Default: false.
    pub reverse: bool,
    /// End after this many rows. A forward scan of a range keyspace that says so is a little faster
    /// than one that is left after as many: from 8 to 256 rows, it reads ahead no more than it may
    /// need. Default: no limit.
    pub limit: Option<u64>,
    /// Leave out what is damaged instead of failing: what is left of a partition where damage is
    /// met. A scan that does so must be asked for [`Scan::left_out`] at its end. Default: false.
    pub leave_out_damaged: bool,
    /// Leave out the partitions of shards that are
    /// [missing](crate::StoreBuilder::allow_missing_shards) instead of failing, and name them in
    /// [`Scan::left_out`]. Default: false.
    pub leave_out_missing: bool,
    /// Timeout and cache behaviour.
    pub read: ReadOptions,
}

impl ScanOptions {
    /// Returns the defaults: forward, without limits.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            reverse: false,
            limit: None,
            leave_out_damaged: false,
            leave_out_missing: false,
            read: ReadOptions::new(),
        }
    }

    setters! {
        reverse: bool,
        leave_out_damaged: bool,
        leave_out_missing: bool,
        read: ReadOptions;
        optional limit: u64,
    }

    fn direction(self) -> Direction {
        if self.reverse { Direction::Reverse } else { Direction::Forward }
    }

    /// Returns how many bytes a cursor reads from a file at once where a block is not in the cache;
    /// `None` leaves it to the engine, which asks the system to read ahead, more and more, from the
    /// third consecutive block on. It asks whether or not the blocks are in the cache, which costs
    /// a short scan a tenth of its time. Cursors that interleave seldom read more than a block
    /// each; in reverse the engine never asks, and a fixed size would read what lies behind.
    fn read_ahead(self, interleaved: bool) -> Option<usize> {
        let short = self.limit.is_some_and(|rows| SHORT_SCAN_ROWS.contains(&rows));
        (short && !interleaved && !self.reverse).then_some(SHORT_SCAN_READ_AHEAD)
    }
}

/// Rows in key order. A scan owns what it reads from: it may outlive the store's handles, and stays
/// valid while the store changes.
///
/// As an [`Iterator`] it yields a copy of each key and value. [`next_row`](Self::next_row) lends
/// them instead, without copying.
///
/// What it sees: each partition as it was when the scan came to it, or when a reshape superseded it
/// before that; and nothing older than the start of the scan. The partitions of a hash keyspace are
/// all opened at the start. For one cut over everything, scan a [`Snapshot`](crate::Snapshot).
pub struct Scan {
    rows: Rows,
    /// Whether the row in front was already returned.
    given: bool,
    left: u64,
    deadline: Option<Instant>,
    until_clock: u32,
    failed: bool,
    watch: Option<Box<ScanSampler>>,
    left_out: Option<LeftOutList>,
    /// Where rows expire: when those do that were returned.
    expires: Option<FirstExpiry>,
}

/// A key, its value, and what says when the row expires, if it does.
type RowUntil<'r, T> = (&'r [u8], &'r [u8], Option<T>);

enum Rows {
    /// Disjoint partitions in key order, one open at a time.
    ConcatCursor(Box<ConcatCursor>),
    /// Partitions whose keys interleave, all open.
    MergeCursor(MergeCursor<PartitionCursor>),
}

impl Scan {
    /// Opens a scan of a keyspace whose rows do not expire, on this thread alone, for the store itself.
    pub(crate) fn of_keyspace(keyspace: &KeyspaceState, bounds: &Bounds) -> Result<Self> {
        loop {
            let (view, options) = (keyspace.view(), ScanOptions::new());
            // None if a reshape has superseded the view meanwhile.
            if let Some(scan) = Self::open(&view, bounds, options, None, None, 1, None)? {
                return Ok(scan);
            }
        }
    }

    /// Opens a scan. Returns `None` if a partition was superseded since the view was taken. Where
    /// rows expire, those are passed over that have expired at a moment.
    pub(crate) fn open(
        view: &Arc<View>,
        bounds: &Bounds,
        options: ScanOptions,
        cut: Option<ShardSnapshots>,
        expired_at: Option<Moment>,
        threads: usize,
        watch: Option<Box<ScanSampler>>,
    ) -> Result<Option<Self>> {
        let deadline = options.read.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let indexes = view.intersecting(&bounds.range, &bounds.prefix);
        if cut.is_none() {
            // Checked once: what is superseded or dropped later stays readable, as it was at that
            // moment, for a scan in progress.
            for index in indexes.clone() {
                if options.leave_out_missing && view.missing(index).is_some() {
                    continue;
                }
                if !view.partition(index)?.is_current()? {
                    return Ok(None);
                }
            }
        }
        let interleaved =
            indexes.len() > 1 && matches!(view.keyspace.partitioning(), Partitioning::Hash { .. });
        let leaves_out = options.leave_out_damaged || options.leave_out_missing;
        let left_out = leaves_out.then(LeftOutList::default);
        let source = CursorFactory {
            cut,
            range: bounds.range.clone(),
            direction: options.direction(),
            deadline,
            bypass_cache: options.read.bypass_cache,
            read_ahead: options.read_ahead(interleaved),
            expired_at,
            threads,
            left_out: left_out.clone().filter(|_| options.leave_out_damaged),
            missing_left_out: left_out.clone().filter(|_| options.leave_out_missing),
        };
        let rows = if interleaved {
            let partitions = indexes.filter_map(|index| source.find(view, index).transpose());
            let partitions: Result<Vec<_>> = partitions.collect();
            Rows::MergeCursor(MergeCursor::new(source.cursors(partitions?)?, source.direction))
        } else {
            Rows::ConcatCursor(Box::new(ConcatCursor::start(source, Arc::clone(view), indexes)?))
        };
        let left = options.limit.unwrap_or(u64::MAX);
        let watch = watch.map(|watch| watch.interleaved(interleaved));
        Ok(Some(Self {
            rows,
            given: false,
            left,
            deadline,
            until_clock: 0,
            failed: false,
            watch,
            left_out,
            expires: expired_at.map(|_| FirstExpiry::default()),
        }))
    }

    /// Returns what was left out so far because it is damaged or missing. Only with
    /// [`ScanOptions::leave_out_damaged`] or [`ScanOptions::leave_out_missing`]: other scans fail.
    #[must_use]
    pub fn left_out(&self) -> Vec<LeftOut> {
        self.left_out.as_ref().map(|list| list.lock().clone()).unwrap_or_default()
    }

    /// Returns the next row, lent until the next call. `None` at the end, and after an error.
    ///
    /// ```
    /// # use annulus::{Store, topology::KeyspaceSpec};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// # let words = store.create_keyspace("words", KeyspaceSpec::hash())?;
    /// # words.put("one", "1")?;
    /// let mut bytes = 0;
    /// let mut scan = words.scan(..)?;
    /// while let Some((key, value)) = scan.next_row()? {
    ///     bytes += key.len() + value.len();
    /// }
    /// assert_eq!(bytes, 4);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`DeadlineExceeded`](ErrorKind::DeadlineExceeded) when the scan's time is up;
    /// [`Io`](ErrorKind::Io) or [`Damaged`](ErrorKind::Damaged) when the shard cannot be read. A
    /// scan that fails yields no more rows: it never ends early without an error.
    pub fn next_row(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        Ok(self.next_expiring()?.map(|(key, value, _)| (key, value)))
    }

    /// Returns the next row as [`next_row`](Self::next_row) does, and when it expires; `None` if it
    /// never does.
    ///
    /// ```
    /// # use annulus::{Store, topology::KeyspaceSpec};
    /// # use std::time::{Duration, SystemTime};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// let spec = KeyspaceSpec::range().time_to_live_by_put();
    /// let tokens = store.create_keyspace("tokens", spec)?;
    /// tokens.put_for("ada", "1", Duration::from_secs(60))?;
    /// let mut scan = tokens.scan(..)?;
    /// let (key, value, until) = scan.next_row_until()?.expect("a row");
    /// assert!(key == b"ada" && value == b"1" && until > Some(SystemTime::now()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`next_row`](Self::next_row).
    pub fn next_row_until(&mut self) -> Result<Option<RowUntil<'_, SystemTime>>> {
        let row = self.next_expiring()?;
        Ok(row.map(|(key, value, field)| (key, value, field.and_then(time_of))))
    }

    /// Returns the next row with the field that says when it expires, where rows do.
    #[inline]
    fn next_expiring(&mut self) -> Result<Option<RowUntil<'_, u64>>> {
        if self.failed || self.left == 0 {
            return Ok(None);
        }
        let moved = self.check_clock().and_then(|()| self.advance());
        if let Err(error) = moved {
            self.failed = true;
            return Err(error);
        }
        self.left -= 1;
        let (row, partition) = match &self.rows {
            Rows::ConcatCursor(chain) => (chain.row(), chain.opened()),
            Rows::MergeCursor(merge) => (merge.row(), 0),
        };
        let row = match (&self.expires, row) {
            (Some(first), Some((key, stored))) => {
                let (expires, value) =
                    ExpiringValue::new(stored).split().inspect_err(|_| self.failed = true)?;
                first.note(expires);
                Some((key, value, Some(expires)))
            }
            (_, row) => row.map(|(key, value)| (key, value, None)),
        };
        if let (Some(watch), Some((key, value, _))) = (&mut self.watch, row) {
            watch.row(partition, key, value.len());
        }
        Ok(row)
    }

    /// Returns when the first of the rows expires that were returned, where rows expire.
    pub(crate) fn expires(&self) -> Option<&FirstExpiry> {
        self.expires.as_ref()
    }

    fn advance(&mut self) -> Result<()> {
        if !std::mem::replace(&mut self.given, true) {
            return Ok(());
        }
        match &mut self.rows {
            Rows::ConcatCursor(chain) => chain.advance(),
            Rows::MergeCursor(merge) => merge.advance(),
        }
    }

    fn check_clock(&mut self) -> Result<()> {
        let Some(deadline) = self.deadline else { return Ok(()) };
        if self.until_clock == 0 {
            self.until_clock = ROWS_PER_CLOCK;
            if Instant::now() >= deadline {
                return Err(deadline_exceeded("scan"));
            }
        }
        self.until_clock -= 1;
        Ok(())
    }
}

/// Returns the error of a read whose time is up.
#[cold]
pub(crate) fn deadline_exceeded(what: &str) -> Error {
    Error::new(
        ErrorKind::DeadlineExceeded,
        format!("the {what}'s time is up; allow more, or ask for less"),
    )
}

impl Iterator for Scan {
    type Item = Result<(Vec<u8>, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_row()
            .map(|row| row.map(|(key, value)| (key.to_vec(), value.to_vec())))
            .transpose()
    }
}

impl std::iter::FusedIterator for Scan {}

impl std::fmt::Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan").field("rows_left", &self.left).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_scans_of_partitions_in_a_row_read_ahead_by_themselves() {
        let limited = |rows| ScanOptions::new().limit(rows);
        for short in [8, 100, 256] {
            assert!(limited(short).read_ahead(false).is_some());
            assert_eq!(limited(short).read_ahead(true), None);
            assert_eq!(limited(short).reverse(true).read_ahead(false), None);
        }
        for other in [limited(1), limited(257), ScanOptions::new()] {
            assert_eq!(other.read_ahead(false), None);
        }
    }
}
