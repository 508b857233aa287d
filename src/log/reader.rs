//! Reading records one after the other, also those that are appended meanwhile.

use super::hold::Hold;
use super::opened::Segment;
use super::pin::Pin;
use super::record::{Header, Kind, Operations};
use super::state::Inner;
use super::{ChangesFrom, MissingChanges, Operation, Position};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

/// A place in the log that moves from record to record. Keeps the log from about there on.
pub(crate) struct Reader {
    inner: Arc<Inner>,
    keep: Keep,
    at: u64,
    segment: Option<Arc<Segment>>,
    buffer: Vec<u8>,
}

/// How a reader keeps the log.
enum Keep {
    /// Whatever it costs.
    Pin(Pin),
    /// Within limits, so that what it reads next may be gone.
    Hold(Hold),
}

/// One record: what one write or one batch changed.
#[derive(Debug)]
pub struct Record<'a> {
    header: Header,
    payload: &'a [u8],
}

impl Inner {
    pub(super) fn read(self: &Arc<Self>, from: u64) -> Result<Reader> {
        let pin = self.pin_at(from).ok_or_else(|| {
            let first = self.first.load(Ordering::Acquire);
            Error::invalid(format!(
                "the log begins at position {first}; read from there, not {from}"
            ))
        })?;
        self.begin_at(from, Keep::Pin(pin))
    }

    /// Reads from a place on, from which the files of the log are kept within limits.
    pub(super) fn read_held(self: &Arc<Self>, from: ChangesFrom, most: u64) -> Result<Reader> {
        let (hold, position) = self.hold(from, most)?;
        self.begin_at(position, Keep::Hold(hold))
    }

    fn begin_at(self: &Arc<Self>, from: u64, keep: Keep) -> Result<Reader> {
        let inner = Arc::clone(self);
        let mut reader = Reader { inner, keep, at: from, segment: None, buffer: Vec::new() };
        let end = self.end.load(Ordering::Acquire);
        if from > end {
            return Err(Error::invalid(format!("the log ends at position {end}, before {from}")));
        }
        if from < end {
            let no_record = |error: Error| match error.kind() {
                ErrorKind::Io => error,
                _ => Error::invalid(format!("no record of the log begins at position {from}"))
                    .with_source(error),
            };
            reader.enter()?;
            if let Some(segment) = &reader.segment {
                segment.read(from, &mut reader.buffer).map_err(no_record)?;
            }
        }
        Ok(reader)
    }
}

impl Reader {
    /// Returns the next record; `None` if there is no other as of now, so call again later.
    ///
    /// # Errors
    ///
    /// `Io` and `Damaged` if a record cannot be read, which does not get better.
    pub(crate) fn next(&mut self) -> Result<Option<Record<'_>>> {
        let end = self.inner.end.load(Ordering::Acquire);
        self.next_before(Position(end))
    }

    /// The same for a record that ends at or before a position, at which a record must end.
    ///
    /// # Errors
    ///
    /// Those of [`next`](Self::next); `Gone` if the log is only held, and was freed.
    pub(crate) fn next_before(&mut self, limit: Position) -> Result<Option<Record<'_>>> {
        if self.at < limit.0 && self.is_in_another_segment() {
            match &mut self.keep {
                Keep::Pin(pin) => pin.advance(self.at),
                Keep::Hold(hold) => hold.advance(self.at),
            }
        }
        self.take_before(limit)
    }

    /// The same as [`next`](Self::next) for one who holds a lock of the log: it leaves what keeps
    /// the log where it is, since moving that may free segments, which takes these locks.
    pub(super) fn next_under_lock(&mut self) -> Result<Option<Record<'_>>> {
        let end = self.inner.end.load(Ordering::Acquire);
        self.take_before(Position(end))
    }

    fn take_before(&mut self, limit: Position) -> Result<Option<Record<'_>>> {
        loop {
            if self.at >= limit.0 {
                return Ok(None);
            }
            self.enter()?;
            let Some(segment) = &self.segment else { return Ok(None) };
            let header = segment.head(self.at)?;
            if header.kind == Kind::Operations {
                break;
            }
            self.at = header.end();
        }
        let Some(segment) = &self.segment else { return Ok(None) };
        let (header, payload) = segment.read(self.at, &mut self.buffer)?;
        self.at = header.end();
        Ok(Some(Record::new(header, payload)))
    }

    /// Passes the records up to the end as it is now, and calls `each` for every one. Stops at the
    /// first error.
    pub(crate) fn pass(&mut self, mut each: impl FnMut(&Record<'_>) -> Result<()>) -> Result<()> {
        let end = self.inner.end.load(Ordering::Acquire);
        while self.at < end {
            match self.next()? {
                Some(record) => each(&record)?,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Returns where the next record begins.
    pub(crate) fn position(&self) -> Position {
        Position(self.at)
    }

    /// Makes the segment that holds the position, which is before the end of the log, the present
    /// one.
    fn enter(&mut self) -> Result<()> {
        if !self.is_in_another_segment() {
            return Ok(());
        }
        let segments = self.inner.segments.lock();
        let holds = |it: &&Arc<Segment>| it.first <= self.at && self.at < it.end();
        let found = segments.iter().find(holds).cloned();
        let begin = segments.front().map_or(0, |oldest| oldest.first);
        drop(segments);
        if found.is_none() {
            if matches!(self.keep, Keep::Hold(_)) && self.at < begin {
                return Err(MissingChanges::error(self.at, begin));
            }
            let text = format!("the log has no segment with position {}", self.at);
            return Err(Error::new(ErrorKind::Internal, text));
        }
        self.segment = found;
        Ok(())
    }

    /// Returns true if the position is not in the segment that was read last.
    fn is_in_another_segment(&self) -> bool {
        self.segment.as_ref().is_none_or(|segment| self.at >= segment.end())
    }
}

impl<'a> Record<'a> {
    pub(super) const fn new(header: Header, payload: &'a [u8]) -> Self {
        Self { header, payload }
    }

    /// Returns where it begins.
    #[must_use]
    pub const fn start(&self) -> Position {
        Position(self.header.position)
    }

    /// Returns where the next record begins.
    #[must_use]
    pub fn end(&self) -> Position {
        Position(self.header.end())
    }

    /// Returns its timestamp, which is greater than those of all earlier records. Logs that earlier
    /// versions wrote have the millisecond alone: there several records may have the same.
    #[must_use]
    pub const fn timestamp(&self) -> Timestamp {
        self.header.timestamp
    }

    /// Returns when it was appended, by the clock of the store; never before an earlier record.
    #[must_use]
    pub fn time(&self) -> SystemTime {
        self.timestamp().time()
    }

    pub(crate) const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Returns what was changed, in order.
    pub fn operations(&self) -> impl Iterator<Item = Operation<'a>> + use<'a> {
        Operations::new(self.payload)
    }
}
