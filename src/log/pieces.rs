//! A file of the log, read in pieces through one buffer.
//!
//! It is read, not mapped: a page that the disk cannot return is then an error with the file's
//! name, and a file that something else truncates meanwhile is one, too.

use super::segment::open_to_read;
use super::walk::Source;
use crate::error::{Error, Result};
use crate::os::files::{cannot, read_ahead};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// How much is read at once: little enough to stay in the processor's cache between the read and
/// the look at it.
const PIECE: u64 = 256 << 10;

/// How much is being read ahead of that.
const AHEAD: u64 = 1 << 20;

/// A file whose content is looked at from front to back.
#[derive(Debug)]
pub(super) struct Pieces<'p> {
    path: &'p Path,
    file: File,
    bytes: u64,
    /// Grows beyond a piece only for a record that needs it.
    buffer: Vec<u8>,
    /// What of the file is in the buffer.
    held: Range<u64>,
    /// A part of the file that is no hole, with the offset from which it was looked for.
    data: (u64, Range<u64>),
    /// Up to where the system was asked to read.
    asked: u64,
}

impl<'p> Pieces<'p> {
    pub(super) fn open(path: &'p Path) -> Result<Self> {
        let opened = open_to_read(path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (bytes, file) = opened.map_err(|error| cannot("read", path, error))?;
        Ok(Self { path, file, bytes, buffer: Vec::new(), held: 0..0, data: (0, 0..0), asked: 0 })
    }

    /// Returns the length of the file.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the first part at or after an offset that is no hole.
    fn data(&mut self, at: u64) -> Range<u64> {
        if !(self.data.0..self.data.1.end).contains(&at) {
            self.data = (at, data(&self.file, at, self.bytes));
        }
        self.data.1.clone()
    }

    /// Fetches a piece that begins at an offset, with at least the bytes up to another.
    fn fill(&mut self, at: u64, until: u64) -> Result<()> {
        let data = self.data(at);
        let piece = if data.contains(&at) { data.end.min(at.saturating_add(PIECE)) } else { at };
        let until = until.max(piece).min(self.bytes);
        if data.contains(&at) && until + AHEAD / 2 > self.asked {
            let ahead = data.end.min(until + AHEAD);
            read_ahead(&self.file, self.asked.max(at)..ahead);
            self.asked = ahead;
        }
        let bytes = until.saturating_sub(at) as usize;
        if self.buffer.len() < bytes {
            self.buffer.resize(bytes.max(PIECE as usize), 0);
        }
        self.held = 0..0;
        let mut place = at;
        while place < until {
            place = self.fetch(at, place, until)?;
        }
        self.held = at..until;
        Ok(())
    }

    /// Puts the bytes from a place on into a buffer that begins at an offset: up to the end of a
    /// hole and of the data after it. Returns where they end.
    ///
    /// IMPORTANT: a hole is zeros, and is not read. A page of one that has been read is in the page
    /// cache, and counts as data when the next hole is looked for: a few bytes that reach into each
    /// page would make data of one page after the other.
    fn fetch(&mut self, offset: u64, place: u64, until: u64) -> Result<u64> {
        let data = self.data(place);
        let from = data.start.clamp(place, until);
        let end = data.end.clamp(from, until);
        let in_buffer =
            |range: Range<u64>| (range.start - offset) as usize..(range.end - offset) as usize;
        self.buffer.get_mut(in_buffer(place..from)).unwrap_or_default().fill(0);
        let to_read = self.buffer.get_mut(in_buffer(from..end)).unwrap_or_default();
        let read = self.file.read_exact_at(to_read, from);
        read.map_err(|error| cannot("read", self.path, error))?;
        Ok(if data.is_empty() { until } else { end })
    }
}

impl Source for Pieces<'_> {
    type Error = Error;

