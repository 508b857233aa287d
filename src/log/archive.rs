//! Copies of the segments of a log that is being written, and the log of a store that is restored
//! from them.
//!
//! An archive is a directory of segments that follow each other, of which the last one ends amid its
//! records: with zeros where the next record would begin. It is continued by replacing that one with
//! a longer copy of the same segment, and adding those that came after it. So whatever was in the
//! archive at some time is in it later, too.

use super::continuation::{Continuation, LogRecovery, RecoveryTarget, find_end};
use super::copy_set::CopyNumber;
use super::judge;
use super::opened::Segment;
use super::segment::{CONTENT, SEGMENT, SegmentHeader};
use super::view::{LogSegment, LogView};
use super::{CommitLog, Pin, Position, walk};
use crate::error::{Error, ErrorKind, Result};
use crate::id::KeyspaceId;
use crate::os::failpoint;
use crate::os::files::{cannot, sync_directory};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The extension of segments that are being written into an archive.
const ARRIVING: &str = "arriving";
/// How much of a file is copied at once.
const PIECE: usize = 1 << 20;

/// The segments of an open log, up to where it ended. They can be read for as long as this is held,
/// whatever is freed meanwhile.
pub(crate) struct LogFiles {
    segments: Vec<Arc<Segment>>,
    end: u64,
}

impl CommitLog {
    /// Keeps the log from where it is kept now, until the pin is dropped.
    pub(crate) fn pin_first(&self) -> Pin {
        self.inner.pin_first()
    }

    /// Returns the segments that are there.
    pub(crate) fn files(&self) -> LogFiles {
        // In this order: the segments reach at least as far as the end that was read before.
        let end = self.inner.end.load(Ordering::Acquire);
        LogFiles { segments: self.inner.segments.lock().iter().cloned().collect(), end }
    }
}

impl LogFiles {
    /// Returns where the log ended.
    pub(crate) fn end(&self) -> Position {
        Position(self.end)
    }

    /// Returns true if an archive, of which what is before a position counts, can be continued with
    /// these segments: if its last one is the same use of the same file, with the same bytes.
    ///
    /// A log that was truncated after a power cut, or that of a store that was restored, has the
    /// numbers of the archive's segments and other records.
    pub(crate) fn continue_archive(&self, directory: &Path, counts: Position) -> Result<bool> {
        let Some((number, path)) = judge::list(directory, SEGMENT)?.pop() else { return Ok(false) };
        let Some(segment) = self.segments.iter().find(|segment| segment.number == number) else {
            return Ok(false);
        };
        let file = File::open(&path).map_err(|error| cannot("open", &path, error))?;
        let page = judge::first_pages(&file).map_err(|error| cannot("read", &path, error))?;
        let Ok(header) = SegmentHeader::decode(&page) else { return Ok(false) };
        let reaches = counts.0.min(self.end) == counts.0 && counts.0 <= segment.end();
        if header.seed() != segment.seed
            || walk::begin(&page, header.seed()) != Some(segment.first)
            || counts.0 < segment.first
            || !reaches
        {
            return Ok(false);
        }
        let until = segment.offset(counts.0);
        let mut same = true;
        in_pieces(CONTENT, until, |at, mine, theirs| {
            segment.copy_out(at, mine)?;
            file.read_exact_at(theirs, at).map_err(|error| cannot("read", &path, error))?;
            same &= mine == theirs;
            Ok(())
        })?;
        Ok(same)
    }

    /// Copies into an archive what lies between a position and another one: whole segments, and of
    /// the last one what is before the end. `known` is up to where the archive has the same records:
    /// segments before that are left alone, and what the one there has is copied within the archive. On
    /// the disk when it returns.
    ///
    /// # Errors
    ///
    /// The first of `took`, which is passed the bytes of each piece; `Io`.
    pub(crate) fn copy_to(
        &self,
        directory: &Path,
        from: Position,
        until: Position,
        known: Option<Position>,
        took: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let there = judge::list(directory, SEGMENT)?;
        let last_there = there.last().map_or(0, |(number, _)| *number);
        for segment in &self.segments {
            let wanted = segment.end() > from.0 && segment.first < until.0;
            let is_there = there.iter().any(|(number, _)| *number == segment.number);
            if wanted && !(is_there && segment.number < last_there) {
                let known = known.filter(|_| is_there).map_or(segment.first, |known| known.0);
                copy(segment, directory, known.min(until.0), until.0, took)?;
                failpoint::hit("backup-segment");
            }
        }
        sync_directory(directory)
    }
}

