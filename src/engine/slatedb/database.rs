//! A shard's database and what belongs to it: opening, its partitions, writes, what is in tables.

use super::batch::{Op, SlateBatch};
use super::compaction::drain_all;
use super::error::unavailable;
use super::expire::ExpiredRows;
use super::guarded::Guarded;
use super::handles::{OpenDb, Partition};
use super::lists::{Lists, probe};
use super::names::{Segments, name_of};
use super::place::ObjectPlace;
use super::shared::{compactor, settings, unavailable_after};
use crate::engine::expiring::ExpiringPartitions;
use crate::engine::flushes::{FlushState, Flushes};
use crate::engine::{LockGuard, Resources};
use crate::error::{Error, ErrorKind, Result};
use crate::expiry::Expiring;
use crate::log::{CommitLog, Position};
use crate::topology::PartitionName;
use parking_lot::Mutex;
use slatedb::bytes::Bytes;
use slatedb::config::{FlushOptions, FlushType, ScanOptions};
use slatedb::object_store::ObjectStore;
use slatedb::{CompactorBuilder, Db, WriteBatch};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// A shard on SlateDB.
pub(crate) struct SlateDb {
    pub(super) open: Arc<OpenDb>,
    pub(super) partitions: Mutex<BTreeMap<PartitionName, Arc<Partition>>>,
    /// The list of partitions in the object store. Held while it is changed.
    pub(super) lists: Mutex<Lists>,
    /// Names under which there are still rows of a partition that was dropped, or not loaded whole.
    pub(super) draining: Arc<Mutex<BTreeSet<PartitionName>>>,
    pub(super) log: Arc<CommitLog>,
    /// Up to where tables hold each partition.
    pub(super) flushes: Flushes,
    /// The greatest number that SlateDB has returned for a write.
    pub(super) written: AtomicU64,
    pub(super) is_flushing: Arc<AtomicBool>,
    pub(super) expiring: Arc<ExpiringPartitions>,
    /// The rows of tables: puts, and deletions.
    pub(super) rows_of_tables: Mutex<BTreeMap<u128, (u64, u64)>>,
}

impl SlateDb {
    /// Opens the database at a place, and takes it over from any other process that has it open;
    /// creates it if there is none. Everything that was written to it before the log's first
    /// position is in its tables; the caller applies what the log holds.
    ///
    /// # Errors
    ///
    /// `Unavailable`, `Fenced`, `Damaged`; `InvalidArgument` if there is none yet and the object
    /// store does not keep what a shard relies on.
    pub(crate) fn open(
        place: &ObjectPlace,
        resources: &Resources,
        keep: LockGuard,
        log: &Arc<CommitLog>,
    ) -> Result<Self> {
        if !Self::exists(place)? {
            probe(place)?;
        }
        let guarded = Guarded::new(Arc::clone(&place.store), Arc::clone(log));
        let db = build(place, resources, &guarded)?;
        let (lists, names) = Lists::open(place)?;
        let draining: Arc<Mutex<BTreeSet<PartitionName>>> = Arc::default();
        let (drained, to_drain) = tokio::sync::mpsc::unbounded_channel();
        let drainer = drain_all(&db, place, &guarded, &draining, to_drain);
        let status = db.subscribe();
        let open = Arc::new(OpenDb {
            status,
            place: place.clone(),
            guarded,
            drained,
            drainer: Mutex::new(Some(drainer)),
            is_retired: AtomicBool::new(false),
            unavailable_after: AtomicU64::new(unavailable_after().as_millis() as u64),
            _keep: keep,
            db,
        });
        let flushes = Flushes::default();
        let mut partitions = BTreeMap::new();
        for name in names {
            flushes.add(name, || log.first());
            partitions.insert(name, Partition::new(name, &open));
        }
        let shard = Self {
            written: AtomicU64::new(open.flushed()),
            open,
            partitions: Mutex::new(partitions),
            lists: Mutex::new(lists),
            draining,
            log: Arc::clone(log),
            flushes,
            is_flushing: Arc::default(),
            expiring: Arc::clone(&resources.expiring),
            rows_of_tables: Mutex::default(),
        };
        shard.drain_what_no_list_names();
        Ok(shard)
    }

    /// Returns true if a place holds a database.
    ///
    /// # Errors
    ///
    /// `Unavailable`, `Io`.
    pub(crate) fn exists(place: &ObjectPlace) -> Result<bool> {
        use futures::StreamExt as _;
        let lists = place.lists();
        let mut there = place.store.list(Some(&lists));
        place.ask("a look at", async { there.next().await.transpose() }).map(|it| it.is_some())
    }

