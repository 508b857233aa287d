//! Continuing the log of a copy of a store with that of the original.
//!
//! A copy's log is the beginning of the original's: its last segment has the same bytes, and those
//! of the original go on. So the copy gets the original's segments from there on, the last one up
//! to the place where it is to end, and zeros behind. An opening then replays them, as after a
//! crash.
//!
//! IMPORTANT: marks of the original say from where on its log is needed, because everything before
//! is in *its* files. They are changed to say from where on the copy's is.
//!
//! | step of [`install`](Continuation::install) | what a crash after it leaves |
//! |---|---|
//! | 1. all are written under other names and synced | the copy as it was; the names are ignored |
//! | 2. they are renamed in order, each synced | some, the first first; the same call continues |

use super::judge;
use super::operation::Operation;
use super::position::Position;
use super::record::{self, Header, Kind};
use super::segment::{CONTENT, SegmentHeader, allocate};
use super::view::{LogSegment, LogView};
use super::walk;
use crate::error::{Error, ErrorKind, Result};
use crate::id::KeyspaceId;
use crate::os::failpoint;
use crate::os::files::{cannot, sync_directory};
use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Up to where a copy of a store is to be brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecoveryTarget {
    /// All records that begin before a position.
    Position(Position),
    /// All records up to the first that was appended after a moment, by the system's clock.
    Time(SystemTime),
    /// All records that the log has.
    End,
}

/// What was applied to a copy of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogRecovery {
    /// Where the copy's own log ended.
    pub from: Position,
    /// Where the last record that was applied ends; `from` if there was none.
    pub to: Position,
    /// Writes, of which a batch is one.
    pub records: u64,
    /// What they changed: puts, deletes and deletions of ranges.
    pub operations: u64,
    /// When the last of them was made.
    pub last_at: Option<SystemTime>,
}

/// The extension of segments that are being written into a copy.
const RECOVERING: &str = "recovering";

/// What is to be added to the log of a copy.
#[derive(Debug)]
pub(crate) struct Continuation {
    pub(super) directory: PathBuf,
    /// Which copy of the copy's log is continued.
    pub(super) copy: u32,
    /// The segments of the original, of which the first is the copy's last.
    pub(super) segments: Vec<LogSegment>,
    /// From where on the copy's files need the log.
    pub(super) first: Position,
    pub(crate) recovery: LogRecovery,
}

impl Continuation {
    /// Compares the log of a copy with that of the original, and finds the records between the end
    /// of the former and the target. `knows` says whether the copy knows a keyspace.
    ///
    /// # Errors
    ///
    /// * `InvalidArgument` if the target is before the copy's end or beyond the log's, or if the
    ///   copy has a log of its own by now, or lacks a keyspace.
    /// * `NotFound` if records between the two logs are missing.
    /// * `Damaged` if one of the logs is damaged before the target.
    pub(crate) fn find(
        copy: &LogView,
        log: &LogView,
        target: RecoveryTarget,
        knows: impl Fn(KeyspaceId) -> bool,
    ) -> Result<Self> {
        if let Some(damage) = copy.damage() {
            return Err(damage.clone());
        }
        let last = copy.with_records().next_back().ok_or_else(|| no_records(copy))?;
        let shared = shared_with(copy, last, log)?;
        check_target(copy, log, target, shared)?;
        let recovery = find_end(log, target, shared, knows)?;
        // What the copy has beyond what both have are marks of an opening that has applied all of
        // it already.
        if shared < copy.end() && recovery.to != shared {
            return Err(diverged(copy, log, shared));
        }
        let is_added = |segment: &&LogSegment| {
            segment.number >= last.number && segment.positions.start < recovery.to
        };
        let segments = log.with_records().filter(is_added).cloned().collect();
        let segments = if recovery.to == shared { Vec::new() } else { segments };
        let (directory, first) = (copy.directory().to_owned(), copy.first());
        Ok(Self { directory, copy: last.copy, segments, first, recovery })
    }

    /// Puts the segments into the directory of the copy's log.
    pub(crate) fn install(&self) -> Result<()> {
        for (_, path) in judge::list(&self.directory, RECOVERING)? {
            std::fs::remove_file(&path).map_err(|error| cannot("remove", &path, error))?;
        }
        for segment in &self.segments {
            self.write(segment)?;
        }
        sync_directory(&self.directory)?;
        for segment in &self.segments {
            failpoint::hit("log-recover");
            let (from, to) = (self.path(segment, RECOVERING), self.path(segment, "log"));
            std::fs::rename(&from, &to).map_err(|error| cannot("rename", &from, error))?;
            sync_directory(&self.directory)?;
        }
        Ok(())
    }

