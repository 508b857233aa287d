//! The parts of RocksDB's log format that an opening has to judge. Write-ahead logs and manifests
//! use it.
//!
//! A log is a sequence of blocks of 32 KiB. A record is divided into fragments that do not cross
//! blocks; each has a header of seven bytes: a masked CRC-32C of type and content, the length of
//! the content, and the type (whole, first, middle, last). RocksDB takes the first bad fragment for
//! the end of what was written before a power cut, and skips zeros silently. So it cannot tell a
//! torn end from damage in the middle; this module can, by what follows.

use std::io::{self, Read};

const BLOCK_BYTES: usize = 32 << 10;
const HEADER_BYTES: usize = 7;
/// Where the type is in a header.
pub(super) const TYPE: usize = 6;

/// The unit that a disk loses or keeps as a whole.
const SECTOR_BYTES: u64 = 512;

const WHOLE: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;
/// The type of the record in which a log describes the one before it.
const PREDECESSOR: u8 = 130;
/// A reader passes over sound records of types from here on that it does not know.
const PASSED_OVER: u8 = 128;
/// The types of records in files that are used again, as none is here.
const RECYCLED: [u8; 6] = [5, 6, 7, 8, 11, 131];

/// How much of a record is passed on: its numbers are at its beginning.
const HEAD_BYTES: usize = 256;

/// The result of reading a log to its end, or to the first place that is not sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Walk {
    pub(super) bytes: u64,
    /// Sound records before the break.
    pub(super) records: u64,
    /// The number of the first write in it, and the number after its last sound write, where they
    /// are known: RocksDB numbers the writes of an instance.
    pub(super) first_write: Option<u64>,
    pub(super) next_write: Option<u64>,
    /// The number of the first write of its last sound batch.
    pub(super) last_batch: Option<u64>,
    pub(super) predecessor: Option<Predecessor>,
    pub(super) broken: Option<Break>,
}

/// What a log says about the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Predecessor {
    pub(super) number: u64,
    /// Including those of a write that failed, whether or not they reached the disk.
    pub(super) bytes: u64,
    /// The number of the first write of its last batch, without one that failed.
    pub(super) last_batch: u64,
}

/// The place where a log stops being sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Break {
    /// Where the incomplete record begins: everything before it is sound.
    pub(super) offset: u64,
    pub(super) shape: Shape,
    /// Where the next sound fragment begins, if one follows.
    pub(super) next: Option<u64>,
    /// True if the log had ended here when this sector of its last block was written. RocksDB takes
    /// that for padding up to the end of the block.
    pub(super) padding: bool,
    /// Where RocksDB, reading on, meets a record of a file that is used again: it rejects such a
    /// record in a file that is not, but does not pass it, and never returns.
    pub(super) endless: Option<u64>,
}

/// What is found at a break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// The log ends within a record.
    Short,
    /// A sector or more was never written: a power cut took what was not synced.
    Hole,
    /// Bytes that are neither a record nor a hole.
    Garbage,
}

enum Fragment {
    Sound {
        kind: u8,
        at: usize,
        length: usize,
    },
    /// The rest of a block is too short for a header.
    End,
    /// The header or the content reaches beyond the end of the log.
    Short,
    Bad,
}

/// Reads a fragment of a block. `last`: the log ends with this block.
fn fragment(block: &[u8], at: usize, last: bool) -> Fragment {
    let rest = block.get(at..).unwrap_or_default();
    if rest.len() < HEADER_BYTES {
        let short = last && block.len() < BLOCK_BYTES && !rest.is_empty();
        return if short { Fragment::Short } else { Fragment::End };
    }
    let Some((header, content)) = rest.split_first_chunk::<HEADER_BYTES>() else {
        return Fragment::End;
    };
    let [c0, c1, c2, c3, l0, l1, kind] = *header;
    let length = usize::from(u16::from_le_bytes([l0, l1]));
    let Some(content) = content.get(..length) else {
        let beyond = at + HEADER_BYTES + length > BLOCK_BYTES;
        return if last && !beyond && kind != 0 { Fragment::Short } else { Fragment::Bad };
    };
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&[kind]), content);
    // RocksDB masks it, so that a log may contain logs.
    let masked = checksum.rotate_right(15).wrapping_add(0xa282_ead8);
    let known = matches!(kind, WHOLE | FIRST | MIDDLE | LAST) || kind >= PASSED_OVER;
    let known = known && !RECYCLED.contains(&kind);
    if !known || masked != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Fragment::Bad;
    }
    Fragment::Sound { kind, at: at + HEADER_BYTES, length }
}

