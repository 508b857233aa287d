//! The log as its files show it: without a lock, and without changing anything.

mod reader;
mod segment;

pub use reader::LogReader;
pub use segment::{LogSegment, SegmentState};

use super::copy_set::CopyNumber;
use super::judge::{self, Judged, Kept};
use super::segment::{Place, SEGMENT, SegmentHeader, open_to_read};
use super::{LogAccess, LogDamage, LogLoss, Position};
use crate::error::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

/// How often the files are looked at: another process may write and remove them meanwhile.
const TRIES: u32 = 4;

/// The log of a store as it was at one moment, from its files alone. The store may be closed, or
/// open in any process.
#[derive(Debug)]
pub struct LogView {
    place: Place,
    segments: Vec<LogSegment>,
    first: u64,
    end: u64,
    synced: u64,
    damage: Option<Error>,
    lost: Vec<LogLoss>,
    copies: Vec<LogCopy>,
}

/// One copy of the log of a store.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LogCopy {
    /// The directory of its segments.
    pub directory: PathBuf,
    /// False if it was given up since it could not be written: it lacks what was written later, and
    /// the next opening makes it again.
    pub is_current: bool,
    /// Where it ends; none if it cannot be read, or is not current.
    pub end: Option<Position>,
    /// What is damaged in it, or why it cannot be read.
    pub damage: Option<Error>,
}

impl LogCopy {
    /// Returns what is known of a copy: what was found of it if it is current.
    pub(crate) fn of(directory: PathBuf, looked: Option<&Result<LogView>>) -> Self {
        let (end, damage) = match looked {
            None => (None, None),
            Some(Ok(view)) => (Some(view.end()), view.damage.clone()),
            Some(Err(error)) => (None, Some(error.clone())),
        };
        Self { directory, is_current: looked.is_some(), end, damage }
    }
}

impl LogView {
    /// Looks at the segments in a directory, of the store with this number; without a number, of
    /// the one that the first of them belongs to, and then segments may be missing in front.
    pub(crate) fn of_segments(directory: &Path, store: Option<u128>) -> Result<Self> {
        let partial = store.is_none();
        let mut before: Option<String> = None;
        let mut tries = 1;
        loop {
            let store = store.map_or_else(|| store_of(directory), Ok);
            let looked = store.and_then(|store| Self::look(directory, store, partial));
            let wrong = match &looked {
                Ok(Self { damage: None, .. }) => return looked,
                Ok(Self { damage: Some(error), .. }) | Err(error) => format!("{error:#}"),
            };
            // What is wrong at the same place once more is not the doing of one that writes.
            if tries == TRIES || before.as_ref() == Some(&wrong) {
                return looked;
            }
            before = Some(wrong);
            tries += 1;
        }
    }

    fn look(directory: &Path, store: u128, partial: bool) -> Result<Self> {
        let place = Place {
            copy: CopyNumber::FIRST,
            directory: directory.to_owned(),
            id: None,
            store,
            access: LogAccess::Written,
            segment_bytes: 0,
            keep_bytes: 0,
        };
        let (judged, damage) = match judge::judge_from(&place, LogDamage::Refuse, partial) {
            Ok(judged) => (judged, None),
            Err(error) if error.kind() == ErrorKind::Damaged => {
                (judge::judge_from(&place, LogDamage::DropRest, partial)?, Some(error))
            }
            Err(error) => return Err(error),
        };
        let segments = segments(&judged);
        let Judged { first, end, stated_synced: synced, lost, .. } = judged;
        let copy = LogCopy {
            directory: directory.to_owned(),
            is_current: true,
            end: Some(Position(end)),
            damage: damage.clone(),
        };
        Ok(Self { place, segments, first, end, synced, damage, lost, copies: vec![copy] })
    }

