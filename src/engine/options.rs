//! The options of the engines.

use crate::log::LogDamage;
use crate::os::failpoint;
use serde::{Deserialize, Serialize};

/// How far a write has got when it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Durability {
    /// Handed to the operating system: survives the end of the process, whatever the cause. A power
    /// cut may take the last writes of the store; what remains is always a prefix of all writes,
    /// over all shards and keyspaces, with every batch whole.
    #[default]
    Buffered,
    /// Synced to the disk: survives a power cut, together with every write before it.
    Synced,
}

impl Durability {
    /// `Synced`, unless a test has asked for this protection to be left out.
    #[inline]
    pub(crate) fn synced_unless_skipped(protection: &str) -> Self {
        if failpoint::skip(protection) { Self::Buffered } else { Self::Synced }
    }
}

/// How blocks are compressed on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    None,
    /// LZ4 on every level: little processor time.
    Lz4,
    /// LZ4, and Zstandard on the last level, which holds most of the data.
    #[default]
    Lz4ThenZstd,
}

/// The settings of the engines of a store, together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EngineOptions {
    /// Bytes of the block cache, over all engines.
    pub(crate) cache_bytes: usize,
    /// Bytes of memtables, over all engines.
    pub(crate) write_buffer_bytes: usize,
    pub(crate) compression: Compression,
    pub(crate) bloom_bits_per_key: u8,
    pub(crate) background_threads: usize,
    /// Open files of each engine; `None` shares what the process may open.
    pub(crate) open_files_per_shard: Option<u32>,
    pub(crate) log_damage: LogDamage,
}

impl EngineOptions {
    /// Returns the settings of the metadata: a topology is some kilobytes, and so is an intent.
    pub(crate) fn small(log_damage: LogDamage) -> Self {
        Self {
            cache_bytes: 1 << 20,
            write_buffer_bytes: 64 << 20,
            compression: Compression::default(),
            bloom_bits_per_key: 10,
            background_threads: std::thread::available_parallelism().map_or(2, usize::from),
            open_files_per_shard: Some(64),
            log_damage,
        }
    }
}