/// Reads a log from its beginning, and passes the beginning of each sound record before the break
/// to `each`.
///
/// # Errors
///
/// Those of the reader.
pub(super) fn walk(log: &mut impl Read, each: impl FnMut(&[u8])) -> io::Result<Walk> {
    let mut walker =
        Walker { walk: Walk::default(), begun: None, head: Vec::new(), bad: None, each };
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    loop {
        block.clear();
        log.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut block)?;
        let last = block.len() < BLOCK_BYTES;
        match &walker.bad {
            None => walker.read(&block, last),
            Some(_) => walker.look_behind(&block, 0, last),
        }
        walker.walk.bytes += block.len() as u64;
        if last {
            return Ok(walker.end());
        }
    }
}

struct Walker<F> {
    walk: Walk,
    /// Where the record begins whose last fragment has not been read yet.
    begun: Option<u64>,
    /// The beginning of that record.
    head: Vec<u8>,
    bad: Option<Bad>,
    each: F,
}

/// A break whose surroundings are still being examined.
struct Bad {
    offset: u64,
    /// Where the bad fragment itself begins.
    at: u64,
    short: bool,
    hole: bool,
    next: Option<u64>,
    padding: bool,
    endless: Option<u64>,
}

impl<F: FnMut(&[u8])> Walker<F> {
    fn read(&mut self, block: &[u8], last: bool) {
        let mut at = 0;
        loop {
            let place = self.walk.bytes + at as u64;
            match fragment(block, at, last) {
                Fragment::End => return,
                Fragment::Short => return self.breaks(block, at, last, true),
                Fragment::Bad => return self.breaks(block, at, last, false),
                Fragment::Sound { kind, at: content, length } => {
                    let in_order = match kind {
                        MIDDLE | LAST => self.begun.is_some(),
                        _ => self.begun.is_none(),
                    };
                    if !in_order {
                        return self.breaks(block, at, last, false);
                    }
                    self.take(
                        kind,
                        place,
                        block.get(content..content + length).unwrap_or_default(),
                    );
                    at = content + length;
                }
            }
        }
    }

    /// Takes a sound fragment that is in order.
    fn take(&mut self, kind: u8, place: u64, content: &[u8]) {
        if kind == PREDECESSOR {
            self.walk.predecessor = predecessor(content);
        }
        if kind >= PASSED_OVER {
            return;
        }
        if matches!(kind, WHOLE | FIRST) {
            self.begun = Some(place);
            self.head.clear();
        }
        let room = HEAD_BYTES.saturating_sub(self.head.len());
        self.head.extend_from_slice(content.get(..room).unwrap_or(content));
        if matches!(kind, WHOLE | LAST) {
            self.begun = None;
            let writes = writes(&self.head);
            if self.walk.records == 0 {
                self.walk.first_write = writes.map(|(first, _)| first);
            }
            self.walk.last_batch = writes.map(|(first, _)| first);
            self.walk.next_write = writes.map(|(_, next)| next);
            self.walk.records += 1;
            (self.each)(&self.head);
        }
    }

    fn breaks(&mut self, block: &[u8], at: usize, last: bool, short: bool) {
        let at_in_log = self.walk.bytes + at as u64;
        let padding = last && self.begun.is_none() && is_padding(block, self.walk.bytes, at);
        let offset = self.begun.take().unwrap_or(at_in_log);
        let (hole, next, endless) = (false, None, None);
        self.bad = Some(Bad { offset, at: at_in_log, short, hole, next, padding, endless });
        self.look_behind(block, at, last);
    }

