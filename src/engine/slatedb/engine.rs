//! What the store asks of a shard, done by SlateDB.

use super::batch::{Op, SlateBatch};
use super::cursor::SlateCursor;
use super::database::SlateDb;
use super::handles::{Partition, Snapshot};
use crate::engine::{Direction, Engine, PutRow, Read, Usage};
use crate::error::{Error, ErrorKind, Result};
use crate::log::Position;
use crate::os::failpoint;
use crate::placement::KeyRange;
use crate::topology::PartitionName;
use futures::future::try_join_all;
use slatedb::IterationOrder;
use slatedb::bytes::Bytes;
use slatedb::config::{FlushOptions, FlushType, ReadOptions, ScanOptions};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long a write waits that must not wait until there is room in memory: SlateDB passes each to
/// another thread.
const AT_ONCE: Duration = Duration::from_millis(200);

/// How many bytes of rows are loaded at once.
const LOAD_BYTES: u64 = 256 << 10;

/// How many bytes of a table a scan reads at once, if nothing else is asked for.
const READ_AHEAD: usize = 64 << 10;

impl Engine for SlateDb {
    type Partition = Arc<Partition>;
    type Snapshot = Arc<Snapshot>;
    type Value = Bytes;
    type Cursor = SlateCursor;
    type WriteBatch = SlateBatch;

    fn partitions(&self) -> Vec<PartitionName> {
        self.partitions.lock().keys().copied().collect()
    }

    fn partition(&self, name: PartitionName) -> Option<Arc<Partition>> {
        self.partitions.lock().get(&name).map(Arc::clone)
    }

    fn create_partition(&self, name: PartitionName) -> Result<Arc<Partition>> {
        if self.is_stranded(name) {
            return Err(self.stranded(name));
        }
        // What is written to it is in the log from here on.
        self.list(name, |flushes| flushes.add(name, || self.log.applied()))
    }

    fn is_stranded(&self, name: PartitionName) -> bool {
        self.draining.lock().contains(&name)
    }

    fn drop_partition(&self, name: PartitionName) -> Result<()> {
        let Some(partition) = self.unlist(name)? else { return Ok(()) };
        self.flushes.remove(name);
        self.expiring.remove(name);
        self.draining.lock().insert(name);
        // Its last handle removes its rows.
        partition.is_dropped.store(true, Ordering::Release);
        Ok(())
    }

    fn get(
        &self,
        partition: &Arc<Partition>,
        key: &[u8],
        read: Read<'_, Arc<Snapshot>>,
    ) -> Result<Option<Bytes>> {
        self.open.wait("a read", read.deadline, self.get_one(partition, key, read))
    }

    fn get_from_memory(
        &self,
        _: &Arc<Partition>,
        _: &[u8],
        _: Option<&Arc<Snapshot>>,
    ) -> Result<Option<Option<Bytes>>> {
        // SlateDB does not say what a read would need.
        Ok(None)
    }

    fn get_many(
        &self,
        partition: &Arc<Partition>,
        keys: &[&[u8]],
        read: Read<'_, Arc<Snapshot>>,
    ) -> Result<Vec<Option<Bytes>>> {
        // Of one moment; and together, since each may be a request.
        let present = match read.at {
            None => Some(self.snapshot()?),
            Some(_) => None,
        };
        let read = Read { at: read.at.or(present.as_ref()), ..read };
        let all = try_join_all(keys.iter().map(|key| self.get_one(partition, key, read)));
        self.open.wait("a read", read.deadline, all)
    }

