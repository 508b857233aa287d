//! What an index finds: keys of rows, and rows.

use super::entries::{IndexReader, Source};
use super::rows::IndexRows;
use crate::error::Result;
use crate::read::{KeyBounds, ScanOptions, Value};

impl<'a> IndexReader<'a> {
    /// Returns the keys of the rows that have an index key, in order.
    ///
    /// # Errors
    ///
    /// Those of [`Index::keys`](crate::Index::keys). [`Busy`](crate::ErrorKind::Busy) also if the index was not complete when
    /// the snapshot was taken or the transaction began.
    pub fn keys(&self, index_key: impl AsRef<[u8]>) -> Result<Vec<Vec<u8>>> {
        let entries = self.scan(index_key.as_ref()..=index_key.as_ref())?;
        entries.map(|entry| entry.map(|entry| entry.key)).collect()
    }

    /// Returns the first row that has an index key, or `None`.
    ///
    /// # Errors
    ///
    /// Those of [`keys`](Self::keys) and [`rows`](Self::rows).
    pub fn row(&self, index_key: impl AsRef<[u8]>) -> Result<Option<(Vec<u8>, Value)>> {
        let first = ScanOptions::new().limit(1);
        let mut rows = self.rows_with(index_key.as_ref()..=index_key.as_ref(), first)?;
        Ok(rows.next().transpose()?.map(|row| (row.key, row.value)))
    }

    /// Returns the rows whose index keys are in a range, in the order of the index keys.
    ///
    /// # Errors
    ///
    /// Those of [`scan`](Self::scan); [`Damaged`](crate::ErrorKind::Damaged) for an entry whose row is not
    /// there at this moment.
    pub fn rows(&self, range: impl KeyBounds) -> Result<IndexRows<'a>> {
        self.rows_with(range, ScanOptions::new())
    }

    /// Returns the rows whose index keys are in a range, as the options say. A limit counts rows.
    ///
    /// # Errors
    ///
    /// Those of [`rows`](Self::rows).
    pub fn rows_with(&self, range: impl KeyBounds, options: ScanOptions) -> Result<IndexRows<'a>> {
        let entries = self.scan_with(range, self.of_entries(options))?;
        Ok(IndexRows::new(*self, entries, options.limit))
    }

    /// Returns the rows of a range that come after one of them in the order of the scan, as the options
    /// say: the next page of a list that ended with this one. A row is named by its index key and its
    /// key, and need not be there any more. See [`scan_after`](Self::scan_after).
    ///
    /// # Errors
    ///
    /// Those of [`rows`](Self::rows).
    pub fn rows_after(
        &self,
        range: impl KeyBounds,
        row: (impl AsRef<[u8]>, impl AsRef<[u8]>),
        options: ScanOptions,
    ) -> Result<IndexRows<'a>> {
        let entries = self.scan_after(range, row, self.of_entries(options))?;
        Ok(IndexRows::new(*self, entries, options.limit))
    }

    /// Returns the options of the scan of the entries of rows. At the present, rows may be left out.
    fn of_entries(&self, options: ScanOptions) -> ScanOptions {
        let is_present = matches!(self.source, Source::Present);
        ScanOptions { limit: options.limit.filter(|_| !is_present), ..options }
    }
}
