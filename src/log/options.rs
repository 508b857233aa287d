//! The options of the log.

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

/// What an opening does where the commit log, or that of the metadata, is damaged before its end:
/// by a flipped bit, or an impossible sector. The torn end that a power cut leaves is not damage;
/// it is cut off and reported in [`RecoveryReport::lost`](crate::report::RecoveryReport::lost).
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

/// The settings of one log.
pub(crate) struct LogOptions {
    pub(crate) directory: PathBuf,
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
    /// Held as long as anything holds the log's files.
    pub(crate) guard: Option<Arc<dyn Send + Sync>>,
}
