//! The scans of a transaction.

use super::{OpenScan, Transaction};
use crate::error::Result;
use crate::id::KeyspaceId;
use crate::placement::{KeyRange, just_after};
use crate::read::{Bounds, FirstExpiry, KeyBounds, Scan, ScanOptions};
use crate::store::Keyspace;
use crate::transaction::{Isolation, MergedRows};
use std::fmt;

/// Rows in key order, as a transaction sees them: as they were when it began, with what it had
/// written before the scan was opened.
///
/// As an [`Iterator`] it yields a copy of each key and value. [`next_row`](Self::next_row) lends
/// them instead.
///
/// The transaction relies on what the scan has passed: from where it begins to the last row that
/// was returned, or to the end of the range if it has come there. Rows that appear or vanish in it
/// are conflicts, those beyond are not.
pub struct TransactionScan<'t> {
    rows: MergedRows<Scan>,
    left: u64,
    failed: bool,
    seen: Option<Seen<'t>>,
}

/// What a scan has passed; noted in its transaction when it is dropped.
struct Seen<'t> {
    transaction: &'t Transaction,
    /// Where the transaction has the scan while it is open.
    index: usize,
    keyspace: KeyspaceId,
    range: KeyRange,
    reverse: bool,
    /// The key of the last row.
    last: Option<Vec<u8>>,
    /// True once the end of the range was reached.
    whole: bool,
}

impl<'t> TransactionScan<'t> {
    pub(super) fn open(
        transaction: &'t Transaction,
        keyspace: &Keyspace,
        range: &impl KeyBounds,
        options: ScanOptions,
    ) -> Result<Self> {
        transaction.check_store(keyspace)?;
        let bounds = Bounds::of(range)?;
        let (id, reverse) = (keyspace.id(), options.reverse);
        let own = transaction.state.borrow().pending.rows(id, &bounds.range, reverse);
        // What the transaction has deleted does not count, and its own rows do.
        let limit = options.limit.filter(|_| own.is_none());
        let scan = transaction.snapshot.scan_bounds(
            keyspace,
            &bounds,
            ScanOptions { limit, ..options },
        )?;
        let serializable = transaction.options.isolation == Isolation::Serializable;
        let expires = scan.expires().cloned();
        let seen =
            serializable.then(|| Seen::begin(transaction, id, bounds.range, expires, reverse));
        Ok(Self {
            rows: MergedRows::new(scan, own, reverse),
            left: options.limit.unwrap_or(u64::MAX),
            failed: false,
            seen,
        })
    }

    /// Returns the next row, lent until the next call. `None` at the end, and after an error.
    ///
    /// # Errors
    ///
    /// Those of [`Scan::next_row`].
    pub fn next_row(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        if self.failed || self.left == 0 {
            return Ok(None);
        }
        let row = match self.rows.next_row() {
            Ok(row) => row,
            Err(error) => {
                self.failed = true;
                return Err(error);
            }
        };
        self.left = if row.is_some() { self.left - 1 } else { 0 };
        if let Some(seen) = &mut self.seen {
            seen.pass(row.map(|(key, _)| key));
        }
        Ok(row)
    }
}

impl Iterator for TransactionScan<'_> {
    type Item = Result<(Vec<u8>, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_row()
            .map(|row| row.map(|(key, value)| (key.to_vec(), value.to_vec())))
            .transpose()
    }
}

impl std::iter::FusedIterator for TransactionScan<'_> {}

impl fmt::Debug for TransactionScan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionScan").field("rows_left", &self.left).finish_non_exhaustive()
    }
}

impl<'t> Seen<'t> {
    /// Begins with the whole range: what a scan that is never dropped counts as.
    fn begin(
        transaction: &'t Transaction,
        keyspace: KeyspaceId,
        range: KeyRange,
        expires: Option<FirstExpiry>,
        reverse: bool,
    ) -> Self {
        let scans = &mut transaction.state.borrow_mut().scans;
        let index = scans.len();
        scans.push(Some(OpenScan { keyspace, range: range.clone(), expires }));
        Self { transaction, index, keyspace, range, reverse, last: None, whole: false }
    }

    /// Notes a row, or the end.
    fn pass(&mut self, key: Option<&[u8]>) {
        match key {
            None => self.whole = true,
            Some(key) => {
                let last = self.last.get_or_insert_default();
                last.clear();
                last.extend_from_slice(key);
            }
        }
    }

    /// Returns what was passed; `None` if nothing.
    fn passed(&mut self) -> Option<KeyRange> {
        let mut range = std::mem::take(&mut self.range);
        if self.whole {
            return Some(range);
        }
        let last = self.last.take()?;
        if self.reverse {
            range.start = last.into();
        } else {
            range.end = Some(just_after(&last).into());
        }
        Some(range)
    }
}

impl Drop for Seen<'_> {
    fn drop(&mut self) {
        let passed = self.passed();
        let state = &mut *self.transaction.state.borrow_mut();
        if let Some(passed) = passed {
            state.reads.add_range(self.keyspace, &passed);
        }
        let open = state.scans.get_mut(self.index).and_then(Option::take);
        state.reads.add_expiry(open.and_then(|open| open.expires).map(|first| first.get()));
        // Those that end in the order in which they were opened, or one at a time, leave nothing.
        while state.scans.last().is_some_and(Option::is_none) {
            state.scans.pop();
        }
    }
}
