//! Secondary indexes of typed keyspaces: index keys are values, too.

use super::{Codec, Postcard, TypedKeyspace, decode_key, decode_value};
use crate::error::{Error, ErrorKind, Result};
use crate::index::IndexSpec;
use crate::read::ScanOptions;
use crate::store::{
    Index, IndexEntry, IndexReader, IndexRow, IndexRows, IndexScan, Snapshot, Transaction,
};
use crate::tuple::{self, Key, KeyFor, TupleBounds};
use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;

/// A secondary index of a typed keyspace, whose index keys are of type `I`, in the order of its
/// values; made by [`TypedKeyspace::index`] and [`TypedKeyspace::unique_index`].
///
/// Each method does what that of [`Index`] with its name does; added to its errors is
/// [`WrongType`](ErrorKind::WrongType). Everything else, as building and verifying, is done through
/// [`index`](Self::index).
pub struct TypedIndex<I, K, V, C = Postcard> {
    index: Index,
    keyspace: TypedKeyspace<K, V, C>,
    types: PhantomData<fn(I)>,
}

impl<K: Key + 'static, V: 'static, C: Codec<V>> TypedKeyspace<K, V, C> {
    /// Declares a secondary index by a function of key and value, which returns the index keys of a
    /// row: none, one or several. See [`Keyspace::index`](crate::Keyspace::index).
    ///
    /// ```
    /// use annulus::{Store, topology::KeyspaceSpec, tuple::TuplePrefix};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct User {
    ///     email: String,
    ///     city: String,
    ///     born: u16,
    /// }
    ///
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// let users = store.keyspace_or_create("users", KeyspaceSpec::hash())?.typed::<u64, User>();
    /// let by_email = users.unique_index("by_email", 1, |_, user| [user.email.clone()])?;
    /// let by_city = users.index("by_city", 1, |_, user| [(user.city.clone(), user.born)])?;
    /// by_email.build()?;
    /// by_city.build()?;
    ///
    /// let user = |email: &str, city: &str, born| User { email: email.into(), city: city.into(), born };
    /// users.put(7, &user("ada@example.org", "London", 1815))?;
    /// users.put(8, &user("charles@example.org", "London", 1791))?;
    /// assert_eq!(by_email.row("ada@example.org")?.map(|(key, user)| (key, user.born)), Some((7, 1815)));
    /// assert!(users.put(9, &user("ada@example.org", "Paris", 1990)).is_err());
    /// // By city, and in it by year.
    /// let rows = by_city.rows(TuplePrefix(("London",)))?;
    /// let keys = rows.map(|row| row.map(|(_, key, _)| key)).collect::<Result<Vec<_>, _>>()?;
    /// assert_eq!(keys, [8, 7]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Keyspace::index`](crate::Keyspace::index). From then on, writes of rows that are not
    /// of the keyspace's types, as by a handle of bytes, are refused with
    /// [`WrongType`](ErrorKind::WrongType).
    pub fn index<I: Key, F>(
        &self,
        name: &str,
        version: u32,
        function: impl Fn(&K, &V) -> F + Send + Sync + 'static,
    ) -> Result<TypedIndex<I, K, V, C>>
    where
        F: IntoIterator<Item = I>,
        C: Clone + Send + Sync + 'static,
    {
        self.declare(self.spec(name, version, function))
    }

    /// Declares a unique index: of two rows with one index key, the second is refused.
    ///
    /// # Errors
    ///
    /// Those of [`index`](Self::index).
    pub fn unique_index<I: Key, F>(
        &self,
        name: &str,
        version: u32,
        function: impl Fn(&K, &V) -> F + Send + Sync + 'static,
    ) -> Result<TypedIndex<I, K, V, C>>
    where
        F: IntoIterator<Item = I>,
        C: Clone + Send + Sync + 'static,
    {
        self.declare(self.spec(name, version, function).unique())
    }

    fn spec<I: Key, F: IntoIterator<Item = I>>(
        &self,
        name: &str,
        version: u32,
        function: impl Fn(&K, &V) -> F + Send + Sync + 'static,
    ) -> IndexSpec
    where
        C: Clone + Send + Sync + 'static,
    {
        let (codec, keyspace) = (self.codec.clone(), self.name().to_owned());
        IndexSpec::fallible(name, version, move |key, value| {
            let decoded: K = decode_key(&keyspace, key)?;
            let value = decode_value(&codec, &keyspace, key, value)?;
            let index_keys = function(&decoded, &value).into_iter();
            Ok(index_keys.map(|index_key| tuple::encode(&index_key)).collect())
        })
    }

    fn declare<I: Key>(&self, spec: IndexSpec) -> Result<TypedIndex<I, K, V, C>>
    where
        C: Clone,
    {
        let index = self.keyspace.index(spec)?;
        Ok(TypedIndex { index, keyspace: self.clone(), types: PhantomData })
    }
}

