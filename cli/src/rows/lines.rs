//! Lines of a file, with their numbers; lines that were taken can be put back.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read as _};

/// The longest line that is read, so that a file without line ends does not fill the memory.
pub(super) const LINE_BYTES_MAX: usize = 64 << 20;

/// The maximum number of lines of one CSV row. A quote that is never closed is noticed after that
/// many, and only its own line is lost.
pub(super) const ROW_LINES_MAX: usize = 1_000;

/// A line without its line feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) bytes: Vec<u8>,
    /// Whether its end was cut off, because it is longer than [`LINE_BYTES_MAX`].
    pub(super) cut: bool,
}

pub(super) struct Lines<R> {
    input: R,
    number: u64,
    bytes_read: u64,
    put_back: VecDeque<Line>,
}

impl<R: BufRead> Lines<R> {
    pub(super) const fn new(input: R) -> Self {
        Self { input, number: 0, bytes_read: 0, put_back: VecDeque::new() }
    }

    pub(super) const fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        if let Some(line) = self.put_back.pop_front() {
            return Ok(Some(line));
        }
        let mut bytes = Vec::with_capacity(128);
        let limit = LINE_BYTES_MAX as u64 + 1;
        let read = self.input.by_ref().take(limit).read_until(b'\n', &mut bytes)?;
        if read == 0 {
            return Ok(None);
        }
        self.bytes_read += read as u64;
        self.number += 1;
        let ended = bytes.pop_if(|last| *last == b'\n').is_some();
        let cut = !ended && read > LINE_BYTES_MAX;
        if cut {
            self.bytes_read += self.input.skip_until(b'\n')? as u64;
        }
        Ok(Some(Line { number: self.number, bytes, cut }))
    }

    /// Puts lines back, to be taken again in the same order before any other.
    pub(super) fn put_back(&mut self, lines: impl DoubleEndedIterator<Item = Line>) {
        lines.rev().for_each(|line| self.put_back.push_front(line));
    }
}
