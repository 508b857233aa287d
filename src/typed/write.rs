//! Writes to typed keyspaces.

use super::{Codec, TypedKeyspace};
use crate::engine::Durability;
use crate::error::Result;
use crate::expiry::PutLifetime;
use crate::tuple::{self, Key, KeyFor, TupleBounds};
use crate::write::Swap;
use std::time::{Duration, SystemTime};

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

    /// Puts a value for a time, at whose end the row has expired: see
    /// [`Keyspace::put_for`](crate::Keyspace::put_for).
    ///
    /// ```
    /// # use annulus::{Store, topology::KeyspaceSpec};
    /// # use std::time::{Duration, SystemTime};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// let sessions = KeyspaceSpec::hash().time_to_live_by_put();
    /// let sessions = store.create_keyspace("sessions", sessions)?.typed::<u64, String>();
    /// sessions.put_for(1, &"ada".to_owned(), Duration::from_secs(3600))?;
    /// sessions.put_until(2, &"bob".to_owned(), SystemTime::UNIX_EPOCH)?;
    /// assert_eq!((sessions.get(1)?.as_deref(), sessions.get(2)?), (Some("ada"), None));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Keyspace::put_for`](crate::Keyspace::put_for), and
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if the value cannot be encoded.
    pub fn put_for(&self, key: impl KeyFor<K>, value: &V, lifetime: Duration) -> Result<()> {
        let key = tuple::encode(&key);
        self.keyspace.put_for(&key, self.encode(&key, value)?, lifetime)
    }

    /// The same as [`put_for`](Self::put_for), with the given durability.
    ///
    /// # Errors
    ///
    /// Those of [`put_for`](Self::put_for).
    pub fn put_for_with(
        &self,
        key: impl KeyFor<K>,
        value: &V,
        lifetime: Duration,
        durability: Durability,
    ) -> Result<()> {
        let key = tuple::encode(&key);
        self.keyspace.put_for_with(&key, self.encode(&key, value)?, lifetime, durability)
    }

    /// Puts a value until a time, or for ever: see
    /// [`Keyspace::put_until`](crate::Keyspace::put_until).
    ///
    /// # Errors
    ///
    /// Those of [`put_for`](Self::put_for).
    pub fn put_until(
        &self,
        key: impl KeyFor<K>,
        value: &V,
        until: impl Into<Option<SystemTime>>,
    ) -> Result<()> {
        let key = tuple::encode(&key);
        self.keyspace.put_until(&key, self.encode(&key, value)?, until)
    }

    /// The same as [`put_until`](Self::put_until), with the given durability.
    ///
    /// # Errors
    ///
    /// Those of [`put_for`](Self::put_for).
    pub fn put_until_with(
        &self,
        key: impl KeyFor<K>,
        value: &V,
        until: impl Into<Option<SystemTime>>,
        durability: Durability,
    ) -> Result<()> {
        let key = tuple::encode(&key);
        self.keyspace.put_until_with(&key, self.encode(&key, value)?, until, durability)
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

    /// Puts a value for a time if the key is absent, or its row has expired: see
    /// [`Keyspace::put_if_absent_for`](crate::Keyspace::put_if_absent_for).
    ///
    /// # Errors
    ///
    /// Those of [`put_for`](Self::put_for) and [`compare_and_swap`](Self::compare_and_swap).
    pub fn put_if_absent_for(
        &self,
        key: impl KeyFor<K>,
        value: &V,
        lifetime: Duration,
    ) -> Result<Swap<V>> {
        self.compare_and_swap_for(key, None, value, lifetime)
    }

    /// Puts a value until a time, or for ever, if the key is absent: see
    /// [`Keyspace::put_if_absent_until`](crate::Keyspace::put_if_absent_until).
    ///
    /// # Errors
    ///
    /// Those of [`put_if_absent_for`](Self::put_if_absent_for).
    pub fn put_if_absent_until(
        &self,
        key: impl KeyFor<K>,
        value: &V,
        until: impl Into<Option<SystemTime>>,
    ) -> Result<Swap<V>> {
        self.compare_and_swap_until(key, None, value, until)
    }

    /// Replaces a value if it is the expected one, by one that lives for a time from now on: see
    /// [`Keyspace::compare_and_swap_for`](crate::Keyspace::compare_and_swap_for).
    ///
    /// # Errors
    ///
    /// Those of [`put_if_absent_for`](Self::put_if_absent_for).
    pub fn compare_and_swap_for(
        &self,
        key: impl KeyFor<K>,
        expected: Option<&V>,
        new: &V,
        lifetime: Duration,
    ) -> Result<Swap<V>> {
        let lifetime = PutLifetime::For(lifetime);
        self.swap(&tuple::encode(&key), expected, Some(new), lifetime, None)
    }

    /// Replaces a value if it is the expected one, by one that lives until a time, or for ever: see
    /// [`Keyspace::compare_and_swap_until`](crate::Keyspace::compare_and_swap_until).
    ///
    /// # Errors
    ///
    /// Those of [`put_if_absent_for`](Self::put_if_absent_for).
    pub fn compare_and_swap_until(
        &self,
        key: impl KeyFor<K>,
        expected: Option<&V>,
        new: &V,
        until: impl Into<Option<SystemTime>>,
    ) -> Result<Swap<V>> {
        let lifetime = PutLifetime::until(until.into());
        self.swap(&tuple::encode(&key), expected, Some(new), lifetime, None)
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
        self.swap(&tuple::encode(&key), expected, new, PutLifetime::Default, None)
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
        self.swap(&tuple::encode(&key), expected, new, PutLifetime::Default, Some(durability))
    }

    fn swap(
        &self,
        key: &[u8],
        expected: Option<&V>,
        new: Option<&V>,
        lifetime: PutLifetime,
        durability: Option<Durability>,
    ) -> Result<Swap<V>> {
        let expected = expected.map(|value| self.encode(key, value)).transpose()?;
        let new = new.map(|value| self.encode(key, value)).transpose()?;
        let (expected, new) = (expected.as_deref(), new.as_deref());
        Ok(match self.keyspace.swap(key, expected, new, lifetime, durability)? {
            Swap::Swapped => Swap::Swapped,
            Swap::Found(found) => Swap::Found(self.decoded(key, found)?),
        })
    }

    /// Replaces a key's value by what `change` makes of it, in one step: no other write of the key
    /// comes in between. `change` gets the value, or `None` if there is none, and returns the new
    /// one, or `None` to delete the key. Returns what `change` has returned.
    ///
    /// What `change` must not do, atomicity, durability and cost are those of
    /// [`Keyspace::update`](crate::Keyspace::update).
    ///
    /// ```
    /// # use annulus::{Store, topology::KeyspaceSpec};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// # let carts = store.create_keyspace("carts", KeyspaceSpec::hash())?;
    /// let carts = carts.typed::<String, Vec<u32>>();
    /// let cart = carts.update("ada", |cart| {
    ///     let mut cart = cart.unwrap_or_default();
    ///     cart.push(17);
    ///     Some(cart)
    /// })?;
    /// assert_eq!(cart, Some(vec![17]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put) and [`get`](Self::get): if the value that is there does not
    /// decode, `change` is not called, and nothing is written.
    pub fn update(
        &self,
        key: impl KeyFor<K>,
        change: impl FnOnce(Option<V>) -> Option<V>,
    ) -> Result<Option<V>> {
        self.change(&tuple::encode(&key), None, change)
    }

    /// Replaces a key's value by what `change` makes of it, with the given durability.
    ///
    /// # Errors
    ///
    /// Those of [`update`](Self::update).
    pub fn update_with(
        &self,
        key: impl KeyFor<K>,
        durability: Durability,
        change: impl FnOnce(Option<V>) -> Option<V>,
    ) -> Result<Option<V>> {
        self.change(&tuple::encode(&key), Some(durability), change)
    }

    fn change(
        &self,
        key: &[u8],
        durability: Option<Durability>,
        change: impl FnOnce(Option<V>) -> Option<V>,
    ) -> Result<Option<V>> {
        let mut new = None;
        self.keyspace.try_update(key, durability, |old| {
            new = change(old.map(|old| self.decode(key, old)).transpose()?);
            new.as_ref().map(|new| self.encode(key, new)).transpose()
        })?;
        Ok(new)
    }
}
