//! Files and directories: making names durable, and errors that say which file it was.

use crate::error::{Error, ErrorKind, Result};
use std::fs::File;
use std::path::Path;

/// Makes the entries of a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> Result<()> {
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|error| cannot("sync", directory, error))
}

/// Returns the error of an operation on a file, with its path and, if there is one, the remedy.
pub(crate) fn cannot(doing: &str, path: &Path, error: std::io::Error) -> Error {
    let remedy = super::descriptors::remedy(&error);
    Error::new(ErrorKind::Io, format!("cannot {doing} {}{remedy}", path.display()))
        .with_source(error)
}
