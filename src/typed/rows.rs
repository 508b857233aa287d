//! Rows that come and go as bytes: of a feed of changes, or through handles of bytes.

use super::{Codec, TypedKeyspace, decode_key};
use crate::error::Result;
use crate::tuple::{self, Key, KeyFor};

impl<K: Key, V, C: Codec<V>> TypedKeyspace<K, V, C> {
    /// Returns a row as it is stored: the bytes of its key and of its value. For handles of bytes, also
    /// in other crates.
    ///
    /// ```
    /// # use annulus::{Store, topology::KeyspaceSpec};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// let rows = store.create_keyspace("ages", KeyspaceSpec::hash())?;
    /// let ages = rows.typed::<String, u8>();
    /// let (key, value) = ages.encode_row("ada", &36)?;
    /// rows.put(&key, &value)?;
    /// assert_eq!(ages.get("ada")?, Some(36));
    /// assert_eq!(ages.decode_row(&key, &value)?, ("ada".to_owned(), 36));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if the value cannot be encoded.
    pub fn encode_row(&self, key: impl KeyFor<K>, value: &V) -> Result<(Vec<u8>, Vec<u8>)> {
        let key = tuple::encode(&key);
        let value = self.encode(&key, value)?;
        Ok((key, value))
    }

    /// Returns the row of which these are the bytes, as of a [change](crate::changes::Change).
    ///
    /// # Errors
    ///
    /// [`WrongType`](crate::ErrorKind::WrongType) if key or value does not decode.
    pub fn decode_row(&self, key: &[u8], value: &[u8]) -> Result<(K, V)> {
        Ok((self.decode_key(key)?, self.decode(key, value)?))
    }

    /// Returns the key of which these are the bytes.
    ///
    /// # Errors
    ///
    /// [`WrongType`](crate::ErrorKind::WrongType) if it does not decode.
    pub fn decode_key(&self, key: &[u8]) -> Result<K> {
        decode_key(self.name(), key)
    }

    /// Returns the value of which these are the bytes. The key is named in an error.
    ///
    /// # Errors
    ///
    /// [`WrongType`](crate::ErrorKind::WrongType) if it does not decode.
    pub fn decode_value(&self, key: &[u8], value: &[u8]) -> Result<V> {
        self.decode(key, value)
    }
}
