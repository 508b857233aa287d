//! The handle of a transaction: its reads, its writes, its end.

mod indexed;
mod once;
mod run;
mod scan;

pub use once::Once;
pub use scan::TransactionScan;

use super::core::Core;
use super::keyspace::Keyspace;
use super::snapshot::Snapshot;
use crate::catalog::does_not_expire;
use crate::error::{Error, ErrorKind, Result};
use crate::expiry::PutLifetime;
use crate::id::KeyspaceId;
use crate::index::IndexesUsed;
use crate::log::Reader;
use crate::placement::KeyRange;
use crate::read::{Bounds, FirstExpiry, KeyBounds, Prefix, ScanOptions, Value};
use crate::transaction::{Footprint, Isolation, Own, Pending, TransactionOptions};
use crate::write::{Since, sum};
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Reads and writes over any keyspaces and shards that take effect together, or not at all; begun
/// by [`Store::begin`](crate::Store::begin), or by [`Store::transact`](crate::Store::transact),
/// which runs it again after a conflict.
///
/// It reads everything as it was when it began, and its own writes on top of that. Nothing of what
/// it writes can be seen before [`commit`](Self::commit), which fails with
/// [`Conflict`](ErrorKind::Conflict) if other writes since then have changed what it relies on: see
/// [`Isolation`]. A transaction that writes nothing is always committed. Dropping one is a
/// [`rollback`](Self::rollback).
///
/// It takes no locks while it is open, so it makes no one wait. While it is open, the shards keep
/// what it reads, and the log what was written since: an open one should be ended soon.
///
/// ```
/// use annulus::{ErrorKind, Store, topology::KeyspaceSpec};
///
/// # fn main() -> annulus::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let store = Store::open(directory.path().join("store"))?;
/// let accounts = store.create_keyspace("accounts", KeyspaceSpec::hash())?;
/// accounts.add("alice", 100)?;
///
/// let transaction = store.begin()?;
/// transaction.add(&accounts, "alice", -30)?;
/// transaction.add(&accounts, "bob", 30)?;
/// assert!(!accounts.contains("bob")?);
/// transaction.commit()?;
/// assert!(accounts.contains("bob")?);
///
/// // Another write comes in between.
/// let transaction = store.begin()?;
/// transaction.add(&accounts, "alice", -30)?;
/// accounts.add("alice", 5)?;
/// let error = transaction.commit().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Conflict);
/// # Ok(())
/// # }
/// ```
pub struct Transaction {
    core: Arc<Core>,
    snapshot: Snapshot,
    options: TransactionOptions,
    state: RefCell<State>,
}

/// What changes as a transaction goes on.
struct State {
    /// At the position of the snapshot. Keeps the log from there on.
    reader: Reader,
    reads: Footprint,
    pending: Pending,
    /// The ranges of scans that are open; `None` for those that were dropped, and have noted what
    /// they have seen.
    scans: Vec<Option<OpenScan>>,
    /// The indexes whose entries are among the writes.
    indexes: IndexesUsed,
}

/// A scan that is open.
struct OpenScan {
    keyspace: KeyspaceId,
    /// What it counts as if it is never dropped.
    range: KeyRange,
    expires: Option<FirstExpiry>,
}

impl Transaction {
    fn begin(core: &Arc<Core>, options: TransactionOptions) -> Result<Self> {
        options.validate()?;
        core.catalog.check_open()?;
        // With the gate closed, the snapshot has the records before the end, and no others.
        let (snapshot, reader) = Snapshot::take_noting(core, |log| log.read(log.end()))?;
        let state = State {
            reader,
            reads: Footprint::default(),
            pending: Pending::default(),
            scans: Vec::new(),
            indexes: IndexesUsed::new(),
        };
        Ok(Self { core: Arc::clone(core), snapshot, options, state: RefCell::new(state) })
    }