impl<I: Key, K: Key, V, C: Codec<V>> TypedIndex<I, K, V, C> {
    /// Returns the handle whose keys and values are bytes.
    #[must_use]
    pub const fn index(&self) -> &Index {
        &self.index
    }

    /// Adds all rows that the index lacks; see [`Index::build`].
    ///
    /// # Errors
    ///
    /// Those of [`Index::build`].
    pub fn build(&self) -> Result<()> {
        self.index.build()
    }

    /// Returns it as it was when a snapshot was taken.
    #[must_use]
    pub const fn at<'a>(&'a self, snapshot: &'a Snapshot) -> TypedIndexReader<'a, I, K, V, C> {
        self.reader(self.index.at(snapshot))
    }

    /// Returns it as a transaction sees it.
    #[must_use]
    pub const fn within<'a>(&'a self, tx: &'a Transaction) -> TypedIndexReader<'a, I, K, V, C> {
        self.reader(self.index.within(tx))
    }

    const fn present(&self) -> TypedIndexReader<'_, I, K, V, C> {
        self.reader(self.index.present())
    }

    const fn reader<'a>(&'a self, reader: IndexReader<'a>) -> TypedIndexReader<'a, I, K, V, C> {
        TypedIndexReader { reader, keyspace: &self.keyspace, types: PhantomData }
    }

    /// Returns the keys of the rows that have an index key, in order.
    ///
    /// # Errors
    ///
    /// Those of [`Index::keys`].
    pub fn keys(&self, index_key: impl KeyFor<I>) -> Result<Vec<K>> {
        self.present().keys(index_key)
    }

    /// Returns the first row that has an index key, or `None`.
    ///
    /// # Errors
    ///
    /// Those of [`Index::row`].
    pub fn row(&self, index_key: impl KeyFor<I>) -> Result<Option<(K, V)>> {
        self.present().row(index_key)
    }

    /// Returns the entries of a range: index keys, and keys of rows.
    ///
    /// # Errors
    ///
    /// Those of [`Index::scan`].
    pub fn scan(&self, range: impl TupleBounds<I>) -> Result<TypedIndexScan<'_, I, K, V, C>> {
        self.present().scan(range)
    }

    /// Returns the keyspace whose rows it finds.
    #[must_use]
    pub const fn keyspace(&self) -> &TypedKeyspace<K, V, C> {
        &self.keyspace
    }

    /// Returns the index key and the key of the row that an entry has, of [`Index::scan`].
    ///
    /// # Errors
    ///
    /// [`WrongType`](ErrorKind::WrongType) if one of them does not decode.
    pub fn decode_entry(&self, entry: &IndexEntry) -> Result<(I, K)> {
        let name = self.keyspace.name();
        Ok((decode_index_key(name, &entry.index_key)?, decode_key(name, &entry.key)?))
    }

    /// Returns the index key, the key and the value of a row, of [`Index::rows`].
    ///
    /// # Errors
    ///
    /// [`WrongType`](ErrorKind::WrongType) if one of them does not decode.
    pub fn decode_row(&self, row: &IndexRow) -> Result<(I, K, V)> {
        let (key, value) = self.keyspace.decode_row(&row.key, &row.value)?;
        Ok((decode_index_key(self.keyspace.name(), &row.index_key)?, key, value))
    }

    /// Returns the rows of a range of index keys, in the order of these: index keys, keys and values.
    ///
    /// # Errors
    ///
    /// Those of [`Index::rows`].
    pub fn rows(&self, range: impl TupleBounds<I>) -> Result<TypedIndexRows<'_, I, K, V, C>> {
        self.present().rows(range)
    }

    /// Returns the rows of a range of index keys, as the options say.
    ///
    /// # Errors
    ///
    /// Those of [`Index::rows`].
    pub fn rows_with(
        &self,
        range: impl TupleBounds<I>,
        options: ScanOptions,
    ) -> Result<TypedIndexRows<'_, I, K, V, C>> {
        self.present().rows_with(range, options)
    }
}

/// A typed index as it is read at a snapshot or within a transaction; made by [`TypedIndex::at`] and
/// [`TypedIndex::within`]. Its methods do what those of [`TypedIndex`] with their names do.
pub struct TypedIndexReader<'a, I, K, V, C = Postcard> {
    reader: IndexReader<'a>,
    keyspace: &'a TypedKeyspace<K, V, C>,
    types: PhantomData<fn(I)>,
}

impl<'a, I: Key, K: Key, V, C: Codec<V>> TypedIndexReader<'a, I, K, V, C> {
    /// Returns the keys of the rows that have an index key, in order.
    ///
    /// # Errors
    ///
    /// Those of [`IndexReader::keys`].
    pub fn keys(&self, index_key: impl KeyFor<I>) -> Result<Vec<K>> {
        let keys = self.reader.keys(tuple::encode(&index_key))?;
        keys.iter().map(|key| decode_key(self.keyspace.name(), key)).collect()
    }

