//! What an earlier process has left: which segments are sound up to where, and whether what follows
//! is a torn end or damage. Reads, and changes nothing.
//!
//! The rule, and the argument for it, are in `docs/log.md`.

use super::pieces::Pieces;
use super::segment::{CONTENT, Place, SEGMENT, SegmentHeader, open_to_read};
use super::walk::{self, Beyond, Content, Stop};
use super::{LogDamage, LogLoss};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::os::files::cannot;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// A segment as it was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    pub(super) header: SegmentHeader,
    /// Where its records begin, if it has any.
    begin: Option<u64>,
}

/// A segment whose records count, from its first one up to an end.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) found: Found,
    pub(super) first: u64,
    pub(super) end: u64,
    pub(super) content: Content,
}

/// The judgement over a log.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) kept: Vec<Kept>,
    /// From where on records count.
    pub(super) first: u64,
    pub(super) end: u64,
    /// Where the last record with operations ends.
    pub(super) content_end: u64,
    /// Up to where the log was synced, as its records say.
    pub(super) stated_synced: u64,
    /// The greatest timestamp of any record that was found, those that are truncated included.
    pub(super) latest: Timestamp,
    /// True if something was found beyond the end that must never count.
    pub(super) cut: bool,
    /// Segments after the end, in their order, that nothing was ever written to.
    pub(super) unused: Vec<Found>,
    /// Files after the end whose content must go, in their order.
    pub(super) dropped: Vec<PathBuf>,
    pub(super) lost: Vec<LogLoss>,
    /// The number of the next segment.
    pub(super) next_number: u64,
}

