//! SlateDB's errors, and those of object stores, mapped to the kinds of Annulus: the only place that
//! examines them.

use crate::error::{Error, ErrorKind};
use slatedb::object_store;
use slatedb::{CloseReason, ErrorKind as Slate};

/// Returns the error of a call of SlateDB. `doing` says what was being done, and where.
pub(super) fn failed(doing: impl std::fmt::Display, error: slatedb::Error) -> Error {
    let (kind, remedy) = match error.kind() {
        Slate::Closed(CloseReason::Fenced) => return fenced(doing).with_source(error),
        Slate::Closed(CloseReason::Clean) => (ErrorKind::Closed, ""),
        Slate::Unavailable => (ErrorKind::Unavailable, "; try again when it can be reached"),
        Slate::Data => (ErrorKind::Damaged, "; restore the named object"),
        _ => (ErrorKind::Internal, ""),
    };
    Error::new(kind, format!("{doing} failed{remedy}")).with_source(error)
}

/// Returns the error of a shard that another process has taken over.
#[cold]
pub(super) fn fenced(doing: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Fenced,
        format!(
            "{doing} was refused: another process has opened the shard since; close this store, \
             which serves what is not its own any more"
        ),
    )
}

/// Returns the error of a call that has taken too long.
#[cold]
pub(super) fn unavailable(doing: impl std::fmt::Display, seconds: u64) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!("{doing} had no answer in {seconds} s; try again when the object store answers"),
    )
}

/// Returns the error of a request to an object store.
pub(super) fn request(doing: impl std::fmt::Display, error: object_store::Error) -> Error {
    use object_store::Error as Store;
    let kind = match &error {
        Store::NotFound { .. } => ErrorKind::NotFound,
        Store::AlreadyExists { .. } | Store::Precondition { .. } => ErrorKind::AlreadyExists,
        Store::PermissionDenied { .. } | Store::Unauthenticated { .. } => ErrorKind::Io,
        Store::InvalidPath { .. } | Store::UnknownConfigurationKey { .. } => {
            ErrorKind::InvalidArgument
        }
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, format!("{doing} failed")).with_source(error)
}
