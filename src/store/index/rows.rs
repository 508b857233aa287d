//! The rows that an index finds.

use super::Index;
use super::entries::{IndexEntry, IndexReader, IndexScan, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::read::Value;
use std::fmt;

/// How many rows are read at once.
const ROWS_AT_ONCE: u64 = 64;

/// A row that an index has found.
#[derive(Debug)]
#[non_exhaustive]
pub struct IndexRow {
    /// The index key.
    pub index_key: Vec<u8>,
    /// The key of the row.
    pub key: Vec<u8>,
    /// The value of the row.
    pub value: Value,
}

/// Rows in the order of an index: an iterator of index keys, keys and values.
pub struct IndexRows<'a> {
    reader: IndexReader<'a>,
    entries: IndexScan<'a>,
    left: u64,
    read: std::vec::IntoIter<IndexRow>,
    /// What the scan of the entries has ended with, to be returned after the rows before it.
    failed: Option<Error>,
}

impl<'a> IndexRows<'a> {
    pub(super) fn new(reader: IndexReader<'a>, entries: IndexScan<'a>, limit: Option<u64>) -> Self {
        let read = Vec::new().into_iter();
        Self { reader, entries, left: limit.unwrap_or(u64::MAX), read, failed: None }
    }

    /// Reads the next rows. Returns false if there are none.
    fn read_more(&mut self) -> Result<bool> {
        let mut entries = Vec::new();
        while (entries.len() as u64) < ROWS_AT_ONCE.min(self.left) {
            match self.entries.next() {
                Some(Ok(entry)) => entries.push(entry),
                Some(Err(error)) => {
                    self.failed = Some(error);
                    break;
                }
                None => break,
            }
        }
        if entries.is_empty() {
            return self.failed.take().map_or(Ok(false), Err);
        }
        let values = self.values(entries.iter().map(|entry| &*entry.key))?;
        let index = self.reader.index;
        let mut rows = Vec::with_capacity(entries.len());
        for (IndexEntry { index_key, key }, value) in entries.into_iter().zip(values) {
            let row = value.map(|value| IndexRow { index_key, key, value });
            match (row, self.reader.source) {
                (Some(row), Source::Present) if !index.has(&row) => {}
                (Some(row), _) => rows.push(row),
                // Deleted since its entry was read.
                (None, Source::Present) => {}
                (None, _) => return Err(index.entry_without_row()),
            }
        }
        self.read = rows.into_iter();
        Ok(true)
    }

    fn values<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) -> Result<Vec<Option<Value>>> {
        let rows = &self.reader.index.rows;
        match self.reader.source {
            Source::Present => rows.get_many(keys),
            Source::At(snapshot) => snapshot.get_many(rows, keys),
            Source::Within(transaction) => transaction.get_many(rows, keys),
        }
    }
}

impl Index {
    /// Returns true if a row has its index key.
    fn has(&self, row: &IndexRow) -> bool {
        let keys = self.declared.keys(&row.key, &row.value);
        keys.is_ok_and(|keys| keys.contains(&row.index_key))
    }

    #[cold]
    fn entry_without_row(&self) -> Error {
        Error::new(
            ErrorKind::Damaged,
            format!(
                "index `{}` of keyspace `{}` has an entry whose row is not there; Index::verify \
                 finds such entries, Index::repair deletes them",
                self.name(),
                self.rows.name()
            ),
        )
    }
}

impl Iterator for IndexRows<'_> {
    type Item = Result<IndexRow>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.left == 0 {
                return None;
            }
            if let Some(row) = self.read.next() {
                self.left -= 1;
                return Some(Ok(row));
            }
            match self.read_more() {
                Ok(true) => {}
                Ok(false) => self.left = 0,
                Err(error) => {
                    self.left = 0;
                    return Some(Err(error));
                }
            }
        }
    }
}

impl std::iter::FusedIterator for IndexRows<'_> {}

impl fmt::Debug for IndexRows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexRows").field("reader", &self.reader).finish_non_exhaustive()
    }
}
