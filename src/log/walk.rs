//! Which records of a segment's bytes check, and what lies beyond the first that does not. Pure.

use super::record::{self, HEADER_BYTES, Header, Kind};
use super::segment::CONTENT;
use std::ops::RangeInclusive;

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
    pub(super) content: Content,
}

/// How many records with operations there are, and when the first and the last of them were
/// appended, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Content {
    pub(super) records: u64,
    pub(super) millis: Option<(u64, u64)>,
}

impl Content {
    fn add(&mut self, header: &Header) {
        self.records += 1;
        let first = self.millis.map_or(header.millis, |(first, _)| first);
        self.millis = Some((first, header.millis));
    }
}

/// Returns where a segment's records begin, if one does: a mark comes first.
pub(super) fn begin(file: &[u8], seed: u32) -> Option<u64> {
    let (header, _) = record::decode(file.get(CONTENT as usize..)?, seed)?;
    (header.kind == Kind::Mark).then_some(header.position)
}

/// Follows the records of a segment from its first one up to a limit, if there is one.
pub(super) fn walk(file: &[u8], seed: u32, first: u64, limit: Option<u64>) -> Walk {
    let mut walk = Walk {
        end: first,
        stop: Stop::Unused,
        kept_from: 0,
        synced: 0,
        content_end: 0,
        content: Content::default(),
    };
    loop {
        if limit == Some(walk.end) {
            return walk;
        }
        let rest = offset(first, walk.end).and_then(|at| file.get(at..)).unwrap_or_default();
        let found = record::decode(rest, seed);
        let found = found.filter(|(header, _)| header.position == walk.end);
        match found.filter(|(header, _)| limit.is_none_or(|limit| header.end() <= limit)) {
            Some((header, payload)) => {
                if header.kind == Kind::Mark {
                    let stated = record::stated_first(payload).unwrap_or_default();
                    walk.kept_from = walk.kept_from.max(stated);
                } else {
                    walk.content_end = header.end();
                    walk.content.add(&header);
                }
                walk.synced = walk.synced.max(header.synced);
                walk.end = header.end();
            }
            None => {
                let zero = rest.get(..8).unwrap_or(rest).iter().all(|byte| *byte == 0);
                walk.stop = if zero { Stop::Unused } else { Stop::Bad };
                return walk;
            }
        }
    }
}

/// What the headers that check, beyond a place, say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Beyond {
    /// How many there are.
    pub(super) headers: u64,
    /// The greatest position up to which one of them says that the log was synced.
    pub(super) synced: u64,
    /// Where the last of their records ends, in the file.
    pub(super) end: u64,
    /// Where the last of their records ends, in the log.
    pub(super) position: u64,
}

/// Looks for headers from an offset of the file on. Their positions must fit their places if it is
/// known where the segment's records begin, and must be among `possible`. A header is taken even
/// if its payload does not check: it has a checksum of its own.
pub(super) fn beyond(
    file: &[u8],
    seed: u32,
    from: u64,
    first: Option<u64>,
    possible: &RangeInclusive<u64>,
) -> Beyond {
    let mut found = Beyond::default();
    let mut at = usize::try_from(from.next_multiple_of(8)).unwrap_or(usize::MAX);
    while let Some(here) = file.get(at..).filter(|rest| rest.len() >= HEADER_BYTES) {
        let fits = |position: u64| match first {
            Some(first) => offset(first, position) == Some(at),
            None => possible.contains(&position) && position.is_multiple_of(8),
        };
        // Cheap first: most places have no header.
        let position = here.get(8..).and_then(|rest| rest.first_chunk::<8>());
        let position = position.map(|bytes| u64::from_le_bytes(*bytes));
        let header = position.filter(|at| fits(*at)).and_then(|_| Header::decode(here, seed));
        let Some(header) = header else {
            at += 8;
            continue;
        };
        found.headers += 1;
        found.synced = found.synced.max(header.synced);
        found.end = at as u64 + record::padded(u64::from(header.bytes));
        found.position = found.position.max(header.end());
        // IMPORTANT: no further than the header, whose length may reach over sound records if they
        // were written by another opening.
        at += HEADER_BYTES;
    }
    found
}

/// Returns where in its file a position of a segment is.
fn offset(first: u64, position: u64) -> Option<usize> {
    usize::try_from(position.checked_sub(first)?.checked_add(CONTENT)?).ok()
}
