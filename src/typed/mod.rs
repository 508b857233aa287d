//! Keys and values of types: handles that encode and decode.
//!
//! A [`TypedKeyspace`] is a [`Keyspace`] whose keys are values of one type and whose values are of
//! another: [`Keyspace::typed`] returns it. Keys are encoded so that their bytes have the order of
//! the values ([`mod@tuple`]), values with serde in the format of
//! [postcard](https://docs.rs/postcard), or by another [`Codec`].
//!
//! ```
//! use annulus::tuple::TuplePrefix;
//! use annulus::{Batch, ScanOptions, Store, topology::KeyspaceSpec};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! struct Order {
//!     item: String,
//!     cents: u32,
//! }
//!
//! # fn main() -> annulus::Result<()> {
//! # let directory = tempfile::tempdir().unwrap();
//! let store = Store::open(directory.path().join("store"))?;
//! // By user, and by the number of the order.
//! let orders = store.keyspace_or_create("orders", KeyspaceSpec::range())?;
//! let orders = orders.typed::<(String, u64), Order>();
//!
//! orders.put(("ada", 7), &Order { item: "lamp".into(), cents: 1_990 })?;
//! orders.put(("ada", 12), &Order { item: "desk".into(), cents: 24_900 })?;
//! assert_eq!(orders.get(("ada", 7))?.map(|order| order.cents), Some(1_990));
//!
//! // All orders of one user, the newest first.
//! let newest = ScanOptions::new().reverse(true).limit(1);
//! for row in orders.scan_with(TuplePrefix(("ada",)), newest)? {
//!     let ((user, number), order) = row?;
//!     assert_eq!((user.as_str(), number, order.item.as_str()), ("ada", 12, "desk"));
//! }
//! assert_eq!(orders.count_range(("ada", 10)..("ada", 20))?, 1);
//!
//! // In one step, in a batch, and at the moment of a snapshot; [`within`](TypedKeyspace::within)
//! // a transaction, too.
//! orders.update(("ada", 12), |order| order.map(|order| Order { cents: 19_900, ..order }))?;
//! let snapshot = store.snapshot()?;
//! let mut batch = Batch::new();
//! orders.put_in(&mut batch, ("bob", 1), &Order { item: "pen".into(), cents: 150 })?;
//! orders.delete_in(&mut batch, ("ada", 7));
//! store.write(batch)?;
//! assert!(orders.at(&snapshot).get(("bob", 1))?.is_none());
//! # Ok(())
//! # }
//! ```
//!
//! # What the store does not know
//!
//! Types are a matter of the handle; the store has bytes. A keyspace may be read by several
//! handles, through [`TypedKeyspace::keyspace`] also as bytes. A key or a value that does not
//! decode is an error of kind [`WrongType`](crate::ErrorKind::WrongType), which names keyspace, key
//! and type. Keys notice another type, because each element says what it is; postcard's values do
//! not say what they are, and another type may decode them to something else. So a value's type
//! changes by a new variant of an `enum` at its end, or by a codec whose format says what it
//! contains, as JSON does.
//!
//! In a hash keyspace, [`HashPart::UpTo`](crate::placement::HashPart::UpTo) with the delimiter 0
//! hashes the first element of a tuple alone if it is a text or bytes, up to the first NUL in it:
//! so all orders of one user are in one partition, and [`scan_prefix`](TypedKeyspace::scan_prefix)
//! of a user reads only that.

mod batch;
mod codec;
mod counter;
mod index;
mod read;
mod rows;
mod scan;
mod snapshot;
mod transaction;
mod write;

pub use codec::{Codec, CodecError, Postcard};
pub use counter::Counter;
pub use index::{TypedIndex, TypedIndexReader, TypedIndexRows, TypedIndexScan};
pub use scan::TypedScan;
pub use snapshot::TypedSnapshot;
pub use transaction::{TypedTransaction, TypedTransactionScan};