    fn get(&mut self, at: u64, bytes: usize) -> Result<&[u8]> {
        let until = at.saturating_add(bytes as u64).min(self.bytes);
        if at >= until {
            return Ok(&[]);
        }
        if at < self.held.start || until > self.held.end {
            self.fill(at, until)?;
        }
        let held = (at - self.held.start) as usize..(self.held.end - self.held.start) as usize;
        Ok(self.buffer.get(held).unwrap_or_default())
    }

    fn skip_hole(&mut self, at: u64) -> Result<u64> {
        Ok(self.data(at).start.max(at))
    }
}

/// Returns the next part of a file that is no hole; all that is left if that cannot be known.
fn data(file: &File, at: u64, bytes: u64) -> Range<u64> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{SeekFrom, seek};
        use rustix::io::Errno;
        match seek(file, SeekFrom::Data(at)) {
            Ok(from) => return from..seek(file, SeekFrom::Hole(from)).unwrap_or(bytes),
            // Nothing follows: a hole, or a file that something else has truncated, of which a read
            // will say so.
            Err(Errno::NXIO) if file.metadata().is_ok_and(|file| file.len() >= bytes) => {
                return bytes..bytes;
            }
            Err(_) => {}
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = file;
    at..bytes
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// Reads a file with data, a hole and data in steps of any length.
    #[test]
    fn what_is_read_in_pieces_is_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        let mut content = vec![0; 3 * PIECE as usize + 77];
        let file = File::create(&path).unwrap();
        file.set_len(content.len() as u64).unwrap();
        let hole = PIECE..2 * PIECE;
        for part in [0..hole.start as usize, hole.end as usize..content.len()] {
            let part_of = &mut content[part.clone()];
            random.fill(part_of);
            file.write_all_at(part_of, part.start as u64).unwrap();
        }
        let mut pieces = Pieces::open(&path).unwrap();
        assert_eq!(pieces.bytes(), content.len() as u64);
        let mut at = 0;
        while at < content.len() {
            let wanted = random.usize(1..=2 * PIECE as usize);
            let here = pieces.get(at as u64, wanted).unwrap();
            assert!(here.len() >= wanted.min(content.len() - at), "seed {seed}, at {at}");
            assert_eq!(here, &content[at..at + here.len()], "seed {seed}, at {at}");
            at += random.usize(1..=wanted);
            let next = pieces.skip_hole(at as u64).unwrap();
            let skipped = content.get(at..next as usize).unwrap_or_default();
            assert!(skipped.iter().all(|byte| *byte == 0), "seed {seed}, at {at}");
            at = at.max(next as usize);
        }
        assert_eq!(pieces.get(at as u64, 1).unwrap(), b"");
    }

    /// A past bug: what was left of a segment was a hole, of which a few bytes were read at the end of
    /// each page of data. They were in the page cache then, which made data of the next page: an
    /// opening read the whole segment in steps of forty bytes, 130,000 calls of the system.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_hole_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let file = File::options().create_new(true).write(true).open(&path).unwrap();
        super::super::segment::allocate(&file, 64 << 12).unwrap();
        file.write_all_at(&[1; 100], 0).unwrap();
        file.sync_all().unwrap();
        let mut pieces = Pieces::open(&path).unwrap();
        let (mut at, mut fills) = (0, 0);
        while let Some(len) = Some(pieces.get(at, 40).unwrap().len()).filter(|len| *len >= 40) {
            fills += 1;
            at = pieces.skip_hole(at + len as u64 - 32).unwrap();
        }
        assert!(fills < 16, "{fills} pieces");
    }

    #[test]
    fn a_file_that_was_truncated_meanwhile_is_an_error_with_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, vec![1; 2 * PIECE as usize]).unwrap();
        let mut pieces = Pieces::open(&path).unwrap();
        assert_eq!(pieces.get(0, 8).unwrap().len(), PIECE as usize);
        File::options().write(true).open(&path).unwrap().set_len(PIECE).unwrap();
        let error = pieces.get(PIECE, 8).unwrap_err();
        assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
    }
}
