//! RocksDB's errors mapped to the kinds of Annulus: the only place that examines them.

use crate::error::{Error, ErrorKind};
use crate::os::descriptors::remedy_of_text;
use rocksdb::ErrorKind as RocksDb;

fn kind(error: &rocksdb::Error) -> ErrorKind {
    match error.kind() {
        RocksDb::Corruption => ErrorKind::Damaged,
        RocksDb::IOError => ErrorKind::Io,
        RocksDb::TimedOut => ErrorKind::DeadlineExceeded,
        // The last one of a write that would have to wait.
        RocksDb::Busy | RocksDb::TryAgain | RocksDb::MergeInProgress | RocksDb::Incomplete => {
            ErrorKind::Busy
        }
        RocksDb::ShutdownInProgress | RocksDb::ColumnFamilyDropped => ErrorKind::Closed,
        _ => ErrorKind::Internal,
    }
}

/// Returns true if a read of memory alone has come to something that is in a file.
pub(super) fn is_not_in_memory(error: &rocksdb::Error) -> bool {
    error.kind() == RocksDb::Incomplete
}

/// Adds to an engine's error what was being done.
pub(super) fn context(doing: impl std::fmt::Display) -> impl FnOnce(rocksdb::Error) -> Error {
    move |error| {
        let remedy = remedy_of_text(error.as_ref());
        Error::new(kind(&error), format!("{doing}{remedy}")).with_source(error)
    }
}

/// Converts the error of a call of the C interface, which has only a message.
pub(super) fn from_message(message: String) -> Error {
    let kind = match message.split(':').next() {
        Some("Corruption") => ErrorKind::Damaged,
        Some("IO error") => ErrorKind::Io,
        Some("Resource busy" | "Operation failed. Try again.") => ErrorKind::Busy,
        Some("Shutdown in progress" | "Column family dropped") => ErrorKind::Closed,
        _ => ErrorKind::Internal,
    };
    let remedy = remedy_of_text(&message);
    Error::new(kind, message + &remedy)
}

#[cfg(all(test, unix))]
mod tests {
    use super::super::{MetadataEngine, Resources};
    use crate::ErrorKind;

    /// A past bug: a directory that could not be created was reported as a defect of Annulus.
    #[test]
    fn a_directory_that_cannot_be_created_is_an_error_of_the_system() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        std::os::unix::fs::symlink(directory.path().join("nowhere/data"), &data).unwrap();
        let resources =
            Resources::new(&crate::engine::EngineOptions::small(crate::LogDamage::Refuse), 1);
        let error = MetadataEngine::open(&data, &resources, None).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        assert!(format!("{error:#}").contains(data.to_str().unwrap()), "{error}");
    }
}
