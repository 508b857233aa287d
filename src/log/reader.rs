//! Reading records one after the other, also those that are appended meanwhile.

use super::opened::Segment;
use super::pin::Pin;
use super::record::{Header, Kind, Operations};
use super::state::Inner;
use super::{Operation, Position};
use crate::error::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A place in the log that moves from record to record. Keeps the log from about there on.
pub(crate) struct Reader {
    inner: Arc<Inner>,
    pin: Pin,
    at: u64,
    segment: Option<Arc<Segment>>,
    buffer: Vec<u8>,
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
        let inner = Arc::clone(self);
        let mut reader = Reader { inner, pin, at: from, segment: None, buffer: Vec::new() };
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
        loop {
            if self.at >= self.inner.end.load(Ordering::Acquire) {
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

    /// Returns where the next record begins.
    pub(crate) fn position(&self) -> Position {
        Position(self.at)
    }

    /// Makes the segment that holds the position, which is before the end of the log, the present
    /// one.
    fn enter(&mut self) -> Result<()> {
        if self.segment.as_ref().is_some_and(|segment| self.at < segment.end()) {
            return Ok(());
        }
        let segments = self.inner.segments.lock();
        let holds = |it: &&Arc<Segment>| it.first <= self.at && self.at < it.end();
        let found = segments.iter().find(holds).cloned();
        drop(segments);
        if found.is_none() {
            let text = format!("the log has no segment with position {}", self.at);
            return Err(Error::new(ErrorKind::Internal, text));
        }
        self.segment = found;
        self.pin.advance(self.at);
        Ok(())
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

    /// Returns when it was appended, by the clock of the system; never before an earlier record of
    /// the same opening.
    #[must_use]
    pub fn time(&self) -> SystemTime {
        time(self.header.millis)
    }

    /// Returns what was changed, in order.
    pub fn operations(&self) -> impl Iterator<Item = Operation<'a>> + use<'a> {
        Operations::new(self.payload)
    }
}

/// Returns a moment, from milliseconds since 1970.
pub(super) fn time(millis: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(millis)).unwrap_or(UNIX_EPOCH)
}
