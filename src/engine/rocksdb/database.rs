//! A shard's database and what belongs to it: opening, its partitions' handles, errors with their
//! context.

use super::batch::RocksDbBatch;
use super::config::Resources;
use super::damage::{self, Damaged};
use super::db::Db;
use super::error::context;
use super::expire::remove_expired;
use super::files::{self, remove_all};
use super::handles::{ColumnFamily, LockGuard, OpenDb};
use super::import::{self, MadeFamily};
use super::ingest;
use super::listener::{FlushListener, listen};
use super::manifest::end_of_manifest;
use super::mending::Opening;
use super::names::{family, parse_family};
use super::open::{Opened, open_database, open_database_read_only};
use super::reads::memory_only;
use super::stats;
use crate::engine::Engine as _;
use crate::engine::expiring::ExpiringPartitions;
use crate::engine::flushes::{FlushState, Flushes};
use crate::error::{Error, ErrorKind, Result};
use crate::expiry::Expiring;
use crate::log::{CommitLog, LogLoss, Position};
use crate::os::files::{cannot, sync_directory};
use crate::os::parallel;
use crate::topology::PartitionName;
use parking_lot::{Mutex, RwLock};
use rocksdb::{ReadOptions, WriteOptions};
use std::borrow::Cow;
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
    /// Handles of all partitions: the crate's own table does not have those made since the opening.
    pub(super) partitions: Mutex<BTreeMap<PartitionName, Arc<ColumnFamily>>>,
    /// Names of families that an error has left in the database without a handle: until the next
    /// opening they can be neither used nor dropped.
    pub(super) stranded: Mutex<BTreeSet<PartitionName>>,
    /// The log that has what is in memory only; none if the shard is open read-only.
    pub(super) log: Option<Arc<CommitLog>>,
    /// Up to where files hold each partition.
    pub(super) flushes: Arc<Flushes>,
    /// What the list of files had lost when the database was opened.
    pub(super) lost: Option<LogLoss>,
    /// Partitions that were found damaged when the database was opened.
    pub(super) damaged: Damaged,
    /// Held exclusively while a family is dropped: RocksDB ends a flush of several families at the
    /// first that is dropped in the meantime.
    pub(super) dropping: RwLock<()>,
    family_options: rocksdb::Options,
    /// The partitions whose rows expire.
    pub(super) expiring: Arc<ExpiringPartitions>,
    pub(super) present: ReadOptions,
    /// Without reading files.
    pub(super) in_memory: ReadOptions,
    /// Without a log of RocksDB's.
    pub(super) writes: WriteOptions,
}

impl RocksDb {
    /// Opens the database in a directory, with every column family it has; creates it if the
    /// directory has none. Everything that was written to it before the log's first position is in
    /// its files; the caller applies what the log holds.
    pub(crate) fn open(
        directory: &Path,
        resources: &Resources,
        keep: LockGuard,
        log: &Arc<CommitLog>,
    ) -> Result<Self> {
        parallel::check_engine_threads(resources.background_threads())?;
        let lost = end_of_manifest(directory, Opening::ForWriting)?;
        remove_all(&directory.join(SCRATCH))?;
        // Created here because an error of RocksDB's crate would have no kind.
        std::fs::create_dir_all(directory)
            .map_err(|error| cannot("create the directory", directory, error))?;
        let mut options = resources.shard_database()?;
        let flushes = Arc::new(Flushes::default());
        listen(
            &mut options,
            FlushListener {
                log: Arc::clone(log),
                flushes: Arc::clone(&flushes),
                directory: directory.to_owned(),
            },
        );
        let opened = open_database(directory, resources, options)?;
        damage::leave_alone(&opened.db, &opened.damaged);
        let opened = Self::of(opened, directory, resources, keep, |family| family);
        for name in opened.partitions.lock().keys() {
            flushes.add(*name, || log.first());
        }
        Ok(Self { lost, log: Some(Arc::clone(log)), flushes, ..opened })
    }

