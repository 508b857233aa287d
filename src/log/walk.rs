//! Which records of a segment's bytes check, and what lies beyond the first that does not.

use super::record::{self, HEADER_BYTES, Header, Kind};
use super::segment::CONTENT;
use crate::clock::Timestamp;
use std::convert::Infallible;
use std::ops::RangeInclusive;

/// Bytes that are looked at from front to back.
pub(super) trait Source {
    /// Why some cannot be returned.
    type Error;

    /// Returns bytes from an offset on: at least as many as are asked for, fewer only where the
    /// source ends.
    fn get(&mut self, at: u64, bytes: usize) -> Result<&[u8], Self::Error>;

    /// Returns an offset before which, from the given one on, only zeros are, without looking at
    /// them; the given one if there may be something else.
    fn skip_hole(&mut self, at: u64) -> Result<u64, Self::Error>;
}

impl Source for &[u8] {
    type Error = Infallible;

    fn get(&mut self, at: u64, _: usize) -> Result<&[u8], Infallible> {
        Ok(usize::try_from(at).ok().and_then(|at| <[u8]>::get(self, at..)).unwrap_or_default())
    }

    fn skip_hole(&mut self, at: u64) -> Result<u64, Infallible> {
        Ok(at)
    }
}

/// Why a walk has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// No record begins there: a zero is there, or nothing has room.
    Unused,
    /// Something is there that is no sound record.
    Bad,
}

/// The records of a segment that follow each other and check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Walk {
    /// Where they end.
    pub(super) end: u64,
    pub(super) stop: Stop,
    /// The first position that the log keeps, as the last mark among them says.
    pub(super) kept_from: u64,
    /// Up to where the log was synced, as the last record among them says.
    pub(super) synced: u64,
    /// Where the last of them that has operations ends.
    pub(super) content_end: u64,
    /// The greatest timestamp of any of them.
    pub(super) latest: Timestamp,
    pub(super) content: Content,
}

/// How many records with operations there are, and when the first and the last of them were
/// appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Content {
    pub(super) records: u64,
    pub(super) times: Option<(Timestamp, Timestamp)>,
}

impl Content {
    fn add(&mut self, header: &Header) {
        self.records += 1;
        let first = self.times.map_or(header.timestamp, |(first, _)| first);
        self.times = Some((first, header.timestamp));
    }
}

/// Returns where a segment's records begin, if one does: a mark comes first.
pub(super) fn begin(file: &[u8], seed: u32) -> Option<u64> {
    let (header, _) = record::decode(file.get(CONTENT as usize..)?, seed)?;
    (header.kind == Kind::Mark).then_some(header.position)
}

/// Follows the records of a segment from its first one up to a limit, if there is one.
pub(super) fn walk<S: Source>(
    file: &mut S,
    seed: u32,
    first: u64,
    limit: Option<u64>,
) -> Result<Walk, S::Error> {
    let mut walk = Walk {
        end: first,
        stop: Stop::Unused,
        kept_from: 0,
        synced: 0,
        content_end: 0,
        latest: Timestamp::default(),
        content: Content::default(),
    };
    while limit != Some(walk.end) {
        let at = place(first, walk.end);
        let head = file.get(at, HEADER_BYTES)?;
        // Before the payload is read, of which a header that is out of place may claim 2 GiB.
        let header = Header::decode(head, seed).filter(|header| {
            header.position == walk.end && limit.is_none_or(|limit| header.end() <= limit)
        });
        let Some(header) = header else {
            return walk.stopped(file, at);
        };
        let record = file.get(at, header.bytes as usize)?;
        let Some(payload) = record::payload(&header, record, seed) else {
            return walk.stopped(file, at);
        };
        if header.kind == Kind::Mark {
            let stated = record::stated_first(payload).unwrap_or_default();
            walk.kept_from = walk.kept_from.max(stated);
        } else {
            walk.content_end = header.end();
            walk.content.add(&header);
        }
        walk.synced = walk.synced.max(header.synced);
        walk.latest = walk.latest.max(header.timestamp);
        walk.end = header.end();
    }
    Ok(walk)
}

impl Walk {
    /// Says what is there instead of a sound record.
    fn stopped<S: Source>(self, file: &mut S, at: u64) -> Result<Self, S::Error> {
        let rest = file.get(at, 8)?;
        let zero = rest.get(..8).unwrap_or(rest).iter().all(|byte| *byte == 0);
        Ok(Self { stop: if zero { Stop::Unused } else { Stop::Bad }, ..self })
    }
}

/// What the headers that check, beyond a place, say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Beyond {
    /// How many there are.
    pub(super) headers: u64,
    /// The greatest position up to which one of them says that the log was synced.
    pub(super) synced: u64,
    /// The greatest timestamp of any of them.
    pub(super) latest: Timestamp,
    /// Where the last of their records ends, in the file.
    pub(super) end: u64,
    /// Where the last of their records ends, in the log.
    pub(super) position: u64,
}

