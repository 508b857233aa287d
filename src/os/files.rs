//! Files and directories: making names durable, and errors that say which file it was.

use crate::error::{Error, ErrorKind, Result};
use std::fs::File;
use std::num::NonZeroU64;
use std::ops::Range;
use std::path::Path;

/// Makes the entries of a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> Result<()> {
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|error| cannot("sync", directory, error))
}

/// Has the kernel cache what is read through this handle page by page, where it is not cached yet,
/// and read nothing ahead.
///
/// Otherwise it reads ahead into folios of up to 2 MiB. One that is changed through a mapping is
/// dirty as a whole, and each sync writes all of it.
pub(crate) fn cache_by_page(file: &File) {
    #[cfg(target_os = "linux")]
    {
        // Of a file system that takes no advice there is nothing to fear.
        let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::Random);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}

/// Has the kernel begin to read a part of a file.
pub(crate) fn read_ahead(file: &File, part: Range<u64>) {
    #[cfg(target_os = "linux")]
    if let Some(bytes) = NonZeroU64::new(part.end.saturating_sub(part.start)) {
        let _ = rustix::fs::fadvise(file, part.start, Some(bytes), rustix::fs::Advice::WillNeed);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, part);
}

/// Has the kernel forget what it has cached of a file from an offset on, except what is not on the
/// disk yet. It is read again when it is asked for, by [pages](cache_by_page) if that is asked for.
pub(crate) fn forget_cached(file: &File, from: u64) {
    #[cfg(target_os = "linux")]
    {
        // The kernel forgets whole folios only, which begin at multiples of their size.
        const FOLIO_MAX: u64 = 2 << 20;
        let from = from / FOLIO_MAX * FOLIO_MAX;
        let _ = rustix::fs::fadvise(file, from, None, rustix::fs::Advice::DontNeed);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, from);
}

/// Returns the error of an operation on a file, with its path and, if there is one, the remedy.
pub(crate) fn cannot(doing: &str, path: &Path, error: std::io::Error) -> Error {
    let remedy = super::descriptors::remedy(&error);
    Error::new(ErrorKind::Io, format!("cannot {doing} {}{remedy}", path.display()))
        .with_source(error)
}
