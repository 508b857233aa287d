//! What a transaction reads: its own writes, on top of what the store had when it began.

use super::{Transaction, TransactionScan};
use crate::error::{Error, ErrorKind, Result};
use crate::read::{KeyBounds, Prefix, ScanOptions, Value};
use crate::store::keyspace::Keyspace;
use crate::transaction::{Isolation, Own};

impl Transaction {
    /// Returns the value of a key: what this transaction has written, or otherwise what the store
    /// had when it began. At [`Isolation::Serializable`] the transaction relies on it: a later write of
    /// the key by others makes the [commit](Self::commit) a conflict, also if the key is not there.
    ///
    /// Cost: a look at its own writes, that of [`Snapshot::get`](crate::Snapshot::get), and the key in
    /// memory, which counts towards [`bytes_max`](crate::TransactionOptions::bytes_max).
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) for a keyspace that was created after the transaction
    /// began; [`InvalidArgument`](ErrorKind::InvalidArgument) if the transaction has outgrown
    /// [`bytes_max`](crate::TransactionOptions::bytes_max); otherwise those of [`Keyspace::get`].
    pub fn get(&self, keyspace: &Keyspace, key: impl AsRef<[u8]>) -> Result<Option<Value>> {
        let key = key.as_ref();
        let noted = self.options.isolation == Isolation::Serializable;
        match self.own(keyspace, key, noted)? {
            Some(own) => Ok(own),
            None => {
                let found = self.snapshot.get(keyspace, key)?;
                self.note_expiry(found.as_ref().and_then(Value::expires));
                Ok(found)
            }
        }
    }

    /// Notes when a row expires that the transaction relies on.
    fn note_expiry(&self, expires: Option<u64>) {
        if expires.is_some() && self.options.isolation == Isolation::Serializable {
            self.state.borrow_mut().reads.add_expiry(expires);
        }
    }

    /// Returns what the transaction has made of a key; `None` if nothing: then that the key is read
    /// has been noted, if it is to be.
    pub(super) fn own(
        &self,
        keyspace: &Keyspace,
        key: &[u8],
        noted: bool,
    ) -> Result<Option<Option<Value>>> {
        self.check_store(keyspace)?;
        let state = &mut *self.state.borrow_mut();
        match state.pending.get(keyspace.id(), key) {
            Own::Value(value) => return Ok(Some(Some(Value::owned(value)))),
            Own::Deleted => return Ok(Some(None)),
            Own::Unknown => {}
        }
        if noted {
            state.reads.add_key(keyspace.id(), key);
            self.check_bytes(state)?;
        }
        Ok(None)
    }

    /// Returns the values of several keys, in the order of the keys. Keys of one partition are read
    /// in one call to its shard.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub fn get_many<K: AsRef<[u8]>>(
        &self,
        keyspace: &Keyspace,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Value>>> {
        let keys: Vec<K> = keys.into_iter().collect();
        let noted = self.options.isolation == Isolation::Serializable;
        let own: Vec<Option<Option<Value>>> = keys
            .iter()
            .map(|key| self.own(keyspace, key.as_ref(), noted))
            .collect::<Result<_>>()?;
        let asked = keys.iter().zip(&own).filter(|(_, own)| own.is_none());
        let found = self.snapshot.get_many(keyspace, asked.map(|(key, _)| key))?;
        self.note_expiry(found.iter().flatten().filter_map(Value::expires).min());
        let mut found = found.into_iter();
        let missing =
            || Error::new(ErrorKind::Internal, "a snapshot returned fewer values than keys");
        own.into_iter().map(|own| own.or_else(|| found.next()).ok_or_else(missing)).collect()
    }

    /// Returns true if a key is there.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub fn contains(&self, keyspace: &Keyspace, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.get(keyspace, key)?.is_some())
    }

    /// Returns the rows of a range of keys, in order, with what this transaction has written before
    /// the call. What the scan comes past is remembered, also where nothing is.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get), and [`InvalidArgument`](ErrorKind::InvalidArgument) for an
    /// inverted range.
    pub fn scan(&self, keyspace: &Keyspace, range: impl KeyBounds) -> Result<TransactionScan<'_>> {
        self.scan_with(keyspace, range, ScanOptions::new())
    }

    /// Returns the rows of a range of keys, as the options say.
    ///
    /// # Errors
    ///
    /// Those of [`scan`](Self::scan).
    pub fn scan_with(
        &self,
        keyspace: &Keyspace,
        range: impl KeyBounds,
        options: ScanOptions,
    ) -> Result<TransactionScan<'_>> {
        TransactionScan::open(self, keyspace, &range, options)
    }

    /// Returns the rows whose keys begin with a prefix, in order: [`scan`](Self::scan) of a
    /// [`Prefix`].
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub fn scan_prefix(
        &self,
        keyspace: &Keyspace,
        prefix: impl AsRef<[u8]>,
    ) -> Result<TransactionScan<'_>> {
        self.scan(keyspace, Prefix::new(prefix.as_ref()))
    }
}
