//! Reading the files of a log that another process may be writing.
//!
//! The position is all there is to go by. At each place one of these is true:
//!
//! * A sound record of the segment's present use begins there. It is read with its header first,
//!   and was written with its header last, so it is whole.
//! * A later segment begins there: the reader goes on in it.
//! * A later segment begins beyond. Then a record was appended there since the first look, or the
//!   segment has been used again.
//! * A later segment begins before: an opening has truncated the log.
//! * None of it: the log ends there as of now.

use super::segment::LogSegment;
use crate::error::{Error, ErrorKind, Result};
use crate::log::copy_set::{CopySet, Current};
use crate::log::opened::{Prepared, Segment};
use crate::log::reader::Record;
use crate::log::record::{HEADER_BYTES, Header, Kind};
use crate::log::segment::{Place, PreparedFile, SEGMENT, SegmentHeader, open_to_read};
use crate::log::{Position, judge, walk};
use crate::os::files::cannot;
use std::path::Path;
use std::sync::Arc;

/// A place in a log that moves from record to record, by what the files have.
#[derive(Debug)]
pub struct LogReader {
    place: Place,
    segment: Arc<Segment>,
    /// Where the next segment begins, if that was known when the present one was entered.
    /// IMPORTANT: what lies beyond in the present one was truncated, even if it is sound.
    limit: Option<u64>,
    at: u64,
    /// Records that begin before it are passed over.
    from: u64,
    /// Up to where the records that were passed say that the log was synced.
    synced: u64,
    /// Where to end; without it there may always be more.
    until: Option<u64>,
    payload: Vec<u8>,
}

impl LogReader {
    pub(super) fn begin(
        place: &Place,
        segment: &LogSegment,
        from: u64,
        until: Option<u64>,
    ) -> Result<Self> {
        let found = open(&segment.file, segment.number, place)?;
        let is_same = |(it, _): &(Arc<Segment>, u128)| it.first == segment.positions.start.0;
        let opened = found.filter(|it| it.1 == segment.salt && is_same(it));
        let Some((opened, _)) = opened else {
            return Err(gone(place, segment.positions.start.0, None));
        };
        let mut reader = Self {
            place: place.clone(),
            segment: Arc::clone(&opened),
            limit: None,
            at: opened.first,
            from,
            synced: 0,
            until,
            payload: Vec::new(),
        };
        reader.enter(opened)?;
        Ok(reader)
    }