/// Copies the records of a segment that are before a position into a file of the same length. Those
/// before `known` are in the file that is replaced.
fn copy(
    segment: &Segment,
    directory: &Path,
    known: u64,
    until: u64,
    took: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<()> {
    let arriving = directory.join(format!("{:010}.{ARRIVING}", segment.number));
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).open(&arriving);
    let file = file.map_err(|error| cannot("create", &arriving, error))?;
    let failed = |error| cannot("write", &arriving, error);
    file.set_len(segment.file_bytes).map_err(failed)?;
    // The rest is a hole, which reads as zeros.
    let put = |at: u64, piece: &[u8]| match piece.iter().any(|byte| *byte != 0) {
        true => file.write_all_at(piece, at).map_err(failed),
        false => Ok(()),
    };
    let path = directory.join(format!("{:010}.{SEGMENT}", segment.number));
    let mut copied = 0;
    if known > segment.first {
        copied = segment.offset(known.min(segment.end()));
        let before = File::open(&path).map_err(|error| cannot("open", &path, error))?;
        in_pieces(0, copied, |at, piece, _| {
            before.read_exact_at(piece, at).map_err(|error| cannot("read", &path, error))?;
            put(at, piece)
        })?;
    }
    in_pieces(copied, segment.offset(segment.end().min(until)), |at, piece, _| {
        segment.copy_out(at, piece)?;
        put(at, piece)?;
        took(piece.len() as u64)
    })?;
    file.sync_all().map_err(|error| cannot("sync", &arriving, error))?;
    std::fs::rename(&arriving, &path).map_err(|error| cannot("rename", &arriving, error))
}

/// Calls a function for each piece of a file, with its offset and two buffers of its length.
fn in_pieces(
    from: u64,
    until: u64,
    mut each: impl FnMut(u64, &mut [u8], &mut [u8]) -> Result<()>,
) -> Result<()> {
    let (mut one, mut other) = (vec![0; PIECE], vec![0; PIECE]);
    let mut at = from;
    while at < until {
        let bytes = usize::try_from(until - at).unwrap_or(PIECE).min(PIECE);
        let (one, other) = (one.get_mut(..bytes), other.get_mut(..bytes));
        each(at, one.unwrap_or_default(), other.unwrap_or_default())?;
        at += bytes as u64;
    }
    Ok(())
}

/// Removes the segments of an archive with a number above `last`, and what was being written; and
/// those that have nothing from a position on, the oldest first.
pub(crate) fn tidy_archive(directory: &Path, last: u64, needed: Position) -> Result<()> {
    let remove = |path: &Path| {
        failpoint::hit("backup-collect");
        std::fs::remove_file(path).map_err(|error| cannot("remove", path, error))
    };
    for (_, path) in judge::list(directory, ARRIVING)? {
        remove(&path)?;
    }
    let segments = judge::list(directory, SEGMENT)?;
    for (_, path) in segments.iter().rev().filter(|(number, _)| *number > last) {
        remove(path)?;
    }
    let kept = segments.iter().filter(|(number, _)| *number <= last);
    let kept: Vec<_> = kept.collect();
    for pair in kept.windows(2) {
        let [(_, path), (_, next)] = pair else { continue };
        let file = File::open(next).map_err(|error| cannot("open", next, error))?;
        let page = judge::first_pages(&file).map_err(|error| cannot("read", next, error))?;
        let begin = SegmentHeader::decode(&page).ok().and_then(|it| walk::begin(&page, it.seed()));
        // What is not sound stays: a verification names it.
        if begin.is_none_or(|begin| begin > needed.0) {
            break;
        }
        remove(path)?;
    }
    sync_directory(directory)
}

/// Returns the number of the last segment of an archive.
pub(crate) fn last_of_archive(directory: &Path) -> Result<u64> {
    Ok(judge::list(directory, SEGMENT)?.last().map_or(0, |(number, _)| *number))
}

/// What an archive has of the log for one backup.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ArchivedPart {
    /// From where on the backup's files need the log.
    pub(crate) first: Position,
    /// Up to where the log belongs to the backup.
    pub(crate) cut: Position,
}

impl Continuation {
    /// Finds the segments of an archive that become the log of a restored store, in a directory that
    /// has none: what the files of the backup need, up to its cut, or beyond it up to a target.
    /// `knows` says whether the backup knows a keyspace.
    ///
    /// # Errors
    ///
    /// * `NotFound` if segments are missing; `Damaged` if one is damaged before the end.
    /// * `InvalidArgument` if a record beyond the cut names a keyspace that the backup lacks.
    pub(crate) fn of_archive(
        archive: &LogView,
        part: ArchivedPart,
        target: Option<RecoveryTarget>,
        directory: &Path,
        knows: impl Fn(KeyspaceId) -> bool,
    ) -> Result<Self> {
        let ArchivedPart { first, cut } = part;
        let (begin, end) = (archive.begin(), archive.end());
        if begin > first || end < cut {
            return Err(archive.damage().cloned().unwrap_or_else(|| {
                let place = archive.directory().display();
                let text = format!(
                    "the log in {place} reaches from position {begin} to {end}, and the backup needs \
                     it from {first} to {cut}; restore another backup"
                );
                Error::new(ErrorKind::NotFound, text)
            }));
        }
        let recovery = match target {
            Some(target) => find_end(archive, target, cut, knows)?,
            None => LogRecovery { from: cut, to: cut, records: 0, operations: 0, last_at: None },
        };
        let is_needed = |segment: &&LogSegment| {
            segment.positions.end >= first && segment.positions.start < recovery.to
        };
        let segments = archive.with_records().filter(is_needed).cloned().collect();
        let (directory, copy) = (directory.to_owned(), u32::from(CopyNumber::FIRST.0));
        Ok(Self { directory, copy, segments, first, recovery })
    }
}
