//! Changes that are not there any more.

use super::Position;
use crate::error::{Error, ErrorKind};
use std::fmt;

/// The changes that a reader has asked for too late: the log was released up to a position from which
/// on it can continue.
///
/// It is the source of errors of the kind [`Gone`](ErrorKind::Gone).
///
/// ```
/// use annulus::changes::MissingChanges;
///
/// fn where_to_go_on(error: &annulus::Error) -> Option<annulus::log::Position> {
///     MissingChanges::of(error).map(|missing| missing.until)
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingChanges {
    /// Where the missing changes begin: the position that was asked for.
    pub from: Position,
    /// Where they end: the first position that is there.
    pub until: Position,
}

impl MissingChanges {
    /// Returns what is missing, if that is what an error is about.
    #[must_use]
    pub fn of(error: &Error) -> Option<&Self> {
        std::error::Error::source(error)?.downcast_ref()
    }
}

impl fmt::Display for MissingChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the log now begins at position {}, after {}", self.until, self.from)
    }
}

impl std::error::Error for MissingChanges {}

impl MissingChanges {
    /// Returns the error of a reader that has come too late.
    pub(super) fn error(from: u64, until: u64) -> Error {
        let missing = Self { from: Position(from), until: Position(until) };
        let text = format!(
            "the changes from position {from} to {until} are not kept any more; copy what the store \
             has now, go on at {until}, and set option changes_keep_bytes higher"
        );
        Error::new(ErrorKind::Gone, text).with_source(missing)
    }
}
