//! Segments in other directories: whose they are, and how they get there.

use super::judge;
use super::segment::{PREPARING, SEGMENT, SegmentHeader, Unreadable, allocate, cannot};
use crate::error::{Error, ErrorKind, Result};
use crate::os::failpoint;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// The extension of segments that are being written into another directory.
const ARRIVING: &str = "arriving";
/// How much of a file is read at once.
const PIECE: usize = 1 << 20;

/// Returns true if a name in a directory is one of a segment, in whatever state.
pub(crate) fn is_segment(name: &Path) -> bool {
    let number = name.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
    let extension = name.extension().and_then(|extension| extension.to_str());
    number.is_some() && matches!(extension, Some(SEGMENT | PREPARING | ARRIVING))
}

/// Refuses a directory with segments of another store than this one, or of a later version.
///
/// # Errors
///
/// `Damaged`, `Incompatible`, naming the file; `Io`.
pub(crate) fn check_owner(directory: &Path, store: u128) -> Result<()> {
    for (_, path) in judge::list(directory, SEGMENT)? {
        let page = File::open(&path).and_then(|file| judge::first_pages(&file));
        let page = page.map_err(|error| cannot("read", &path, error))?;
        let place = path.display();
        match SegmentHeader::decode(&page) {
            Ok(header) if header.store != store => {
                let text =
                    format!("the log {place} belongs to another store; put the right one there");
                return Err(Error::new(ErrorKind::Damaged, text));
            }
            Err(Unreadable::Newer(format)) => {
                let text = format!(
                    "the log {place} has format {format}; open the store with the version of \
                     Annulus that wrote it"
                );
                return Err(Error::new(ErrorKind::Incompatible, text));
            }
            // Damage is for those who read on.
            Ok(_) | Err(Unreadable::Damaged) => {}
        }
    }
    Ok(())
}

/// Removes all segments in a directory, the last first.
pub(crate) fn remove_segments(directory: &Path) -> Result<()> {
    for extension in [ARRIVING, PREPARING, SEGMENT] {
        for (_, path) in judge::list(directory, extension)?.into_iter().rev() {
            std::fs::remove_file(&path).map_err(|error| cannot("remove", &path, error))?;
        }
    }
    sync_directory(directory)
}

/// Makes the segments of one directory those of another one as well, on the disk when it returns.
/// What was there of segments is removed first.
pub(crate) fn copy_segments(from: &Path, to: &Path) -> Result<()> {
    remove_segments(to)?;
    for (number, path) in judge::list(from, SEGMENT)? {
        let bytes = path.metadata().map_err(|error| cannot("look at", &path, error))?.len();
        copy_segment(&path, bytes, to, number)?;
        failpoint::hit("log-arrive");
    }
    sync_directory(to)
}

/// Copies the first bytes of a segment, and its length. The name is on the disk when the directory
/// has been synced, and names the whole at any time.
fn copy_segment(from: &Path, until: u64, to: &Path, number: u64) -> Result<()> {
    let arriving = to.join(format!("{number:010}.{ARRIVING}"));
    let source = File::open(from).map_err(|error| cannot("open", from, error))?;
    let bytes = source.metadata().map_err(|error| cannot("look at", from, error))?.len();
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).open(&arriving);
    let file = file.map_err(|error| cannot("create", &arriving, error))?;
    allocate(&file, bytes).map_err(|error| {
        cannot(&format!("reserve {bytes} bytes for the log in"), &arriving, error)
    })?;
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    while at < until {
        let wanted = usize::try_from(until - at).unwrap_or(PIECE).min(PIECE);
        let part = piece.get_mut(..wanted).unwrap_or_default();
        source.read_exact_at(part, at).map_err(|error| cannot("read", from, error))?;
        // The blocks hold zeros already.
        if part.iter().any(|byte| *byte != 0) {
            file.write_all_at(part, at).map_err(|error| cannot("write", &arriving, error))?;
        }
        at += wanted as u64;
    }
    file.sync_all().map_err(|error| cannot("sync", &arriving, error))?;
    let path = to.join(format!("{number:010}.{SEGMENT}"));
    std::fs::rename(&arriving, &path).map_err(|error| cannot("rename", &arriving, error))
}

fn sync_directory(directory: &Path) -> Result<()> {
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|error| cannot("sync", directory, error))
}
