//! What the store asks of a shard, done by RocksDB.

use super::super::{Direction, Engine, PutRow, Read, Usage};
use super::batch::RocksDbBatch;
use super::config::{FEW_FIRST_LEVEL_FILES, FIRST_LEVEL_FILES};
use super::cursor::RocksDbCursor;
use super::database::{self, RocksDb};
use super::error::is_not_in_memory;
use super::handles::{ColumnFamily, Handle, Pinned, Snapshot};
use super::names::family;
use super::reads::{limits, memory_only, with_options};
use super::{import, ingest, stats};
use crate::error::{Error, ErrorKind, Result};
use crate::log::Position;
use crate::placement::KeyRange;
use crate::topology::PartitionName;
use rocksdb::{BottommostLevelCompaction, CompactOptions, FlushOptions};
use std::path::Path;
use std::sync::Arc;

impl Engine for RocksDb {
    type Partition = Arc<ColumnFamily>;
    type Snapshot = Arc<Snapshot>;
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
        // What is written to it is in the log from here on.
        self.create(name, |flushes, log| flushes.add(name, || log.applied()))
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
        self.flushes.remove(name);
        self.expiring.remove(name);
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

    #[inline]
    fn get(
        &self,
        partition: &Arc<ColumnFamily>,
        key: &[u8],
        read: Read<'_, Arc<Snapshot>>,
    ) -> Result<Option<Pinned>> {
        with_options(&self.present, read, |options| Pinned::get(partition, key, options))
            .map_err(self.failed_in(partition, "a read"))
    }

    #[inline]
    fn get_from_memory(
        &self,
        partition: &Arc<ColumnFamily>,
        key: &[u8],
        at: Option<&Arc<Snapshot>>,
    ) -> Result<Option<Option<Pinned>>> {
        let found = match at {
            None => Pinned::get(partition, key, &self.in_memory),
            Some(snapshot) => {
                let mut options = memory_only();
                snapshot.apply_to(&mut options);
                Pinned::get(partition, key, &options)
            }
        };
        match found {
            Ok(value) => Ok(Some(value)),
            Err(error) if is_not_in_memory(&error) => Ok(None),
            Err(error) => Err(self.failed_in(partition, "a read")(error)),
        }
    }

    fn get_many(
        &self,
        partition: &Arc<ColumnFamily>,
        keys: &[&[u8]],
        read: Read<'_, Arc<Snapshot>>,
    ) -> Result<Vec<Option<Pinned>>> {
        with_options(&self.present, read, |options| Pinned::get_many(partition, keys, options))
            .map_err(self.failed_in(partition, "a read"))
    }

    fn cursor(
        &self,
        partition: &Arc<ColumnFamily>,
        range: &KeyRange,
        direction: Direction,
        read: Read<'_, Arc<Snapshot>>,
    ) -> Result<RocksDbCursor> {
        RocksDbCursor::open(partition, range, direction, read, limits(read))
    }

    fn snapshot(&self) -> Result<Arc<Snapshot>> {
        Ok(Arc::new(Snapshot::new(&self.db)))
    }

    #[inline]
    fn batch(&self) -> RocksDbBatch {
        RocksDbBatch::default()
    }

    #[inline]
    fn put(&self, partition: &Arc<ColumnFamily>, key: &[u8], value: &[u8]) -> Result<()> {
        if let Some(overlay) = partition.overlay() {
            return overlay.put(key, value);
        }
        self.check_failpoint("apply")?;
        self.db
            .put_cf_opt(partition.handle(), key, value, &self.writes)
            .map_err(self.failed("a write"))
    }

    #[inline]
    fn delete(&self, partition: &Arc<ColumnFamily>, key: &[u8]) -> Result<()> {
        if let Some(overlay) = partition.overlay() {
            return overlay.delete(key);
        }
        self.check_failpoint("apply")?;
        self.db
            .delete_cf_opt(partition.handle(), key, &self.writes)
            .map_err(self.failed("a delete"))
    }

    fn write(&self, batch: RocksDbBatch) -> Result<()> {
        self.write_batch(batch, &self.writes)
    }

    fn write_at_once(&self, batch: RocksDbBatch) -> Result<()> {
        let mut at_once = database::writes();
        at_once.set_no_slowdown(true);
        self.write_batch(batch, &at_once)
    }

    fn can_link(&self, source: &Self) -> bool {
        ingest::same_filesystem(&self.directory, &source.directory)
    }

