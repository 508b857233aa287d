//! Handles of RocksDB that own what they borrow from.
//!
//! The crate `rocksdb` ties column families, snapshots, iterators and pinned values to a borrow of
//! the database. A store hands them out to callers, which keep them as long as they like, so each
//! type here holds the reference-counted database next to the borrowing value. The `unsafe` code of
//! this file only ever extends a lifetime, by the same argument, or closes the database (that of
//! `import.rs` and `listener.rs` calls RocksDB's C interface; there is no other):
//!
//! 1. the borrow is of an `OpenDb` inside an `Arc`, whose address does not change;
//! 2. the borrowing value is in a private field before the `Arc`, so it is dropped first;
//! 3. it is lent out only under the lifetime of a borrow of the struct itself.

#![expect(unsafe_code, reason = "the quarantine that the module documentation argues for")]

use super::config::FlushThread;
use super::db::Db;
use super::files::remove_all;
use super::import::{self, MadeFamily};
use super::overlay::{Overlaid, Overlay};
use crate::error::Result as Outcome;
use crate::os::file_id::FileId;
use crate::os::files::cannot;
use librocksdb_sys as ffi;
use rocksdb::{
    AsColumnFamilyRef, BoundColumnFamily, DBPinnableSlice, DBRawIteratorWithThreadMode,
    ReadOptions, SnapshotWithThreadMode,
};
use std::mem::{ManuallyDrop, transmute};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// A database and what must outlive it: as long as a caller holds a value, a scan or a snapshot of
/// a store, the store's directory stays locked.
pub(super) struct OpenDb {
    /// Closed by `drop`, if at all.
    db: ManuallyDrop<Db>,
    /// Dropped after the database, whose files it may remove.
    remains: Remains,
    _flush_thread: FlushThread,
    _keep: LockGuard,
}

/// What happens to the files of a database when it is closed: they stay, unless it was retired.
struct Remains {
    directory: PathBuf,
    /// The identity of the directory at the opening.
    is: Option<FileId>,
    /// If the database is retired, the file that says whose the directory is.
    identity: OnceLock<PathBuf>,
}

impl Drop for Remains {
    fn drop(&mut self) {
        let Some(identity) = self.identity.get().filter(|_| self.is_there()) else { return };
        let removed = remove_all(&self.directory);
        let removed = removed.and_then(|()| {
            std::fs::remove_file(identity).map_err(|error| cannot("remove", identity, error))
        });
        if let Err(error) = removed {
            tracing::warn!(
                error = format_args!("{error:#}"),
                "left files of a removed shard, which the next opening removes"
            );
        }
    }
}

impl Remains {
    /// Returns true if the path still names the directory that was opened.
    fn is_there(&self) -> bool {
        self.is == FileId::at(&self.directory)
    }
}

/// RocksDB writes and removes files when it is closed, by their paths. Where the path has come to
/// lead to another directory, perhaps to another store's, the database stays open until the process
/// ends: what it has acknowledged is in its logs, wherever they are now.
impl Drop for OpenDb {
    fn drop(&mut self) {
        if self.remains.is_there() {
            // IMPORTANT: before it is closed. RocksDB's own recovery from a full disk waits forever
            // for a flush that was dropped from its queue, and closing waits for the recovery
            // before it announces the shutdown. This call announces it first.
            self.db.cancel_all_background_work(false);
            // SAFETY: only here, and nothing uses the database after its last owner is dropped.
            unsafe { ManuallyDrop::drop(&mut self.db) }
        } else {
            let place = self.remains.directory.display();
            tracing::error!(directory = %place, "is not the one that was opened; not closed");
        }
    }
}

/// A value that is only held.
pub(crate) type LockGuard = Option<Arc<dyn Send + Sync>>;

impl OpenDb {
    pub(super) fn new(db: Db, directory: &Path, keep: LockGuard) -> Arc<Self> {
        let is = FileId::at(directory);
        let remains = Remains { directory: directory.to_owned(), is, identity: OnceLock::new() };
        let db = ManuallyDrop::new(db);
        Arc::new(Self { db, remains, _flush_thread: FlushThread::new(), _keep: keep })
    }

