//! The interface between the runner and an engine.

use crate::keys::Keys;
use serde::Serialize;
use std::fmt;
use std::path::Path;

/// The error of any engine.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A result whose error is any engine's.
pub type Result<T> = std::result::Result<T, Error>;

/// The command line asks for something that cannot be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidArgument(pub String);

impl fmt::Display for InvalidArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidArgument {}

impl InvalidArgument {
    pub(crate) fn error(message: impl Into<String>) -> Error {
        Self(message.into()).into()
    }
}

/// How far a write must have got when it is acknowledged, in every engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Handed to the operating system: survives the end of the process
    #[default]
    Buffered,
    /// Synced to the disk: survives a power cut
    Synced,
}

/// Something that happens during a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// One partition moves to another shard
    Move,
    /// A shard is added, and receives its share
    AddShard,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Move => "a move of a partition",
            Self::AddShard => "adding a shard",
        })
    }
}

/// An open engine, with the data of one candidate. Every method is called from several threads.
pub trait Engine: Send + Sync {
    /// Describes what was opened, and with which settings.
    fn describe(&self) -> Description;

    /// Reads a key, and lends its value to `found`; does not call it if there is none.
    ///
    /// # Errors
    ///
    /// Whatever prevented the engine from reading. The run ends.
    fn get(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<()>;

    /// Writes a key, with the durability of the [`Setup`].
    ///
    /// # Errors
    ///
    /// Whatever prevented the engine from writing. The run ends.
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()>;

    /// Reads up to `rows` rows in key order, the first one being the first at or after `from`,
    /// and lends each to `row`.
    ///
    /// # Errors
    ///
    /// Whatever prevented the engine from reading. The run ends.
    fn scan(&self, from: &[u8], rows: usize, row: &mut dyn FnMut(&[u8], &[u8])) -> Result<()>;

    /// Called once, when all records are loaded: moves what is in memory to files. The runner then
    /// waits until the process is quiet, and does the same after each run, so that no candidate
    /// pays for the compactions of the previous one.
    ///
    /// # Errors
    ///
    /// Whatever prevented the engine from it.
    fn finish_load(&self) -> Result<()> {
        Ok(())
    }

    /// Carries out the event in the middle of a run, on a separate thread, and returns when it is
    /// done: true, or false if this engine has no such event.
    ///
    /// # Errors
    ///
    /// Whatever prevented the engine from it. The run ends.
    fn event(&self, event: Event) -> Result<bool> {
        let _ = event;
        Ok(false)
    }

    /// Called after each run: undoes what events have changed, so that the next run finds the same
    /// number of shards.
    ///
    /// # Errors
    ///
    /// Whatever prevented the engine from it.
    fn finish_run(&self) -> Result<()> {
        Ok(())
    }

    /// Returns the shard that a key is on at the moment, from 0, and how many shards there are;
    /// `None` in an engine without shards. The runner calls this for some of the operations, with
    /// the key that they begin with, to measure how even the load is.
    fn shard_of(&self, key: &[u8]) -> Option<(usize, usize)> {
        let _ = key;
        None
    }

    /// Returns what a cache of values did since the engine was opened; `None` in an engine without
    /// one.
    fn cache_reads(&self) -> Option<CacheReads> {
        None
    }
}

/// Reads that went through a cache of values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheReads {
    /// Those that it answered.
    pub hits: u64,
    /// Those that it did not.
    pub misses: u64,
}

impl CacheReads {
    /// Returns the reads after an earlier count.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        let hits = self.hits.saturating_sub(earlier.hits);
        Self { hits, misses: self.misses.saturating_sub(earlier.misses) }
    }

    /// Returns the fraction that it answered; `None` without reads.
    #[must_use]
    pub fn hit_part(self) -> Option<f64> {
        let reads = self.hits + self.misses;
        (reads > 0).then(|| self.hits as f64 / reads as f64)
    }
}

/// What was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Description {
    /// The engine's version, and those of what it is built on.
    pub version: String,
    /// What acknowledged writes survive, in the engine's own words.
    pub durability: String,
    /// Bytes of its block cache, as far as known.
    pub cache_bytes: u64,
    /// Bytes of its write buffers, as far as known.
    pub write_buffer_bytes: u64,
    /// Other settings that matter for a comparison, one sentence each.
    pub settings: Vec<String>,
}

/// The identity of a candidate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// The engine's name.
    pub engine: String,
    /// `hash`, `range`, or `none` for an engine that is one piece.
    pub partitioning: String,
    /// How many shards; 1 for an engine that is one piece.
    pub shards: u32,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.engine)?;
        if self.partitioning != "none" {
            write!(f, " {}", self.partitioning)?;
        }
        if self.shards > 1 { write!(f, " ×{}", self.shards) } else { Ok(()) }
    }
}

/// An engine that can be opened, with its partitioning and number of shards.
pub trait Candidate {
    /// Returns its identity, which differs from that of every other candidate.
    fn identity(&self) -> Identity;

    /// Creates it in an empty directory.
    ///
    /// # Errors
    ///
    /// Whatever prevented the engine from it.
    fn open(&self, directory: &Path, setup: &Setup) -> Result<Box<dyn Engine>>;
}

/// What is the same for all candidates.
#[derive(Debug, Clone)]
pub struct Setup {
    /// What writes survive.
    pub durability: Durability,
    /// Bytes of block cache, over all shards.
    pub cache_bytes: usize,
    /// Bytes of write buffers, over all shards.
    pub write_buffer_bytes: usize,
    /// The keys that will exist: determines where to split ranges.
    pub keys: Keys,
    /// How many records will be loaded.
    pub records: u64,
    /// The maximum number of threads that will call the engine at once.
    pub threads: usize,
}
