//! What the store asks of a shard, done by RocksDB.

use super::super::{Direction, Engine, PutRow, Read, Usage};
use super::batch::RocksDbBatch;
use super::config::{FEW_FIRST_LEVEL_FILES, FIRST_LEVEL_FILES};
use super::cursor::RocksDbCursor;
use super::database::RocksDb;
use super::error::context;
use super::handles::{ColumnFamily, Handle, Pinned, Snapshot};
use super::names::family;
use super::reads::{limits, with_options};
use super::{import, ingest, stats};
use crate::engine::Durability;
use crate::error::{Error, ErrorKind, Result};
use crate::placement::KeyRange;
use crate::topology::PartitionName;
use rocksdb::FlushOptions;
use std::path::Path;
use std::sync::Arc;

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
