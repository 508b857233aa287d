//! Entries of an index: at the present, at a snapshot, within a transaction.

use super::Index;
use crate::error::{Error, ErrorKind, Result};
use crate::index::{MARKER, entry_range, parse_entry};
use crate::placement::{KeyRange, just_after};
use crate::read::{Bounds, KeyBounds, Scan, ScanOptions, Value};
use crate::store::{Snapshot, Transaction, TransactionScan};
use std::fmt;
use std::ops::Bound;

/// An index as it is read at a snapshot or within a transaction; made by [`Index::at`] and
/// [`Index::within`]. Its methods do what those of [`Index`] with their names do.
#[derive(Clone, Copy)]
pub struct IndexReader<'a> {
    pub(super) index: &'a Index,
    pub(super) source: Source<'a>,
}

/// What is read.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    Present,
    At(&'a Snapshot),
    Within(&'a Transaction),
}

/// An entry of an index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct IndexEntry {
    /// The index key.
    pub index_key: Vec<u8>,
    /// The key of the row.
    pub key: Vec<u8>,
}

impl<'a> IndexReader<'a> {
    pub(super) const fn present(index: &'a Index) -> Self {
        Self { index, source: Source::Present }
    }

    pub(super) const fn at(index: &'a Index, snapshot: &'a Snapshot) -> Self {
        Self { index, source: Source::At(snapshot) }
    }

    pub(super) const fn within(index: &'a Index, transaction: &'a Transaction) -> Self {
        Self { index, source: Source::Within(transaction) }
    }

    /// Returns the entries whose index keys are in a range, in order.
    ///
    /// # Errors
    ///
    /// Those of [`keys`](Self::keys), and [`InvalidArgument`](ErrorKind::InvalidArgument) for an
    /// inverted range.
    pub fn scan(&self, range: impl KeyBounds) -> Result<IndexScan<'a>> {
        self.scan_with(range, ScanOptions::new())
    }

    /// Returns the entries whose index keys are in a range, as the options say.
    ///
    /// # Errors
    ///
    /// Those of [`scan`](Self::scan).
    pub fn scan_with(&self, range: impl KeyBounds, options: ScanOptions) -> Result<IndexScan<'a>> {
        self.scan_part(range, None, options)
    }

    /// Returns the entries of a range that come after one of them in the order of the scan, as the
    /// options say: the next page of a list that ended with this one. An entry is named by its index
    /// key and the key of its row, and need not be there any more.
    ///
    /// ```
    /// use annulus::index::IndexSpec;
    /// use annulus::{ScanOptions, Store, topology::KeyspaceSpec};
    ///
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// let cities = store.create_keyspace("cities", KeyspaceSpec::hash())?;
    /// let by_country = cities.index(IndexSpec::new("country", 1, |_, value| [value.to_vec()]))?;
    /// by_country.build()?;
    /// for (city, country) in [("Bonn", "de"), ("Lyon", "fr"), ("Nice", "fr"), ("Rome", "it")] {
    ///     cities.put(city, country)?;
    /// }
    /// let page = ScanOptions::new().limit(2);
    /// let first: Vec<_> = by_country.scan_with(.., page)?.collect::<Result<_, _>>()?;
    /// let last = &first[1];
    /// assert_eq!(last.key, b"Lyon");
    /// let second = by_country.scan_after(.., (&last.index_key, &last.key), page)?;
    /// let second: Vec<_> = second.collect::<Result<_, _>>()?;
    /// assert_eq!(second[0].key, b"Nice");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`scan`](Self::scan).
    pub fn scan_after(
        &self,
        range: impl KeyBounds,
        (index_key, key): (impl AsRef<[u8]>, impl AsRef<[u8]>),
        options: ScanOptions,
    ) -> Result<IndexScan<'a>> {
        let (entry, _) = self.index.declared.entry(index_key.as_ref(), key.as_ref());
        self.scan_part(range, Some(&entry), options)
    }

    fn scan_part(
        &self,
        range: impl KeyBounds,
        after: Option<&[u8]>,
        options: ScanOptions,
    ) -> Result<IndexScan<'a>> {
        // Refuses an inverted range with what the caller has named.
        Bounds::of(&range)?;
        let times_emptied = self.index.declared.times_emptied();
        self.check_ready()?;
        let range = entry_range(range.start(), range.end());
        let KeyRange { start, end } = match after {
            Some(entry) => rest(range, entry, options.reverse),
            None => range,
        };
        let end = end.map_or(Bound::Unbounded, Bound::Excluded);
        let (entries, range) = (&self.index.entries, (Bound::Included(start), end));
        let rows = match self.source {
            Source::Present => Rows::Scan(entries.scan_with(range, options)?),
            Source::At(snapshot) => Rows::Scan(snapshot.scan_with(entries, range, options)?),
            Source::Within(tx) => {
                Rows::Transaction(Box::new(tx.scan_with(entries, range, options)?))
            }
        };
        Ok(IndexScan { reader: *self, rows, times_emptied, ended: false })
    }

    fn check_ready(&self) -> Result<()> {
        let declared = &self.index.declared;
        let is_ready = match self.source {
            Source::Present => declared.is_ready(),
            Source::At(snapshot) => self.is_marked(snapshot.get(&self.index.entries, MARKER))?,
            Source::Within(tx) => self.is_marked(tx.get(&self.index.entries, MARKER))?,
        };
        if is_ready { Ok(()) } else { Err(declared.not_ready()) }
    }

    fn is_marked(&self, marker: Result<Option<Value>>) -> Result<bool> {
        match marker {
            // The index is younger.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            marker => Ok(marker?.as_deref() == Some(&self.index.declared.form().marker())),
        }
    }
}

