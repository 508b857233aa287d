//! A shard on RocksDB: one instance, a column family for each partition, and the default column
//! family for bookkeeping.

mod batch;
mod config;
mod cursor;
mod damage;
mod error;
mod handles;
mod import;
mod ingest;
mod manifest;
mod names;
mod open;
mod reads;
mod stats;
mod wal;
mod wal_format;

use config::{FEW_FIRST_LEVEL_FILES, FIRST_LEVEL_FILES};
pub(crate) use config::{HARDWARE_CHECKSUMS, Resources};
pub(crate) use handles::LockGuard;

use super::{Direction, Engine, PutRow, Read, Usage};
use crate::engine::{Durability, LogLoss};
use crate::error::{Error, ErrorKind, Result};
use crate::os::parallel;
use crate::placement::KeyRange;
use crate::topology::PartitionName;
use batch::RocksDbBatch;
use cursor::RocksDbCursor;
use damage::Damaged;
use error::context;
use handles::{ColumnFamily, Db, Handle, OpenDb, Pinned, Snapshot};
use import::MadeFamily;
use names::{family, parse_family};
use open::{cannot_open, descriptors, list_families, open_families, open_sound};
use parking_lot::{Mutex, RwLock};
use reads::{limits, with_options};
use rocksdb::{DEFAULT_COLUMN_FAMILY_NAME, FlushOptions, ReadOptions, WriteOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wal::{judge_logs, logs, mend_logs, sync_logs};

/// The directory for files that are being brought in, below the database's own.
const SCRATCH: &str = "scratch";

pub(crate) struct RocksDb {
    db: Arc<OpenDb>,
    directory: PathBuf,
    /// Files that are being brought in, below the database's own directory, which only Annulus
    /// uses. Nothing here is of value.
    scratch: PathBuf,
    bookkeeping: Arc<ColumnFamily>,
    /// Handles of all partitions: the crate's own table does not have those made since the opening.
    partitions: Mutex<BTreeMap<PartitionName, Arc<ColumnFamily>>>,
    /// Names of families that an error has left in the database without a handle: until the next
    /// opening they can be neither used nor dropped.
    stranded: Mutex<BTreeSet<PartitionName>>,
    /// What the logs had lost when the database was opened, described.
    lost: Vec<LogLoss>,
    /// Partitions that were found damaged when the database was opened.
    damaged: Damaged,
    /// Held exclusively while a family is dropped: RocksDB ends a flush of several families at the
    /// first that is dropped in the meantime.
    dropping: RwLock<()>,
    family_options: rocksdb::Options,
    present: ReadOptions,
    buffered: WriteOptions,
    synced: WriteOptions,
}

impl RocksDb {
    /// Opens the database in a directory, with every column family it has; creates it if the
    /// directory has none.
    ///
    /// IMPORTANT: the logs are synced before RocksDB sees them. It keeps what it recovers from them
    /// in memory and never syncs them itself: a write that is synced later, or a file that is
    /// flushed later, would survive a power cut that takes the end of an older log, and what is
    /// left would not be a prefix.
    ///
    /// `expendable` are partitions that an interrupted reshape was making: if one of them is why
    /// the database does not open, it is dropped.
    pub(crate) fn open(
        directory: &Path,
        resources: &Resources,
        keep: LockGuard,
        expendable: &[PartitionName],
    ) -> Result<Self> {
        parallel::check_engine_threads(resources.background_threads())?;
        if !crate::os::failpoint::skip("sync-logs-at-opening") {
            sync_logs(directory)?;
        }
        let lost = mend_logs(directory, resources.log_damage())?;
        remove_all(&directory.join(SCRATCH))?;
        // Created here because an error of RocksDB's crate would have no kind.
        std::fs::create_dir_all(directory)
            .map_err(|error| cannot("create the directory", directory, error))?;
        let (db, names, damaged) = open_families(directory, resources, expendable)?;
        damage::leave_alone(&db, &damaged);
        let db = OpenDb::new(db, directory, keep);
        let opened = Self { damaged, ..Self::of(db, directory, &names, resources, lost)? };
        if !opened.lost.is_empty() {
            // So that no later opening sees these logs: see `mend_logs`.
            opened.flush()?;
        }
        Ok(opened)
    }

    /// Opens the database in a directory read-only. Nothing is created, changed or locked: the
    /// content of the logs is read into memory. If another process has the database open, this
    /// shows what its files were during the call, or is an error if files disappeared during it.
    pub(crate) fn open_read_only(
        directory: &Path,
        resources: &Resources,
        keep: LockGuard,
    ) -> Result<Self> {
        let lost = judge_logs(directory, resources.log_damage())?;
        let mut options = resources.database()?;
        options.create_if_missing(false);
        let names = list_families(&options, directory)?;
        let (db, damaged) = open_sound(&mut options, directory, |options| {
            let families = descriptors(&names, resources);
            Db::open_cf_descriptors_read_only(options, directory, families, false)
        })
        .map_err(cannot_open(directory))?;
        let db = OpenDb::new(db, directory, keep);
        Ok(Self { damaged, ..Self::of(db, directory, &names, resources, lost)? })
    }

    fn of(
        db: Arc<OpenDb>,
        directory: &Path,
        names: &[String],
        resources: &Resources,
        lost: Vec<LogLoss>,
    ) -> Result<Self> {
        let bookkeeping = ColumnFamily::open(&db, DEFAULT_COLUMN_FAMILY_NAME).ok_or_else(|| {
            Error::new(ErrorKind::Internal, "RocksDB has no default column family")
        })?;
        let partitions = names
            .iter()
            .filter_map(|name| {
                Some((parse_family(name)?, Arc::new(ColumnFamily::open(&db, name)?)))
            })
            .collect();
        let mut synced = WriteOptions::default();
        synced.set_sync(true);
        Ok(Self {
            db,
            directory: directory.to_owned(),
            scratch: directory.join(SCRATCH),
            bookkeeping: Arc::new(bookkeeping),
            partitions: Mutex::new(partitions),
            stranded: Mutex::default(),
            lost,
            damaged: Damaged::new(),
            dropping: RwLock::new(()),
            family_options: resources.column_family(),
            present: ReadOptions::default(),
            buffered: WriteOptions::default(),
            synced,
        })
    }

    /// Returns the directory of the shard: the one that holds this database.
    pub(crate) fn home(&self) -> &Path {
        self.directory.parent().unwrap_or(&self.directory)
    }

    /// Returns what the logs had lost when this was opened.
    pub(crate) fn lost(&self) -> &[LogLoss] {
        &self.lost
    }

    /// Returns the partitions that were found damaged when this was opened, with the reasons.
    pub(crate) fn damaged(&self) -> &BTreeMap<PartitionName, String> {
        &self.damaged
    }

    /// Returns true if a directory holds a database.
    ///
    /// # Errors
    ///
    /// `Io` if the operating system does not allow the check.
    pub(crate) fn exists(directory: &Path) -> Result<bool> {
        directory
            .join("CURRENT")
            .try_exists()
            .map_err(|error| cannot("look into", directory, error))
    }

    /// Returns true if files can be linked from one directory to the other.
    pub(crate) fn same_filesystem(one: &Path, other: &Path) -> bool {
        ingest::same_filesystem(one, other)
    }

    /// Removes a database whose creation a power cut has interrupted: nothing was written to it
    /// yet, and RocksDB refuses one that lost its only log. Does nothing if there is a log.
    pub(crate) fn remove_unfinished(directory: &Path) -> Result<()> {
        let is_unfinished = Self::exists(directory)? && logs(directory)?.is_empty();
        if is_unfinished { remove_all(directory) } else { Ok(()) }
    }

    /// Removes a database that is not open, with everything that belongs to it.
    pub(crate) fn remove(directory: &Path) -> Result<()> {
        remove_all(directory)
    }

    fn writes(&self, durability: Durability) -> &WriteOptions {
        match durability {
            Durability::Buffered => &self.buffered,
            Durability::Synced => &self.synced,
        }
    }

    /// Notes a family that an error may have left in the database, if it is there.
    fn note_stranded(&self, name: PartitionName) {
        let listed = Db::list_cf(&rocksdb::Options::default(), &self.directory);
        if listed.map_or(true, |names| names.contains(&family(name))) {
            self.stranded.lock().insert(name);
        }
    }

    fn add(&self, name: PartitionName, made: Result<MadeFamily>) -> Result<Arc<ColumnFamily>> {
        let made = made.inspect_err(|_| self.note_stranded(name))?;
        let partition = Arc::new(ColumnFamily::made(&self.db, made));
        self.partitions.lock().insert(name, Arc::clone(&partition));
        Ok(partition)
    }

    /// Makes what was written so far survive a power cut, around the arrival of files.
    ///
    /// IMPORTANT: a new family begins at the present log. If it has files and an older log is torn,
    /// RocksDB finds the family newer than what it can recover, and does not open the database.
    fn sync_around_arrival(&self, protection: &str) -> Result<()> {
        self.check_failpoint(protection)?;
        if crate::os::failpoint::skip(protection) { Ok(()) } else { self.sync() }
    }

    /// Returns true if a family is gone although the call that was to drop it failed, perhaps at
    /// the file of options that comes after. RocksDB tells only by dropping it, so this second
    /// attempt may be the one that succeeds.
    fn is_dropped(&self, partition: &ColumnFamily) -> bool {
        let again = self
            .check_failpoint("drop")
            .and_then(|()| import::drop_family(&self.db, partition.handle()));
        again.err().is_none_or(|error| format!("{error:#}").contains("already dropped"))
    }

    /// Returns the error of an operation that a test makes fail.
    fn check_failpoint(&self, operation: &str) -> Result<()> {
        if crate::os::failpoint::fails_in(&self.directory, operation) {
            let place = self.directory.display();
            return Err(Error::new(
                ErrorKind::Io,
                format!("a {operation} in {place} failed, as a test asked"),
            ));
        }
        Ok(())
    }

    /// Adds to an error what failed and where; the text is made only if the operation fails.
    fn failed(&self, doing: &'static str) -> impl FnOnce(rocksdb::Error) -> Error {
        move |error| context(format_args!("{doing} in {} failed", self.directory.display()))(error)
    }

    /// The same for a partition.
    fn failed_in(
        &self,
        partition: &Arc<ColumnFamily>,
        doing: &'static str,
    ) -> impl FnOnce(rocksdb::Error) -> Error {
        move |error| {
            let partitions = self.partitions.lock();
            let known = partitions.iter().find(|(_, known)| Arc::ptr_eq(known, partition));
            let name = known.map(|(name, _)| *name);
            let of = name.map(|name| format!(" of partition {name}")).unwrap_or_default();
            let found = name.and_then(|name| self.damaged.get(&name));
            let found = found.map(|why| format!(" (damaged: {why})")).unwrap_or_default();
            let place = self.directory.display();
            context(format_args!("{doing}{of}{found} in {place} failed"))(error)
        }
    }

    /// Reads every block on disk, and compares it with its checksum.
    ///
    /// # Errors
    ///
    /// `Damaged`, with the first file that is.
    pub(crate) fn verify_checksums(&self) -> Result<()> {
        let verified = import::verify_checksums(&self.db);
        verified.map_err(|error| self.describe("checking the files", error))
    }

    /// The same for an error of the C interface.
    fn describe(&self, doing: &str, error: Error) -> Error {
        let message = format!("{doing} in {} failed", self.directory.display());
        Error::new(error.kind(), message).with_source(error)
    }
}

impl Engine for RocksDb {
    type Partition = ColumnFamily;
    type Snapshot = Snapshot;
    type Value = Pinned;
    type Cursor = RocksDbCursor;
    type WriteBatch = RocksDbBatch;

    fn partitions(&self) -> Vec<PartitionName> {
        self.partitions.lock().keys().copied().collect()
    }

    fn partition(&self, name: PartitionName) -> Option<Arc<ColumnFamily>> {
        self.partitions.lock().get(&name).cloned()
    }

    fn create_partition(&self, name: PartitionName) -> Result<Arc<ColumnFamily>> {
        let made = import::create(&self.db, &self.family_options, &family(name));
        self.add(name, made.map_err(|error| self.describe("creating a partition", error)))
    }

    fn is_stranded(&self, name: PartitionName) -> bool {
        self.stranded.lock().contains(&name)
    }

    fn drop_partition(&self, name: PartitionName) -> Result<()> {
        if self.is_stranded(name) {
            return Err(Error::new(
                ErrorKind::Io,
                format!(
                    "partition {name} was left behind in {} by an error; the next opening of the \
                     store removes it",
                    self.directory.display()
                ),
            ));
        }
        let _dropping = self.dropping.write();
        // IMPORTANT: removed from the list even if this fails. RocksDB drops the family first and
        // then writes a file of options; an error of the second leaves a dropped family, at which
        // each flush of all of them would end.
        let Some(partition) = self.partitions.lock().remove(&name) else { return Ok(()) };
        let dropped = self.check_failpoint("drop").and_then(|()| match partition.handle() {
            Handle::Named(_) => {
                self.db.drop_cf(&family(name)).map_err(self.failed("dropping a partition"))
            }
            Handle::Made(made) => import::drop_family(&self.db, made)
                .map_err(|error| self.describe("dropping a partition", error)),
        });
        let Err(error) = dropped else { return Ok(()) };
        if self.is_dropped(&partition) {
            return Ok(());
        }
        // A later caller must not take what the list does not name for dropped.
        self.stranded.lock().insert(name);
        Err(error)
    }

    fn bookkeeping(&self) -> &Arc<ColumnFamily> {
        &self.bookkeeping
    }

    #[inline]
    fn get(
        &self,
        partition: &Arc<ColumnFamily>,
        key: &[u8],
        read: Read<'_, Snapshot>,
    ) -> Result<Option<Pinned>> {
        with_options(&self.present, read, |options| Pinned::get(partition, key, options))
            .map_err(self.failed_in(partition, "a read"))
    }

    fn get_many(
        &self,
        partition: &Arc<ColumnFamily>,
        keys: &[&[u8]],
        read: Read<'_, Snapshot>,
    ) -> Result<Vec<Option<Pinned>>> {
        with_options(&self.present, read, |options| Pinned::get_many(partition, keys, options))
            .map_err(self.failed_in(partition, "a read"))
    }

    fn cursor(
        &self,
        partition: &Arc<ColumnFamily>,
        range: &KeyRange,
        direction: Direction,
        read: Read<'_, Snapshot>,
    ) -> Result<RocksDbCursor> {
        RocksDbCursor::open(partition, range, direction, read, limits(read))
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::new(Snapshot::new(&self.db))
    }

    #[inline]
    fn put(
        &self,
        partition: &ColumnFamily,
        key: &[u8],
        value: &[u8],
        durability: Durability,
    ) -> Result<()> {
        self.db
            .put_cf_opt(partition.handle(), key, value, self.writes(durability))
            .map_err(self.failed("a write"))
    }

    #[inline]
    fn delete(&self, partition: &ColumnFamily, key: &[u8], durability: Durability) -> Result<()> {
        self.db
            .delete_cf_opt(partition.handle(), key, self.writes(durability))
            .map_err(self.failed("a delete"))
    }

    fn write(&self, batch: RocksDbBatch, durability: Durability) -> Result<()> {
        self.db.write_opt(batch.0, self.writes(durability)).map_err(self.failed("a batch"))
    }

    fn can_link(&self, source: &Self) -> bool {
        ingest::same_filesystem(&self.directory, &source.directory)
    }

    fn link_partition(
        &self,
        name: PartitionName,
        source: &ColumnFamily,
    ) -> Result<Arc<ColumnFamily>> {
        let scratch = ingest::Scratch::claim(&self.scratch, name)?;
        let export = source.export(scratch.path())?;
        crate::os::failpoint::hit("link-after-export");
        if ingest::is_empty(scratch.path())? {
            // RocksDB refuses to import an empty set of files.
            return self.create_partition(name);
        }
        self.sync_around_arrival("sync-before-arrival")?;
        let made = import::import(&self.db, &self.family_options, &family(name), &export);
        let partition =
            self.add(name, made.map_err(|error| self.describe("taking over files", error)))?;
        // Between the two syncs a new log may have begun.
        self.sync_around_arrival("sync-after-arrival")?;
        // RocksDB syncs its manifest, but after an import not the directory with the new names.
        if !crate::os::failpoint::skip("sync-directory-after-arrival") {
            ingest::sync_directory(&self.directory)?;
        }
        Ok(partition)
    }

    fn load_partition(
        &self,
        name: PartitionName,
        fill: impl FnOnce(&mut PutRow<'_>) -> Result<()>,
    ) -> Result<Arc<ColumnFamily>> {
        let scratch = ingest::Scratch::claim(&self.scratch, name)?;
        let files = ingest::write_files(&self.family_options, scratch.path(), fill)?;
        crate::os::failpoint::hit("load-after-files");
        let partition = self.create_partition(name)?;
        crate::os::failpoint::hit("load-after-create");
        // The family is empty until here; the log at which it begins no longer changes.
        self.sync_around_arrival("sync-before-arrival")?;
        if !files.is_empty() {
            self.db
                .ingest_external_file_cf_opts(partition.handle(), &ingest::ingestion(), files)
                .map_err(self.failed("taking over files"))?;
        }
        if !crate::os::failpoint::skip("sync-directory-after-arrival") {
            ingest::sync_directory(&self.directory)?;
        }
        Ok(partition)
    }

    fn bytes_in(&self, partition: &ColumnFamily, range: &KeyRange) -> Result<u64> {
        Ok(stats::bytes_in(&self.db, partition, range))
    }

    fn sample_keys(&self, name: PartitionName) -> Result<Vec<Vec<u8>>> {
        stats::file_boundaries(&self.db, &family(name)).map_err(self.failed("listing files"))
    }

    fn bytes_free(&self) -> Option<u64> {
        if crate::os::failpoint::fails_in(&self.directory, "room") {
            return Some(0);
        }
        ingest::bytes_free(&self.directory)
    }

    fn sync(&self) -> Result<()> {
        self.check_failpoint("sync")?;
        // A log that has failed once is not synced a second time: the system reports an error once,
        // and then takes what was not written for clean. RocksDB enforces that.
        self.db.flush_wal(true).map_err(|error| {
            let place = self.directory.display();
            context(format_args!(
                "the write-ahead log in {place} cannot be synced, and is in doubt until the store \
                 is opened again"
            ))(error)
        })
    }

    fn flush(&self) -> Result<()> {
        let _none_dropped = self.dropping.read();
        let partitions: Vec<_> = self.partitions.lock().values().cloned().collect();
        let handles: Vec<_> =
            partitions.iter().chain([&self.bookkeeping]).map(|family| family.handle()).collect();
        let mut options = FlushOptions::default();
        options.set_wait(true);
        self.db.flush_cfs_opt(&handles, &options).map_err(self.failed("a flush"))
    }

    fn flush_partition(&self, partition: &ColumnFamily) -> Result<()> {
        let mut options = FlushOptions::default();
        options.set_wait(true);
        self.db.flush_cf_opt(partition.handle(), &options).map_err(self.failed("a flush"))
    }

    fn usage(&self, partition: &ColumnFamily) -> Result<Usage> {
        stats::usage(&self.db, partition).map_err(self.failed("reading a property"))
    }

    fn set_few_first_level_files(&self, partition: &ColumnFamily, few: bool) -> Result<()> {
        let files = if few { FEW_FIRST_LEVEL_FILES } else { FIRST_LEVEL_FILES };
        self.db
            .set_options_cf(partition.handle(), &[("level0_file_num_compaction_trigger", files)])
            .map_err(self.failed("changing an option"))
    }

    fn retire(&self, identity: &Path) {
        self.db.retire(identity);
    }

    fn quiesce(&self) {
        self.db.cancel_all_background_work(true);
    }
}

/// Removes a directory and its content, if it exists.
fn remove_all(directory: &Path) -> Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(cannot("remove", directory, error))
        }
        _ => Ok(()),
    }
}

fn cannot(doing: &str, path: &Path, error: std::io::Error) -> Error {
    let remedy = crate::os::descriptors::remedy(&error);
    Error::new(ErrorKind::Io, format!("cannot {doing} {}{remedy}", path.display()))
        .with_source(error)
}
