//! Operations and conditions of batches, added by keyspace handle.

use super::Keyspace;
use crate::expiry::PutLifetime;
use crate::placement::KeyRange;
use crate::read::{Bounds, KeyBounds};
use crate::write::{Batch, Condition, Expect, Write};
use std::ops::Bound;
use std::time::{Duration, SystemTime};

impl Batch {
    /// Adds a put.
    pub fn put(&mut self, keyspace: &Keyspace, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let (key, value) = (key.as_ref(), value.as_ref());
        let write = Write::Put { key: key.to_vec(), value: value.to_vec() };
        self.push(keyspace.store_id(), keyspace.id(), key.len(), write, default_of(keyspace));
    }

    /// Adds a put of a row that expires a time after the batch was committed; see
    /// [`Keyspace::put_for`]. The batch is refused when it is committed if the rows of the keyspace
    /// do not expire.
    pub fn put_for(
        &mut self,
        keyspace: &Keyspace,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        lifetime: Duration,
    ) {
        self.put_expiring(keyspace, key.as_ref(), value.as_ref(), PutLifetime::For(lifetime));
    }

    /// Adds a put of a row that expires at a time, or never; see [`Keyspace::put_until`]. The batch
    /// is refused when it is committed if the rows of the keyspace do not expire.
    pub fn put_until(
        &mut self,
        keyspace: &Keyspace,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        until: impl Into<Option<SystemTime>>,
    ) {
        let lifetime = PutLifetime::until(until.into());
        self.put_expiring(keyspace, key.as_ref(), value.as_ref(), lifetime);
    }

    fn put_expiring(&mut self, keyspace: &Keyspace, key: &[u8], value: &[u8], lives: PutLifetime) {
        if !keyspace.rows_expire() {
            self.note_undying(keyspace.name());
        }
        let write = Write::Put { key: key.to_vec(), value: value.to_vec() };
        self.push(keyspace.store_id(), keyspace.id(), key.len(), write, Some(lives));
    }

    /// Adds a delete; the key need not exist.
    pub fn delete(&mut self, keyspace: &Keyspace, key: impl AsRef<[u8]>) {
        let key = key.as_ref();
        let write = Write::Delete { key: key.to_vec() };
        self.push(keyspace.store_id(), keyspace.id(), key.len(), write, None);
    }

    /// Adds an addition to a counter, as of [`Keyspace::add`]. What it comes to is decided when the
    /// batch is written: it follows what the store has by then, and what earlier operations of this
    /// batch have made of it. If the value is no counter or the sum is out of bounds, writing the
    /// batch fails with [`InvalidArgument`](crate::ErrorKind::InvalidArgument), and nothing is
    /// written.
    pub fn add(&mut self, keyspace: &Keyspace, counter: impl AsRef<[u8]>, n: i64) {
        let key = counter.as_ref();
        let write = Write::Add { key: key.to_vec(), n };
        self.push(keyspace.store_id(), keyspace.id(), key.len(), write, default_of(keyspace));
    }

    /// Adds a condition: the batch is written only if the key has what is expected.
    /// [`Store::write_if`](crate::Store::write_if) checks all conditions of a batch, on what the
    /// store has before any of its operations, and no other write of these keys comes in between.
    /// The key need not be one that the batch writes, nor on the same shard.
    ///
    /// ```
    /// # use annulus::{Batch, ConditionalWrite, Expect, Store, topology::KeyspaceSpec};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// let leases = store.create_keyspace("leases", KeyspaceSpec::hash())?;
    /// let jobs = store.create_keyspace("jobs", KeyspaceSpec::range())?;
    /// leases.put("leader", "node 1")?;
    ///
    /// // Only the leader hands out jobs, and each only once.
    /// let mut batch = Batch::new();
    /// batch.require(&leases, "leader", Expect::Value(b"node 1"));
    /// batch.require(&jobs, "0007", Expect::Absent);
    /// batch.put(&jobs, "0007", "node 3");
    /// assert!(store.write_if(batch.clone())?.is_written());
    ///
    /// let ConditionalWrite::Unmet(unmet) = store.write_if(batch)? else { panic!("written twice") };
    /// assert_eq!(unmet[0].key, b"0007");
    /// assert_eq!(unmet[0].found.as_deref(), Some(&b"node 3"[..]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn require(&mut self, keyspace: &Keyspace, key: impl AsRef<[u8]>, expect: Expect<'_>) {
        let condition = Condition::new(keyspace.id(), key.as_ref(), expect);
        self.add_condition(keyspace.store_id(), condition);
    }

    /// Adds the deletion of a range of keys, including keys that earlier operations of this batch
    /// put. An inverted range is refused when the batch is committed.
    pub fn delete_range(&mut self, keyspace: &Keyspace, range: impl KeyBounds) {
        let bytes = |bound: Bound<&[u8]>| match bound {
            Bound::Included(key) | Bound::Excluded(key) => key.len(),
            Bound::Unbounded => 0,
        };
        let key_bytes = bytes(range.start()).max(bytes(range.end()));
        let Bounds { range: KeyRange { start, end }, prefix } = Bounds::unchecked(&range);
        let write = Write::DeleteRange { start: start.into(), end: end.map(Into::into), prefix };
        self.push(keyspace.store_id(), keyspace.id(), key_bytes, write, None);
    }
}

/// Returns the lifetime of rows whose put does not say it, where rows expire.
fn default_of(keyspace: &Keyspace) -> Option<PutLifetime> {
    keyspace.rows_expire().then_some(PutLifetime::Default)
}
