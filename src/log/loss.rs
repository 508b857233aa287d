//! What logs had lost before they were read.

use serde::{Serialize, Serializer};
use std::fmt;
use std::path::PathBuf;

/// What a log had lost when the store was opened; see
/// [`RecoveryReport::lost`](crate::report::RecoveryReport::lost).
///
/// Its text describes it for people, and so does its serialized form.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogLoss {
    /// A log, or the list of an engine's files, is not whole from a place on.
    #[non_exhaustive]
    Torn {
        /// The file.
        file: PathBuf,
        /// Where it stops being whole.
        offset: u64,
        /// How many bytes there are from that place on.
        bytes: u64,
        /// Whether later logs held writes, which were dropped, too.
        later: bool,
    },
    /// The end of a log never reached the disk, as the next log shows. What later logs held was
    /// dropped.
    #[non_exhaustive]
    Missing {
        /// The file.
        file: PathBuf,
    },
}

impl fmt::Display for LogLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Torn { file, offset, bytes, later } => {
                let later = if *later { ", and what later logs hold" } else { "" };
                let file = file.display();
                write!(
                    f,
                    "the last {bytes} bytes of the log {file}{later}: not whole from offset \
                     {offset} on"
                )
            }
            Self::Missing { file } => write!(
                f,
                "the end of the log {} was never on the disk; what later logs hold was dropped",
                file.display()
            ),
        }
    }
}

impl Serialize for LogLoss {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
