//! Secondary indexes of typed keyspaces.

use super::TypedKeyspace;
use crate::index::{Index, IndexRows, IndexScan};
use crate::snapshot::Snapshot;
use annulus::tuple::{self, Key, KeyFor, TupleBounds};
use annulus::typed::{Codec, Postcard};
use annulus::{Result, ScanOptions};
use futures_core::Stream;
use futures_core::stream::FusedStream;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A secondary index of a typed keyspace, whose index keys are of type `I`, for tasks: the calls of
/// [`annulus::typed::TypedIndex`]. Made by [`TypedKeyspace::index`] and [`TypedKeyspace::unique_index`].
///
/// Everything else, as building and verifying, is done through [`index`](Self::index); the
/// [blocking](Self::blocking) handle reads it within a transaction.
pub struct TypedIndex<I, K, V, C = Postcard> {
    typed: annulus::typed::TypedIndex<I, K, V, C>,
    index: Index,
}

impl<K, V, C> TypedKeyspace<K, V, C>
where
    K: Key + 'static,
    V: 'static,
    C: Codec<V> + Clone + Send + Sync + 'static,
{
    /// Declares a secondary index by a function of key and value, which returns the index keys of a row:
    /// [`annulus::typed::TypedKeyspace::index`].
    ///
    /// ```
    /// use annulus::topology::KeyspaceSpec;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = annulus_tokio::Store::open(directory.path().join("store")).await?;
    /// let users = store.keyspace_or_create("users", KeyspaceSpec::hash()).await?;
    /// let users = users.typed::<u64, (String, u16)>(); // name and year of birth
    /// let by_year = users.index("by_year", 1, |_, (_, born)| [*born]).await?;
    /// by_year.index().build().await?;
    /// users.put(7, &("Ada".to_owned(), 1815)).await?;
    /// users.put(8, &("Charles".to_owned(), 1791)).await?;
    /// assert_eq!(by_year.keys(1815).await?, [7]);
    /// let mut rows = by_year.rows(1700..1800).await?;
    /// let (born, id, (name, _)) = rows.next().await.expect("a row")?;
    /// assert_eq!((born, id, name.as_str()), (1791, 8, "Charles"));
    /// # store.shutdown().await
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`annulus::typed::TypedKeyspace::index`] and of [`Store::run`](crate::Store::run).
    pub async fn index<I: Key + 'static, F: IntoIterator<Item = I>>(
        &self,
        name: &str,
        version: u32,
        function: impl Fn(&K, &V) -> F + Send + Sync + 'static,
    ) -> Result<TypedIndex<I, K, V, C>> {
        let (typed, name) = (self.typed.clone(), name.to_owned());
        let index = self.keyspace.run(move |_| typed.index(&name, version, function)).await?;
        Ok(self.of_index(index))
    }

    /// Declares a unique index: of two rows with one index key, the second is refused.
    ///
    /// # Errors
    ///
    /// Those of [`index`](Self::index).
    pub async fn unique_index<I: Key + 'static, F: IntoIterator<Item = I>>(
        &self,
        name: &str,
        version: u32,
        function: impl Fn(&K, &V) -> F + Send + Sync + 'static,
    ) -> Result<TypedIndex<I, K, V, C>> {
        let (typed, name) = (self.typed.clone(), name.to_owned());
        let declare = move |_: &annulus::Keyspace| typed.unique_index(&name, version, function);
        let index = self.keyspace.run(declare).await?;
        Ok(self.of_index(index))
    }

    fn of_index<I: Key>(
        &self,
        typed: annulus::typed::TypedIndex<I, K, V, C>,
    ) -> TypedIndex<I, K, V, C> {
        let index = Index::new(typed.index().clone(), self.keyspace.inner());
        TypedIndex { typed, index }
    }
}

impl<I: Key, K: Key, V, C: Codec<V>> TypedIndex<I, K, V, C> {
    /// Returns the handle whose keys and values are bytes, which also builds and verifies it.
    #[must_use]
    pub const fn index(&self) -> &Index {
        &self.index
    }

    /// Returns the handle for threads that may wait, and for closures of transactions.
    #[must_use]
    pub const fn blocking(&self) -> &annulus::typed::TypedIndex<I, K, V, C> {
        &self.typed
    }

    /// Returns the keys of the rows that have an index key, in order.
    ///
    /// # Errors
    ///
    /// Those of [`annulus::typed::TypedIndex::keys`] and of [`Store::run`](crate::Store::run).
    pub async fn keys(&self, index_key: impl KeyFor<I>) -> Result<Vec<K>> {
        let keys = self.index.keys(tuple::encode(&index_key)).await?;
        keys.iter().map(|key| self.typed.keyspace().decode_key(key)).collect()
    }

