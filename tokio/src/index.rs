//! Secondary indexes: lookups on the pool, entries and rows as streams.

use crate::inner::Inner;
use crate::keyspace::Keyspace;
use crate::portions::{BYTES_MAX, Portions, Source, stream_of_portions};
use crate::snapshot::Snapshot;
use annulus::index::IndexSpec;
use annulus::report::IndexVerification;
use annulus::{IndexEntry, IndexProgress, IndexRow, KeyBounds, Result, ScanOptions, Value};
use std::fmt;
use std::sync::Arc;

/// The handle of a secondary index, for tasks: the calls of [`annulus::Index`], which says what each of
/// them returns, costs and guarantees. Made by [`Keyspace::index`]. Cheap to clone.
///
/// All of them run on the pool. Within a transaction the [blocking](Self::blocking) handle reads it.
///
/// ```
/// use annulus::{index::IndexSpec, topology::KeyspaceSpec};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> annulus::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let store = annulus_tokio::Store::open(directory.path().join("store")).await?;
/// let cities = store.keyspace_or_create("cities", KeyspaceSpec::hash()).await?;
/// let by_country = IndexSpec::new("by_country", 1, |_city, country| [country.to_vec()]);
/// let by_country = cities.index(by_country).await?;
/// by_country.build().await?;
/// cities.put("Lyon", "fr").await?;
/// cities.put("Bonn", "de").await?;
/// assert_eq!(by_country.keys("fr").await?, [b"Lyon"]);
/// let mut rows = by_country.rows("a".."e").await?;
/// while let Some(row) = rows.next().await {
///     assert_eq!(row?.key, b"Bonn");
/// }
/// # store.shutdown().await
/// # }
/// ```
#[derive(Clone)]
pub struct Index {
    index: annulus::Index,
    inner: Arc<Inner>,
}

impl Keyspace {
    /// Declares a secondary index, and returns it: [`annulus::Keyspace::index`].
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Keyspace::index`] and of [`Store::run`](crate::Store::run).
    pub async fn index(&self, spec: IndexSpec) -> Result<Index> {
        let index = self.run(|keyspace| keyspace.index(spec)).await?;
        Ok(Index::new(index, self.inner()))
    }

    /// Drops an index with all its entries: [`annulus::Keyspace::drop_index`].
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Keyspace::drop_index`] and of [`Store::run`](crate::Store::run).
    pub async fn drop_index(&self, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.run(move |keyspace| keyspace.drop_index(&name)).await
    }
}

impl Index {
    pub(crate) fn new(index: annulus::Index, inner: &Arc<Inner>) -> Self {
        Self { index, inner: Arc::clone(inner) }
    }

