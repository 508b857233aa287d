//! The options of the log.

use super::copy_set::{CopyNumber, RecordCopies};
use crate::clock::HybridClock;
use crate::error::Error;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;

/// How records get into the files of the commit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LogAccess {
    /// Through memory that the files are mapped to: a record costs no system call. A file that
    /// something else truncates, or a page that the disk cannot read, ends the process (`SIGBUS`).
    #[default]
    Mapped,
    /// With one `pwrite` for each record. For file systems that do not map files well, such as
    /// those of other machines.
    Written,
}

/// Whether a store has a mirror of its log, a second copy in another directory; see
/// [`Options::log_mirror`](crate::Options::log_mirror).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LogMirror {
    /// As before: the store has a mirror if it had one.
    #[default]
    Unchanged,
    /// None. One that is there is removed.
    None,
    /// In this directory; one that is in another is removed. A relative path is taken from the
    /// store's directory.
    At(#[serde(with = "crate::topology::path")] PathBuf),
}

impl LogMirror {
    /// Returns a mirror in a directory.
    #[must_use]
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self::At(directory.into())
    }
}

/// What an opening does where the commit log, or that of the metadata, is damaged before its end:
/// by a flipped bit, or an impossible sector. The torn end that a power cut leaves is not damage;
/// it is truncated and reported in [`RecoveryReport::lost`](crate::report::RecoveryReport::lost).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LogDamage {
    /// Refuses to open the store, naming the log and the place in it, and changes nothing.
    #[default]
    Refuse,
    /// Keeps what was written before the damage and drops what was written after it, even what was
    /// synced. [`RecoveryReport::lost`](crate::report::RecoveryReport::lost) says what. Use this
    /// on a copy, or when there is no copy.
    DropRest,
}

/// One copy of a log, as it is to be opened.
#[derive(Debug, Clone)]
pub(crate) struct CopyOptions {
    pub(crate) copy: CopyNumber,
    pub(crate) directory: PathBuf,
    /// True if it has everything that is in the log, as far as is recorded.
    pub(crate) is_current: bool,
    /// Why its directory cannot be reached, if it cannot.
    pub(crate) unreachable: Option<Error>,
}

impl CopyOptions {
    /// Returns those of a log without a mirror.
    #[cfg(test)]
    pub(crate) const fn only(directory: PathBuf) -> Self {
        Self { copy: CopyNumber::FIRST, directory, is_current: true, unreachable: None }
    }
}

/// The settings of one log.
pub(crate) struct LogOptions {
    /// The first copy, and the mirror if there is one.
    pub(crate) copies: Vec<CopyOptions>,
    /// Records which copies have everything; none if there is only one.
    pub(crate) record: Option<RecordCopies>,
    /// The number of the store that the log belongs to.
    pub(crate) store: u128,
    pub(crate) access: LogAccess,
    pub(crate) damage: LogDamage,
    /// True if the log has had segments: that there are none is damage then.
    pub(crate) must_exist: bool,
    /// The size of a file. A record that is larger gets a file of its own size.
    pub(crate) segment_bytes: u64,
    /// How many bytes of records are kept at least on disk after they were released.
    pub(crate) keep_bytes: u64,
    /// Whether no file is freed before [`retain`](super::CommitLog::retain) has said what readers of
    /// changes need.
    pub(crate) hold: bool,
    /// Held as long as anything holds the log's files.
    pub(crate) guard: Option<Arc<dyn Send + Sync>>,
    /// Issues the timestamps of records.
    pub(crate) clock: Arc<HybridClock>,
}
