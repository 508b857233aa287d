//! Stores of Annulus.

use super::version::rocksdb_version;
use crate::{CacheReads, Candidate, Description, Engine, Event, Identity, Result, Setup};
use annulus::placement::ARCS_PER_SHARD;
use annulus::topology::KeyspaceSpec;
use annulus::{CreateMode, Durability, Keyspace, Options, PartitionId, ScanOptions, ShardId};
use annulus::{ShardSpec, Store};
use clap::ValueEnum;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Ranges per shard, if the command line does not set them: as many as arcs.
const RANGES_PER_SHARD: u32 = ARCS_PER_SHARD;

/// The fraction of the memory for reads that goes to the values of hot keys: a store's default.
const HOT_PART: usize = 8;

/// How a store's keyspace is partitioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Partitioning {
    /// By the hash of the key: a consistent-hash ring
    Hash,
    /// By the key itself: sorted boundaries
    Range,
}

/// A store with one keyspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sharded {
    /// How the keyspace is partitioned.
    pub partitioning: Partitioning,
    /// How many shards the store has.
    pub shards: u32,
    /// Partitions of each shard; without it four.
    pub partitions: Option<u32>,
    /// How much of the memory for reads goes to the values of hot keys; without it an eighth.
    pub hot_cache: Option<usize>,
    /// How many threads may open the partitions of one scan; without it as many as by default.
    pub scan_threads: Option<usize>,
}

impl Sharded {
    /// Returns a store with the defaults.
    #[must_use]
    pub const fn new(partitioning: Partitioning, shards: u32) -> Self {
        Self { partitioning, shards, partitions: None, hot_cache: None, scan_threads: None }
    }

    fn spec(&self, setup: &Setup) -> KeyspaceSpec {
        match (self.partitioning, self.partitions) {
            (Partitioning::Hash, None) => KeyspaceSpec::hash().into(),
            (Partitioning::Hash, Some(arcs)) => KeyspaceSpec::hash().arcs_per_shard(arcs).into(),
            (Partitioning::Range, ranges) => {
                let ranges = self.shards * ranges.unwrap_or(RANGES_PER_SHARD);
                let boundaries = setup.keys.boundaries(setup.records, u64::from(ranges));
                KeyspaceSpec::range().split_at(boundaries).into()
            }
        }
    }
}

/// Returns the options of a store, and, as far as it has them, of a plain RocksDB. The whole cache
/// is for blocks.
pub(super) fn options(setup: &Setup) -> Options {
    Options::new()
        .hot_cache_bytes(0)
        .durability(match setup.durability {
            crate::Durability::Buffered => Durability::Buffered,
            crate::Durability::Synced => Durability::Synced,
        })
        .cache_bytes(setup.cache_bytes)
        .write_buffer_bytes(setup.write_buffer_bytes)
}

impl Candidate for Sharded {
    fn identity(&self) -> Identity {
        let partitioning = match self.partitioning {
            Partitioning::Hash => "hash",
            Partitioning::Range => "range",
        };
        let shards = self.shards;
        Identity { engine: "annulus".into(), partitioning: partitioning.into(), shards }
    }

    fn open(&self, directory: &Path, setup: &Setup) -> Result<Box<dyn Engine>> {
        let mut options = options(setup);
        let hot = self.hot_cache.unwrap_or(setup.cache_bytes / HOT_PART).min(setup.cache_bytes);
        options.hot_cache_bytes = hot;
        options.cache_bytes = setup.cache_bytes - hot;
        options.scan_threads = self.scan_threads.unwrap_or(options.scan_threads);
        let store = Store::builder(directory.join("store"))
            .create(CreateMode::New)
            .shards(self.shards)
            .options(options)
            .open()?;
        let keyspace = store.create_keyspace("bench", self.spec(setup))?;
        Ok(Box::new(Open { store, keyspace, changed: Mutex::default() }))
    }
}

/// A store that is open.
struct Open {
    store: Store,
    keyspace: Keyspace,
    changed: Mutex<Option<Changed>>,
}

/// What an event has changed, to be undone.
#[derive(Debug, Clone, Copy)]
enum Changed {
    Added(ShardId),
    Moved { place: usize, from: ShardId },
}

impl Open {
    /// Returns a partition of the keyspace; reshapes change the numbers of partitions, but not
    /// their positions.
    fn partition(&self, place: usize) -> Option<PartitionId> {
        self.keyspace.placement().partition(place).map(|partition| partition.id)
    }