/// Looks for headers from an offset of the file on. Their positions must fit their places if it is
/// known where the segment's records begin, and must be among `possible`. A header is taken even
/// if its payload does not check: it has a checksum of its own.
pub(super) fn beyond<S: Source>(
    file: &mut S,
    seed: u32,
    from: u64,
    first: Option<u64>,
    possible: &RangeInclusive<u64>,
) -> Result<Beyond, S::Error> {
    let wanted = first.map_or_else(|| Wanted::among(possible), Wanted::in_place);
    let mut found = Beyond::default();
    let mut at = from.next_multiple_of(8);
    loop {
        // No header begins with zeros.
        at = file.skip_hole(at)? / 8 * 8;
        let here = file.get(at, HEADER_BYTES)?;
        if here.len() < HEADER_BYTES {
            return Ok(found);
        }
        at += scan(here, at, seed, &wanted, &mut found);
    }
}

/// How many bytes are passed over at once if no header can begin among them.
const STRIDE: usize = 4096;

/// Looks for headers that begin among some bytes of a file, which are at an offset of it. Returns
/// how many of the bytes need not be looked at again.
fn scan(bytes: &[u8], offset: u64, seed: u32, wanted: &Wanted, found: &mut Beyond) -> u64 {
    let mut at = 0;
    while let Some(here) = bytes.get(at..).filter(|rest| rest.len() >= HEADER_BYTES) {
        let place = offset + at as u64;
        let positions = here.get(8..8 + STRIDE).filter(|_| at.is_multiple_of(STRIDE));
        if positions.is_some_and(|positions| !wanted.may_be_among(positions, place)) {
            at += STRIDE;
            continue;
        }
        // Cheap first: most places have no header.
        let position = here.get(8..).and_then(|rest| rest.first_chunk::<8>());
        let position = position.map(|bytes| u64::from_le_bytes(*bytes));
        let position = position.filter(|position| wanted.is(*position, place));
        let Some(header) = position.and_then(|_| Header::decode(here, seed)) else {
            at += 8;
            continue;
        };
        found.headers += 1;
        found.synced = found.synced.max(header.synced);
        found.latest = found.latest.max(header.timestamp);
        found.end = place + record::padded(u64::from(header.bytes));
        found.position = found.position.max(header.end());
        // IMPORTANT: no further than the header, whose length may reach over sound records if they
        // were written by another opening.
        at += HEADER_BYTES;
    }
    at as u64
}

/// The positions that a header may have, by its place in the file: from a least one on, as far as
/// a span reaches.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    /// That of a header at the beginning of the file.
    least: u64,
    /// By how much the least one grows from each word of the file to the next.
    step: u64,
    span: u64,
}

impl Wanted {
    /// Those of a segment whose records begin with a position: one for each place.
    const fn in_place(first: u64) -> Self {
        Self { least: first.wrapping_sub(CONTENT), step: 8, span: 0 }
    }

    fn among(possible: &RangeInclusive<u64>) -> Self {
        let least = *possible.start();
        Self { least, step: 0, span: possible.end().saturating_sub(least) }
    }

    const fn least_at(&self, place: u64) -> u64 {
        self.least.wrapping_add(place / 8 * self.step)
    }

    const fn is(&self, position: u64, place: u64) -> bool {
        position.wrapping_sub(self.least_at(place)) <= self.span && position.is_multiple_of(8)
    }

    /// Returns false if none of some words, which follow the one at a place by eight bytes, is a
    /// position that is wanted at its place. It compares bits, and without a branch, so that
    /// several words are compared at once.
    fn may_be_among(&self, positions: &[u8], place: u64) -> bool {
        let beyond_span = !u64::MAX.checked_shr(self.span.leading_zeros()).unwrap_or_default();
        let mut least = self.least_at(place);
        let mut any = false;
        for word in positions.as_chunks::<8>().0 {
            any |= u64::from_le_bytes(*word).wrapping_sub(least) & beyond_span == 0;
            least = least.wrapping_add(self.step);
        }
        any
    }
}

/// Returns where zeros begin that reach to the end of a file, if that is after an offset.
pub(super) fn used<S: Source>(file: &mut S, from: u64) -> Result<u64, S::Error> {
    let (mut at, mut used) = (from, from);
    loop {
        at = file.skip_hole(at)?;
        let here = file.get(at, 1)?;
        if here.is_empty() {
            return Ok(used);
        }
        if let Some(last) = here.iter().rposition(|byte| *byte != 0) {
            used = at + last as u64 + 1;
        }
        at += here.len() as u64;
    }
}

/// Returns where in its file a position of a segment is.
const fn place(first: u64, position: u64) -> u64 {
    position.saturating_sub(first).saturating_add(CONTENT)
}