    /// Looks for a hole and for the next sound fragment, from this place of a block on, and for
    /// what RocksDB would read without end.
    fn look_behind(&mut self, block: &[u8], from: usize, last: bool) {
        let start = self.walk.bytes;
        let Some(bad) = &mut self.bad else { return };
        let recycled = || recycled(block, from, last).map(|at| start + at as u64);
        bad.endless = bad.endless.or_else(recycled);
        if bad.short || bad.next.is_some() {
            return;
        }
        let is_sound = |at: &usize| matches!(fragment(block, *at, false), Fragment::Sound { .. });
        // In the block of the break a fragment may begin anywhere, since the length of the bad one
        // may be wrong. In a later block a fragment is at its beginning. One that is sound but out
        // of order is after the break, too.
        let tries = if bad.at >= start { from..block.len() } else { 0..1 };
        let next = tries.into_iter().find(is_sound);
        bad.hole |= has_hole(block, start, from, next.unwrap_or(block.len()));
        bad.next = next.map(|next| start + next as u64);
    }

    fn end(mut self) -> Walk {
        if let (None, Some(begun)) = (&self.bad, self.begun) {
            let at = self.walk.bytes;
            let (hole, next, padding, endless) = (false, None, false, None);
            self.bad = Some(Bad { offset: begun, at, short: true, hole, next, padding, endless });
        }
        self.walk.broken = self.bad.map(|bad| Break {
            offset: bad.offset,
            shape: match bad {
                Bad { hole: true, .. } => Shape::Hole,
                Bad { short: true, .. } => Shape::Short,
                _ => Shape::Garbage,
            },
            next: bad.next,
            padding: bad.padding,
            endless: bad.endless,
        });
        self.walk
    }
}

/// Returns true if a sector between two places of a block was never written: what a power cut takes
/// of a file that only grows reads as zeros, from where the file had ended to the end of a sector.
fn has_hole(block: &[u8], start: u64, from: usize, end: usize) -> bool {
    let mut at = from;
    while at < end {
        let left = SECTOR_BYTES - (start + at as u64) % SECTOR_BYTES;
        let sector_end = at.saturating_add(usize::try_from(left).unwrap_or(usize::MAX));
        // The last sector of a log may be short; one in which a sound fragment begins was written.
        if (sector_end <= end || end == block.len())
            && block.get(at..sector_end.min(end)).is_some_and(is_zero)
        {
            return true;
        }
        at = sector_end;
    }
    false
}

/// Returns true if there are zeros from a place of a block on: a whole header of them, and up to the
/// end of the sector at least. The log had ended here when that sector was written.
fn is_padding(block: &[u8], start: u64, at: usize) -> bool {
    let left = SECTOR_BYTES - (start + at as u64) % SECTOR_BYTES;
    let zeros = block.iter().skip(at).take_while(|byte| **byte == 0).count() as u64;
    zeros >= left.max(HEADER_BYTES as u64)
}

/// Returns where RocksDB, which leaves out the rest of a block from what is not sound on, meets a
/// record of a file that is used again in this block.
fn recycled(block: &[u8], from: usize, last: bool) -> Option<usize> {
    let mut at = from;
    loop {
        if RECYCLED.contains(block.get(at + TYPE)?) {
            return Some(at);
        }
        let Fragment::Sound { at: content, length, .. } = fragment(block, at, last) else {
            return None;
        };
        at = content + length;
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// Returns the number of a batch's first write, and the number after its last.
fn writes(content: &[u8]) -> Option<(u64, u64)> {
    let (first, rest) = content.split_first_chunk::<8>()?;
    let (count, _) = rest.split_first_chunk::<4>()?;
    let first = u64::from_le_bytes(*first);
    Some((first, first.checked_add(u32::from_le_bytes(*count).into())?))
}

fn predecessor(content: &[u8]) -> Option<Predecessor> {
    let (number, rest) = content.split_first_chunk::<8>()?;
    let (bytes, rest) = rest.split_first_chunk::<8>()?;
    let (last_batch, _) = rest.split_first_chunk::<8>()?;
    let [number, bytes, last_batch] = [number, bytes, last_batch].map(|n| u64::from_le_bytes(*n));
    Some(Predecessor { number, bytes, last_batch })
}

#[cfg(test)]
pub(super) mod tests;