    /// Returns the value of a key: what this transaction has written, or otherwise what the store
    /// had when it began. That the key is not there is remembered, too.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) for a keyspace that was created after the transaction
    /// began; [`InvalidArgument`](ErrorKind::InvalidArgument) if the transaction has outgrown
    /// [`bytes_max`](TransactionOptions::bytes_max); otherwise those of [`Keyspace::get`].
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
    fn own(&self, keyspace: &Keyspace, key: &[u8], noted: bool) -> Result<Option<Option<Value>>> {
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

    /// Puts a value, replacing any that is there.
    ///
    /// In a keyspace with [indexes](crate::index) this reads the row, and puts and deletes entries,
    /// too, so that what the transaction reads of an index has what it has written. A unique index
    /// is compared with what the transaction sees by now.
    ///
    /// # Errors
    ///
    /// In a keyspace with indexes, [`AlreadyExists`](ErrorKind::AlreadyExists) if a unique one has
    /// another row with the same index key, and [`Conflict`](ErrorKind::Conflict) if an index was
    /// declared or dropped since the transaction began;
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for a key or value that is longer than the
    /// store's options allow, for a keyspace of another store, and if the transaction has outgrown
    /// [`bytes_max`](TransactionOptions::bytes_max).
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
    /// Those of [`put`](Self::put); [`InvalidArgument`](ErrorKind::InvalidArgument) if the rows of
    /// the keyspace do not expire.
    pub fn put_for(
        &self,
        keyspace: &Keyspace,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        lifetime: Duration,
    ) -> Result<()> {
        if !keyspace.rows_expire() {
            return Err(does_not_expire(keyspace.name()));
        }
        let lifetime = Some(PutLifetime::For(lifetime));
        self.write(keyspace, key.as_ref(), Some(value.as_ref()), lifetime)
    }

    /// Deletes a key, if it is there.
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
    /// # Errors
    ///
    /// Those of [`put`](Self::put), and [`InvalidArgument`](ErrorKind::InvalidArgument) for an
    /// inverted range.
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
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if the value is no counter or the sum is out
    /// of bounds; those of [`get`](Self::get) and [`put`](Self::put).
    pub fn add(&self, keyspace: &Keyspace, counter: impl AsRef<[u8]>, n: i64) -> Result<i64> {
        let key = counter.as_ref();
        let after = sum(key, self.get(keyspace, key)?.as_deref(), n)?;
        self.put(keyspace, key, after.to_le_bytes())?;
        Ok(after)
    }

    /// Commits: all that was written takes effect, or nothing. After a crash of the process or a
    /// power cut it is there whole or not at all, at either durability.
    ///
    /// Cost: that of a [batch](crate::Store::write), and of reading what was written to the store
    /// since the transaction began, which is in the memory of the system. Never waits for other
    /// transactions that are open. Returns at once if nothing was written.
    ///
    /// # Errors
    ///
    /// [`Conflict`](ErrorKind::Conflict) if other writes have changed what the transaction relies
    /// on: nothing was written; run it again. Otherwise those of
    /// [`Store::write`](crate::Store::write).
    pub fn commit(self) -> Result<()> {
        let Self { core, snapshot, options, state } = self;
        let State { mut reader, mut reads, pending, scans, indexes } = state.into_inner();
        if pending.is_empty() {
            return Ok(());
        }
        // Reads stay valid without their snapshot; the shards need not keep it.
        drop(snapshot);
        match options.isolation {
            Isolation::Snapshot => pending.add_to(&mut reads),
            Isolation::Serializable => {
                // Scans that were never dropped.
                let open = scans.into_iter().flatten();
                for OpenScan { keyspace, range, expires } in open {
                    reads.add_range(keyspace, &range);
                    reads.add_expiry(expires.map(|first| first.get()));
                }
            }
        }
        let batch = pending.into_batch(core.catalog.home.id);
        let durability = options.durability.unwrap_or(core.options.durability);
        // Most of it before anything is locked.
        let admit = |record: &crate::log::Record<'_>| reads.admit(record);
        reader.pass(admit)?;
        // Without the time of day where no row expires.
        let check_time = || match reads.may_expire() {
            true => reads.check_time(core.catalog.home.horizon.now()),
            false => Ok(()),
        };
        let since = Since {
            reader: &mut reader,
            admit: &admit,
            check_time: &check_time,
            indexes: &indexes,
        };
        core.writer().commit_since(&**core.catalog.keyspaces(), batch, durability, since)
    }

    pub(crate) const fn isolation(&self) -> Isolation {
        self.options.isolation
    }

    /// Ends the transaction without a trace, as dropping it does.
    pub fn rollback(self) {
        drop(self);
    }

    /// Returns an error, of kind [`Aborted`](ErrorKind::Aborted), for the closure of
    /// [`Store::transact`](crate::Store::transact) to end with: nothing is written then, and
    /// `transact` returns it.
    #[must_use = "the transaction is ended by returning the error"]
    pub fn abort(&self, reason: impl Into<String>) -> Error {
        Error::new(ErrorKind::Aborted, reason)
    }

    fn check_store(&self, keyspace: &Keyspace) -> Result<()> {
        if keyspace.store_id() == self.core.catalog.home.id {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "keyspace `{}` is of another store than the transaction; begin one for each",
            keyspace.name()
        )))
    }

    fn check_bytes(&self, state: &State) -> Result<()> {
        let (bytes, most) = (state.reads.bytes() + state.pending.bytes(), self.options.bytes_max);
        if bytes <= most {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "the transaction remembers {bytes} bytes of what it has read and written, more than the \
             {most} that its option bytes_max allows; do it in parts, or allow more"
        )))
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.borrow();
        f.debug_struct("Transaction")
            .field("position", &state.reader.position())
            .field("read_bytes", &state.reads.bytes())
            .field("written_bytes", &state.pending.bytes())
            .finish_non_exhaustive()
    }
}
