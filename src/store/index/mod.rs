//! The handle of a secondary index. Its reads are in `read.rs`, `entries.rs` and `rows.rs`.

mod build;
mod declare;
mod entries;
pub(super) mod findings;
mod read;
mod rows;
mod stats;
mod strays;
mod verify;

pub use build::IndexProgress;
pub use entries::{IndexEntry, IndexReader, IndexScan};
pub use findings::{IndexProblem, IndexVerification};
pub use rows::{IndexRow, IndexRows};
pub(super) use stats::index_stats;
pub use stats::{IndexState, IndexStats};
pub(super) use strays::drop_strays;
pub(super) use verify::verify_all;

use super::{Keyspace, Snapshot, Transaction};
use crate::error::Result;
use crate::index::DeclaredIndex;
use crate::read::{KeyBounds, ScanOptions, Value};
use crate::topology;
use std::fmt;
use std::sync::Arc;

/// The handle of a [secondary index](crate::index), made by [`Keyspace::index`]. Cheap to clone;
/// every method may be called from any thread.
///
/// It is read in the order of its index keys; rows of one index key are in the order of their keys.
/// These reads see the present: an entry is there as soon as its row is. [`at`](Self::at) reads a
/// snapshot, [`within`](Self::within) a transaction.
///
/// ```
/// use annulus::index::IndexSpec;
/// use annulus::{ScanOptions, Store, topology::KeyspaceSpec};
///
/// # fn main() -> annulus::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let store = Store::open(directory.path().join("store"))?;
/// let readings = store.keyspace_or_create("readings", KeyspaceSpec::hash())?;
/// readings.put("cellar", "12")?;
/// readings.put("roof", "31")?;
///
/// let by_value = readings.index(IndexSpec::new("by_value", 1, |_key, value| [value.to_vec()]))?;
/// // There are rows already.
/// by_value.build()?;
/// readings.put("kitchen", "21")?;
/// let warmest = by_value.rows_with("20".., ScanOptions::new().reverse(true))?;
/// let rows: Vec<_> = warmest.collect::<Result<_, _>>()?;
/// assert_eq!(rows.iter().map(|row| &*row.key).collect::<Vec<_>>(), [&b"roof"[..], b"kitchen"]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Index {
    rows: Keyspace,
    entries: Keyspace,
    declared: Arc<DeclaredIndex>,
}

impl Index {
    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.declared.name
    }

    /// Returns its version.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.declared.version
    }

    /// Returns true if no two rows may have the same index key.
    #[must_use]
    pub fn is_unique(&self) -> bool {
        self.declared.unique
    }

    /// Returns the keyspace whose rows it finds.
    #[must_use]
    pub const fn keyspace(&self) -> &Keyspace {
        &self.rows
    }

    /// Returns how its entries are placed now. They are in a range keyspace of the store's own, whose
    /// partitions are moved, split and merged like others, also by the rebalancer.
    #[must_use]
    pub fn placement(&self) -> Arc<topology::KeyspaceLayout> {
        self.entries.placement()
    }

    /// Returns it as it was when a snapshot was taken.
    #[must_use]
    pub const fn at<'a>(&'a self, snapshot: &'a Snapshot) -> IndexReader<'a> {
        IndexReader::at(self, snapshot)
    }

    /// Returns it as a transaction sees it, with what the transaction has written. The transaction
    /// relies on what it reads of an index as on rows: a row that comes to an index key that it has
    /// asked for is a conflict.
    #[must_use]
    pub const fn within<'a>(&'a self, transaction: &'a Transaction) -> IndexReader<'a> {
        IndexReader::within(self, transaction)
    }

    /// Returns it as it is by the time of each call.
    pub(crate) const fn present(&self) -> IndexReader<'_> {
        IndexReader::present(self)
    }

    /// Returns the keys of the rows that have an index key, in order.
    ///
    /// # Errors
    ///
    /// [`Busy`](crate::ErrorKind::Busy) if the index is not complete; those of
    /// [`Keyspace::scan`].
    pub fn keys(&self, index_key: impl AsRef<[u8]>) -> Result<Vec<Vec<u8>>> {
        self.present().keys(index_key)
    }

    /// Returns the first row that has an index key, or `None`. A unique index has no second one.
    ///
    /// # Errors
    ///
    /// Those of [`rows`](Self::rows).
    pub fn row(&self, index_key: impl AsRef<[u8]>) -> Result<Option<(Vec<u8>, Value)>> {
        self.present().row(index_key)
    }

    /// Returns the entries whose index keys are in a range, in order: index keys, and keys of rows.
    ///
    /// # Errors
    ///
    /// Those of [`keys`](Self::keys), and
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for an inverted range.
    pub fn scan(&self, range: impl KeyBounds) -> Result<IndexScan<'_>> {
        self.present().scan(range)
    }

    /// Returns the entries whose index keys are in a range, as the options say.
    ///
    /// # Errors
    ///
    /// Those of [`scan`](Self::scan).
    pub fn scan_with(&self, range: impl KeyBounds, options: ScanOptions) -> Result<IndexScan<'_>> {
        self.present().scan_with(range, options)
    }

    /// Returns the entries of a range that come after one of them, which is named by its index key and
    /// the key of its row: the next page of a list. See [`IndexReader::scan_after`].
    ///
    /// # Errors
    ///
    /// Those of [`scan`](Self::scan).
    pub fn scan_after(
        &self,
        range: impl KeyBounds,
        entry: (impl AsRef<[u8]>, impl AsRef<[u8]>),
        options: ScanOptions,
    ) -> Result<IndexScan<'_>> {
        self.present().scan_after(range, entry, options)
    }

    /// Returns the rows whose index keys are in a range, in the order of the index keys.
    ///
    /// Each row is returned as it is when it is read, and only if it has the index key then: one that
    /// is changed after its entry was read is left out, or may come again at a later index key. At a
    /// snapshot, or within a transaction, rows and entries are of one moment.
    ///
    /// Cost: a scan of the entries, and [`Keyspace::get_many`] of up to 64 rows at a time.
    ///
    /// # Errors
    ///
    /// Those of [`scan`](Self::scan) and of [`Keyspace::get_many`].
    pub fn rows(&self, range: impl KeyBounds) -> Result<IndexRows<'_>> {
        self.present().rows(range)
    }

    /// Returns the rows whose index keys are in a range, as the options say. A limit counts rows.
    ///
    /// # Errors
    ///
    /// Those of [`rows`](Self::rows).
    pub fn rows_with(&self, range: impl KeyBounds, options: ScanOptions) -> Result<IndexRows<'_>> {
        self.present().rows_with(range, options)
    }

    /// Returns the rows of a range that come after one of them, which is named by its index key and its
    /// key: the next page of a list. See [`IndexReader::rows_after`].
    ///
    /// # Errors
    ///
    /// Those of [`rows`](Self::rows).
    pub fn rows_after(
        &self,
        range: impl KeyBounds,
        row: (impl AsRef<[u8]>, impl AsRef<[u8]>),
        options: ScanOptions,
    ) -> Result<IndexRows<'_>> {
        self.present().rows_after(range, row, options)
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index")
            .field("name", &self.name())
            .field("version", &self.version())
            .field("keyspace", &self.rows.name())
            .finish_non_exhaustive()
    }
}
