//! Scans: rows in key order, over one partition, over ranges in turn, or merged over arcs.

use super::bounds::Bounds;
use super::merge::Merge;
use super::rows::{RowCursor, RowFilter};
use super::scan_watch::ScanWatch;
use super::source::{Cut, Source};
use super::view::{Partition, View};
use crate::error::{Error, ErrorKind, Result};
use crate::options::ReadOptions;
use crate::shard::{Cursor, Direction};
use crate::topology::Partitioning;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// Asking the clock costs about as much as a row, so a scan asks it once in this many rows.
const ROWS_PER_CLOCK: u32 = 32;

/// How to scan: [`ReadOptions`] and what only scans have.
///
/// ```
/// use annulus::ScanOptions;
///
/// let newest_ten = ScanOptions::new().reverse().limit(10);
/// # let _ = newest_ten;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ScanOptions {
    /// From the last row to the first. Default: false.
    pub reverse: bool,
    /// End after this many rows. Default: no limit.
    pub limit: Option<u64>,
    /// Timeout and cache behaviour.
    pub read: ReadOptions,
}

impl ScanOptions {
    /// The defaults: forward, without limits.
    #[must_use]
    pub const fn new() -> Self {
        Self { reverse: false, limit: None, read: ReadOptions::new() }
    }

    /// From the last row to the first.
    #[must_use]
    pub const fn reverse(mut self) -> Self {
        self.reverse = true;
        self
    }

    /// Ends after this many rows.
    #[must_use]
    pub const fn limit(mut self, rows: u64) -> Self {
        self.limit = Some(rows);
        self
    }

    /// Sets timeout and cache behaviour.
    #[must_use]
    pub const fn read(mut self, read: ReadOptions) -> Self {
        self.read = read;
        self
    }

    fn direction(self) -> Direction {
        if self.reverse { Direction::Reverse } else { Direction::Forward }
    }
}

/// Rows in key order. It owns what it reads from: it may outlive the store's handles, and stays
/// valid while the store changes.
///
/// As an [`Iterator`] it gives a copy of each key and value. [`next_row`](Self::next_row) lends
/// them instead, without copying.
///
/// What it sees: each partition as it was when the scan came to it, or when a reshape took its
/// place before that; and nothing older than the start of the scan. The partitions of a hash keyspace are all opened at the start. For one cut
/// over everything, scan a [`Snapshot`](crate::Snapshot).
pub struct Scan {
    rows: Rows,
    /// Whether the row in front was given out already.
    given: bool,
    left: u64,
    deadline: Option<Instant>,
    until_clock: u32,
    failed: bool,
    watch: Option<Box<ScanWatch>>,
}

enum Rows {
    /// Disjoint partitions in key order, one open at a time.
    Chain(Box<Chain>),
    /// Partitions whose keys interleave, all open.
    Merge(Merge<RowCursor>),
}

impl Scan {
    /// None if a partition was superseded since the view was taken.
    pub(super) fn open(
        view: &Arc<View>,
        bounds: &Bounds,
        options: ScanOptions,
        cut: Option<Cut>,
        threads: usize,
        watch: Option<Box<ScanWatch>>,
    ) -> Result<Option<Self>> {
        let deadline = options.read.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let indexes = view.intersecting(&bounds.range, &bounds.prefix);
        let mut partitions = VecDeque::with_capacity(indexes.len());
        for index in indexes {
            let partition = view.partition(index)?;
            // Once: what is superseded or dropped later stays readable, as it was at that moment,
            // for a scan that is under way.
            if cut.is_none() && !partition.is_current()? {
                return Ok(None);
            }
            partitions.push_back((Arc::clone(partition), RowFilter::of(view, index)?));
        }
        let source = Source {
            cut,
            range: bounds.range.clone(),
            direction: options.direction(),
            deadline,
            bypass_cache: options.read.bypass_cache,
            threads,
        };
        let interleaved = matches!(
            view.keyspace.partitioning(),
            Partitioning::Hash { .. } if partitions.len() > 1
        );
        let rows = if interleaved {
            Rows::Merge(Merge::new(source.cursors(partitions.into())?, source.direction))
        } else {
            Rows::Chain(Box::new(Chain::start(source, partitions)?))
        };
        let left = options.limit.unwrap_or(u64::MAX);
        let watch = watch.map(|watch| watch.interleaved(interleaved));
        Ok(Some(Self { rows, given: false, left, deadline, until_clock: 0, failed: false, watch }))
    }

    /// The next row, lent until the next call. `None` at the end, and after an error.
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
    /// scan that fails gives no more rows: it never ends early without saying so.
    pub fn next_row(&mut self) -> Result<Option<(&[u8], &[u8])>> {
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
            Rows::Chain(chain) => (chain.row(), chain.opened),
            Rows::Merge(merge) => (merge.row(), 0),
        };
        if let (Some(watch), Some((key, value))) = (&mut self.watch, row) {
            watch.row(partition, key, value.len());
        }
        Ok(row)
    }

    fn advance(&mut self) -> Result<()> {
        if !std::mem::replace(&mut self.given, true) {
            return Ok(());
        }
        match &mut self.rows {
            Rows::Chain(chain) => chain.advance(),
            Rows::Merge(merge) => merge.advance(),
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

/// The error of a read whose time is up.
#[cold]
pub(super) fn deadline_exceeded(what: &str) -> Error {
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

struct Chain {
    source: Source,
    /// Partitions still to come: those that it has passed are let go.
    partitions: VecDeque<(Arc<Partition>, RowFilter)>,
    cursor: Option<RowCursor>,
    /// How many partitions were opened so far.
    opened: usize,
}

impl Chain {
    fn start(source: Source, partitions: VecDeque<(Arc<Partition>, RowFilter)>) -> Result<Self> {
        let mut chain = Self { source, partitions, cursor: None, opened: 0 };
        chain.skip_to_row()?;
        Ok(chain)
    }

    fn row(&self) -> Option<(&[u8], &[u8])> {
        self.cursor.as_ref()?.row()
    }

    fn advance(&mut self) -> Result<()> {
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
            }
            let next = match self.source.direction {
                Direction::Forward => self.partitions.pop_front(),
                Direction::Reverse => self.partitions.pop_back(),
            };
            let Some((partition, filter)) = next else {
                self.cursor = None;
                return Ok(());
            };
            self.cursor = Some(self.source.cursor(&partition, filter)?);
            self.opened += 1;
        }
    }
}