    fn cursor(
        &self,
        partition: &Arc<Partition>,
        range: &KeyRange,
        direction: Direction,
        read: Read<'_, Arc<Snapshot>>,
    ) -> Result<SlateCursor> {
        let start = partition.prefix.key(&range.start);
        let end = range.end.as_ref();
        let end = end.map_or_else(|| partition.prefix.end(), |end| partition.prefix.key(end));
        // SlateDB panics where it is asked for an empty range.
        if start >= end {
            return SlateCursor::new(None, read.deadline, &self.open, read.at);
        }
        let order = match direction {
            Direction::Forward => IterationOrder::Ascending,
            Direction::Reverse => IterationOrder::Descending,
        };
        let options = ScanOptions::new()
            .with_order(order)
            .with_cache_blocks(!read.bypass_cache)
            .with_read_ahead_bytes(read.read_ahead.unwrap_or(READ_AHEAD))
            .with_max_fetch_tasks(4);
        let rows = self.open.wait("a scan", read.deadline, async {
            match read.at {
                Some(at) => at.inner.scan_with_options(start..end, &options).await,
                None => self.open.db.scan_with_options(start..end, &options).await,
            }
        })?;
        SlateCursor::new(Some(rows), read.deadline, &self.open, read.at)
    }

    fn snapshot(&self) -> Result<Arc<Snapshot>> {
        let place = &self.open.place;
        let inner = self.open.db.snapshot();
        let inner = inner
            .map_err(|error| super::error::failed(format_args!("a snapshot at {place}"), error))?;
        Ok(Arc::new(Snapshot { inner, _open: Arc::clone(&self.open) }))
    }

    fn batch(&self) -> SlateBatch {
        SlateBatch::default()
    }

    fn put(&self, partition: &Arc<Partition>, key: &[u8], value: &[u8]) -> Result<()> {
        self.check_failpoint("apply")?;
        let (key, value) = (partition.prefix.key(key), Bytes::copy_from_slice(value));
        let bytes = (key.len() + value.len()) as u64;
        let handle = self.open.wait("a write", None, self.open.db.put_bytes(key, value))?;
        self.note_written(handle.seqnum());
        partition.in_memory.lock().add(bytes, handle.seqnum(), self.open.flushed());
        Ok(())
    }

    fn delete(&self, partition: &Arc<Partition>, key: &[u8]) -> Result<()> {
        let mut batch = self.batch();
        batch.add(partition, Op::Delete(partition.prefix.key(key)));
        self.write(batch)
    }

    fn write(&self, batch: SlateBatch) -> Result<()> {
        self.check_failpoint("apply")?;
        self.apply(batch, None)
    }

    /// IMPORTANT: after an error the batch may be applied all the same, at once or later, but before
    /// what is written after it: SlateDB takes writes in order. Who calls this writes the same again.
    fn write_at_once(&self, batch: SlateBatch) -> Result<()> {
        self.check_failpoint("apply")?;
        self.apply(batch, Some(Instant::now() + AT_ONCE)).map_err(|error| match error.kind() {
            ErrorKind::DeadlineExceeded => Error::new(
                ErrorKind::Busy,
                format!("the memory of the shard at {} is full", self.open.place),
            ),
            _ => error,
        })
    }

    fn can_link(&self, _: &Self) -> bool {
        // No database takes tables of another one.
        false
    }

    fn link_partition(&self, name: PartitionName, _: &Arc<Partition>) -> Result<Arc<Partition>> {
        Err(Error::invalid(format!(
            "partition {name} cannot be linked to {}: a shard in an object store takes copies only",
            self.open.place
        )))
    }