/// Returns what comes of a range after a key, in the order of a scan. That may be an empty range.
fn rest(range: KeyRange, after: &[u8], reverse: bool) -> KeyRange {
    let KeyRange { mut start, mut end } = range;
    if reverse {
        end = Some(end.map_or_else(|| after.into(), |end| end.min(after.into())));
    } else {
        start = start.max(just_after(after).into());
    }
    let is_inverted = end.as_ref().is_some_and(|end| *end < start);
    if is_inverted { KeyRange { end: Some(start.clone()), start } } else { KeyRange { start, end } }
}

impl fmt::Debug for IndexReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexReader").field("index", self.index).finish_non_exhaustive()
    }
}

/// The entries of an index in order: an iterator of index keys and keys of rows.
pub struct IndexScan<'a> {
    reader: IndexReader<'a>,
    rows: Rows<'a>,
    times_emptied: u64,
    ended: bool,
}

enum Rows<'a> {
    Scan(Scan),
    Transaction(Box<TransactionScan<'a>>),
}

impl IndexScan<'_> {
    fn next_entry(&mut self) -> Result<Option<IndexEntry>> {
        let index = &self.reader.index;
        let row = match &mut self.rows {
            Rows::Scan(scan) => scan.next_row()?,
            Rows::Transaction(scan) => scan.next_row()?,
        };
        let Some((key, value)) = row else {
            let is_present = matches!(self.reader.source, Source::Present);
            // IMPORTANT: at its end. What was emptied since the beginning may have been missing.
            if is_present && index.declared.times_emptied() != self.times_emptied {
                return Err(index.declared.not_ready());
            }
            return Ok(None);
        };
        match parse_entry(index.is_unique(), key, value) {
            Some((index_key, key)) => Ok(Some(IndexEntry { index_key, key })),
            None => Err(Error::new(
                ErrorKind::Damaged,
                format!(
                    "\"{}\" in index `{}` of keyspace `{}` is no entry; Index::repair removes it",
                    key.escape_ascii(),
                    index.name(),
                    index.rows.name()
                ),
            )),
        }
    }
}

impl Iterator for IndexScan<'_> {
    type Item = Result<IndexEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let entry = self.next_entry();
        self.ended = !matches!(entry, Ok(Some(_)));
        entry.transpose()
    }
}

impl std::iter::FusedIterator for IndexScan<'_> {}

impl fmt::Debug for IndexScan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexScan").field("reader", &self.reader).finish_non_exhaustive()
    }
}