    /// Returns the next record; `None` at the end. Without a bound, as of now: call again later.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if another process has released the place meanwhile, and
    /// used the file again; [`Damaged`](ErrorKind::Damaged) if what was there is not there any
    /// more, or was truncated; those of the system.
    #[expect(clippy::should_implement_trait, reason = "lends its buffer")]
    pub fn next(&mut self) -> Result<Option<Record<'_>>> {
        self.next_before(Position(u64::MAX))
    }

    /// Returns the next record, if it begins before a position; `None` if there is none as of now.
    ///
    /// # Errors
    ///
    /// Those of [`next`](Self::next).
    pub fn next_before(&mut self, limit: Position) -> Result<Option<Record<'_>>> {
        let header = loop {
            if self.at >= limit.0 || self.until.is_some_and(|until| self.at >= until) {
                return Ok(None);
            }
            let Some(header) = self.look()? else { return Ok(None) };
            self.at = header.end();
            self.synced = self.synced.max(header.synced);
            if header.kind == Kind::Operations && header.position >= self.from {
                break header;
            }
        };
        Ok(Some(Record::new(header, &self.payload)))
    }

    /// Returns up to where the log was synced, as the records say that were passed so far.
    #[must_use]
    pub const fn synced(&self) -> Position {
        Position(self.synced)
    }

    /// Returns where the next record begins.
    #[must_use]
    pub const fn position(&self) -> Position {
        Position(self.at)
    }

    /// Returns the header of the record at the present position, and reads its payload. Goes on in
    /// later segments.
    fn look(&mut self) -> Result<Option<Header>> {
        let mut beyond = false;
        loop {
            if let Some(header) = self.sound()? {
                return Ok(Some(header));
            }
            let Some(next) = self.later()? else {
                return if self.until.is_some() { Err(self.unsound()) } else { Ok(None) };
            };
            if next.first == self.at {
                self.enter(next)?;
                beyond = false;
                continue;
            }
            if next.first < self.at {
                return Err(self.cut(next.first));
            }
            // Since the look at this segment a record may have been appended, and the segment left;
            // and since the look at the next one, that one may have come into use. Both are there
            // the second time.
            if beyond {
                return Err(gone(&self.place, self.at, Some(next.first)));
            }
            beyond = true;
        }
    }

    fn sound(&mut self) -> Result<Option<Header>> {
        let at = self.segment.offset(self.at);
        if self.limit == Some(self.at) || at + HEADER_BYTES as u64 > self.segment.file_bytes {
            return Ok(None);
        }
        match self.segment.read(self.at, &mut self.payload) {
            Ok((header, _)) => Ok(Some(header)),
            Err(error) if error.kind() == ErrorKind::Damaged => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the first later segment that records were written to, if there is one.
    fn later(&self) -> Result<Option<Arc<Segment>>> {
        for (number, path) in judge::list(&self.place.directory, SEGMENT)? {
            if number > self.segment.number
                && let Some((segment, _)) = open(&path, number, &self.place)?
            {
                return Ok(Some(segment));
            }
        }
        Ok(None)
    }

    fn enter(&mut self, segment: Arc<Segment>) -> Result<()> {
        self.segment = segment;
        let next = self.later()?;
        let follows = |next: &Arc<Segment>| next.number == self.segment.number + 1;
        self.limit = next.filter(follows).map(|next| next.first);
        Ok(())
    }

    fn unsound(&self) -> Error {
        let (file, at) = (self.segment.path().display(), self.segment.offset(self.at));
        Error::new(
            ErrorKind::Damaged,
            format!("the log {file} has no sound record at offset {at}; look at it again"),
        )
    }

    fn cut(&self, position: u64) -> Error {
        let directory = self.place.directory.display();
        Error::new(
            ErrorKind::Damaged,
            format!(
                "the log in {directory} was cut at position {position} by an opening of the store, \
                 which lost what was beyond; read it again from there"
            ),
        )
    }
}

fn gone(place: &Place, position: u64, begin: Option<u64>) -> Error {
    let directory = place.directory.display();
    let now = begin.map_or_else(String::new, |begin| format!("; it goes on at position {begin}"));
    Error::new(
        ErrorKind::NotFound,
        format!(
            "position {position} of the log in {directory} is gone: the process that has the store \
             open has released it{now}. Option log_keep_bytes keeps more"
        ),
    )
}

/// Opens a segment with its salt, only for reading; returns `None` if it is not there any more, has
/// no record, or is of another store or number.
fn open(path: &Path, number: u64, place: &Place) -> Result<Option<(Arc<Segment>, u128)>> {
    let file = match open_to_read(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot("open", path, error)),
    };
    let pages = judge::first_pages(&file).map_err(|error| cannot("read", path, error))?;
    let header = SegmentHeader::decode(&pages).ok();
    let header = header.filter(|it| it.store == place.store && it.number == number);
    let Some(header) = header else { return Ok(None) };
    let Some(first) = walk::begin(&pages, header.seed()) else { return Ok(None) };
    let (seed, file_bytes) = (header.seed(), header.file_bytes);
    let path = path.to_owned();
    let first_file = PreparedFile { copy: place.copy, path, file, map: None };
    let prepared = Prepared { number, seed, file_bytes, first: first_file, second: None };
    let current = Current::new(CopySet::EMPTY.with(place.copy));
    Ok(Some((prepared.begin(first, &current).0, header.salt)))
}