use crate::error::{Error, ErrorKind, Result};
use crate::store::Keyspace;
use crate::tuple::{self, Key};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;

/// A keyspace with keys of type `K` and values of type `V`, encoded by a codec; made by
/// [`Keyspace::typed`]. Cheap to clone, if the codec is; every method may be called from any
/// thread.
///
/// Each method does what that of [`Keyspace`] with its name does, and has its atomicity,
/// durability, cost and errors; only keys, values and ranges are typed. Added to these are
/// [`WrongType`](ErrorKind::WrongType) for a key or a value that does not decode, and
/// [`InvalidArgument`](ErrorKind::InvalidArgument) for a value that the codec cannot encode, before
/// anything is written.
///
/// A key is named by any [form](crate::tuple::KeyFor) of it: a `(String, u64)` by `("ada", 7)`.
pub struct TypedKeyspace<K, V, C = Postcard> {
    keyspace: Keyspace,
    codec: C,
    types: PhantomData<fn(K) -> V>,
}

impl Keyspace {
    /// Returns a handle of this keyspace for keys and values of types; see [`typed`](crate::typed).
    #[must_use]
    pub fn typed<K: Key, V: Serialize + DeserializeOwned>(&self) -> TypedKeyspace<K, V> {
        self.typed_with(Postcard)
    }

    /// Returns a handle of this keyspace for keys and values of types, with a codec of the values.
    #[must_use]
    pub fn typed_with<K: Key, V, C: Codec<V>>(&self, codec: C) -> TypedKeyspace<K, V, C> {
        TypedKeyspace { keyspace: self.clone(), codec, types: PhantomData }
    }
}

impl<K: Key, V, C: Codec<V>> TypedKeyspace<K, V, C> {
    /// Returns the handle whose keys and values are bytes.
    #[must_use]
    pub const fn keyspace(&self) -> &Keyspace {
        &self.keyspace
    }

    /// Returns the keyspace's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.keyspace.name()
    }

    fn encode(&self, key: &[u8], value: &V) -> Result<Vec<u8>> {
        self.codec.encode(value).map_err(|source| {
            Error::invalid(format!(
                "the value for key {} of keyspace `{}` cannot be encoded as a `{}`",
                tuple::describe(key),
                self.name(),
                type_name::<V>()
            ))
            .with_boxed_source(source)
        })
    }

    fn decode(&self, key: &[u8], value: &[u8]) -> Result<V> {
        decode_value(&self.codec, self.name(), key, value)
    }
}

fn decode_value<V>(codec: &impl Codec<V>, keyspace: &str, key: &[u8], value: &[u8]) -> Result<V> {
    codec.decode(value).map_err(|source| {
        let (key, of) = (tuple::describe(key), type_name::<V>());
        Error::new(
            ErrorKind::WrongType,
            format!(
                "the value of key {key} in keyspace `{keyspace}` is not a `{of}`: read it as the \
                 type with which it was written, or as bytes"
            ),
        )
        .with_boxed_source(source)
    })
}

fn decode_key<K: Key>(keyspace: &str, key: &[u8]) -> Result<K> {
    tuple::decode(key).map_err(|source| {
        let (key, of) = (tuple::describe(key), type_name::<K>());
        Error::new(
            ErrorKind::WrongType,
            format!(
                "the key {key} in keyspace `{keyspace}` is not a `{of}`: read it as the type with \
                 which it was written, or as bytes"
            ),
        )
        .with_source(source)
    })
}

impl<K, V, C: Clone> Clone for TypedKeyspace<K, V, C> {
    fn clone(&self) -> Self {
        Self { keyspace: self.keyspace.clone(), codec: self.codec.clone(), types: PhantomData }
    }
}

impl<K, V, C> fmt::Debug for TypedKeyspace<K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedKeyspace")
            .field("name", &self.keyspace.name())
            .field("key", &type_name::<K>())
            .field("value", &type_name::<V>())
            .finish_non_exhaustive()
    }
}
