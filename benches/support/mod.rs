//! The common parts of the store's benches: the same rows, and a plain RocksDB with the same
//! settings.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a part of each bench"
)]

use annulus::{Keyspace, Options, Store, topology::KeyspaceSpec};
use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, DataBlockIndexType, WriteBufferManager,
    WriteOptions,
};
use std::path::Path;

pub const VALUE_BYTES: usize = 200;

/// Returns the key of row `n`: 16 bytes, in no order.
pub fn key(n: u64) -> [u8; 16] {
    // SplitMix64's finaliser spreads the numbers; it is a bijection, so no two rows share a key.
    let mut x = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 31;
    let mut key = [b'k'; 16];
    key[..8].copy_from_slice(&x.to_be_bytes());
    key[8..].copy_from_slice(&n.to_be_bytes());
    key
}

/// Returns the value of row `n`: about half of it compresses.
pub fn value(n: u64) -> [u8; VALUE_BYTES] {
    value_of(n)
}

/// Returns such a value of any length.
pub fn value_of<const BYTES: usize>(n: u64) -> [u8; BYTES] {
    let mut value = [b'v'; BYTES];
    fastrand::Rng::with_seed(n).fill(&mut value[..BYTES / 2]);
    value
}

pub const CACHE_BYTES: usize = 512 << 20;
pub const WRITE_BUFFER_BYTES: usize = 256 << 20;

/// Returns options without the cache of hot keys, which would answer in place of what is measured.
pub fn options() -> Options {
    Options::new()
        .cache_bytes(CACHE_BYTES)
        .write_buffer_bytes(WRITE_BUFFER_BYTES)
        .hot_cache_bytes(0)
}

pub fn annulus(path: &Path, shards: u32, arcs: u32, options: Options) -> (Store, Keyspace) {
    let store = Store::builder(path).shards(shards).options(options).open().unwrap();
    let spec = KeyspaceSpec::hash().arcs_per_shard(arcs);
    let keyspace = store.keyspace_or_create("rows", spec).unwrap();
    (store, keyspace)
}

/// Opens one RocksDB with the cache, compression, filters and threads of [`options`], and with the
/// same write buffer: a budget that decides when to flush, whatever the size of a single memtable.
/// A smaller memtable would be faster to insert into, on both sides.
pub fn plain(path: &Path, write_buffer_bytes: usize) -> DB {
    DB::open(&plain_options(write_buffer_bytes), path).unwrap()
}

/// Returns the options of such a RocksDB.
pub fn plain_options(write_buffer_bytes: usize) -> rocksdb::Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&Cache::new_hyper_clock_cache(CACHE_BYTES, 0));
    table.set_format_version(6);
    table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
    table.set_data_block_hash_ratio(0.75);
    table.set_bloom_filter(10.0, false);
    table.set_optimize_filters_for_memory(true);
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&table);
    options.set_write_buffer_size(write_buffer_bytes);
    options.set_write_buffer_manager(&WriteBufferManager::new_write_buffer_manager(
        write_buffer_bytes,
        false,
    ));
    // As many bytes as the 16 memtables of four shards have together.
    options.set_memtable_prefix_bloom_ratio(0.002);
    options.set_memtable_whole_key_filtering(true);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_bottommost_compression_type(DBCompressionType::Zstd);
    let jobs = std::thread::available_parallelism().map_or(2, usize::from);
    options.set_max_background_jobs(jobs.try_into().unwrap());
    options.set_max_open_files(-1);
    options
}

pub fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}
