//! A shard on RocksDB: one instance, a column family for each partition, and the default column
//! family for bookkeeping.

mod batch;
mod config;
mod cursor;
mod error;
mod link;
mod load;
mod logs;
mod names;
mod owned;
mod sizes;

pub(crate) use config::Resources;
use config::{FEW_FIRST_LEVEL_FILES, FIRST_LEVEL_FILES};
pub(crate) use owned::Keep;

use super::{Direction, KeyRange, PutRow, Read, Shard, Usage};
use crate::error::{Error, ErrorKind, Result};
use crate::options::Durability;
use crate::topology::PartitionName;
use batch::RocksBatch;
use cursor::RocksCursor;
use error::context;
use logs::sync_logs;
use names::{family, parse_family};
use owned::{ColumnFamily, Db, Handle, OpenDb, Pinned, Snapshot};
use parking_lot::{Mutex, RwLock};
use rocksdb::{
    ColumnFamilyDescriptor, DEFAULT_COLUMN_FAMILY_NAME, FlushOptions, ReadOptions, WriteOptions,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

pub(crate) struct Rocks {
    db: Arc<OpenDb>,
    directory: PathBuf,
    /// Files on their way in, below the database's own directory, which is Annulus' alone.
    /// Nothing here is of value.
    scratch: PathBuf,
    bookkeeping: Arc<ColumnFamily>,
    /// Handles of all partitions: the crate's own table does not know imported column families.
    partitions: Mutex<BTreeMap<PartitionName, Arc<ColumnFamily>>>,
    /// Held exclusively while a family is dropped: RocksDB ends a flush of several families at
    /// the first that is dropped meanwhile.
    dropping: RwLock<()>,
    family_options: rocksdb::Options,
    present: ReadOptions,
    buffered: WriteOptions,
    synced: WriteOptions,
}

impl Rocks {
    /// Opens the database in a directory, with every column family it has; creates it if the
    /// directory has none.
    ///
    /// IMPORTANT: the logs are synced before RocksDB sees them. It keeps what it recovers from them
    /// in memory and never syncs them itself: a write that is synced later, or a file that is
    /// flushed later, would survive a power cut that takes the end of an older log, and what is
    /// left would not be a prefix.
    pub(crate) fn open(directory: &Path, resources: &Resources, keep: Keep) -> Result<Self> {
        sync_logs(directory)?;
        let scratch = directory.join("scratch");
        remove_all(&scratch)?;
        let options = resources.database()?;
        let family_options = resources.column_family();
        let names = if Self::exists(directory)? {
            Db::list_cf(&options, directory).map_err(context(format_args!(
                "cannot read the database in {}",
                directory.display()
            )))?
        } else {
            vec![DEFAULT_COLUMN_FAMILY_NAME.to_owned()]
        };
        let families =
            names.iter().map(|name| ColumnFamilyDescriptor::new(name, family_options.clone()));
        let db = Db::open_cf_descriptors(&options, directory, families).map_err(context(
            format_args!("cannot open the database in {}", directory.display()),
        ))?;
        let db = OpenDb::new(db, directory, keep);
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
            scratch,
            bookkeeping: Arc::new(bookkeeping),
            partitions: Mutex::new(partitions),
            dropping: RwLock::new(()),
            family_options,
            present: ReadOptions::default(),
            buffered: WriteOptions::default(),
            synced,
        })
    }

    /// Whether a directory holds a database.
    ///
    /// # Errors
    ///
    /// `Io` if the operating system does not let it look.
    pub(crate) fn exists(directory: &Path) -> Result<bool> {
        directory
            .join("CURRENT")
            .try_exists()
            .map_err(|error| cannot("look into", directory, error))
    }

    /// Whether files can be linked from one directory to the other.
    pub(crate) fn same_filesystem(one: &Path, other: &Path) -> bool {
        load::same_filesystem(one, other)
    }

    /// Removes a database that is not open, with what belongs to it.
    pub(crate) fn remove(directory: &Path) -> Result<()> {
        remove_all(directory)
    }

    fn writes(&self, durability: Durability) -> &WriteOptions {
        match durability {
            Durability::Buffered => &self.buffered,
            Durability::Synced => &self.synced,
        }
    }

    /// Says, only if the operation fails, what failed and where.
    fn failed(&self, doing: &'static str) -> impl FnOnce(rocksdb::Error) -> Error {
        move |error| context(format_args!("{doing} in {} failed", self.directory.display()))(error)
    }
}

impl Shard for Rocks {
    type Partition = ColumnFamily;
    type Snapshot = Snapshot;
    type Value = Pinned;
    type Cursor = RocksCursor;
    type Batch = RocksBatch;

    fn partitions(&self) -> Vec<PartitionName> {
        self.partitions.lock().keys().copied().collect()
    }

    fn partition(&self, name: PartitionName) -> Option<Arc<ColumnFamily>> {
        self.partitions.lock().get(&name).cloned()
    }

