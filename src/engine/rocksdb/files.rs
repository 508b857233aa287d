//! The files of a database, as the operating system has them.

use crate::error::Result;
use crate::os::files::cannot;
use std::path::Path;

/// Returns true if a directory holds a database.
pub(super) fn exists(directory: &Path) -> Result<bool> {
    directory.join("CURRENT").try_exists().map_err(|error| cannot("look into", directory, error))
}

/// Removes a directory and its content, if it exists.
pub(super) fn remove_all(directory: &Path) -> Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(cannot("remove", directory, error))
        }
        _ => Ok(()),
    }
}
