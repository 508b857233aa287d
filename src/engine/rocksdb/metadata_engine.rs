//! The metadata's database: one RocksDB instance with one family of small records, and with the
//! write-ahead log that a shard does without.

use super::config::Resources;
use super::cursor::RocksDbCursor;
use super::error::context;
use super::failures::describe;
use super::files::remove_all;
use super::handles::{ColumnFamily, LockGuard, OpenDb, Pinned};
use super::import;
use super::open::{open_database, open_database_read_only};
use super::reads::limits;
use super::wal::{judge_logs, logs, mend_logs, sync_logs};
use crate::engine::{Direction, Durability, Read};
use crate::error::{Error, ErrorKind, Result};
use crate::log::LogLoss;
use crate::os::files::cannot;
use crate::os::parallel;
use crate::placement::KeyRange;
use rocksdb::{DEFAULT_COLUMN_FAMILY_NAME, FlushOptions, ReadOptions, WriteOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The database of the metadata. What survives a crash is a prefix of what was written to it.
pub(crate) struct MetadataEngine {
    pub(super) db: Arc<OpenDb>,
    directory: PathBuf,
    records: Arc<ColumnFamily>,
    /// What the logs had lost when the database was opened.
    lost: Vec<LogLoss>,
    present: ReadOptions,
    buffered: WriteOptions,
    synced: WriteOptions,
}

/// Several writes to the metadata that take effect together.
#[derive(Default)]
pub(crate) struct MetadataBatch(rocksdb::WriteBatch);

impl MetadataBatch {
    pub(crate) fn put(&mut self, key: &[u8], value: &[u8]) {
        self.0.put(key, value);
    }

    pub(crate) fn delete(&mut self, key: &[u8]) {
        self.0.delete(key);
    }

    /// Deletes the keys from `start` up to, not including, `end`.
    pub(crate) fn delete_range(&mut self, start: &[u8], end: &[u8]) {
        self.0.delete_range(start, end);
    }
}

impl MetadataEngine {
    /// Opens the database in a directory; creates it if the directory has none.
    ///
    /// IMPORTANT: the logs are synced before RocksDB sees them. It keeps what it recovers from them
    /// in memory and never syncs them itself: a write that is synced later, or a file that is
    /// flushed later, would survive a power cut that takes the end of an older log, and what is
    /// left would not be a prefix.
    pub(crate) fn open(directory: &Path, resources: &Resources, keep: LockGuard) -> Result<Self> {
        parallel::check_engine_threads(resources.background_threads())?;
        if !crate::os::failpoint::skip("sync-logs-at-opening") {
            sync_logs(directory)?;
        }
        let lost = mend_logs(directory, resources.log_damage())?;
        // Created here because an error of RocksDB's crate would have no kind.
        std::fs::create_dir_all(directory)
            .map_err(|error| cannot("create the directory", directory, error))?;
        let opened = open_database(directory, resources, resources.metadata_database()?)?;
        let opened = Self::of(OpenDb::new(opened.db, directory, keep), directory, lost)?;
        if !opened.lost.is_empty() {
            // So that no later opening sees these logs: see `mend_logs`.
            opened.flush()?;
        }
        Ok(opened)
    }

    /// Opens the database in a directory read-only. Nothing is created, changed or locked: the
    /// content of the logs is read into memory.
    pub(crate) fn open_read_only(
        directory: &Path,
        resources: &Resources,
        keep: LockGuard,
    ) -> Result<Self> {
        let lost = judge_logs(directory, resources.log_damage())?;
        let opened = open_database_read_only(directory, resources, resources.metadata_database()?)?;
        Self::of(OpenDb::new(opened.db, directory, keep), directory, lost)
    }

    fn of(db: Arc<OpenDb>, directory: &Path, lost: Vec<LogLoss>) -> Result<Self> {
        let records = ColumnFamily::open(&db, DEFAULT_COLUMN_FAMILY_NAME).ok_or_else(|| {
            Error::new(ErrorKind::Internal, "RocksDB has no default column family")
        })?;
        let mut synced = WriteOptions::default();
        synced.set_sync(true);
        Ok(Self {
            db,
            directory: directory.to_owned(),
            records: Arc::new(records),
            lost,
            present: ReadOptions::default(),
            buffered: WriteOptions::default(),
            synced,
        })
    }

    /// Removes a database whose creation a power cut has interrupted: nothing was written to it
    /// yet, and RocksDB refuses one that lost its only log. Does nothing if there is a log.
    pub(crate) fn remove_unfinished(directory: &Path) -> Result<()> {
        let is_unfinished = super::files::exists(directory)? && logs(directory)?.is_empty();
        if is_unfinished { remove_all(directory) } else { Ok(()) }
    }

    /// Returns what the logs had lost when this was opened.
    pub(crate) fn lost(&self) -> &[LogLoss] {
        &self.lost
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Pinned>> {
        Pinned::get(&self.records, key, &self.present).map_err(self.failed("a read"))
    }

    /// Opens a cursor that stands on the first record of a range.
    pub(crate) fn cursor(&self, range: &KeyRange) -> Result<RocksDbCursor> {
        let read = Read::PRESENT;
        RocksDbCursor::open(&self.records, range, Direction::Forward, read, limits(read))
    }

    pub(crate) fn put(&self, key: &[u8], value: &[u8], durability: Durability) -> Result<()> {
        self.db.put_opt(key, value, self.writes(durability)).map_err(self.failed("a write"))
    }

    pub(crate) fn delete(&self, key: &[u8], durability: Durability) -> Result<()> {
        self.db.delete_opt(key, self.writes(durability)).map_err(self.failed("a delete"))
    }

    pub(crate) fn write(&self, batch: MetadataBatch, durability: Durability) -> Result<()> {
        self.db.write_opt(batch.0, self.writes(durability)).map_err(self.failed("a batch"))
    }

    /// Makes every acknowledged write survive a power cut.
    pub(crate) fn sync(&self) -> Result<()> {
        if crate::os::failpoint::fails_in(&self.directory, "sync") {
            let place = self.directory.display();
            return Err(Error::new(
                ErrorKind::Io,
                format!("a sync in {place} failed, as a test asked"),
            ));
        }
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

    /// Moves what is in memory into files, so that the next opening has nothing to read back.
    pub(crate) fn flush(&self) -> Result<()> {
        let mut options = FlushOptions::default();
        options.set_wait(true);
        self.db.flush_cf_opt(self.records.handle(), &options).map_err(self.failed("a flush"))
    }

    /// Ends background work; reads go on.
    pub(crate) fn quiesce(&self) {
        self.db.cancel_all_background_work(true);
    }

    /// Reads every block on disk, and compares it with its checksum.
    ///
    /// # Errors
    ///
    /// `Damaged`, with the first file that is.
    pub(crate) fn verify_checksums(&self) -> Result<()> {
        let verified = import::verify_checksums(&self.db);
        verified.map_err(|error| describe(&self.directory, "checking the files", error))
    }

    fn writes(&self, durability: Durability) -> &WriteOptions {
        match durability {
            Durability::Buffered => &self.buffered,
            Durability::Synced => &self.synced,
        }
    }

    fn failed(&self, doing: &'static str) -> impl FnOnce(rocksdb::Error) -> Error {
        move |error| context(format_args!("{doing} in {} failed", self.directory.display()))(error)
    }
}
