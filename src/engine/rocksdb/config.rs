//! The options of Annulus in RocksDB's terms.

use super::error::context;
use super::expire::remove_expired;
use super::names::parse_family;
use crate::engine::expiring::ExpiringPartitions;
use crate::engine::{Compression, EngineOptions, LogDamage};
use crate::error::Result;
use crate::os::descriptors::{raise_limit, share};
use parking_lot::Mutex;
use rocksdb::{
    BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, DataBlockIndexType, Env, LogLevel,
    Options as RocksOptions, WriteBufferManager,
};
use std::sync::Arc;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// How much of the largest memtable is a filter that saves reads of absent keys the search. Every
/// column family has one from the start, so it is small: 32 KiB with the default budget.
const MEMTABLE_FILTER_PART: f64 = 0.0005;

/// How many files of a partition's first level are merged into the next one: by default, which is
/// RocksDB's, and if it should have few.
pub(super) const FIRST_LEVEL_FILES: &str = "4";
pub(super) const FEW_FIRST_LEVEL_FILES: &str = "1";

/// A file with a run of this many entries, nearly all of them deletions, is compacted as soon as it is
/// written. The compaction drops the deletions; until then a scan steps over each of them, at half a
/// microsecond each. Only rows that are deleted in key order are this dense, as in a queue or in a
/// session that has ended; deletions among rows that stay are left to the usual compactions.
const DELETED_RUN: usize = 4096;
const DELETED_OF_RUN: usize = DELETED_RUN - DELETED_RUN / 64;

/// One thread for flushes in the pool that all instances of a process share: as long as each
/// instance adds one, no flush waits for that of another disk, and the flush that ends a commit of
/// the metadata does not wait for data. By itself RocksDB starts only one for all instances, since
/// they ask for fewer than eight jobs.
pub(super) struct FlushThread;

/// The pool of a process.
struct FlushPool {
    instances: usize,
    /// Never decreases.
    threads: usize,
}

static FLUSH_POOL: Mutex<FlushPool> = Mutex::new(FlushPool { instances: 0, threads: 0 });

impl FlushThread {
    pub(super) fn new() -> Self {
        let mut pool = FLUSH_POOL.lock();
        pool.instances += 1;
        if pool.instances > pool.threads {
            pool.threads = pool.instances;
            let threads = i32::try_from(pool.threads).unwrap_or(i32::MAX);
            // If this fails, flushes wait for one another, which is the only harm.
            let _ = Env::new().map(|mut env| env.set_high_priority_background_threads(threads));
        }
        Self
    }
}

impl Drop for FlushThread {
    fn drop(&mut self) {
        FLUSH_POOL.lock().instances -= 1;
    }
}

/// Whether RocksDB was compiled to compute its checksums in hardware: its build goes by the same
/// target features as this crate's.
pub(crate) const HARDWARE_CHECKSUMS: bool = cfg!(any(
    all(target_feature = "sse4.2", target_feature = "pclmulqdq"),
    all(target_arch = "aarch64", target_feature = "crc", target_feature = "aes"),
));

/// What all shards of a store share.
pub(crate) struct Resources {
    pub(super) cache: Cache,
    write_buffer: WriteBufferManager,
    options: EngineOptions,
    /// How many files each shard keeps open; `None` for all.
    open_files: Option<u32>,
    /// The partitions whose rows expire.
    pub(crate) expiring: Arc<ExpiringPartitions>,
    /// What shards on SlateDB share.
    #[cfg(feature = "slatedb")]
    #[cfg_attr(not(test), expect(dead_code, reason = "no store opens a shard on it yet"))]
    pub(in crate::engine) slatedb: crate::engine::slatedb::Shared,
}

impl Resources {
    pub(crate) fn new(options: &EngineOptions, shards: usize) -> Self {
        Self {
            cache: Cache::new_hyper_clock_cache(options.cache_bytes, 0),
            // Each shard's own limits decide when to stall writers: with a budget that all shards
            // share, a busy shard must not stop a quiet one.
            write_buffer: WriteBufferManager::new_write_buffer_manager(
                options.write_buffer_bytes,
                false,
            ),
            options: *options,
            open_files: options.open_files_per_shard.or_else(|| share(raise_limit(), shards)),
            expiring: Arc::default(),
            #[cfg(feature = "slatedb")]
            slatedb: crate::engine::slatedb::Shared::default(),
        }
    }

    /// Returns the settings of all engines.
    #[cfg(feature = "slatedb")]
    #[cfg_attr(not(test), expect(dead_code, reason = "no store opens a shard on SlateDB yet"))]
    pub(in crate::engine) fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Returns the number of threads that its instances share.
    pub(super) fn background_threads(&self) -> usize {
        self.options.background_threads
    }

    /// Returns what an opening does where a log is damaged.
    pub(super) fn log_damage(&self) -> LogDamage {
        self.options.log_damage
    }

    /// Returns how many tables n shards may have open, if that is bounded.
    pub(crate) fn tables_open_max(&self, shards: usize) -> Option<u64> {
        Some(u64::from(self.open_files?).saturating_mul(shards as u64))
    }

    pub(crate) fn cache_bytes_used(&self) -> usize {
        self.cache.get_usage()
    }

    pub(crate) fn write_buffer_bytes_used(&self) -> usize {
        self.write_buffer.get_usage()
    }