    /// Returns the first row that has an index key, or `None`.
    ///
    /// # Errors
    ///
    /// Those of [`annulus::typed::TypedIndex::row`] and of [`Store::run`](crate::Store::run).
    pub async fn row(&self, index_key: impl KeyFor<I>) -> Result<Option<(K, V)>> {
        let row = self.index.row(tuple::encode(&index_key)).await?;
        row.map(|(key, value)| self.typed.keyspace().decode_row(&key, &value)).transpose()
    }

    /// Returns the entries of a range, index keys and keys of rows, as a [stream](TypedIndexScan).
    ///
    /// # Errors
    ///
    /// Those of [`Index::scan`].
    pub async fn scan(&self, range: impl TupleBounds<I>) -> Result<TypedIndexScan<I, K, V, C>>
    where
        C: Clone,
    {
        let entries = self.index.scan(tuple::encode_bounds::<I>(range)?).await?;
        Ok(TypedIndexScan { stream: entries, typed: self.typed.clone() })
    }

    /// Returns the rows of a range of index keys, in the order of these, as a [stream](TypedIndexRows).
    ///
    /// # Errors
    ///
    /// Those of [`Index::rows`].
    pub async fn rows(&self, range: impl TupleBounds<I>) -> Result<TypedIndexRows<I, K, V, C>>
    where
        C: Clone,
    {
        self.rows_with(range, ScanOptions::new()).await
    }

    /// Returns the rows of a range of index keys, as the options say.
    ///
    /// # Errors
    ///
    /// Those of [`rows`](Self::rows).
    pub async fn rows_with(
        &self,
        range: impl TupleBounds<I>,
        options: ScanOptions,
    ) -> Result<TypedIndexRows<I, K, V, C>>
    where
        C: Clone,
    {
        let rows = self.index.rows_with(tuple::encode_bounds::<I>(range)?, options).await?;
        Ok(TypedIndexRows { stream: rows, typed: self.typed.clone() })
    }

    /// Returns the rows of a range as they were when a snapshot was taken.
    ///
    /// # Errors
    ///
    /// Those of [`Index::rows_at`].
    pub async fn rows_at(
        &self,
        snapshot: &Snapshot,
        range: impl TupleBounds<I>,
        options: ScanOptions,
    ) -> Result<TypedIndexRows<I, K, V, C>>
    where
        C: Clone,
    {
        let range = tuple::encode_bounds::<I>(range)?;
        let rows = self.index.rows_at(snapshot, range, options).await?;
        Ok(TypedIndexRows { stream: rows, typed: self.typed.clone() })
    }
}

impl<I, K, V, C: Clone> Clone for TypedIndex<I, K, V, C> {
    fn clone(&self) -> Self {
        Self { typed: self.typed.clone(), index: self.index.clone() }
    }
}

impl<I, K, V, C> fmt::Debug for TypedIndex<I, K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.typed.fmt(f)
    }
}

/// Defines a stream that decodes what one of bytes returns, in the task that polls.
macro_rules! decoded_stream {
    ($type:ident, $of:ident, $decode:ident, $item:ty, $what:literal) => {
        #[doc = concat!($what, ", decoded in the task that polls, as a [`Stream`].")]
        ///
        /// What does not decode is an error of kind
        /// [`WrongType`](annulus::ErrorKind::WrongType), after which the stream goes on. Every other error
        /// ends it.
        pub struct $type<I, K, V, C = Postcard> {
            stream: $of,
            typed: annulus::typed::TypedIndex<I, K, V, C>,
        }

        impl<I: Key, K: Key, V, C: Codec<V>> $type<I, K, V, C> {
            /// Returns what comes next; `None` at the end.
            ///
            /// Dropping the future loses nothing.
            pub async fn next(&mut self) -> Option<Result<$item>> {
                poll_fn(|context| self.poll(context)).await
            }

            fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<$item>>> {
                let next = ready!(Pin::new(&mut self.stream).poll_next(context));
                Poll::Ready(next.map(|next| self.typed.$decode(&next?)))
            }
        }

        impl<I: Key, K: Key, V, C: Codec<V> + Unpin> Stream for $type<I, K, V, C> {
            type Item = Result<$item>;

            fn poll_next(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
            ) -> Poll<Option<Self::Item>> {
                self.get_mut().poll(context)
            }
        }

        impl<I: Key, K: Key, V, C: Codec<V> + Unpin> FusedStream for $type<I, K, V, C> {
            fn is_terminated(&self) -> bool {
                self.stream.is_terminated()
            }
        }

        impl<I, K, V, C> fmt::Debug for $type<I, K, V, C> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($type))
                    .field("index", &self.typed)
                    .finish_non_exhaustive()
            }
        }
    };
}

decoded_stream!(
    TypedIndexScan,
    IndexScan,
    decode_entry,
    (I, K),
    "Entries in the order of a typed index: index keys, and keys of rows"
);
decoded_stream!(
    TypedIndexRows,
    IndexRows,
    decode_row,
    (I, K, V),
    "Rows in the order of a typed index: index keys, keys and values"
);