/// Returns the segments in a directory, by number.
pub(super) fn list(directory: &Path, extension: &str) -> Result<Vec<(u64, PathBuf)>> {
    let entries = match directory.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(cannot("read", directory, error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| cannot("read", directory, error))?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if let Some(number) = number.filter(|_| path.extension().is_some_and(|e| e == extension)) {
            found.push((number, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

struct Judge<'a> {
    place: &'a Place,
    damage: LogDamage,
    /// True if segments may be missing in front.
    partial: bool,
    judged: Judged,
}

/// Judges the log of a place.
pub(super) fn judge(place: &Place, damage: LogDamage) -> Result<Judged> {
    judge_from(place, damage, false)
}

/// The same; with `partial`, the log may begin with any segment.
pub(super) fn judge_from(place: &Place, damage: LogDamage, partial: bool) -> Result<Judged> {
    let files = list(&place.directory, SEGMENT)?;
    let next_number = files.last().map_or(1, |(number, _)| number.saturating_add(1));
    let judged = Judged { next_number, ..Judged::default() };
    let mut judge = Judge { place, damage, partial, judged };
    let segments = judge.headers(files)?;
    if !segments.is_empty() {
        judge.walk(segments)?;
    }
    Ok(judge.judged)
}

impl Judge<'_> {
    /// Returns an error unless damage is to be taken as an end.
    fn refuse(&mut self, path: &Path, what: &str) -> Result<()> {
        if self.damage == LogDamage::DropRest {
            self.judged.cut = true;
            return Ok(());
        }
        let path = path.display();
        Err(Error::new(
            ErrorKind::Damaged,
            format!(
                "the log {path} {what}: restore it from a copy, or open the store with option \
                 log_damage set to drop_rest, which keeps what was written before that place and \
                 drops what was written after it"
            ),
        ))
    }

    /// Reads the headers of the segments. Those from one on that is damaged or missing are dropped,
    /// or refused.
    fn headers(&mut self, files: Vec<(u64, PathBuf)>) -> Result<Vec<Found>> {
        let mut segments: Vec<Found> = Vec::new();
        let mut files = files.into_iter();
        while let Some((number, path)) = files.next() {
            let expected = segments.last().map(|last| last.number + 1);
            let loss = match (expected.filter(|it| *it != number), self.header(&path, number)?) {
                (None, Ok((header, begin))) => {
                    segments.push(Found { number, path, header, begin });
                    continue;
                }
                (Some(missing), _) => {
                    let file = self.place.path(missing, SEGMENT);
                    self.refuse(&file, "is missing, and later ones are there")?;
                    LogLoss::Missing { file }
                }
                (None, Err(offset)) => {
                    self.refuse(&path, &format!("is damaged at offset {offset}"))?;
                    let bytes = path.metadata().map_or(0, |metadata| metadata.len());
                    let (bytes, later) = (bytes.saturating_sub(offset), files.len() > 0);
                    LogLoss::Torn { file: path.clone(), offset, bytes, later }
                }
            };
            self.judged.lost.push(loss);
            self.drop_whole(path)?;
            files.by_ref().try_for_each(|(_, path)| self.drop_whole(path))?;
        }
        Ok(segments)
    }

    /// Drops a segment with all that it has. No timestamp that a record of it has may be issued
    /// again; without a sound header, none of its records can be told from garbage.
    fn drop_whole(&mut self, path: PathBuf) -> Result<()> {
        if let Some(header) = header(&path, self.place.store)? {
            self.judged.latest = self.judged.latest.max(whole(&path, &header)?.latest);
        }
        self.judged.dropped.push(path);
        Ok(())
    }

    /// Returns the header of a segment and where its records begin, if it has any; the offset at
    /// which it is damaged if it is.
    fn header(
        &self,
        path: &Path,
        number: u64,
    ) -> Result<std::result::Result<(SegmentHeader, Option<u64>), u64>> {
        let read = |file: File| Ok((first_pages(&file)?, file.metadata()?.len()));
        let read = open_to_read(path).and_then(read);
        let (page, bytes) = read.map_err(|error| cannot("read", path, error))?;
        match SegmentHeader::of_store(&page, path, self.place.store)? {
            Some(header) if header.number == number => {
                let begin = walk::begin(&page, header.seed());
                // A segment has its full length before it has its name. One that was truncated
                // before its first record must not pass for one that was never used.
                let truncated = begin.is_none() && bytes < header.file_bytes;
                Ok(if truncated { Err(bytes) } else { Ok((header, begin)) })
            }
            _ => Ok(Err(0)),
        }
    }

    /// Follows the records through the segments up to the end of the log.
    fn walk(&mut self, segments: Vec<Found>) -> Result<()> {
        let mut rest = segments.into_iter();
        let mut kept_from = 0;
        let mut next = rest.next();
        while let Some(found) = next {
            let Some(first) = found.begin else {
                // Only the first: a later one is left to the judgement over the one before it.
                return self.headless(found, rest.collect());
            };
            let follower = rest.as_slice().first().and_then(|next| next.begin);
            // What the next segment says of where this one ends counts if it is possible.
            let room = found.header.file_bytes.saturating_sub(CONTENT);
            let limit = follower.filter(|it| *it > first && it - first <= room);
            let mut file = Pieces::open(&found.path)?;
            let walk = walk::walk(&mut file, found.header.seed(), first, limit)?;
            kept_from = walk.kept_from.max(kept_from);
            if self.judged.kept.is_empty() {
                self.judged.first = first;
            }
            self.judged.end = walk.end;
            self.judged.content_end = walk.content_end.max(self.judged.content_end);
            self.judged.stated_synced = walk.synced.max(self.judged.stated_synced);
            self.judged.latest = walk.latest.max(self.judged.latest);
            let goes_on = limit == Some(walk.end);
            if !goes_on {
                self.end(&found, file, walk.stop, walk.end, rest.as_slice())?;
            }
            self.judged.kept.push(Kept { found, first, end: walk.end, content: walk.content });
            if goes_on {
                next = rest.next();
                continue;
            }
            let behind = rest.by_ref();
            if self.judged.cut {
                let mut dropped: Vec<_> = behind.map(|found| found.path).collect();
                dropped.append(&mut self.judged.dropped);
                self.judged.dropped = dropped;
            } else {
                self.judged.unused = behind.collect();
            }
            next = None;
        }
        self.check_front(kept_from)
    }

    /// Judges what is beyond the last record that checks, which ends at a position of a segment.
    fn end(
        &mut self,
        found: &Found,
        mut file: Pieces<'_>,
        stop: Stop,
        end: u64,
        later: &[Found],
    ) -> Result<()> {
        let first = found.begin.unwrap_or_default();
        let at = end - first + CONTENT;
        let seed = found.header.seed();
        let is_short = file.bytes() < found.header.file_bytes;
        // Positions go on from segment to segment without a gap.
        let files = later.iter().map(|found| found.header.file_bytes);
        let possible = end..=files.fold(end + found.header.file_bytes, u64::saturating_add);
        let here = walk::beyond(&mut file, seed, at, Some(first), &possible)?;
        let mut behind = Beyond::default();
        for found in later {
            let mut file = Pieces::open(&found.path)?;
            let more = walk::beyond(&mut file, found.header.seed(), CONTENT, None, &possible)?;
            behind.headers += more.headers;
            behind.synced = behind.synced.max(more.synced);
            behind.latest = behind.latest.max(more.latest);
        }
        self.judged.latest = self.judged.latest.max(here.latest).max(behind.latest);
        if stop == Stop::Unused && here.headers + behind.headers == 0 && !is_short {
            return Ok(());
        }
        if here.synced.max(behind.synced) > end || is_short {
            let what = format!("is damaged at offset {at}, and was synced beyond it");
            self.refuse(&found.path, &what)?;
        }
        self.judged.cut = true;
        let used = walk::used(&mut file, at)?;
        self.judged.lost.push(LogLoss::Torn {
            file: found.path.clone(),
            offset: at,
            bytes: here.end.max(used).saturating_sub(at),
            later: behind.headers > 0,
        });
        Ok(())
    }

    /// Judges a log whose first segment does not begin with a record: it did when it was made.
    /// Positions continue after all that can still be found.
    fn headless(&mut self, first: Found, later: Vec<Found>) -> Result<()> {
        self.refuse(&first.path, &format!("is damaged at offset {CONTENT}"))?;
        let mut position = 0;
        let mut dropped = Vec::new();
        let later_segments = !later.is_empty();
        let bytes = first.header.file_bytes.saturating_sub(CONTENT);
        let file = first.path.clone();
        for found in std::iter::once(first).chain(later) {
            let beyond = whole(&found.path, &found.header)?;
            position = position.max(beyond.position);
            self.judged.latest = self.judged.latest.max(beyond.latest);
            dropped.push(found.path);
        }
        let judged = &mut self.judged;
        dropped.append(&mut judged.dropped);
        judged.dropped = dropped;
        (judged.first, judged.end) = (position, position);
        judged.lost.push(LogLoss::Torn { file, offset: CONTENT, bytes, later: later_segments });
        Ok(())
    }

    /// Compares the first segment with what the log says of where it begins.
    fn check_front(&mut self, kept_from: u64) -> Result<()> {
        let Some(first) = self.judged.kept.first() else { return Ok(()) };
        if first.first > kept_from && !self.judged.cut && !self.partial {
            let before = first.found.number.saturating_sub(1);
            let file = self.place.path(before, SEGMENT);
            self.refuse(&file, "is missing, and is still needed")?;
            self.judged.lost.push(LogLoss::Missing { file });
        }
        self.judged.first = self.judged.first.max(kept_from).min(self.judged.end);
        Ok(())
    }
}

/// Returns what the headers of all records in a segment say.
fn whole(path: &Path, header: &SegmentHeader) -> Result<Beyond> {
    let mut file = Pieces::open(path)?;
    walk::beyond(&mut file, header.seed(), CONTENT, None, &(0..=u64::MAX))
}

/// Returns the header of a file; `None` if it is damaged.
///
/// # Errors
///
/// Those of [`SegmentHeader::of_store`]; `Io`.
pub(super) fn header(path: &Path, store: u128) -> Result<Option<SegmentHeader>> {
    let page = open_to_read(path).and_then(|file| first_pages(&file));
    SegmentHeader::of_store(&page.map_err(|error| cannot("read", path, error))?, path, store)
}

/// Returns what a segment begins with, the mark that is its first record included.
pub(super) fn first_pages(file: &File) -> std::io::Result<Vec<u8>> {
    let mut pages = Vec::new();
    file.take(CONTENT + 4096).read_to_end(&mut pages)?;
    Ok(pages)
}