    /// Returns the options of a shard's database.
    ///
    /// What it has in memory when it is closed is in the store's log. IMPORTANT: a shutdown must
    /// not begin with a flush, as it does by default if there were writes without a log: it is
    /// announced by a flush, too, which would wait for itself.
    pub(super) fn shard_database(&self) -> Result<RocksOptions> {
        self.database("avoid_flush_during_shutdown=true")
    }

    /// Returns the options of the metadata's database, which has a log. A log records the length of
    /// the one before it, so that a lost end is noticed even where it was lost between two records.
    pub(super) fn metadata_database(&self) -> Result<RocksOptions> {
        // Recovered writes stay in memory.
        let mut options =
            self.database("avoid_flush_during_recovery=true;track_and_verify_wals=true")?;
        // A damaged or torn record ends the recovery of a write-ahead log: what was written
        // before it is kept, in order and over all column families.
        options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
        options.set_track_and_verify_wals_in_manifest(true);
        options.set_max_total_wal_size(self.wal_bytes_max());
        Ok(options)
    }

    /// Returns the options that all databases have. `others` are some for which the crate has no
    /// setter.
    fn database(&self, others: &str) -> Result<RocksOptions> {
        // Writers that wait for one another yield for a while before any of them goes to sleep,
        // even where a compaction takes the processor in the meantime: waking one costs more than
        // a write.
        let mut options = RocksOptions::default()
            .get_options_from_string(format!("{others};write_thread_slow_yield_usec=100"))
            .map_err(context("the engine refused its options"))?;
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_write_buffer_manager(&self.write_buffer);
        options
            .set_max_background_jobs(i32::try_from(self.options.background_threads).unwrap_or(2));
        if let Some(files) = self.open_files {
            options.set_max_open_files(i32::try_from(files).unwrap_or(i32::MAX));
            // Each part of the table of open files keeps at least one: with RocksDB's 64 parts, a
            // small number would be exceeded.
            options.set_table_cache_num_shard_bits((files / 16).max(1).ilog2().min(6) as i32);
        } else {
            options.set_max_open_files(-1);
        }
        // By default each column family starts 16 threads to open its files: a thousand for a
        // store of four shards, which took most of the opening's time.
        options.set_max_file_opening_threads(1);
        // Files go to the disk bit by bit, so that a sync, of which the hand-over of a partition
        // has one, does not wait for a flush that was written at once. Logs do not: writers
        // would have to wait for it, and most logs are no longer needed before they have to be on
        // the disk.
        options.set_bytes_per_sync(MIB as u64);
        // A manifest has some kilobytes. By default each opening reserves 4 MiB for a new one, and
        // gives them back when it is closed.
        options.set_manifest_preallocation_size(64 * KIB);
        options.set_log_level(LogLevel::Warn);
        options.set_keep_log_file_num(4);
        options.set_stats_dump_period_sec(0);
        Ok(options)
    }

    /// Returns the options of the column family with a name.
    pub(super) fn family(&self, name: &str) -> RocksOptions {
        let mut options = self.column_family();
        if let Some(expiring) = parse_family(name).and_then(|name| self.expiring.get(name)) {
            remove_expired(&mut options, &expiring);
        }
        options
    }

    /// Returns the options of a partition's column family.
    pub(super) fn column_family(&self) -> RocksOptions {
        let mut options = RocksOptions::default();
        options.set_write_buffer_size(self.memtable_bytes());
        // The default, an eighth of the memtable, would let a shard's families claim the whole
        // budget with blocks that are nearly empty.
        options.set_arena_block_size(64 * KIB);
        options.set_level_compaction_dynamic_level_bytes(true);
        options.set_block_based_table_factory(&self.table());
        options.add_compact_on_deletion_collector_factory(DELETED_RUN, DELETED_OF_RUN, 0.0);
        let (upper, last) = match self.options.compression {
            Compression::None => (DBCompressionType::None, DBCompressionType::None),
            Compression::Lz4 => (DBCompressionType::Lz4, DBCompressionType::Lz4),
            Compression::Lz4ThenZstd => (DBCompressionType::Lz4, DBCompressionType::Zstd),
        };
        if self.options.bloom_bits_per_key > 0 {
            options.set_memtable_prefix_bloom_ratio(MEMTABLE_FILTER_PART);
            options.set_memtable_whole_key_filtering(true);
        }
        options.set_compression_type(upper);
        options.set_bottommost_compression_type(last);
        options
    }

    fn table(&self) -> BlockBasedOptions {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&self.cache);
        table.set_format_version(6);
        // A hash index inside each block saves point reads the binary search.
        table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
        table.set_data_block_hash_ratio(0.75);
        if self.options.bloom_bits_per_key > 0 {
            table.set_bloom_filter(f64::from(self.options.bloom_bits_per_key), false);
            table.set_optimize_filters_for_memory(true);
        }
        table
    }

    /// Returns the maximum size of a memtable, a quarter of the budget: the budget over all of them
    /// is what decides when to flush.
    fn memtable_bytes(&self) -> usize {
        let usual = (self.options.write_buffer_bytes / 4).clamp(MIB, 256 * MIB);
        crate::os::failpoint::size("ANNULUS_MEMTABLE_BYTES", usual)
    }

    /// Returns the maximum size of the metadata's logs: twice the budget. It bounds what an opening
    /// after a crash has to read.
    fn wal_bytes_max(&self) -> u64 {
        self.options.write_buffer_bytes.saturating_mul(2).max(16 * MIB) as u64
    }
}