    /// Opens the database in a directory read-only. Nothing is created, changed or locked: writes
    /// go to an overlay of each partition, in memory. If another process has the database open,
    /// this shows what its files were during the call, or is an error if files disappeared during
    /// it.
    pub(crate) fn open_read_only(
        directory: &Path,
        resources: &Resources,
        keep: LockGuard,
    ) -> Result<Self> {
        let lost = end_of_manifest(directory, Opening::ReadOnly)?;
        let opened = open_database_read_only(directory, resources, resources.shard_database()?)?;
        let overlaid = ColumnFamily::with_overlay;
        Ok(Self { lost, ..Self::of(opened, directory, resources, keep, overlaid) })
    }

    fn of(
        opened: Opened,
        directory: &Path,
        resources: &Resources,
        keep: LockGuard,
        prepare: impl Fn(ColumnFamily) -> ColumnFamily,
    ) -> Self {
        let Opened { db, names, damaged } = opened;
        let db = OpenDb::new(db, directory, keep);
        let partitions = names
            .iter()
            .filter_map(|name| {
                let partition = prepare(ColumnFamily::open(&db, name)?);
                Some((parse_family(name)?, Arc::new(partition)))
            })
            .collect();
        Self {
            db,
            directory: directory.to_owned(),
            scratch: directory.join(SCRATCH),
            partitions: Mutex::new(partitions),
            stranded: Mutex::default(),
            log: None,
            flushes: Arc::default(),
            lost: None,
            damaged,
            dropping: RwLock::new(()),
            family_options: resources.column_family(),
            expiring: Arc::clone(&resources.expiring),
            present: ReadOptions::default(),
            in_memory: memory_only(),
            writes: writes(),
        }
    }