    /// Returns the first row that has an index key, or `None`.
    ///
    /// # Errors
    ///
    /// Those of [`IndexReader::row`].
    pub fn row(&self, index_key: impl KeyFor<I>) -> Result<Option<(K, V)>> {
        let Some((key, value)) = self.reader.row(tuple::encode(&index_key))? else {
            return Ok(None);
        };
        let value = self.keyspace.decode(&key, &value)?;
        Ok(Some((decode_key(self.keyspace.name(), &key)?, value)))
    }

    /// Returns the entries of a range: index keys, and keys of rows.
    ///
    /// # Errors
    ///
    /// Those of [`IndexReader::scan`].
    pub fn scan(&self, range: impl TupleBounds<I>) -> Result<TypedIndexScan<'a, I, K, V, C>> {
        let entries = self.reader.scan(range.encoded()?)?;
        Ok(TypedIndexScan { entries, keyspace: self.keyspace, types: PhantomData })
    }

    /// Returns the rows of a range of index keys, in the order of these: index keys, keys and values.
    ///
    /// # Errors
    ///
    /// Those of [`IndexReader::rows`].
    pub fn rows(&self, range: impl TupleBounds<I>) -> Result<TypedIndexRows<'a, I, K, V, C>> {
        self.rows_with(range, ScanOptions::new())
    }

    /// Returns the rows of a range of index keys, as the options say.
    ///
    /// # Errors
    ///
    /// Those of [`IndexReader::rows`].
    pub fn rows_with(
        &self,
        range: impl TupleBounds<I>,
        options: ScanOptions,
    ) -> Result<TypedIndexRows<'a, I, K, V, C>> {
        let rows = self.reader.rows_with(range.encoded()?, options)?;
        Ok(TypedIndexRows { rows, keyspace: self.keyspace, types: PhantomData })
    }
}

/// The entries of a typed index in order: an iterator of index keys and keys of rows.
pub struct TypedIndexScan<'a, I, K, V, C = Postcard> {
    entries: IndexScan<'a>,
    keyspace: &'a TypedKeyspace<K, V, C>,
    types: PhantomData<fn() -> I>,
}

impl<I: Key, K: Key, V, C: Codec<V>> Iterator for TypedIndexScan<'_, I, K, V, C> {
    type Item = Result<(I, K)>;

    fn next(&mut self) -> Option<Self::Item> {
        let name = self.keyspace.name();
        Some(self.entries.next()?.and_then(|entry| {
            Ok((decode_index_key(name, &entry.index_key)?, decode_key(name, &entry.key)?))
        }))
    }
}

/// Rows in the order of a typed index: an iterator of index keys, keys and values.
pub struct TypedIndexRows<'a, I, K, V, C = Postcard> {
    rows: IndexRows<'a>,
    keyspace: &'a TypedKeyspace<K, V, C>,
    types: PhantomData<fn() -> I>,
}

impl<I: Key, K: Key, V, C: Codec<V>> Iterator for TypedIndexRows<'_, I, K, V, C> {
    type Item = Result<(I, K, V)>;

    fn next(&mut self) -> Option<Self::Item> {
        let name = self.keyspace.name();
        Some(self.rows.next()?.and_then(|IndexRow { index_key, key, value }| {
            let value = self.keyspace.decode(&key, &value)?;
            Ok((decode_index_key(name, &index_key)?, decode_key(name, &key)?, value))
        }))
    }
}

fn decode_index_key<I: Key>(keyspace: &str, index_key: &[u8]) -> Result<I> {
    tuple::decode(index_key).map_err(|source| {
        let (key, of) = (tuple::describe(index_key), type_name::<I>());
        Error::new(
            ErrorKind::WrongType,
            format!(
                "the index key {key} of an index of keyspace `{keyspace}` is not a `{of}`: read it \
                 as the type that its function returns, or as bytes"
            ),
        )
        .with_source(source)
    })
}

impl<I, K, V, C: Clone> Clone for TypedIndex<I, K, V, C> {
    fn clone(&self) -> Self {
        let (index, keyspace) = (self.index.clone(), self.keyspace.clone());
        Self { index, keyspace, types: PhantomData }
    }
}

macro_rules! debug_with_index_key {
    ($($type:ident $($lifetime:lifetime)?),*) => {$(
        impl<I, K, V, C> fmt::Debug for $type<$($lifetime,)? I, K, V, C> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($type))
                    .field("index_key", &type_name::<I>())
                    .field("keyspace", &self.keyspace)
                    .finish_non_exhaustive()
            }
        }
    )*};
}

debug_with_index_key!(TypedIndex, TypedIndexReader '_, TypedIndexScan '_, TypedIndexRows '_);