    /// Returns the directory of the segments.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.place.directory
    }

    /// Returns the number of the store that the log belongs to.
    pub(crate) const fn store(&self) -> u128 {
        self.place.store
    }

    /// Returns the copies of the log: one, or two if the store has a mirror of it. Everything else
    /// is of the one that the next opening would read.
    #[must_use]
    pub fn copies(&self) -> &[LogCopy] {
        &self.copies
    }

    /// Says which copies there are.
    pub(crate) fn with_copies(self, copies: Vec<LogCopy>) -> Self {
        Self { copies, ..self }
    }

    /// Returns the segments, the oldest first.
    #[must_use]
    pub fn segments(&self) -> &[LogSegment] {
        &self.segments
    }

    /// Returns the segments that have records.
    pub(in crate::log) fn with_records(&self) -> impl DoubleEndedIterator<Item = &LogSegment> {
        self.segments.iter().filter(|segment| !segment.positions.is_empty())
    }

    /// Returns where the oldest record begins that is there.
    #[must_use]
    pub fn begin(&self) -> Position {
        self.with_records().next().map_or(Position(self.end), |oldest| oldest.positions.start)
    }

    /// Returns from where on the next opening replays the log, if no process has the store open.
    #[must_use]
    pub const fn first(&self) -> Position {
        Position(self.first)
    }

    /// Returns where the log ends.
    #[must_use]
    pub const fn end(&self) -> Position {
        Position(self.end)
    }

    /// Returns up to where the log says that it is synced: no power cut takes what is before. More of it
    /// may be, and a mark after the last records need not.
    #[must_use]
    pub const fn synced(&self) -> Position {
        Position(self.synced)
    }

    /// Returns the bytes of all segments.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Returns what is damaged before the log's end, with file and offset, if anything is.
    /// Everything else shows the log up to there.
    #[must_use]
    pub const fn damage(&self) -> Option<&Error> {
        self.damage.as_ref()
    }

    /// Returns what an opening would report as lost: the torn end that a power cut has left, and
    /// what is beyond damage.
    #[must_use]
    pub fn lost(&self) -> &[LogLoss] {
        &self.lost
    }

    /// Returns the records from a position on, up to the end of the log at the moment of this view.
    /// The first is the one that begins there or, if none does, the next one.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if the log begins later;
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if it ends before.
    pub fn records(&self, from: Position) -> Result<LogReader> {
        self.read(from, Some(self.end))
    }

    /// The same, without an end: what other processes append is there as soon as it is asked for
    /// again. Of a log with a mirror one copy is read; if the process that writes gives that one
    /// up, nothing more comes, and a new view reads the other.
    ///
    /// # Errors
    ///
    /// Those of [`records`](Self::records).
    pub fn follow(&self, from: Position) -> Result<LogReader> {
        self.read(from, None)
    }

    fn read(&self, from: Position, until: Option<u64>) -> Result<LogReader> {
        let (begin, end) = (self.begin(), self.end());
        let directory = self.place.directory.display();
        if from < begin {
            let text = format!("the log in {directory} begins at position {begin}, after {from}");
            return Err(Error::new(ErrorKind::NotFound, text));
        }
        if from > end {
            let text = format!("the log in {directory} ends at position {end}, before {from}");
            return Err(Error::invalid(text));
        }
        let holds = |segment: &&LogSegment| segment.positions.start <= from;
        match self.with_records().rev().find(holds) {
            Some(segment) => LogReader::begin(&self.place, segment, from.0, until),
            None => {
                let text = format!("the log in {directory} has no segment with records");
                Err(Error::new(ErrorKind::NotFound, text))
            }
        }
    }

    /// Reads all records that are there, and checks each.
    ///
    /// # Errors
    ///
    /// [`Damaged`](ErrorKind::Damaged), naming file and offset; those of the system.
    pub fn check(&self) -> Result<u64> {
        if let Some(damage) = &self.damage {
            return Err(damage.clone());
        }
        if self.begin() == self.end() {
            return Ok(0);
        }
        let mut reader = self.records(self.begin())?;
        let mut records = 0;
        while reader.next()?.is_some() {
            records += 1;
        }
        Ok(records)
    }
}

fn segments(judged: &Judged) -> Vec<LogSegment> {
    let last = judged.kept.len().saturating_sub(1);
    let kept = judged.kept.iter().enumerate().map(|(index, kept)| {
        let Kept { found, first, end, content } = kept;
        let needed = index == last || *end > judged.first;
        LogSegment {
            file: found.path.clone(),
            number: found.number,
            state: if needed { SegmentState::Needed } else { SegmentState::Released },
            bytes: found.header.file_bytes,
            positions: Position(*first)..Position(*end),
            records: content.records,
            times: content.times.map(|(first, last)| (first.time(), last.time())),
            salt: found.header.salt,
            copy: found.header.copy,
        }
    });
    let end = Position(judged.end);
    let without_records = |file: &Path, state| LogSegment {
        file: file.to_owned(),
        number: number_of(file),
        state,
        bytes: file.metadata().map_or(0, |metadata| metadata.len()),
        positions: end..end,
        records: 0,
        times: None,
        salt: 0,
        copy: 0,
    };
    let spare = judged.unused.iter().map(|it| without_records(&it.path, SegmentState::Spare));
    let dropped = judged.dropped.iter().map(|it| without_records(it, SegmentState::Dropped));
    kept.chain(spare).chain(dropped).collect()
}

fn number_of(file: &Path) -> u64 {
    file.file_stem().and_then(|stem| stem.to_str()?.parse().ok()).unwrap_or_default()
}

/// Returns the number of the store that the first readable segment in a directory belongs to.
fn store_of(directory: &Path) -> Result<u128> {
    let files = judge::list(directory, SEGMENT)?;
    let header = |path: &Path| {
        let pages = open_to_read(path).and_then(|file| judge::first_pages(&file)).ok()?;
        SegmentHeader::decode(&pages).ok()
    };
    let found = files.iter().find_map(|(_, path)| header(path)).map(|header| header.store);
    found.ok_or_else(|| {
        let place = directory.display();
        Error::new(ErrorKind::NotFound, format!("there are no segments of a log in {place}"))
    })
}