    fn link_partition(
        &self,
        name: PartitionName,
        source: &Arc<ColumnFamily>,
    ) -> Result<Arc<ColumnFamily>> {
        let scratch = ingest::Scratch::claim(&self.scratch, name)?;
        let export = source.export(scratch.path())?;
        crate::os::failpoint::hit("link-after-export");
        if ingest::is_empty(scratch.path())? {
            // RocksDB refuses to import an empty set of files.
            return self.create(name, |flushes, log| flushes.add_behind(name, || log.first()));
        }
        self.sync_before_arrival()?;
        let partition = self.add(
            name,
            |flushes, log| flushes.add_behind(name, || log.first()),
            || {
                let made =
                    import::import(&self.db, &self.family_options(name), &family(name), &export);
                made.map_err(|error| self.describe("taking over files", error))
            },
        )?;
        // RocksDB syncs its manifest, but after an import not the directory with the new names.
        self.sync_after_arrival()?;
        Ok(partition)
    }

    fn load_partition(
        &self,
        name: PartitionName,
        fill: impl FnOnce(&mut PutRow<'_>) -> Result<()>,
    ) -> Result<Arc<ColumnFamily>> {
        let scratch = ingest::Scratch::claim(&self.scratch, name)?;
        let files = ingest::write_files(&self.family_options(name), scratch.path(), fill)?;
        crate::os::failpoint::hit("load-after-files");
        let partition =
            self.create(name, |flushes, log| flushes.add_behind(name, || log.first()))?;
        crate::os::failpoint::hit("load-after-create");
        self.sync_before_arrival()?;
        if !files.is_empty() {
            self.db
                .ingest_external_file_cf_opts(partition.handle(), &ingest::ingestion(), files)
                .map_err(self.failed("taking over files"))?;
        }
        self.sync_after_arrival()?;
        Ok(partition)
    }

    fn bytes_in(&self, partition: &Arc<ColumnFamily>, range: &KeyRange) -> Result<u64> {
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

    fn unflushed_from(&self) -> Position {
        let (applied, families) = self.flushed();
        families.iter().map(|family| family.before).min().unwrap_or(applied)
    }

    fn follow(&self, partition: &Arc<ColumnFamily>, from: Position) {
        if let Some(name) = self.name_of(partition) {
            self.flushes.follow(name, from);
        }
    }

    fn stop_following(&self, partition: &Arc<ColumnFamily>) {
        if let Some(name) = self.name_of(partition) {
            self.flushes.stop_following(name);
        }
    }

    fn begin_flush_before(&self, position: Position) -> Result<()> {
        let _none_dropped = self.dropping.read();
        let (_, families) = self.flushed();
        // One that does not follow yet would not be held less far back for it.
        for family in families.iter().filter(|family| family.follows && family.before < position) {
            let Some(partition) = self.partition(family.name) else { continue };
            // Otherwise a flush is on its way, and another memtable could stop writers. What has
            // been written since is for a later call.
            if stats::sealed_memtables(&self.db, &partition) == Some(0) {
                import::begin_flush(&self.db, partition.handle())
                    .map_err(|error| self.describe("beginning a flush", error))?;
            }
        }
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        let _none_dropped = self.dropping.read();
        let partitions = self.partitions.lock().clone();
        let handles: Vec<_> = partitions.values().map(|partition| partition.handle()).collect();
        let flush = || self.db.flush_cfs_opt(&handles, &waiting());
        self.flush_and_note(flush, |name| partitions.contains_key(&name))
    }

    fn flush_partition(&self, partition: &Arc<ColumnFamily>) -> Result<()> {
        let name = self.name_of(partition);
        let flush = || self.db.flush_cf_opt(partition.handle(), &waiting());
        self.flush_and_note(flush, |flushed| Some(flushed) == name)
    }

    fn usage(&self, partition: &Arc<ColumnFamily>) -> Result<Usage> {
        stats::usage(&self.db, partition).map_err(self.failed("reading a property"))
    }

    fn compact(&self, partition: &Arc<ColumnFamily>) -> Result<()> {
        self.flush_partition(partition)?;
        let mut all = CompactOptions::default();
        all.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        // Along with compactions that the engine decides on.
        all.set_exclusive_manual_compaction(false);
        self.db.compact_range_cf_opt::<&[u8], &[u8]>(partition.handle(), None, None, &all);
        Ok(())
    }

    fn set_few_first_level_files(&self, partition: &Arc<ColumnFamily>, few: bool) -> Result<()> {
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

/// Returns the options of a flush whose end is waited for.
fn waiting() -> FlushOptions {
    let mut options = FlushOptions::default();
    options.set_wait(true);
    options
}
