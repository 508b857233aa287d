//! Writes to typed keyspaces, alone and in batches.

use super::{Codec, TypedKeyspace};
use crate::engine::Durability;
use crate::error::Result;
use crate::tuple::{self, Key, KeyFor, TupleBounds};
use crate::write::{Batch, Swap};

impl<K: Key, V, C: Codec<V>> TypedKeyspace<K, V, C> {
    /// Puts a value, replacing any that is there.
    ///
    /// # Errors
    ///
    /// Those of [`Keyspace::put`](crate::Keyspace::put), and
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if the value cannot be encoded.
    pub fn put(&self, key: impl KeyFor<K>, value: &V) -> Result<()> {
        let key = tuple::encode(&key);
        self.keyspace.put(&key, self.encode(&key, value)?)
    }

    /// Puts a value with the given durability.
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put).
    pub fn put_with(&self, key: impl KeyFor<K>, value: &V, durability: Durability) -> Result<()> {
        let key = tuple::encode(&key);
        self.keyspace.put_with(&key, self.encode(&key, value)?, durability)
    }

    /// Deletes a key, if it is there.
    ///
    /// # Errors
    ///
    /// Those of [`Keyspace::delete`](crate::Keyspace::delete).
    pub fn delete(&self, key: impl KeyFor<K>) -> Result<()> {
        self.keyspace.delete(tuple::encode(&key))
    }

    /// Deletes a key with the given durability.
    ///
    /// # Errors
    ///
    /// Those of [`delete`](Self::delete).
    pub fn delete_with(&self, key: impl KeyFor<K>, durability: Durability) -> Result<()> {
        self.keyspace.delete_with(tuple::encode(&key), durability)
    }

    /// Deletes all keys of a range, in one step.
    ///
    /// # Errors
    ///
    /// Those of [`Keyspace::delete_range`](crate::Keyspace::delete_range).
    pub fn delete_range(&self, range: impl TupleBounds<K>) -> Result<()> {
        self.keyspace.delete_range(range.encoded()?)
    }

    /// Deletes all keys of a range, with the given durability.
    ///
    /// # Errors
    ///
    /// Those of [`delete_range`](Self::delete_range).
    pub fn delete_range_with(
        &self,
        range: impl TupleBounds<K>,
        durability: Durability,
    ) -> Result<()> {
        self.keyspace.delete_range_with(range.encoded()?, durability)
    }

    /// Puts a value if the key is absent; [`Swap::Found`] has the value that is there otherwise.
    ///
    /// # Errors
    ///
    /// Those of [`compare_and_swap`](Self::compare_and_swap).
    pub fn put_if_absent(&self, key: impl KeyFor<K>, value: &V) -> Result<Swap<V>> {
        self.compare_and_swap(key, None, Some(value))
    }

    /// Replaces a value if it is the expected one; `None` stands for absence on both sides.
    ///
    /// The encodings are compared. A value whose type has several encodings for equal values, as a
    /// `HashMap` has, may therefore differ from what was put, though they are equal.
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put) and [`get`](Self::get): if the value that is there does not
    /// decode, nothing was changed.
    pub fn compare_and_swap(
        &self,
        key: impl KeyFor<K>,
        expected: Option<&V>,
        new: Option<&V>,
    ) -> Result<Swap<V>> {
        self.swap(&tuple::encode(&key), expected, new, None)
    }

    /// Replaces a value if it is the expected one, with the given durability.
    ///
    /// # Errors
    ///
    /// Those of [`compare_and_swap`](Self::compare_and_swap).
    pub fn compare_and_swap_with(
        &self,
        key: impl KeyFor<K>,
        expected: Option<&V>,
        new: Option<&V>,
        durability: Durability,
    ) -> Result<Swap<V>> {
        self.swap(&tuple::encode(&key), expected, new, Some(durability))
    }

    fn swap(
        &self,
        key: &[u8],
        expected: Option<&V>,
        new: Option<&V>,
        durability: Option<Durability>,
    ) -> Result<Swap<V>> {
        let expected = expected.map(|value| self.encode(key, value)).transpose()?;
        let new = new.map(|value| self.encode(key, value)).transpose()?;
        let (expected, new) = (expected.as_deref(), new.as_deref());
        let swap = match durability {
            Some(durability) => {
                self.keyspace.compare_and_swap_with(key, expected, new, durability)?
            }
            None => self.keyspace.compare_and_swap(key, expected, new)?,
        };
        Ok(match swap {
            Swap::Swapped => Swap::Swapped,
            Swap::Found(found) => Swap::Found(self.decoded(key, found)?),
        })
    }

    /// Adds a put to a batch.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if the value cannot be encoded; the
    /// batch is as it was.
    pub fn put_in(&self, batch: &mut Batch, key: impl KeyFor<K>, value: &V) -> Result<()> {
        let key = tuple::encode(&key);
        batch.put(&self.keyspace, &key, self.encode(&key, value)?);
        Ok(())
    }

    /// Adds a delete to a batch; the key need not exist.
    pub fn delete_in(&self, batch: &mut Batch, key: impl KeyFor<K>) {
        batch.delete(&self.keyspace, tuple::encode(&key));
    }

    /// Adds the deletion of a range of keys to a batch.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for an inverted range; the batch is
    /// as it was.
    pub fn delete_range_in(&self, batch: &mut Batch, range: impl TupleBounds<K>) -> Result<()> {
        batch.delete_range(&self.keyspace, range.encoded()?);
        Ok(())
    }
}