    /// Writes one segment under another name: its records that are to be applied, and zeros.
    fn write(&self, segment: &LogSegment) -> Result<()> {
        let (first, end) = (segment.positions.start, segment.positions.end.min(self.recovery.to));
        let mut content = content(segment, end)?;
        state_first(&mut content, self.first);
        state_copy(&mut content, self.copy);
        let path = self.path(segment, RECOVERING);
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.map_err(|error| cannot("create", &path, error))?;
        allocate(&file, segment.bytes)
            .and_then(|()| file.write_all_at(&content, 0))
            .and_then(|()| file.sync_all())
            .map_err(|error| cannot("write", &path, error))?;
        tracing::debug!(file = %path.display(), %first, %end, "continued the log of a copy");
        Ok(())
    }

    fn path(&self, segment: &LogSegment, extension: &str) -> PathBuf {
        self.directory.join(format!("{:010}.{extension}", segment.number))
    }
}

/// Returns the bytes of a segment up to the end of a record, checked: another process may have used
/// the file again.
fn content(segment: &LogSegment, end: Position) -> Result<Vec<u8>> {
    let first = segment.positions.start.0;
    let bytes = end.0 - first + CONTENT;
    let mut content = Vec::new();
    let read = File::open(&segment.file).and_then(|it| it.take(bytes).read_to_end(&mut content));
    read.map_err(|error| cannot("read", &segment.file, error))?;
    let header = SegmentHeader::decode(&content).ok();
    let header = header.filter(|it| it.salt == segment.salt && it.number == segment.number);
    let is_there = header.is_some_and(|header| {
        let Ok(walk) = walk::walk(&mut &content[..], header.seed(), first, Some(end.0));
        walk.end == end.0
    });
    if is_there {
        return Ok(content);
    }
    Err(Error::new(
        ErrorKind::NotFound,
        format!(
            "the records from position {first} to {end} are not in {} any more: a process that has \
             the store open has used it again; make a copy of the log, or set option \
             log_keep_bytes",
            segment.file.display()
        ),
    ))
}

/// Changes the marks of a segment so that all say from where on the copy's files need the log: those
/// of the original say it of its own files, or said it when they needed more.
fn state_first(content: &mut [u8], first: Position) {
    let seed = seed(content);
    let mut at = CONTENT as usize;
    while let Some((header, payload)) = content.get(at..).and_then(|it| record::decode(it, seed)) {
        let stated = record::stated_first(payload).filter(|_| header.kind == Kind::Mark);
        if stated.is_some_and(|stated| stated != first.0) {
            let payload = first.0.to_le_bytes();
            let payload_check = crc32c::crc32c_append(seed, &payload);
            let fields = Header { payload_check, ..header }.encode(seed);
            let mark = fields.into_iter().chain(payload);
            content.iter_mut().skip(at).zip(mark).for_each(|(byte, new)| *byte = new);
        }
        at += record::padded(u64::from(header.bytes)) as usize;
    }
}

/// Changes the header of a segment so that it is one of this copy of a log.
fn state_copy(content: &mut [u8], copy: u32) {
    if let Ok(header) = SegmentHeader::decode(content) {
        let fields = SegmentHeader { copy, ..header }.encode_fields();
        content.iter_mut().zip(fields).for_each(|(byte, new)| *byte = new);
    }
}

fn seed(content: &[u8]) -> u32 {
    SegmentHeader::decode(content).map(|header| header.seed()).unwrap_or_default()
}

/// Returns true if the same record is at the start of both. What a mark says may have been changed.
fn is_same(mine: &[u8], theirs: Option<&[u8]>, seed: u32) -> bool {
    let both = record::decode(mine, seed).zip(theirs.and_then(|it| record::decode(it, seed)));
    both.is_some_and(|((mine, payload), (theirs, other))| {
        let is_mark = mine.kind == Kind::Mark;
        let theirs =
            if is_mark { Header { payload_check: mine.payload_check, ..theirs } } else { theirs };
        mine == theirs && (is_mark || payload == other)
    })
}