    /// Marks the database's files to be removed when it is closed.
    pub(super) fn retire(&self, identity: &Path) {
        self.remains.identity.get_or_init(|| identity.to_owned());
    }
}

impl Deref for OpenDb {
    type Target = Db;

    fn deref(&self) -> &Db {
        &self.db
    }
}

/// A column family of a database that it keeps open.
///
/// Dropping the column family from the database leaves its content readable through this handle.
pub(crate) struct ColumnFamily {
    handle: Handle,
    db: Arc<OpenDb>,
    /// What the log adds to it, if the database is open read-only: reads look there first.
    overlay: Option<Arc<Overlay>>,
}

/// Where a column family's handle comes from.
pub(super) enum Handle {
    /// The crate's table, which knows the families that were there at the opening.
    Named(Arc<BoundColumnFamily<'static>>),
    Made(MadeFamily),
}

impl AsColumnFamilyRef for Handle {
    #[inline]
    fn inner(&self) -> *mut ffi::rocksdb_column_family_handle_t {
        match self {
            Self::Named(family) => family.inner(),
            Self::Made(family) => family.inner(),
        }
    }
}

impl ColumnFamily {
    pub(super) fn open(db: &Arc<OpenDb>, name: &str) -> Option<Self> {
        let handle: Arc<BoundColumnFamily<'_>> = db.cf_handle(name)?;
        // SAFETY: see the module documentation; `handle` borrows from `db`, held next to it.
        let handle = unsafe {
            transmute::<Arc<BoundColumnFamily<'_>>, Arc<BoundColumnFamily<'static>>>(handle)
        };
        Some(Self { handle: Handle::Named(handle), db: Arc::clone(db), overlay: None })
    }

    /// Puts an empty overlay before the family, which takes the writes to it.
    pub(super) fn with_overlay(self) -> Self {
        Self { overlay: Some(Arc::new(Overlay::new())), ..self }
    }

    /// Wraps a family that was created or imported; `handle` must belong to `db`.
    pub(super) fn made(db: &Arc<OpenDb>, handle: MadeFamily) -> Self {
        Self { handle: Handle::Made(handle), db: Arc::clone(db), overlay: None }
    }

    #[inline]
    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    #[inline]
    pub(super) fn overlay(&self) -> Option<&Arc<Overlay>> {
        self.overlay.as_ref()
    }

    /// Flushes the family and links its files into a directory that does not exist yet.
    pub(super) fn export(&self, directory: &Path) -> Outcome<import::Export> {
        import::export(&self.db, &self.handle, directory)
    }
}

/// A snapshot of a database that it keeps open, with the options that read from it.
pub(crate) struct Snapshot {
    /// Made for the first read: a cut has a snapshot of each shard, and few readers read all of them.
    reads: OnceLock<ReadOptions>,
    inner: SnapshotWithThreadMode<'static, Db>,
    _db: Arc<OpenDb>,
}

impl Snapshot {
    pub(super) fn new(db: &Arc<OpenDb>) -> Self {
        let inner: SnapshotWithThreadMode<'_, Db> = db.snapshot();
        // SAFETY: see the module documentation; `inner` borrows from `db`, held next to it.
        let inner = unsafe {
            transmute::<SnapshotWithThreadMode<'_, Db>, SnapshotWithThreadMode<'static, Db>>(inner)
        };
        Self { reads: OnceLock::new(), inner, _db: Arc::clone(db) }
    }

    /// Returns options that read from this snapshot, to be used while it is held.
    pub(super) fn reads(&self) -> &ReadOptions {
        self.reads.get_or_init(|| {
            let mut reads = ReadOptions::default();
            self.apply_to(&mut reads);
            reads
        })
    }

    pub(super) fn apply_to(&self, options: &mut ReadOptions) {
        options.set_snapshot(&self.inner);
    }
}

/// A value where it is: in the block cache, in a buffer of its own, or in an overlay.
pub(crate) struct Pinned(Place);

enum Place {
    ExpiringValue { slice: DBPinnableSlice<'static>, _partition: Arc<ColumnFamily> },
    Overlaid(Arc<[u8]>),
}

impl Pinned {
    #[inline]
    pub(super) fn get(
        partition: &Arc<ColumnFamily>,
        key: &[u8],
        options: &ReadOptions,
    ) -> Result<Option<Self>, rocksdb::Error> {
        if let Some(overlay) = partition.overlay() {
            match overlay.rows().find(key) {
                Overlaid::Value(value) => return Ok(Some(Self::overlaid(value))),
                Overlaid::Deleted => return Ok(None),
                Overlaid::Unknown => {}
            }
        }
        let slice = partition.db.get_pinned_cf_opt(&partition.handle, key, options)?;
        Ok(slice.map(|slice| Self::tie(slice, partition)))
    }

