//! Segments in other directories: whose they are, and how they get there.

use super::copy_set::CopyNumber;
use super::judge::{self, Kept};
use super::segment::{CONTENT, PREPARING, Place, SEGMENT, SegmentHeader, allocate, open_to_read};
use crate::error::{Error, ErrorKind, Result};
use crate::os::failpoint;
use crate::os::files::{cannot, sync_directory};
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
        // Damage is judged when the log is read.
        judge::header(&path, store)?;
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
        copy_segment(&path, bytes, to, number, None)?;
        failpoint::hit("log-arrive");
    }
    sync_directory(to)
}

/// Writes the segments of a directory, which are those of one of two stores, into another directory, as
/// those of a store with a number, and of the first copy of its log. On the disk when it returns. What
/// was there of segments is removed first.
///
/// # Errors
///
/// `Damaged`, naming the file; `NotFound` if there is none.
pub(crate) fn copy_segments_as(from: &Path, to: &Path, of: [u128; 2], store: u128) -> Result<()> {
    remove_segments(to)?;
    let segments = judge::list(from, SEGMENT)?;
    if segments.is_empty() {
        let text = format!("there are no segments of a log in {}; check the path", from.display());
        return Err(Error::new(ErrorKind::NotFound, text));
    }
    for (number, path) in segments {
        let page =
            judge::first_pages(&open_to_read(&path).map_err(|error| cannot("open", &path, error))?);
        let page = page.map_err(|error| cannot("read", &path, error))?;
        let header = SegmentHeader::decode(&page).map_err(|_| unreadable(&path))?;
        if !of.contains(&header.store) {
            let text = format!("the log {} belongs to another store", path.display());
            return Err(Error::new(ErrorKind::Damaged, text));
        }
        let bytes = path.metadata().map_err(|error| cannot("look at", &path, error))?.len();
        let copy = u32::from(CopyNumber::FIRST.0);
        copy_segment(
            &path,
            bytes,
            to,
            number,
            Some(&|header| SegmentHeader { store, copy, ..header }),
        )?;
    }
    sync_directory(to)
}

/// Makes a copy of a log equal to what was accepted of another one. On the disk when it returns.
///
/// IMPORTANT: a copy that was sound before, and the beginning of the other one, is both all the way:
/// each segment is exchanged as a whole, after those before it, for one that has the same records
/// and more; then what is beyond the last one goes, from the end on, and what was released, from the
/// beginning on. Each step is on the disk before the next.
pub(super) fn rebuild(from: &[Kept], to: &Place) -> Result<()> {
    let directory = &to.directory;
    for extension in [ARRIVING, PREPARING] {
        for (_, path) in judge::list(directory, extension)? {
            std::fs::remove_file(&path).map_err(|error| cannot("remove", &path, error))?;
        }
    }
    let last = from.last().map(|last| last.found.number);
    for kept in from {
        let number = kept.found.number;
        // Of the last one, whatever is beyond the last record of all must go.
        if Some(number) != last && has_content_of(&to.path(number, SEGMENT), kept, to) {
            continue;
        }
        failpoint::hit("log-rebuild");
        let until = kept.end - kept.first + CONTENT;
        let copy = u32::from(to.copy.0);
        let restate = |header| SegmentHeader { copy, ..header };
        copy_segment(&kept.found.path, until, directory, number, Some(&restate))?;
        to.sync_directory()?;
    }
    let others = judge::list(directory, SEGMENT)?.into_iter();
    let others = others.filter(|(number, _)| from.iter().all(|it| it.found.number != *number));
    let (later, released): (Vec<_>, Vec<_>) = others.partition(|(number, _)| Some(*number) > last);
    for (_, path) in later.into_iter().rev().chain(released) {
        failpoint::hit("log-rebuild-remove");
        std::fs::remove_file(&path).map_err(|error| cannot("remove", &path, error))?;
        to.sync_directory()?;
    }
    Ok(())
}

/// Returns true if a file has the records of a segment. What cannot be read has not.
fn has_content_of(path: &Path, model: &Kept, to: &Place) -> bool {
    let header = SegmentHeader { copy: u32::from(to.copy.0), ..model.found.header };
    let read = open_to_read(path);
    let read = read.and_then(|file| Ok((judge::first_pages(&file)?, file.metadata()?)));
    let Ok((page, metadata)) = read else { return false };
    SegmentHeader::decode(&page) == Ok(header)
        && metadata.len() == header.file_bytes
        && is_same_content(path, &model.found.path, model.end - model.first + CONTENT)
            .unwrap_or(false)
}

/// Returns true if two segments have the same bytes from the end of their headers up to an offset.
pub(super) fn is_same_content(one: &Path, other: &Path, until: u64) -> Result<bool> {
    let open = |path: &Path| open_to_read(path).map_err(|error| cannot("open", path, error));
    let (first, second) = (open(one)?, open(other)?);
    let (mut mine, mut theirs) = (vec![0; PIECE], vec![0; PIECE]);
    let mut at = CONTENT;
    while at < until {
        let wanted = usize::try_from(until - at).unwrap_or(PIECE).min(PIECE);
        let (mine, theirs) = (mine.get_mut(..wanted), theirs.get_mut(..wanted));
        let (mine, theirs) = (mine.unwrap_or_default(), theirs.unwrap_or_default());
        first.read_exact_at(mine, at).map_err(|error| cannot("read", one, error))?;
        second.read_exact_at(theirs, at).map_err(|error| cannot("read", other, error))?;
        if mine != theirs {
            return Ok(false);
        }
        at += wanted as u64;
    }
    Ok(true)
}

/// Copies the first bytes of a segment, and its length; with another header if a function is given that
/// makes it of the one that is there. The name is on the disk when the directory has been synced, and names the whole at any
/// time.
fn copy_segment(
    from: &Path,
    until: u64,
    to: &Path,
    number: u64,
    restate: Option<&dyn Fn(SegmentHeader) -> SegmentHeader>,
) -> Result<()> {
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
        if let (0, Some(restate)) = (at, restate) {
            let header = SegmentHeader::decode(part).map_err(|_| unreadable(from))?;
            let header = restate(header).encode_fields();
            part.iter_mut().zip(header).for_each(|(byte, new)| *byte = new);
        }
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

fn unreadable(path: &Path) -> Error {
    let text = format!("the log {} is damaged at offset 0; open the store again", path.display());
    Error::new(ErrorKind::Damaged, text)
}