    /// Moves the partition in the middle: where the hottest keys are is not known, so any one is as
    /// good.
    fn move_one(&self) -> Result<Option<Changed>> {
        let placement = self.keyspace.placement();
        let place = placement.partition_count() / 2;
        let topology = self.store.topology();
        let Some(from) = placement.partitioning().owner(place) else { return Ok(None) };
        let to = topology.shards().map(|shard| shard.id).find(|id| *id != from);
        let (Some(partition), Some(to)) = (self.partition(place), to) else { return Ok(None) };
        self.store.move_partition(partition, to)?.wait()?;
        Ok(Some(Changed::Moved { place, from }))
    }

    fn add_shard(&self) -> Result<Option<Changed>> {
        let added = self.store.topology().next_shard();
        self.store.add_shard(ShardSpec::new(format!("shards/{added}")))?.wait()?;
        Ok(Some(Changed::Added(added)))
    }
}

impl Engine for Open {
    fn describe(&self) -> Description {
        let options = self.store.options();
        let durability = match options.durability {
            Durability::Buffered => "writes are handed to the operating system",
            Durability::Synced => "writes are synced before they are acknowledged",
            other => unreachable!("no workload asks for {other:?}"),
        };
        let placement = self.keyspace.placement();
        let partitions = placement.partition_count();
        let kind = match placement.partitioning().as_str() {
            "range" => format!("{partitions} ranges, split evenly by the known keys beforehand"),
            _ => format!("{partitions} arcs"),
        };
        Description {
            version: format!("{}, RocksDB {}", env!("CARGO_PKG_VERSION"), rocksdb_version()),
            durability: durability.into(),
            cache_bytes: (options.cache_bytes + options.hot_cache_bytes) as u64,
            write_buffer_bytes: options.write_buffer_bytes as u64,
            settings: vec![
                format!("{kind}; cache, write buffers and threads are shared by all shards"),
                match options.hot_cache_bytes {
                    0 => "all of the cache is for blocks".to_owned(),
                    hot => format!("{} MiB of the cache are for values of hot keys", hot >> 20),
                },
                settings(options),
            ],
        }
    }

    #[inline]
    fn get(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<()> {
        if let Some(value) = self.keyspace.get(key)? {
            found(&value);
        }
        Ok(())
    }

    #[inline]
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.keyspace.put(key, value)?)
    }

    fn scan(&self, from: &[u8], rows: usize, row: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let mut scan = self.keyspace.scan_with(from.., ScanOptions::new().limit(rows as u64))?;
        while let Some((key, value)) = scan.next_row()? {
            row(key, value);
        }
        Ok(())
    }

    fn finish_load(&self) -> Result<()> {
        Ok(self.store.flush()?)
    }

    fn cache_reads(&self) -> Option<CacheReads> {
        let stats = self.store.hot_cache_stats()?;
        Some(CacheReads { hits: stats.hits, misses: stats.misses })
    }

    fn event(&self, event: Event) -> Result<bool> {
        let changed = match event {
            Event::Move => self.move_one()?,
            Event::AddShard => self.add_shard()?,
        };
        *self.changed.lock().unwrap_or_else(PoisonError::into_inner) = changed;
        Ok(changed.is_some())
    }

    fn finish_run(&self) -> Result<()> {
        match self.changed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(Changed::Added(shard)) => drop(self.store.remove_shard(shard)?.wait()?),
            Some(Changed::Moved { place, from }) => {
                if let Some(partition) = self.partition(place) {
                    self.store.move_partition(partition, from)?.wait()?;
                }
            }
            None => {}
        }
        Ok(())
    }

    fn shard_of(&self, key: &[u8]) -> Option<(usize, usize)> {
        let placement = self.keyspace.placement();
        let partitioning = placement.partitioning();
        let owner = partitioning.owner(partitioning.find(key))?;
        let topology = self.store.topology();
        let shards = topology.shards();
        let number = shards.len();
        Some((topology.shards().position(|shard| shard.id == owner)?, number))
    }
}

/// Describes the settings that a plain RocksDB has, too.
pub(super) fn settings(options: &Options) -> String {
    format!(
        "LZ4, Zstandard on the last level; Bloom filters of {} bits a key; {} background threads",
        options.bloom_bits_per_key, options.background_threads
    )
}
