//! What the SlateDB shards of a store share: a cache of blocks; and their settings.

use crate::engine::{Compression, EngineOptions};
use crate::os::failpoint;
use slatedb::config::{
    CompactionWorkerOptions, CompactorOptions, CompressionCodec, GarbageCollectorDirectoryOptions,
    GarbageCollectorOptions, Settings,
};
use slatedb::db_cache::moka::{MokaCache, MokaCacheOptions};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const MIB: usize = 1 << 20;

/// How often a database looks whether others have written its manifest: its own compactor, which
/// replaces tables, and another process, which has taken it over.
const POLL: Duration = if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(1) };

/// How long a table is kept that no manifest names any more. A scan, or a snapshot, that is older
/// than this may find that a table is gone.
const KEEP_TABLES: Duration = Duration::from_secs(3600);

/// How long an object is kept that is not a table.
const KEEP_OTHERS: Duration = Duration::from_secs(300);

/// How long a call waits for the object store, by default.
const UNAVAILABLE_AFTER_MILLIS: usize = 30_000;

/// What the shards of a store share.
#[derive(Default)]
pub(crate) struct Shared {
    cache: OnceLock<Arc<MokaCache>>,
    caches_issued: AtomicU64,
}

impl Shared {
    /// Returns the cache, and what distinguishes a database's blocks in it.
    pub(super) fn cache(&self, options: &EngineOptions) -> (Arc<MokaCache>, u64) {
        let cache = self.cache.get_or_init(|| {
            let max_capacity = options.cache_bytes as u64;
            Arc::new(MokaCache::new_with_opts(MokaCacheOptions {
                max_capacity,
                ..MokaCacheOptions::default()
            }))
        });
        (Arc::clone(cache), self.caches_issued.fetch_add(1, Ordering::Relaxed))
    }
}

/// Returns how long a call waits for the object store before it is an error.
pub(super) fn unavailable_after() -> Duration {
    let millis = failpoint::size("ANNULUS_UNAVAILABLE_MS", UNAVAILABLE_AFTER_MILLIS);
    Duration::from_millis(millis as u64)
}

/// Returns how many bytes a memtable has when it becomes tables: one for each partition that has
/// rows in it.
fn memtable_bytes(options: &EngineOptions) -> usize {
    let usual = (options.write_buffer_bytes / 4).clamp(MIB, 64 * MIB);
    failpoint::size("ANNULUS_MEMTABLE_BYTES", usual)
}

/// Returns the settings of a database. It has no log: the store's has what is in memory.
pub(super) fn settings(options: &EngineOptions) -> Settings {
    let memtable = memtable_bytes(options);
    let directory =
        |min_age| Some(GarbageCollectorDirectoryOptions { min_age, ..Default::default() });
    Settings {
        wal_enabled: false,
        flush_interval: None,
        manifest_poll_interval: POLL,
        l0_sst_size_bytes: memtable,
        max_unflushed_bytes: memtable.saturating_mul(4),
        // What counts is how many of them a read of one key may have to look into.
        l0_max_ssts: 1 << 16,
        // The compactor is handed over apart, since it knows what has expired.
        compactor_options: None,
        compression_codec: match options.compression {
            Compression::None => None,
            Compression::Lz4 | Compression::Lz4ThenZstd => Some(CompressionCodec::Lz4),
        },
        garbage_collector_options: Some(GarbageCollectorOptions {
            manifest_options: directory(KEEP_OTHERS),
            compacted_options: directory(KEEP_TABLES),
            compactions_options: directory(KEEP_OTHERS),
            ..GarbageCollectorOptions::default()
        }),
        ..Settings::default()
    }
}

/// Returns the settings of the compactor.
pub(super) fn compactor() -> CompactorOptions {
    CompactorOptions {
        poll_interval: POLL,
        commit_compacted_interval: POLL,
        worker: Some(CompactionWorkerOptions {
            compactions_poll_interval: POLL,
            ..CompactionWorkerOptions::default()
        }),
        ..CompactorOptions::default()
    }
}
