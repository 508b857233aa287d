//! Events: what is seen of disks.

use crate::id::ShardId;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Something about a disk that an application should know before it is too late.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskEvent {
    /// A disk has less room than the [reserve](crate::Options::disk_reserve). From now on puts that need
    /// it are refused, and deletes are not.
    Low(DiskRoom),
    /// A disk that had less has an eighth more than the reserve again: puts are accepted.
    Enough(DiskRoom),
    /// Calls have taken longer than [`slow_io`](crate::Options::slow_io), since the last such event, which
    /// is at least a quarter of a second ago.
    Slow(SlowCalls),
}

/// What is on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskPlace {
    /// A shard.
    Shard(ShardId),
    /// The log of the store, or its mirror: the directory says which.
    Log,
}

impl fmt::Display for DiskPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shard(shard) => write!(f, "shard {shard}"),
            Self::Log => f.write_str("the log"),
        }
    }
}

/// The room on a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskRoom {
    /// What is on it.
    pub place: DiskPlace,
    /// Where that is.
    pub directory: PathBuf,
    /// Bytes that its file system has left for this process.
    pub bytes_free: u64,
    /// The reserve, in bytes.
    pub reserve: u64,
}

impl DiskRoom {
    /// Returns the room on a disk.
    pub(crate) fn new(place: DiskPlace, directory: PathBuf, bytes_free: u64, reserve: u64) -> Self {
        Self { place, directory, bytes_free, reserve }
    }
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskCall {
    /// Reads a key, several keys, or the first row of a scan.
    Read,
    /// Syncs the log.
    Sync,
    /// Asks how much room is left: the store does so four times a second.
    Room,
}

impl fmt::Display for DiskCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "reads",
            Self::Sync => "syncs",
            Self::Room => "calls that ask for the room that is left",
        })
    }
}

/// Calls that took long.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlowCalls {
    /// What is on the disk.
    pub place: DiskPlace,
    /// Where that is.
    pub directory: PathBuf,
    /// What the calls do.
    pub call: DiskCall,
    /// How many of them there were.
    pub count: u64,
    /// How long the longest took; or has taken so far, if it [hangs](Self::hangs).
    pub longest: Duration,
    /// True if one of them has not returned yet.
    pub hangs: bool,
}

impl SlowCalls {
    /// Returns what was seen of calls.
    pub(crate) fn new(place: DiskPlace, directory: PathBuf, call: DiskCall, slow: Slow) -> Self {
        let Slow { count, longest, hangs } = slow;
        Self { place, directory, call, count, longest, hangs }
    }
}

/// What was seen of one kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slow {
    pub(crate) count: u64,
    pub(crate) longest: Duration,
    pub(crate) hangs: bool,
}