    /// Returns the handle for threads that may wait, and for closures of transactions.
    #[must_use]
    pub const fn blocking(&self) -> &annulus::Index {
        &self.index
    }

    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.index.name()
    }

    /// Returns how far it has been built: [`annulus::Index::progress`]. Does not leave the task.
    #[must_use]
    pub fn progress(&self) -> IndexProgress {
        self.index.progress()
    }

    async fn run<T: Send + 'static>(
        &self,
        run: impl FnOnce(&annulus::Index) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let index = self.index.clone();
        self.inner.pool().run(move || run(&index)).await
    }

    /// Adds all rows that the index lacks: [`annulus::Index::build`]. It occupies a thread of the pool all
    /// the while. If the future is dropped, the build goes on.
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Index::build`] and of [`Store::run`](crate::Store::run).
    pub async fn build(&self) -> Result<()> {
        self.run(annulus::Index::build).await
    }

    /// Empties the index and builds it again: [`annulus::Index::rebuild`].
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Index::rebuild`] and of [`Store::run`](crate::Store::run).
    pub async fn rebuild(&self) -> Result<()> {
        self.run(annulus::Index::rebuild).await
    }

    /// Compares the index with the rows: [`annulus::Index::verify`].
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Index::verify`] and of [`Store::run`](crate::Store::run).
    pub async fn verify(&self) -> Result<IndexVerification> {
        self.run(annulus::Index::verify).await
    }

    /// Verifies the index, and writes and deletes what is wrong: [`annulus::Index::repair`].
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Index::repair`] and of [`Store::run`](crate::Store::run).
    pub async fn repair(&self) -> Result<IndexVerification> {
        self.run(annulus::Index::repair).await
    }

    /// Returns the keys of the rows that have an index key, in order: [`annulus::Index::keys`].
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Index::keys`] and of [`Store::run`](crate::Store::run).
    pub async fn keys(&self, index_key: impl AsRef<[u8]>) -> Result<Vec<Vec<u8>>> {
        let index_key = index_key.as_ref().to_vec();
        self.run(|index| index.keys(index_key)).await
    }

    /// Returns the first row that has an index key, or `None`: [`annulus::Index::row`].
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Index::row`] and of [`Store::run`](crate::Store::run).
    pub async fn row(&self, index_key: impl AsRef<[u8]>) -> Result<Option<(Vec<u8>, Value)>> {
        let index_key = index_key.as_ref().to_vec();
        self.run(|index| index.row(index_key)).await
    }

    /// Returns the entries whose index keys are in a range, in order, as a [stream](IndexScan).
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Index::scan`] and of [`Store::run`](crate::Store::run).
    pub async fn scan(&self, range: impl KeyBounds + Clone + Send + 'static) -> Result<IndexScan> {
        self.scan_with(range, ScanOptions::new()).await
    }

    /// Returns the entries whose index keys are in a range, as the options say.
    ///
    /// # Errors
    ///
    /// Those of [`scan`](Self::scan).
    pub async fn scan_with(
        &self,
        range: impl KeyBounds + Clone + Send + 'static,
        options: ScanOptions,
    ) -> Result<IndexScan> {
        let index = self.index.clone();
        let read: ReadPage<IndexEntry> = Box::new(move |after, options, visit| match after {
            None => each(index.scan_with(range.clone(), options)?, visit),
            Some(after) => each(index.scan_after(range.clone(), after, options)?, visit),
        });
        let pages = Pages::new(read, options);
        Ok(IndexScan { portions: Portions::open(&self.inner, || Ok(pages)).await? })
    }

    /// Returns the rows whose index keys are in a range, in the order of the index keys, as a
    /// [stream](IndexRows): [`annulus::Index::rows`].
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Index::rows`] and of [`Store::run`](crate::Store::run).
    pub async fn rows(&self, range: impl KeyBounds + Clone + Send + 'static) -> Result<IndexRows> {
        self.rows_with(range, ScanOptions::new()).await
    }

    /// Returns the rows whose index keys are in a range, as the options say.
    ///
    /// # Errors
    ///
    /// Those of [`rows`](Self::rows).
    pub async fn rows_with(
        &self,
        range: impl KeyBounds + Clone + Send + 'static,
        options: ScanOptions,
    ) -> Result<IndexRows> {
        let index = self.index.clone();
        let read: ReadPage<IndexRow> = Box::new(move |after, options, visit| match after {
            None => each(index.rows_with(range.clone(), options)?, visit),
            Some(after) => each(index.rows_after(range.clone(), after, options)?, visit),
        });
        IndexRows::open(&self.inner, read, options).await
    }

    /// Returns the rows of a range as they were when a snapshot was taken, in the order of the index keys:
    /// [`annulus::Index::at`].
    ///
    /// # Errors
    ///
    /// Those of [`annulus::IndexReader::rows`] and of [`Store::run`](crate::Store::run).
    pub async fn rows_at(
        &self,
        snapshot: &Snapshot,
        range: impl KeyBounds + Clone + Send + 'static,
        options: ScanOptions,
    ) -> Result<IndexRows> {
        let (index, snapshot) = (self.index.clone(), snapshot.blocking().clone());
        let read: ReadPage<IndexRow> = Box::new(move |after, options, visit| {
            let index = index.at(&snapshot);
            match after {
                None => each(index.rows_with(range.clone(), options)?, visit),
                Some(after) => each(index.rows_after(range.clone(), after, options)?, visit),
            }
        });
        IndexRows::open(&self.inner, read, options).await
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.index.fmt(f)
    }
}

