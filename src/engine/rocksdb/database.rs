//! A database and what belongs to it: opening, its partitions' handles, errors with their context.

use super::super::Engine as _;
use super::config::Resources;
use super::damage::{self, Damaged};
use super::db::Db;
use super::error::context;
use super::files::{self, cannot, remove_all};
use super::handles::{ColumnFamily, LockGuard, OpenDb};
use super::import::{self, MadeFamily};
use super::ingest;
use super::names::{family, parse_family};
use super::open::{cannot_open, descriptors, list_families, open_families, open_sound};
use super::wal::{judge_logs, logs, mend_logs, sync_logs};
use crate::engine::{Durability, LogLoss};
use crate::error::{Error, ErrorKind, Result};
use crate::os::parallel;
use crate::topology::PartitionName;
use parking_lot::{Mutex, RwLock};
use rocksdb::{DEFAULT_COLUMN_FAMILY_NAME, ReadOptions, WriteOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The directory for files that are being brought in, below the database's own.
const SCRATCH: &str = "scratch";

pub(crate) struct RocksDb {
    pub(super) db: Arc<OpenDb>,
    pub(super) directory: PathBuf,
    /// Files that are being brought in, below the database's own directory, which only Annulus
    /// uses. Nothing here is of value.
    pub(super) scratch: PathBuf,
    pub(super) bookkeeping: Arc<ColumnFamily>,
    /// Handles of all partitions: the crate's own table does not have those made since the opening.
    pub(super) partitions: Mutex<BTreeMap<PartitionName, Arc<ColumnFamily>>>,
    /// Names of families that an error has left in the database without a handle: until the next
    /// opening they can be neither used nor dropped.
    pub(super) stranded: Mutex<BTreeSet<PartitionName>>,
    /// What the logs had lost when the database was opened, described.
    pub(super) lost: Vec<LogLoss>,
    /// Partitions that were found damaged when the database was opened.
    pub(super) damaged: Damaged,
    /// Held exclusively while a family is dropped: RocksDB ends a flush of several families at the
    /// first that is dropped in the meantime.
    pub(super) dropping: RwLock<()>,
    pub(super) family_options: rocksdb::Options,
    pub(super) present: ReadOptions,
    pub(super) buffered: WriteOptions,
    pub(super) synced: WriteOptions,
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
        files::exists(directory)
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

    pub(super) fn writes(&self, durability: Durability) -> &WriteOptions {
        match durability {
            Durability::Buffered => &self.buffered,
            Durability::Synced => &self.synced,
        }
    }

    /// Notes a family that an error may have left in the database, if it is there.
    pub(super) fn note_stranded(&self, name: PartitionName) {
        let listed = Db::list_cf(&rocksdb::Options::default(), &self.directory);
        if listed.map_or(true, |names| names.contains(&family(name))) {
            self.stranded.lock().insert(name);
        }
    }

    pub(super) fn add(
        &self,
        name: PartitionName,
        made: Result<MadeFamily>,
    ) -> Result<Arc<ColumnFamily>> {
        let made = made.inspect_err(|_| self.note_stranded(name))?;
        let partition = Arc::new(ColumnFamily::made(&self.db, made));
        self.partitions.lock().insert(name, Arc::clone(&partition));
        Ok(partition)
    }

    /// Makes what was written so far survive a power cut, around the arrival of files.
    ///
    /// IMPORTANT: a new family begins at the present log. If it has files and an older log is torn,
    /// RocksDB finds the family newer than what it can recover, and does not open the database.
    pub(super) fn sync_around_arrival(&self, protection: &str) -> Result<()> {
        self.check_failpoint(protection)?;
        if crate::os::failpoint::skip(protection) { Ok(()) } else { self.sync() }
    }

    /// Returns true if a family is gone although the call that was to drop it failed, perhaps at
    /// the file of options that comes after. RocksDB tells only by dropping it, so this second
    /// attempt may be the one that succeeds.
    pub(super) fn is_dropped(&self, partition: &ColumnFamily) -> bool {
        let again = self
            .check_failpoint("drop")
            .and_then(|()| import::drop_family(&self.db, partition.handle()));
        again.err().is_none_or(|error| format!("{error:#}").contains("already dropped"))
    }

    /// Returns the error of an operation that a test makes fail.
    pub(super) fn check_failpoint(&self, operation: &str) -> Result<()> {
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
    pub(super) fn failed(&self, doing: &'static str) -> impl FnOnce(rocksdb::Error) -> Error {
        move |error| context(format_args!("{doing} in {} failed", self.directory.display()))(error)
    }

    /// The same for a partition.
    pub(super) fn failed_in(
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
    pub(super) fn describe(&self, doing: &str, error: Error) -> Error {
        let message = format!("{doing} in {} failed", self.directory.display());
        Error::new(error.kind(), message).with_source(error)
    }
}