    /// Returns the place of the shard.
    pub(crate) fn place(&self) -> &ObjectPlace {
        &self.open.place
    }

    /// Removes the shard's objects once no one holds anything of it any more, and after them the
    /// one that says whose they are.
    pub(crate) fn retire(&self) {
        self.open.is_retired.store(true, Ordering::Release);
    }

    /// Returns what is shared of the keyspace of a partition, if its rows expire.
    pub(crate) fn expiring(&self, name: PartitionName) -> Option<Arc<Expiring>> {
        self.expiring.get(name)
    }

    /// Removes tables that a crash has left of partitions that were dropped, or not loaded whole.
    fn drain_what_no_list_names(&self) {
        for segment in self.open.db.status().list_segments() {
            let Some(name) = name_of(&segment.prefix) else { continue };
            if !self.partitions.lock().contains_key(&name) {
                self.drain(name);
            }
        }
    }

    /// Removes, in the background, what there is under a name that no list has.
    pub(super) fn drain(&self, name: PartitionName) {
        self.draining.lock().insert(name);
        // It is taken for as long as the database is open.
        let _ = self.open.drained.send(name);
    }

    /// Adds a partition to the list; durable when it returns.
    pub(super) fn list(
        &self,
        name: PartitionName,
        note: impl FnOnce(&Flushes),
    ) -> Result<Arc<Partition>> {
        let mut lists = self.lists.lock();
        note(&self.flushes);
        let mut names = self.names();
        names.insert(name);
        lists.replace(&names).inspect_err(|_| self.flushes.remove(name))?;
        let partition = Partition::new(name, &self.open);
        self.partitions.lock().insert(name, Arc::clone(&partition));
        Ok(partition)
    }

    /// Takes a partition off the list. Returns it if it was there.
    pub(super) fn unlist(&self, name: PartitionName) -> Result<Option<Arc<Partition>>> {
        let mut lists = self.lists.lock();
        let mut names = self.names();
        if !names.remove(&name) {
            return Ok(None);
        }
        // After an error it is there still, for this process and for the next change of the list.
        lists.replace(&names)?;
        Ok(self.partitions.lock().remove(&name))
    }

    fn names(&self) -> BTreeSet<PartitionName> {
        self.partitions.lock().keys().copied().collect()
    }

    /// Applies a batch. `deadline` is for one that must not wait until there is room in memory.
    pub(super) fn apply(&self, mut batch: SlateBatch, deadline: Option<Instant>) -> Result<()> {
        let bytes = std::mem::take(&mut batch.bytes);
        let writes = self.writes(batch)?;
        if writes.is_empty() {
            return Ok(());
        }
        let handle = self.open.wait("a write", deadline, self.open.db.write(writes))?;
        self.note_written(handle.seqnum());
        let flushed = self.open.flushed();
        for (partition, bytes) in bytes.into_values() {
            partition.in_memory.lock().add(bytes, handle.seqnum(), flushed);
        }
        Ok(())
    }

    /// Notes a write that is in memory. IMPORTANT: before its record is no longer in flight.
    pub(super) fn note_written(&self, number: u64) {
        self.written.fetch_max(number, Ordering::AcqRel);
    }

    /// Returns a batch in SlateDB's form, which has no deletions of ranges: they become those of the
    /// rows there are. The caller keeps other writers away from the range.
    fn writes(&self, batch: SlateBatch) -> Result<WriteBatch> {
        let mut writes = WriteBatch::new();
        if !batch.deletes_ranges {
            for op in batch.ops {
                match op {
                    Op::Put(key, value) => writes.put_bytes(key, value),
                    Op::Delete(key) => writes.delete(key),
                    Op::DeleteRange(..) => {}
                }
            }
            return Ok(writes);
        }
        let mut last: BTreeMap<Bytes, Option<Bytes>> = BTreeMap::new();
        for op in batch.ops {
            match op {
                Op::Put(key, value) => drop(last.insert(key, Some(value))),
                Op::Delete(key) => drop(last.insert(key, None)),
                Op::DeleteRange(start, end) => {
                    last.range_mut(start.clone()..end.clone()).for_each(|(_, value)| *value = None);
                    for key in self.keys(start, end)? {
                        last.insert(key, None);
                    }
                }
            }
        }
        for (key, value) in last {
            match value {
                Some(value) => writes.put_bytes(key, value),
                None => writes.delete(key),
            }
        }
        Ok(writes)
    }