    pub(super) fn get_many(
        partition: &Arc<ColumnFamily>,
        keys: &[&[u8]],
        options: &ReadOptions,
    ) -> Result<Vec<Option<Self>>, rocksdb::Error> {
        let Some(overlay) = partition.overlay() else {
            return Self::get_many_stored(partition, keys, options);
        };
        let overlaid: Vec<_> = keys.iter().map(|key| overlay.rows().find(key)).collect();
        let left = keys.iter().zip(&overlaid).filter(|(_, found)| **found == Overlaid::Unknown);
        let left: Vec<&[u8]> = left.map(|(key, _)| *key).collect();
        let mut stored = Self::get_many_stored(partition, &left, options)?.into_iter();
        let value = |found| match found {
            Overlaid::Value(value) => Some(Self::overlaid(value)),
            Overlaid::Deleted => None,
            Overlaid::Unknown => stored.next().flatten(),
        };
        Ok(overlaid.into_iter().map(value).collect())
    }

    fn get_many_stored(
        partition: &Arc<ColumnFamily>,
        keys: &[&[u8]],
        options: &ReadOptions,
    ) -> Result<Vec<Option<Self>>, rocksdb::Error> {
        partition
            .db
            .batched_multi_get_cf_opt(&partition.handle, keys.iter().copied(), false, options)
            .into_iter()
            .map(|slice| Ok(slice?.map(|slice| Self::tie(slice, partition))))
            .collect()
    }

    /// `slice` must come from the database of `partition`; the callers above see to that.
    fn tie(slice: DBPinnableSlice<'_>, partition: &Arc<ColumnFamily>) -> Self {
        // SAFETY: see the module documentation; `slice` borrows from the database that `partition`
        // holds, and `partition` is held next to it.
        let slice = unsafe { transmute::<DBPinnableSlice<'_>, DBPinnableSlice<'static>>(slice) };
        Self(Place::ExpiringValue { slice, _partition: Arc::clone(partition) })
    }

    fn overlaid(value: &Arc<[u8]>) -> Self {
        Self(Place::Overlaid(Arc::clone(value)))
    }
}

impl Deref for Pinned {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Place::ExpiringValue { slice, .. } => slice,
            Place::Overlaid(value) => value,
        }
    }
}

/// An iterator that keeps its column family and the snapshot it reads from alive.
pub(super) struct Iter {
    inner: DBRawIteratorWithThreadMode<'static, Db>,
    _partition: Arc<ColumnFamily>,
    _snapshot: Option<Arc<Snapshot>>,
}

impl Iter {
    pub(super) fn new(
        partition: &Arc<ColumnFamily>,
        mut options: ReadOptions,
        snapshot: Option<&Arc<Snapshot>>,
    ) -> Self {
        if let Some(snapshot) = snapshot {
            snapshot.apply_to(&mut options);
        }
        let inner: DBRawIteratorWithThreadMode<'_, Db> =
            partition.db.raw_iterator_cf_opt(&partition.handle, options);
        // SAFETY: see the module documentation; `inner` borrows from the database that `partition`
        // holds, and `partition` is held next to it.
        let inner = unsafe {
            transmute::<DBRawIteratorWithThreadMode<'_, Db>, DBRawIteratorWithThreadMode<'static, Db>>(
                inner,
            )
        };
        Self { inner, _partition: Arc::clone(partition), _snapshot: snapshot.cloned() }
    }

    pub(super) fn get(&self) -> &DBRawIteratorWithThreadMode<'_, Db> {
        &self.inner
    }

    pub(super) fn get_mut(&mut self) -> &mut DBRawIteratorWithThreadMode<'static, Db> {
        &mut self.inner
    }
}
