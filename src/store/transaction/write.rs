//! What a transaction writes: it is remembered until the commit.

use super::Transaction;
use crate::catalog::does_not_expire;
use crate::error::Result;
use crate::expiry::PutLifetime;
use crate::read::{Bounds, KeyBounds};
use crate::store::keyspace::Keyspace;
use crate::write::sum;
use std::time::{Duration, SystemTime};

impl Transaction {
    /// Puts a value, replacing any that is there.
    ///
    /// The value is remembered, and written by the [commit](Self::commit), with everything else or not
    /// at all; reads of this transaction see it at once. At
    /// [`Isolation::Serializable`](crate::Isolation::Serializable) a put alone does not conflict with
    /// other writes of the key: the later commit wins.
    ///
    /// In a keyspace with [indexes](crate::index) this reads the row, and puts and deletes entries,
    /// too, so that what the transaction reads of an index has what it has written. A unique index
    /// is compared with what the transaction sees by now. Two transactions that write the row conflict
    /// then.
    ///
    /// Cost: an insertion into an ordered map in memory; with indexes also a read of the row, and one
    /// of each entry that a unique index takes.
    ///
    /// ```
    /// # use annulus::{Store, topology::KeyspaceSpec};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// let users = store.create_keyspace("users", KeyspaceSpec::hash())?;
    /// let transaction = store.begin()?;
    /// transaction.put(&users, "ada", "countess")?;
    /// assert_eq!(transaction.get(&users, "ada")?.unwrap(), "countess");
    /// assert!(users.get("ada")?.is_none());
    /// transaction.commit()?;
    /// assert_eq!(users.get("ada")?.unwrap(), "countess");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// In a keyspace with indexes, [`AlreadyExists`](crate::ErrorKind::AlreadyExists) if a unique
    /// one has another row with the same index key, and [`Conflict`](crate::ErrorKind::Conflict) if
    /// an index was declared or dropped since the transaction began;
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for a key or value that is longer
    /// than the store's options allow, for a keyspace of another store, and if the transaction has
    /// outgrown [`bytes_max`](crate::TransactionOptions::bytes_max).
    pub fn put(
        &self,
        keyspace: &Keyspace,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<()> {
        let lifetime = keyspace.rows_expire().then_some(PutLifetime::Default);
        self.write(keyspace, key.as_ref(), Some(value.as_ref()), lifetime)
    }

    /// Sets a key to a value for a time, which begins when the transaction is committed; see
    /// [`Keyspace::put_for`].
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put); [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if the
    /// rows of the keyspace do not expire.
    pub fn put_for(
        &self,
        keyspace: &Keyspace,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        lifetime: Duration,
    ) -> Result<()> {
        let lifetime = PutLifetime::For(lifetime);
        self.put_expiring(keyspace, key.as_ref(), value.as_ref(), lifetime)
    }

    /// Sets a key to a value until a time, or for ever; see [`Keyspace::put_until`].
    ///
    /// # Errors
    ///
    /// Those of [`put_for`](Self::put_for).
    pub fn put_until(
        &self,
        keyspace: &Keyspace,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        until: impl Into<Option<SystemTime>>,
    ) -> Result<()> {
        let lifetime = PutLifetime::until(until.into());
        self.put_expiring(keyspace, key.as_ref(), value.as_ref(), lifetime)
    }

    fn put_expiring(
        &self,
        keyspace: &Keyspace,
        key: &[u8],
        value: &[u8],
        lifetime: PutLifetime,
    ) -> Result<()> {
        if !keyspace.rows_expire() {
            return Err(does_not_expire(keyspace.name()));
        }
        self.write(keyspace, key, Some(value), Some(lifetime))
    }

    /// Deletes a key, if it is there. Remembered, written and paid for as a [`put`](Self::put) is.
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put).
    pub fn delete(&self, keyspace: &Keyspace, key: impl AsRef<[u8]>) -> Result<()> {
        self.write(keyspace, key.as_ref(), None, None)
    }

    fn write(
        &self,
        keyspace: &Keyspace,
        key: &[u8],
        value: Option<&[u8]>,
        lifetime: Option<PutLifetime>,
    ) -> Result<()> {
        self.check_store(keyspace)?;
        self.core.catalog.check_key_bytes(key.len())?;
        self.core.catalog.check_value_bytes(value.map_or(0, <[u8]>::len))?;
        if keyspace.state().has_indexes() {
            self.write_entries(keyspace, key, value)?;
        }
        let state = &mut *self.state.borrow_mut();
        state.pending.write(keyspace.id(), key, value, lifetime);
        self.check_bytes(state)
    }

    /// Deletes all keys of a range: those that are there when the transaction is committed, and
    /// those that it has put before this call.
    ///
    /// Cost: an insertion in memory; at the commit, one range tombstone per partition. In a keyspace
    /// with [indexes](crate::index) the rows of the range are read, and their entries deleted one by
    /// one, all of which counts towards [`bytes_max`](crate::TransactionOptions::bytes_max).
    ///
    /// ```
    /// # use annulus::{Prefix, Store, topology::KeyspaceSpec};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// # let carts = store.create_keyspace("carts", KeyspaceSpec::range())?;
    /// # let orders = store.create_keyspace("orders", KeyspaceSpec::hash())?;
    /// carts.put("ada/tea", "2")?;
    /// carts.put("ada/cups", "4")?;
    /// let ordered = store.transact(|tx| {
    ///     let items = tx.scan_prefix(&carts, "ada/")?.count();
    ///     tx.delete_range(&carts, Prefix::new("ada/"))?;
    ///     tx.put(&orders, "ada", items.to_string())?;
    ///     Ok(items)
    /// })?;
    /// assert_eq!((ordered, carts.count()?), (2, 0));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put), and [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for
    /// an inverted range.
    pub fn delete_range(&self, keyspace: &Keyspace, range: impl KeyBounds) -> Result<()> {
        self.check_store(keyspace)?;
        let bounds = Bounds::of(&range)?;
        let ends = [Some(&bounds.range.start), bounds.range.end.as_ref()];
        // A bound that is not part of the range is one byte longer here.
        let longest = ends.into_iter().flatten().map(|key| key.len()).max().unwrap_or_default();
        self.core.catalog.check_key_bytes(longest.saturating_sub(1))?;
        if keyspace.state().has_indexes() {
            self.delete_entries(keyspace, &range)?;
        }
        let state = &mut *self.state.borrow_mut();
        state.pending.delete_range(keyspace.id(), bounds);
        self.check_bytes(state)
    }

    /// Adds to a counter, as [`Keyspace::add`] does, and returns what it is then. This reads the
    /// counter: two transactions that add to it conflict. [`Batch::add`](crate::Batch::add) is the
    /// way to add to a counter that many write to.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if the value is no counter or the sum
    /// is out of bounds; those of [`get`](Self::get) and [`put`](Self::put).
    pub fn add(&self, keyspace: &Keyspace, counter: impl AsRef<[u8]>, n: i64) -> Result<i64> {
        let key = counter.as_ref();
        let after = sum(key, self.get(keyspace, key)?.as_deref(), n)?;
        self.put(keyspace, key, after.to_le_bytes())?;
        Ok(after)
    }
}
