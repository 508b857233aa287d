//! The one error type: a coarse kind to act on, a message to read, a source to follow.

use std::fmt;
use std::sync::Arc;

/// The result of every fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Arc<dyn std::error::Error + Send + Sync + 'static>;

/// What went wrong, in terms of what the caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument is out of bounds or contradicts another one; change the call.
    InvalidArgument,
    /// The named store, keyspace, shard or partition does not exist.
    NotFound,
    /// What the call asks for was there, and is not kept any more; the error says where to continue.
    Gone,
    /// The name or the directory is taken, or an index key of a unique index.
    AlreadyExists,
    /// The store is open already, in another process or by another handle in this one; close it
    /// there first.
    InUse,
    /// The store was closed, or the keyspace was dropped, while the call was made.
    Closed,
    /// The deadline given to the call has passed; nothing was changed.
    DeadlineExceeded,
    /// The work was ended by a call that asked for it; what it concerns is as it was before.
    Aborted,
    /// The call was refused for now, and nothing was done; try again. What it needs is in use, or
    /// the store is still bringing it up.
    Busy,
    /// Other writes have changed what a transaction relies on; nothing was written. Run it again.
    Conflict,
    /// A shard's object store has not answered by a deadline, and is tried no further by this call;
    /// try again when it answers. What was acknowledged is not lost.
    Unavailable,
    /// Another process has taken a shard over, and this one can make nothing durable in it any more;
    /// close the store, and open it again where it is to be written from.
    Fenced,
    /// The operating system refused: permissions, a full disk, a path that is not there.
    Io,
    /// Data on disk fails its checks; restore the named file from a copy.
    Damaged,
    /// The data was written by a version of Annulus that this one cannot read.
    Incompatible,
    /// A key or a value is not of the type that it is read as; use the type it was written with, or
    /// read it as bytes.
    WrongType,
    /// A write, or a change of the topology, may be half applied. The next opening completes it, or
    /// the store itself before that; until then what it concerns takes no writes.
    InDoubt,
    /// The store was opened read-only; open it for writing.
    ReadOnly,
    /// A defect in Annulus or its engine; please report it.
    Internal,
}

impl ErrorKind {
    /// A short lower-case name, stable across versions: for logs and for `--json`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid_argument",
            Self::NotFound => "not_found",
            Self::Gone => "gone",
            Self::AlreadyExists => "already_exists",
            Self::InUse => "in_use",
            Self::Closed => "closed",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Aborted => "aborted",
            Self::Busy => "busy",
            Self::Conflict => "conflict",
            Self::Unavailable => "unavailable",
            Self::Fenced => "fenced",
            Self::Io => "io",
            Self::Damaged => "damaged",
            Self::Incompatible => "incompatible",
            Self::WrongType => "wrong_type",
            Self::InDoubt => "in_doubt",
            Self::ReadOnly => "read_only",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error with a [kind](ErrorKind) to act on and a message that names the thing and says what
/// to do.
///
/// The message does not repeat the [source](std::error::Error::source), the error of the engine or
/// of the operating system that it comes from. Print `{error:#}` where nothing else follows the
/// sources: it is the message and theirs, separated by colons.
///
/// ```
/// use annulus::{ErrorKind, placement::RangeMap};
///
/// let error = RangeMap::new([b"m", b"c"]).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::InvalidArgument);
/// assert!(!error.is_retryable());
/// ```
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: Box<str>,
    source: Option<Source>,
}

impl Error {
    /// Returns an error with a message, for crates that build on this one: the message should name
    /// the thing and say what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into().into_boxed_str(), source: None }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    pub(crate) fn with_source(
        mut self,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    #[cfg(feature = "rocksdb")]
    pub(crate) fn with_boxed_source(
        mut self,
        source: Box<dyn std::error::Error + Send + Sync>,
    ) -> Self {
        self.source = Some(Arc::from(source));
        self
    }

    /// What the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns true if the same call may succeed when it is made again, with nothing else changed.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Busy
                | ErrorKind::Conflict
                | ErrorKind::DeadlineExceeded
                | ErrorKind::Unavailable
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if f.alternate() {
            let mut source = std::error::Error::source(self);
            while let Some(error) = source {
                write!(f, ": {error}")?;
                source = error.source();
            }
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_its_sources_only_if_it_is_asked_for_them() {
        let cause = std::io::Error::other("the disk is gone");
        let inner = Error::new(ErrorKind::Io, "cannot read FILE").with_source(cause);
        let outer = Error::new(ErrorKind::Io, "cannot open shard 3").with_source(inner);
        assert_eq!(outer.to_string(), "cannot open shard 3");
        assert_eq!(format!("{outer:#}"), "cannot open shard 3: cannot read FILE: the disk is gone");
        let source = std::error::Error::source(&outer).unwrap();
        assert!(source.downcast_ref::<Error>().is_some(), "the error itself, not a pointer to it");
    }
}
