//! The options of the engines.

use crate::os::failpoint;
use serde::{Deserialize, Serialize};

/// How far a write has got when it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Durability {
    /// Handed to the operating system: survives the end of the process, whatever the cause. A power
    /// cut may take the last writes of each shard; what remains of a shard is always a prefix of
    /// what was written to it.
    #[default]
    Buffered,
    /// Synced to the disk: survives a power cut.
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

/// What an opening does where a write-ahead log is damaged before its end: by a flipped bit, or an
/// impossible sector. The torn end that a power cut leaves is not damage; it is cut off and
/// reported in [`RecoveryReport::lost`](crate::report::RecoveryReport::lost).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LogDamage {
    /// Refuses to open the store, naming the log and the place in it, and changes nothing.
    #[default]
    Refuse,
    /// Keeps what was written to that shard before the damage and drops what was written after it,
    /// even what was synced. [`RecoveryReport::lost`](crate::report::RecoveryReport::lost) says
    /// what. Use this on a copy, or when there is no copy.
    DropRest,
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
    /// Returns the settings of the metadata: a topology is some kilobytes, and settling bounds the
    /// redo records.
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