/// Returns up to where the records of a copy's last segment are those of the original's log.
fn shared_with(copy: &LogView, last: &LogSegment, log: &LogView) -> Result<Position> {
    let (begin, end) = (log.begin(), copy.end());
    let place = log.directory().display();
    let Some(same) = log.with_records().find(|segment| segment.number == last.number) else {
        let kind = ErrorKind::NotFound;
        if log.with_records().next_back().is_none_or(|newest| newest.number < last.number) {
            let text = format!(
                "the log in {place} ends at position {}, and that of the copy goes to {end}: the \
                 log is older than the copy",
                log.end()
            );
            return Err(Error::new(kind, text));
        }
        let text = format!(
            "the log in {place} begins at position {begin}, with segment {}, and that of the copy \
             ends at {end}, in segment {}: what is between is missing. Take a newer copy, or \
             segments from that one on; option log_keep_bytes keeps more",
            log.with_records().next().map_or(0, |oldest| oldest.number),
            last.number,
        );
        return Err(Error::new(kind, text));
    };
    if same.salt != last.salt || same.positions.start != last.positions.start {
        return Err(diverged(copy, log, last.positions.start));
    }
    let (mine, theirs) = (content(last, end)?, content(same, same.positions.end)?);
    let seed = seed(&mine);
    let mut at = CONTENT as usize;
    let position = |at: usize| Position(last.positions.start.0 + (at as u64 - CONTENT));
    let mut own = false;
    let mut shared = at;
    while let Some(rest) = mine.get(at..)
        && let Some((header, _)) = record::decode(rest, seed)
    {
        let next = at + record::padded(u64::from(header.bytes)) as usize;
        own |= !is_same(rest, theirs.get(at..), seed);
        if !own {
            shared = next;
        } else if header.kind == Kind::Operations {
            return Err(diverged(copy, log, position(shared)));
        }
        at = next;
    }
    Ok(position(shared))
}

/// Refuses a target that lies before the end of the copy, or beyond that of the log.
fn check_target(
    copy: &LogView,
    log: &LogView,
    target: RecoveryTarget,
    shared: Position,
) -> Result<()> {
    let (start, at) = last_write(copy, shared)?;
    let is_before = match target {
        RecoveryTarget::Position(position) if position > log.end() => {
            let beyond = || {
                let (directory, end) = (log.directory().display(), log.end());
                let text =
                    format!("the log in {directory} ends at position {end}, before {position}");
                Error::invalid(text)
            };
            return Err(log.damage().cloned().unwrap_or_else(beyond));
        }
        RecoveryTarget::Position(position) => position <= start && position < shared,
        RecoveryTarget::Time(moment) => moment < at,
        RecoveryTarget::End => false,
    };
    if !is_before {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the copy's log in {} goes to position {shared}, and its files may have everything up to \
         there: it cannot be brought to an earlier position or time; take an older copy",
        copy.directory().display()
    )))
}

/// Returns where the last write of a copy begins, and when it was made. If it is not in the last
/// segment, these are of that segment's first record, which is later.
fn last_write(copy: &LogView, end: Position) -> Result<(Position, SystemTime)> {
    let Some(last) = copy.with_records().next_back() else { return Err(no_records(copy)) };
    let content = content(last, end)?;
    let seed = seed(&content);
    let mut at = CONTENT as usize;
    let mut found = None;
    while let Some((header, _)) = content.get(at..).and_then(|rest| record::decode(rest, seed)) {
        if found.is_none() || header.kind == Kind::Operations {
            found = Some((Position(header.position), header.timestamp.time()));
        }
        at += record::padded(u64::from(header.bytes)) as usize;
    }
    found.ok_or_else(|| no_records(copy))
}

/// Goes through the records from a position to the target.
pub(super) fn find_end(
    log: &LogView,
    target: RecoveryTarget,
    from: Position,
    knows: impl Fn(KeyspaceId) -> bool,
) -> Result<LogRecovery> {
    let mut found = LogRecovery { from, to: from, records: 0, operations: 0, last_at: None };
    let mut reader = log.records(from)?;
    let mut reached = false;
    while let Some(record) = reader.next()? {
        reached = match target {
            RecoveryTarget::Position(position) => record.start() >= position,
            RecoveryTarget::Time(moment) => record.time() > moment,
            RecoveryTarget::End => false,
        };
        if reached {
            break;
        }
        for operation in record.operations() {
            check_keyspace(&operation, record.start(), &knows)?;
            found.operations += 1;
        }
        found.records += 1;
        found.to = record.end();
        found.last_at = Some(record.time());
    }
    match (log.damage(), target) {
        (Some(damage), RecoveryTarget::Time(_) | RecoveryTarget::End) if !reached => {
            Err(damage.clone())
        }
        _ => Ok(found),
    }
}

fn check_keyspace(
    operation: &Operation<'_>,
    position: Position,
    knows: impl Fn(KeyspaceId) -> bool,
) -> Result<()> {
    let keyspace = operation.keyspace();
    if knows(keyspace) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the record at position {position} writes to keyspace {keyspace}, which was created after \
         the copy was made, and the log does not say how. Recover up to position {position}, or \
         take a copy that was made later"
    )))
}

fn no_records(log: &LogView) -> Error {
    let place: &Path = log.directory();
    let text = format!("the log in {} has no segment with records", place.display());
    Error::new(ErrorKind::NotFound, text)
}

fn diverged(copy: &LogView, log: &LogView, shared: Position) -> Error {
    Error::invalid(format!(
        "the copy's log in {} is not the beginning of that in {}: from position {shared} on they \
         differ. The copy has been opened for writing since it was made: make it again, and look \
         at copies only with --read-only",
        copy.directory().display(),
        log.directory().display()
    ))
}