    fn create_partition(&self, name: PartitionName) -> Result<Arc<ColumnFamily>> {
        let family = family(name);
        self.db
            .create_cf(&family, &self.family_options)
            .map_err(self.failed("creating a partition"))?;
        let partition = ColumnFamily::open(&self.db, &family).map(Arc::new).ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("column family {family} vanished"))
        })?;
        self.partitions.lock().insert(name, Arc::clone(&partition));
        Ok(partition)
    }

    fn drop_partition(&self, name: PartitionName) -> Result<()> {
        let _dropping = self.dropping.write();
        // IMPORTANT: out of the list even if this fails. RocksDB drops the family first and then
        // writes a file of options; an error of the second leaves a dropped family, at which each
        // flush of all of them would end.
        let Some(partition) = self.partitions.lock().remove(&name) else { return Ok(()) };
        match partition.handle() {
            Handle::Named(_) => {
                self.db.drop_cf(&family(name)).map_err(self.failed("dropping a partition"))
            }
            Handle::Imported(imported) => link::drop_family(&self.db, imported),
        }
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
            .map_err(self.failed("a read"))
    }

    fn get_many(
        &self,
        partition: &Arc<ColumnFamily>,
        keys: &[&[u8]],
        read: Read<'_, Snapshot>,
    ) -> Result<Vec<Option<Pinned>>> {
        with_options(&self.present, read, |options| Pinned::get_many(partition, keys, options))
            .map_err(self.failed("a read"))
    }

    fn cursor(
        &self,
        partition: &Arc<ColumnFamily>,
        range: &KeyRange,
        direction: Direction,
        read: Read<'_, Snapshot>,
    ) -> Result<RocksCursor> {
        RocksCursor::open(partition, range, direction, read, limits(read))
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

    fn write(&self, batch: RocksBatch, durability: Durability) -> Result<()> {
        self.db.write_opt(batch.0, self.writes(durability)).map_err(self.failed("a batch"))
    }

    fn can_link(&self, source: &Self) -> bool {
        load::same_filesystem(&self.directory, &source.directory)
    }

    fn link_partition(
        &self,
        name: PartitionName,
        source: &ColumnFamily,
    ) -> Result<Arc<ColumnFamily>> {
        let scratch = load::Scratch::claim(&self.scratch, name)?;
        let export = source.export(scratch.path())?;
        crate::failpoint::hit("link-after-export");
        if load::is_empty(scratch.path())? {
            // RocksDB refuses to import nothing.
            return self.create_partition(name);
        }
        let imported = link::import(&self.db, &self.family_options, &family(name), &export)?;
        let partition = Arc::new(ColumnFamily::imported(&self.db, imported));
        self.partitions.lock().insert(name, Arc::clone(&partition));
        // RocksDB syncs its manifest, but after an import not the directory with the new names.
        load::sync_directory(&self.directory)?;
        Ok(partition)
    }

    fn load_partition(
        &self,
        name: PartitionName,
        fill: impl FnOnce(&mut PutRow<'_>) -> Result<()>,
    ) -> Result<Arc<ColumnFamily>> {
        let scratch = load::Scratch::claim(&self.scratch, name)?;
        let files = load::write_files(&self.family_options, scratch.path(), fill)?;
        crate::failpoint::hit("load-after-files");
        let partition = self.create_partition(name)?;
        crate::failpoint::hit("load-after-create");
        if !files.is_empty() {
            self.db
                .ingest_external_file_cf_opts(partition.handle(), &load::ingestion(), files)
                .map_err(self.failed("taking over files"))?;
        }
        load::sync_directory(&self.directory)?;
        Ok(partition)
    }

    fn bytes_in(&self, partition: &ColumnFamily, range: &KeyRange) -> Result<u64> {
        Ok(sizes::bytes_in(&self.db, partition, range))
    }

    fn sample_keys(&self, name: PartitionName) -> Result<Vec<Vec<u8>>> {
        sizes::file_boundaries(&self.db, &family(name)).map_err(self.failed("listing files"))
    }

    fn bytes_free(&self) -> Option<u64> {
        load::bytes_free(&self.directory)
    }

    fn sync(&self) -> Result<()> {
        self.db.flush_wal(true).map_err(self.failed("syncing the write-ahead log"))
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
        sizes::usage(&self.db, partition).map_err(self.failed("reading a property"))
    }

    fn keep_few_files(&self, partition: &ColumnFamily, few: bool) -> Result<()> {
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

/// Removes a directory with what is in it, if it is there.
fn remove_all(directory: &Path) -> Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(cannot("remove", directory, error))
        }
        _ => Ok(()),
    }
}

fn cannot(doing: &str, path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot {doing} {}: {error}", path.display()))
        .with_source(error)
}

/// Runs a read with the options it asks for. The usual cases, the present state or a snapshot
/// without a limit, use options made once.
#[inline]
fn with_options<T>(
    present: &ReadOptions,
    read: Read<'_, Snapshot>,
    run: impl FnOnce(&ReadOptions) -> T,
) -> T {
    match read {
        Read { at: None, deadline: None, bypass_cache: false, .. } => run(present),
        Read { at: Some(snapshot), deadline: None, bypass_cache: false, .. } => {
            run(snapshot.reads())
        }
        _ => {
            let mut options = limits(read);
            if let Some(snapshot) = read.at {
                snapshot.apply_to(&mut options);
            }
            run(&options)
        }
    }
}

/// New options with a read's deadline, and how it uses cache and files.
fn limits(read: Read<'_, Snapshot>) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_readahead_size(read.read_ahead.unwrap_or(0));
    options.fill_cache(!read.bypass_cache);
    if let Some(micros) = read.deadline.and_then(unix_micros) {
        options.set_deadline(micros);
    }
    options
}

/// RocksDB takes a deadline as microseconds since the Unix epoch, in 63 bits. A deadline that has
/// passed becomes the earliest one that is not zero, since zero means none; one beyond the 63 bits
/// is none.
fn unix_micros(deadline: Instant) -> Option<u64> {
    let left = deadline.saturating_duration_since(Instant::now());
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let micros = i64::try_from(since_epoch.checked_add(left)?.as_micros()).ok()?;
    u64::try_from(micros.max(1)).ok()
}