    /// Returns the keys that there are in a range, as the database has them.
    fn keys(&self, start: Bytes, end: Bytes) -> Result<Vec<Bytes>> {
        /// How many bytes of a table are read at once.
        const READ_AHEAD: usize = 1 << 20;
        let options = ScanOptions::new().with_read_ahead_bytes(READ_AHEAD).with_cache_blocks(false);
        self.open.wait("a scan", None, async {
            let mut rows = self.open.db.scan_with_options(start..end, &options).await?;
            let mut keys = Vec::new();
            while let Some(row) = rows.next().await? {
                keys.push(row.key);
            }
            Ok(keys)
        })
    }

    /// Returns the log's `applied()`, and up to where tables hold each partition.
    ///
    /// IMPORTANT: the number of the last write is asked after the position. What was applied to a
    /// partition before the position, if it followed then, has a number that is not above that one;
    /// so it is in tables when the writes up to that number are, whatever becomes of the partition
    /// meanwhile.
    pub(super) fn flushed(&self) -> (Position, Vec<FlushState>) {
        let (applied, families) = self.flushes.state(|| self.log.applied());
        let written = self.written.load(Ordering::Acquire);
        let flushed = self.open.flushed();
        for family in families.iter().filter(|family| family.follows) {
            self.flushes.seal(family.name, written, || applied);
            self.flushes.install(family.name, flushed);
        }
        self.flushes.state(|| applied)
    }

    /// Makes tables of what is in memory, and waits for it.
    pub(super) fn flush_all(&self) -> Result<()> {
        let (applied, families) = self.flushes.state(|| self.log.applied());
        let written = self.written.load(Ordering::Acquire);
        let options = FlushOptions { flush_type: FlushType::MemTable };
        let flushed = self.open.wait("a flush", None, self.open.db.flush_with_options(options));
        if let Err(error) = flushed {
            // If the log cannot be synced, that is why.
            self.log.check()?;
            return Err(error);
        }
        if self.open.flushed() < written {
            return Err(unavailable(
                format_args!("a flush at {}", self.open.place),
                unavailable_after().as_secs(),
            ));
        }
        for family in families.iter().filter(|family| family.follows) {
            self.flushes.reach(family.name, applied);
        }
        Ok(())
    }

    /// Reads every row in tables, and with them the checksum of every block that has rows.
    ///
    /// # Errors
    ///
    /// `Damaged`, with the first object that is; `Unavailable`.
    pub(crate) fn verify_checksums(&self) -> Result<()> {
        let options = ScanOptions::new().with_read_ahead_bytes(1 << 20).with_cache_blocks(false);
        let partitions: Vec<_> = self.partitions.lock().values().map(Arc::clone).collect();
        for partition in partitions {
            let (start, end) = (partition.prefix.bytes(), partition.prefix.end());
            let opening = self.open.db.scan_with_options(start..end, &options);
            let mut rows = self.open.wait("checking the tables", None, opening)?;
            while self.open.wait("checking the tables", None, rows.next())?.is_some() {}
        }
        Ok(())
    }

    /// Sets how long calls wait for the object store.
    #[cfg(test)]
    pub(super) fn set_unavailable_after(&self, most: std::time::Duration) {
        self.open.unavailable_after.store(most.as_millis() as u64, Ordering::Relaxed);
        self.open.place.set_request_max(most);
    }

    /// Returns how many partitions have rows in tables.
    #[cfg(test)]
    pub(super) fn segments(&self) -> usize {
        self.open.db.manifest().segments().len()
    }

    /// Returns the error of a use of a name under which there are still rows.
    #[cold]
    pub(super) fn stranded(&self, name: PartitionName) -> Error {
        Error::new(
            ErrorKind::Busy,
            format!(
                "the rows of an earlier partition {name} are still being removed from {}; try again",
                self.open.place
            ),
        )
    }
}

/// Opens or creates the database.
fn build(place: &ObjectPlace, resources: &Resources, guarded: &Arc<Guarded>) -> Result<Db> {
    let options = resources.options();
    let (cache, number) = resources.slatedb.cache(options);
    let store = Arc::clone(guarded) as Arc<dyn ObjectStore>;
    let expired = ExpiredRows::new(&resources.expiring);
    let building = async {
        let compactor = CompactorBuilder::new(place.data(), Arc::clone(&store))
            .with_options(compactor())
            .with_compaction_filter_supplier(Arc::new(expired));
        Db::builder(place.data(), Arc::clone(&store))
            .with_settings(settings(options))
            .with_db_cache(cache, number)
            .with_segment_extractor(Arc::new(Segments))
            .with_compactor_builder(compactor)
            .build()
            .await
    };
    let most = unavailable_after();
    let built = place.threads.wait(Some(Instant::now() + most), building);
    let doing = format!("opening the database at {place}");
    let built = built.ok_or_else(|| unavailable(&doing, most.as_secs()))?;
    built.map_err(|error| super::error::failed(&doing, error))
}
