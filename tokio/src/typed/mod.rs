//! Typed handles: keys and values are encoded and decoded in the task, around the calls on bytes.

mod index;
mod read;
mod scan;
mod snapshot;
mod write;

pub use index::{TypedIndex, TypedIndexRows, TypedIndexScan};
pub use scan::TypedScan;
pub use snapshot::TypedSnapshot;

use crate::keyspace::Keyspace;
use annulus::tuple::Key;
use annulus::typed::{Codec, Postcard};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;

/// A keyspace with keys of type `K` and values of type `V`, for tasks: the calls of
/// [`annulus::typed::TypedKeyspace`], which says what each of them returns, costs and guarantees. Made by
/// [`Keyspace::typed`]. Cheap to clone, if the codec is.
///
/// Keys and values are encoded and decoded in the task; what happens to the bytes is as with the
/// [`Keyspace`] of bytes: reads of memory stay in the task, the rest runs on the pool. For batches and
/// closures of transactions there is the [blocking](Self::blocking) handle.
///
/// ```
/// use annulus::topology::KeyspaceSpec;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> annulus::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let store = annulus_tokio::Store::open(directory.path().join("store")).await?;
/// let scores = store.keyspace_or_create("scores", KeyspaceSpec::range()).await?;
/// let scores = scores.typed::<(String, u64), Vec<f64>>();
/// scores.put(("ada", 7), &vec![0.5, 2.0]).await?;
/// scores.put(("ada", 12), &vec![1.0]).await?;
/// assert_eq!(scores.get(("ada", 7)).await?, Some(vec![0.5, 2.0]));
/// let mut rows = scores.scan_prefix(("ada",)).await?;
/// while let Some(row) = rows.next().await {
///     let ((user, day), values) = row?;
///     println!("{user}, day {day}: {values:?}");
/// }
/// # store.shutdown().await
/// # }
/// ```
pub struct TypedKeyspace<K, V, C = Postcard> {
    typed: annulus::typed::TypedKeyspace<K, V, C>,
    keyspace: Keyspace,
}

impl Keyspace {
    /// Returns a handle of this keyspace for keys and values of types: [`annulus::Keyspace::typed`].
    #[must_use]
    pub fn typed<K: Key, V: Serialize + DeserializeOwned>(&self) -> TypedKeyspace<K, V> {
        self.typed_with(Postcard)
    }

    /// Returns a handle of this keyspace for keys and values of types, with a codec of the values.
    #[must_use]
    pub fn typed_with<K: Key, V, C: Codec<V>>(&self, codec: C) -> TypedKeyspace<K, V, C> {
        TypedKeyspace { typed: self.blocking().typed_with(codec), keyspace: self.clone() }
    }
}

impl<K, V, C> TypedKeyspace<K, V, C> {
    /// Returns the handle for threads that may wait: for batches and closures of transactions.
    #[must_use]
    pub const fn blocking(&self) -> &annulus::typed::TypedKeyspace<K, V, C> {
        &self.typed
    }

    /// Returns the handle whose keys and values are bytes.
    #[must_use]
    pub const fn keyspace(&self) -> &Keyspace {
        &self.keyspace
    }
}

impl<K, V, C: Clone> Clone for TypedKeyspace<K, V, C> {
    fn clone(&self) -> Self {
        Self { typed: self.typed.clone(), keyspace: self.keyspace.clone() }
    }
}

impl<K, V, C> fmt::Debug for TypedKeyspace<K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.typed.fmt(f)
    }
}
