//! Operations and conditions of batches on typed keyspaces.

use super::{Codec, TypedKeyspace, decode_key};
use crate::error::{Error, Result};
use crate::tuple::{self, Key, KeyFor, TupleBounds};
use crate::write::{Batch, Expect, Unmet};
use std::time::{Duration, SystemTime};

impl<K: Key, V, C: Codec<V>> TypedKeyspace<K, V, C> {
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

    /// Adds a put of a row that lives for a time to a batch: see
    /// [`Batch::put_for`](crate::Batch::put_for).
    ///
    /// # Errors
    ///
    /// Those of [`put_in`](Self::put_in).
    pub fn put_for_in(
        &self,
        batch: &mut Batch,
        key: impl KeyFor<K>,
        value: &V,
        lifetime: Duration,
    ) -> Result<()> {
        let key = tuple::encode(&key);
        batch.put_for(&self.keyspace, &key, self.encode(&key, value)?, lifetime);
        Ok(())
    }

    /// Adds a put of a row that lives until a time, or for ever, to a batch: see
    /// [`Batch::put_until`](crate::Batch::put_until).
    ///
    /// # Errors
    ///
    /// Those of [`put_in`](Self::put_in).
    pub fn put_until_in(
        &self,
        batch: &mut Batch,
        key: impl KeyFor<K>,
        value: &V,
        until: impl Into<Option<SystemTime>>,
    ) -> Result<()> {
        let key = tuple::encode(&key);
        batch.put_until(&self.keyspace, &key, self.encode(&key, value)?, until);
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

    /// Adds a condition to a batch, which [`Store::write_if`](crate::Store::write_if) checks: the
    /// batch is written only if the key has what is expected. A value is compared as
    /// [`compare_and_swap`](Self::compare_and_swap) compares it, by its encoding.
    ///
    /// ```
    /// # use annulus::{Batch, ConditionalWrite, Expect, Store, topology::KeyspaceSpec};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// # let seats = store.create_keyspace("seats", KeyspaceSpec::hash())?;
    /// let seats = seats.typed::<(u32, char), String>();
    /// let mut batch = Batch::new();
    /// seats.require_in(&mut batch, (12, 'a'), Expect::Absent)?;
    /// seats.put_in(&mut batch, (12, 'a'), &"ada".to_owned())?;
    /// assert!(store.write_if(batch.clone())?.is_written());
    ///
    /// let ConditionalWrite::Unmet(unmet) = store.write_if(batch)? else { panic!("taken twice") };
    /// assert_eq!(seats.decode_unmet(&unmet[0])?, ((12, 'a'), Some("ada".to_owned())));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if the value cannot be encoded; the
    /// batch is as it was.
    pub fn require_in(
        &self,
        batch: &mut Batch,
        key: impl KeyFor<K>,
        expect: Expect<'_, V>,
    ) -> Result<()> {
        let key = tuple::encode(&key);
        match expect {
            Expect::Absent => batch.require(&self.keyspace, key, Expect::Absent),
            Expect::Present => batch.require(&self.keyspace, key, Expect::Present),
            Expect::Value(value) => {
                let value = self.encode(&key, value)?;
                batch.require(&self.keyspace, key, Expect::Value(&value));
            }
        }
        Ok(())
    }

    /// Returns the key of a condition that did not hold, and what it has instead; `None` if it is
    /// not there.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if the condition is on a key of
    /// another keyspace; [`WrongType`](crate::ErrorKind::WrongType) if key or value does not decode.
    pub fn decode_unmet(&self, unmet: &Unmet) -> Result<(K, Option<V>)> {
        if unmet.keyspace != self.keyspace.id() {
            return Err(Error::invalid(format!(
                "the condition is on a key of keyspace {}, and not of `{}`, which is keyspace {}; \
                 read it through a handle of its own",
                unmet.keyspace,
                self.name(),
                self.keyspace.id()
            )));
        }
        let found = unmet.found.as_deref().map(|found| self.decode(&unmet.key, found));
        Ok((decode_key(self.name(), &unmet.key)?, found.transpose()?))
    }
}
