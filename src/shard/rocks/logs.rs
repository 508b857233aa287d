//! Write-ahead logs that an earlier process left.

use super::cannot;
use crate::error::Result;
use std::fs::File;
use std::path::Path;

/// Syncs the write-ahead logs that an earlier process left, and the directory that names them.
pub(super) fn sync_logs(directory: &Path) -> Result<()> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(cannot("read", directory, error)),
    };
    for entry in entries {
        let path = entry.map_err(|error| cannot("read", directory, error))?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let synced = File::open(&path).and_then(|log| log.sync_all());
            synced.map_err(|error| cannot("sync", &path, error))?;
        }
    }
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|error| cannot("sync", directory, error))
}