/// Entries in the order of an index, as a [`Stream`](futures_core::Stream).
///
/// Read in portions as a [`Scan`](crate::Scan) is. Each portion is a scan of its own, which goes on after
/// the last entry of the one before: what is written meanwhile may be seen or not, as by
/// [`annulus::Index::scan`], and an open stream keeps nothing in the shards.
pub struct IndexScan {
    portions: Portions<Pages<IndexEntry>>,
}

/// Rows in the order of an index, as a [`Stream`](futures_core::Stream). Read as [`IndexScan`] is.
pub struct IndexRows {
    portions: Portions<Pages<IndexRow>>,
}

stream_of_portions!(IndexScan, IndexEntry, "entry");
stream_of_portions!(IndexRows, IndexRow, "row");

impl IndexRows {
    async fn open(
        inner: &Arc<Inner>,
        read: ReadPage<IndexRow>,
        options: ScanOptions,
    ) -> Result<Self> {
        let pages = Pages::new(read, options);
        Ok(Self { portions: Portions::open(inner, || Ok(pages)).await? })
    }
}

/// An entry or a row of an index.
trait Paged: Send + 'static {
    /// Returns its index key, and the key of its row.
    fn place(&self) -> (Vec<u8>, Vec<u8>);
    fn bytes(&self) -> usize;
}

impl Paged for IndexEntry {
    fn place(&self) -> (Vec<u8>, Vec<u8>) {
        (self.index_key.clone(), self.key.clone())
    }

    fn bytes(&self) -> usize {
        self.index_key.len() + self.key.len()
    }
}

impl Paged for IndexRow {
    fn place(&self) -> (Vec<u8>, Vec<u8>) {
        (self.index_key.clone(), self.key.clone())
    }

    fn bytes(&self) -> usize {
        self.index_key.len() + self.key.len() + self.value.len()
    }
}

/// Reads what comes after a place, as the options say, and passes it on until it gets false.
type ReadPage<T> = Box<
    dyn Fn(Option<(&[u8], &[u8])>, ScanOptions, &mut dyn FnMut(T) -> bool) -> Result<()> + Send,
>;

/// A scan of an index that can be given up after each item: the next portion is a scan from there on.
struct Pages<T> {
    read: ReadPage<T>,
    options: ScanOptions,
    left: u64,
    last: Option<(Vec<u8>, Vec<u8>)>,
}

impl<T: Paged> Pages<T> {
    fn new(read: ReadPage<T>, options: ScanOptions) -> Self {
        Self { read, options, left: options.limit.unwrap_or(u64::MAX), last: None }
    }
}

impl<T: Paged> Source for Pages<T> {
    type Item = T;

    fn read(&mut self, items_max: usize, items: &mut Vec<T>) -> Result<bool> {
        let most = self.left.min(items_max as u64);
        let after = self.last.as_ref().map(|(index_key, key)| (&**index_key, &**key));
        let mut bytes = 0;
        let mut visit = |item: T| {
            bytes += item.bytes();
            items.push(item);
            bytes < BYTES_MAX
        };
        (self.read)(after, self.options.limit(most), &mut visit)?;
        let read = items.len() as u64;
        self.left -= read;
        self.last = items.last().map(Paged::place);
        // Fewer than were asked for are the last ones.
        Ok(self.left > 0 && (read == most || bytes >= BYTES_MAX))
    }
}

/// Passes items on until one is not wanted.
fn each<T>(
    mut items: impl Iterator<Item = Result<T>>,
    visit: &mut dyn FnMut(T) -> bool,
) -> Result<()> {
    while let Some(item) = items.next().transpose()? {
        if !visit(item) {
            break;
        }
    }
    Ok(())
}