    fn load_partition(
        &self,
        name: PartitionName,
        fill: impl FnOnce(&mut PutRow<'_>) -> Result<()>,
    ) -> Result<Arc<Partition>> {
        if self.is_stranded(name) {
            return Err(self.stranded(name));
        }
        // IMPORTANT: not in the list before all of it is in tables.
        let partition = Partition::new(name, &self.open);
        let loaded = self.load_rows(&partition, fill).and_then(|()| {
            failpoint::hit("load-after-files");
            self.list(name, |flushes| flushes.add_behind(name, || self.log.first()))
        });
        loaded.inspect_err(|_| self.drain(name))
    }

    fn bytes_in(&self, partition: &Arc<Partition>, range: &KeyRange) -> Result<u64> {
        self.bytes_of_range(partition, range)
    }

    fn sample_keys(&self, name: PartitionName) -> Result<Vec<Vec<u8>>> {
        match self.partition(name) {
            Some(partition) => self.keys_of_blocks(&partition),
            None => Ok(Vec::new()),
        }
    }

    fn bytes_free(&self) -> Option<u64> {
        None
    }

    fn unflushed_from(&self) -> Position {
        let (applied, families) = self.flushed();
        families.iter().map(|family| family.before).min().unwrap_or(applied)
    }

    fn follow(&self, partition: &Arc<Partition>, from: Position) {
        self.flushes.follow(partition.name, from);
    }

    fn stop_following(&self, partition: &Arc<Partition>) {
        self.flushes.stop_following(partition.name);
    }

    fn begin_flush_before(&self, position: Position) -> Result<()> {
        let (_, families) = self.flushed();
        // One that does not follow yet would not be held less far back for it.
        let any = families.iter().any(|family| family.follows && family.before < position);
        if !any || self.is_flushing.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let (db, flushing) = (self.open.db.clone(), Arc::clone(&self.is_flushing));
        let at = self.open.place.to_string();
        self.open.place.threads.spawn_detached(async move {
            let options = FlushOptions { flush_type: FlushType::MemTable };
            if let Err(error) = db.flush_with_options(options).await {
                tracing::warn!(%error, place = at, "cannot flush what keeps the log long");
            }
            flushing.store(false, Ordering::Release);
        });
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        self.flush_all()
    }

    fn flush_partition(&self, _: &Arc<Partition>) -> Result<()> {
        // One memtable has the rows of all.
        self.flush_all()
    }

    fn usage(&self, partition: &Arc<Partition>) -> Result<Usage> {
        self.usage_of(partition)
    }

    fn compact(&self, partition: &Arc<Partition>) -> Result<()> {
        self.compact_partition(partition)
    }

    fn set_few_first_level_files(&self, _: &Arc<Partition>, _: bool) -> Result<()> {
        // SlateDB has one policy for all segments of a database.
        Ok(())
    }

    fn retire(&self, _: &Path) {
        Self::retire(self);
    }

    /// The database goes on until its last handle goes, since its reads end with it: nothing that it
    /// does by itself concerns the store's directories.
    fn quiesce(&self) {}
}

impl SlateDb {
    async fn get_one(
        &self,
        partition: &Partition,
        key: &[u8],
        read: Read<'_, Arc<Snapshot>>,
    ) -> std::result::Result<Option<Bytes>, slatedb::Error> {
        let options = ReadOptions::new().with_cache_blocks(!read.bypass_cache);
        let key = partition.prefix.key(key);
        match read.at {
            Some(at) => at.inner.get_with_options(key, &options).await,
            None => self.open.db.get_with_options(key, &options).await,
        }
    }

    fn load_rows(
        &self,
        partition: &Arc<Partition>,
        fill: impl FnOnce(&mut PutRow<'_>) -> Result<()>,
    ) -> Result<()> {
        let (mut batch, mut bytes) = (self.batch(), 0);
        fill(&mut |key, value| {
            let put = Op::Put(partition.prefix.key(key), Bytes::copy_from_slice(value));
            batch.add(partition, put);
            bytes += (key.len() + value.len()) as u64;
            if bytes < LOAD_BYTES {
                return Ok(());
            }
            bytes = 0;
            self.apply(std::mem::take(&mut batch), None)
        })?;
        self.apply(batch, None)?;
        self.flush_all()
    }

    /// Returns the error of an operation that a test makes fail.
    fn check_failpoint(&self, operation: &str) -> Result<()> {
        if failpoint::fails(operation) {
            let place = &self.open.place;
            let message = format!("a {operation} at {place} failed, as a test asked");
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        Ok(())
    }
}
