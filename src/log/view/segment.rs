//! One file of the log, as it was found.

use crate::log::Position;
use std::ops::Range;
use std::path::PathBuf;
use std::time::SystemTime;

/// One file of the log.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LogSegment {
    /// The file.
    pub file: PathBuf,
    /// Its number; each segment has one more than the segment before it.
    pub number: u64,
    /// What it is there for.
    pub state: SegmentState,
    /// The length of the file.
    pub bytes: u64,
    /// The positions of its records; empty if it has none.
    pub positions: Range<Position>,
    /// How many records it has.
    pub records: u64,
    /// When the first and the last of them were appended.
    pub times: Option<(SystemTime, SystemTime)>,
    /// What tells one use of the file from others.
    pub(in crate::log) salt: u128,
    /// Which copy of the log the file is of.
    pub(in crate::log) copy: u32,
}

/// What a segment is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SegmentState {
    /// The next opening replays records of it, or it is the one that is being written.
    Needed,
    /// Everything in it is in files of the shards; it was kept all the same, or is about to be used
    /// again.
    Released,
    /// It is ready for records.
    Spare,
    /// It lies beyond damage, or beyond a torn end; an opening removes it.
    Dropped,
}

impl SegmentState {
    /// Returns its name: `needed`, `released`, `spare` or `dropped`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Needed => "needed",
            Self::Released => "released",
            Self::Spare => "spare",
            Self::Dropped => "dropped",
        }
    }
}
