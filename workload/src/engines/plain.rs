//! One plain RocksDB, with the settings that a shard of a store has, as far as they are public:
//! cache, write buffer, compression, filters (of the memtable, too), the index in blocks,
//! background threads. The write buffer is one memtable as large as the budget that the shards of a
//! store share.

use super::sharded::{options, settings};
use super::version::rocksdb_version;
use crate::{Candidate, Description, Durability, Engine, Identity, Result, Setup};
use annulus::{Compression, Options};
use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, DataBlockIndexType, WriteBufferManager,
    WriteOptions,
};
use std::path::Path;

/// The filter of the memtable has as many bytes as those of 16 column families together.
const MEMTABLE_FILTER_PART: f64 = 0.002;

/// One RocksDB instance with one column family, with the settings of a store's shard.
#[derive(Debug, Clone, Copy)]
pub struct Plain;

impl Candidate for Plain {
    fn identity(&self) -> Identity {
        Identity { engine: "rocksdb".into(), partitioning: "none".into(), shards: 1 }
    }

    fn open(&self, directory: &Path, setup: &Setup) -> Result<Box<dyn Engine>> {
        let options = options(setup);
        let db = DB::open(&database(&options), directory.join("db"))?;
        let mut writes = WriteOptions::default();
        writes.set_sync(setup.durability == Durability::Synced);
        Ok(Box::new(Open { db, writes, durability: setup.durability, options }))
    }
}

fn database(options: &Options) -> rocksdb::Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&Cache::new_hyper_clock_cache(options.cache_bytes, 0));
    table.set_format_version(6);
    table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
    table.set_data_block_hash_ratio(0.75);
    if options.bloom_bits_per_key > 0 {
        table.set_bloom_filter(f64::from(options.bloom_bits_per_key), false);
        table.set_optimize_filters_for_memory(true);
    }
    let (upper, last) = match options.compression {
        Compression::None => (DBCompressionType::None, DBCompressionType::None),
        Compression::Lz4 => (DBCompressionType::Lz4, DBCompressionType::Lz4),
        Compression::Lz4ThenZstd => (DBCompressionType::Lz4, DBCompressionType::Zstd),
        other => unreachable!("no workload asks for {other:?}"),
    };
    let mut database = rocksdb::Options::default();
    database.create_if_missing(true);
    database.set_block_based_table_factory(&table);
    database.set_write_buffer_size(options.write_buffer_bytes);
    let budget = options.write_buffer_bytes;
    database.set_write_buffer_manager(&WriteBufferManager::new_write_buffer_manager(budget, false));
    database.set_level_compaction_dynamic_level_bytes(true);
    if options.bloom_bits_per_key > 0 {
        database.set_memtable_prefix_bloom_ratio(MEMTABLE_FILTER_PART);
        database.set_memtable_whole_key_filtering(true);
    }
    database.set_compression_type(upper);
    database.set_bottommost_compression_type(last);
    database.set_max_background_jobs(i32::try_from(options.background_threads).unwrap_or(2));
    database.set_max_open_files(-1);
    database
}

struct Open {
    db: DB,
    writes: WriteOptions,
    durability: Durability,
    options: Options,
}

impl Engine for Open {
    fn describe(&self) -> Description {
        let durability = match self.durability {
            Durability::Buffered => "writes are handed to the operating system",
            Durability::Synced => "writes are synced before they are acknowledged",
        };
        Description {
            version: format!("RocksDB {}", rocksdb_version()),
            durability: durability.into(),
            cache_bytes: self.options.cache_bytes as u64,
            write_buffer_bytes: self.options.write_buffer_bytes as u64,
            settings: vec![
                "one instance, one column family, one memtable".into(),
                settings(&self.options),
            ],
        }
    }

    #[inline]
    fn get(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<()> {
        if let Some(value) = self.db.get_pinned(key)? {
            found(&value);
        }
        Ok(())
    }

    #[inline]
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.db.put_opt(key, value, &self.writes)?)
    }

    fn scan(&self, from: &[u8], rows: usize, row: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let mut cursor = self.db.raw_iterator();
        cursor.seek(from);
        for _ in 0..rows {
            let Some((key, value)) = cursor.item() else { break };
            row(key, value);
            cursor.next();
        }
        Ok(cursor.status()?)
    }

    fn finish_load(&self) -> Result<()> {
        Ok(self.db.flush()?)
    }
}