    /// Returns the options of the family of a partition.
    pub(super) fn family_options(&self, name: PartitionName) -> Cow<'_, rocksdb::Options> {
        let Some(expiring) = self.expiring.get(name) else {
            return Cow::Borrowed(&self.family_options);
        };
        let mut options = self.family_options.clone();
        remove_expired(&mut options, &expiring);
        Cow::Owned(options)
    }

    /// Returns what is shared of the keyspace of a partition, if its rows expire.
    pub(crate) fn expiring(&self, name: PartitionName) -> Option<Arc<Expiring>> {
        self.expiring.get(name)
    }

    /// Applies a batch.
    pub(super) fn write_batch(&self, batch: RocksDbBatch, options: &WriteOptions) -> Result<()> {
        // An empty batch does not say where it belongs.
        if self.log.is_none() {
            return batch.overlay();
        }
        self.check_failpoint("apply")?;
        self.db.write_opt(batch.writes, options).map_err(self.failed("a batch"))
    }

    /// Returns the directory of the shard: the one that holds this database.
    pub(crate) fn home(&self) -> &Path {
        self.directory.parent().unwrap_or(&self.directory)
    }

    /// Returns what the list of files had lost when this was opened.
    pub(crate) fn lost(&self) -> &[LogLoss] {
        self.lost.as_slice()
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

    /// Removes a database that is not open, with everything that belongs to it.
    pub(crate) fn remove(directory: &Path) -> Result<()> {
        remove_all(directory)
    }

    /// Notes a family that an error may have left in the database, if it is there.
    pub(super) fn note_stranded(&self, name: PartitionName) {
        let listed = Db::list_cf(&rocksdb::Options::default(), &self.directory);
        if listed.map_or(true, |names| names.contains(&family(name))) {
            self.stranded.lock().insert(name);
        }
    }

    /// Makes an empty partition. `note` notes it in the list of those that need the log, before
    /// anything can be written to it.
    pub(super) fn create(
        &self,
        name: PartitionName,
        note: impl FnOnce(&Flushes, &CommitLog),
    ) -> Result<Arc<ColumnFamily>> {
        self.add(name, note, || {
            let made = import::create(&self.db, &self.family_options(name), &family(name));
            made.map_err(|error| self.describe("creating a partition", error))
        })
    }

    pub(super) fn add(
        &self,
        name: PartitionName,
        note: impl FnOnce(&Flushes, &CommitLog),
        make: impl FnOnce() -> Result<MadeFamily>,
    ) -> Result<Arc<ColumnFamily>> {
        if let Some(log) = &self.log {
            note(&self.flushes, log);
        }
        let made = make().inspect_err(|_| {
            self.flushes.remove(name);
            self.note_stranded(name);
        })?;
        let partition = Arc::new(ColumnFamily::made(&self.db, made));
        self.partitions.lock().insert(name, Arc::clone(&partition));
        Ok(partition)
    }

    /// Syncs the log before files arrive, which may hold what only it has to make durable.
    pub(super) fn sync_before_arrival(&self) -> Result<()> {
        const PROTECTION: &str = "log-before-arrival";
        self.check_failpoint(PROTECTION)?;
        match &self.log {
            Some(log) if !crate::os::failpoint::skip(PROTECTION) => log.sync(),
            _ => Ok(()),
        }
    }

    /// Returns the log's `applied()`, and up to where files hold each partition.
    pub(super) fn flushed(&self) -> (Position, Vec<FlushState>) {
        let Some(log) = &self.log else { return Default::default() };
        let (applied, mut families) = self.flushes.state(|| log.applied());
        for family in families.iter_mut().filter(|family| family.follows) {
            if family.before < applied
                && let Some(partition) = self.partition(family.name)
                && stats::is_in_files(&self.db, &partition)
            {
                self.flushes.reach(family.name, applied);
                family.before = applied;
            }
        }
        (applied, families)
    }

    /// Runs a flush that waits, and notes for which partitions files hold what was written before.
    ///
    /// IMPORTANT: the position comes before the flush. RocksDB reports a flush only after those who
    /// wait for it, so this does not rely on the report.
    pub(super) fn flush_and_note(
        &self,
        flush: impl FnOnce() -> std::result::Result<(), rocksdb::Error>,
        is_flushed: impl Fn(PartitionName) -> bool,
    ) -> Result<()> {
        let state = self.log.as_ref().map(|log| self.flushes.state(|| log.applied()));
        flush().map_err(|error| self.flush_failed(error))?;
        let Some((applied, families)) = state else { return Ok(()) };
        for family in families.iter().filter(|family| family.follows && is_flushed(family.name)) {
            self.flushes.reach(family.name, applied);
        }
        Ok(())
    }

    /// Returns the error of a flush; if the log cannot be synced, that is why.
    fn flush_failed(&self, error: rocksdb::Error) -> Error {
        match self.log.as_ref().map(|log| log.check()) {
            Some(Err(cause)) => self.describe("a flush", cause),
            _ => self.failed("a flush")(error),
        }
    }

    /// Returns the name of one of the partitions.
    pub(super) fn name_of(&self, partition: &ColumnFamily) -> Option<PartitionName> {
        let partitions = self.partitions.lock();
        let mut known =
            partitions.iter().filter(|(_, known)| std::ptr::eq(&raw const ***known, partition));
        known.next().map(|(name, _)| *name)
    }

    /// Makes the names of files survive a power cut that have arrived.
    pub(super) fn sync_after_arrival(&self) -> Result<()> {
        const PROTECTION: &str = "sync-directory-after-arrival";
        self.check_failpoint(PROTECTION)?;
        match crate::os::failpoint::skip(PROTECTION) {
            true => Ok(()),
            false => sync_directory(&self.directory),
        }
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
    #[inline]
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
            let name = self.name_of(partition);
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
        describe(&self.directory, doing, error)
    }
}

/// Returns the options of writes, which go to no log of RocksDB's.
pub(super) fn writes() -> WriteOptions {
    let mut writes = WriteOptions::default();
    writes.disable_wal(true);
    writes
}

/// Adds to an error of the C interface what failed and where.
pub(super) fn describe(directory: &Path, doing: &str, error: Error) -> Error {
    let message = format!("{doing} in {} failed", directory.display());
    Error::new(error.kind(), message).with_source(error)
}
