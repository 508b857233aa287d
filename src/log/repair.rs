//! What openings find wrong with one copy of a log that has two.

use serde::{Serialize, Serializer};
use std::fmt;
use std::path::PathBuf;

/// What an opening found wrong with one copy of a log that has a mirror, and whether it has made it
/// whole again. No write is lost by it: the other copy has them all.
///
/// Its text describes it for people, and so does its serialized form.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyRepair {
    /// The directory of the copy.
    pub directory: PathBuf,
    /// What was wrong.
    pub reason: String,
    /// None if the copy has everything again; otherwise why not. Then the log goes on without it,
    /// until an opening can make it whole.
    pub failure: Option<String>,
}

impl fmt::Display for CopyRepair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { directory, reason, failure } = self;
        let place = directory.display();
        match failure {
            None => write!(f, "the log's copy in {place}, made again from the other: {reason}"),
            Some(failure) if failure == reason => {
                write!(f, "the log's copy in {place}, which is not written any more: {reason}")
            }
            Some(failure) => write!(
                f,
                "the log's copy in {place}, which is not written any more: {reason}; it could not \
                 be made again: {failure}"
            ),
        }
    }
}

impl Serialize for CopyRepair {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
