//! Reading what the recorder (`record.c`) wrote.

use std::ops::Range;

/// A recorded journal: the bytes, and where each call begins.
#[derive(Clone)]
pub(crate) struct Journal {
    pub(crate) bytes: Vec<u8>,
    pub(crate) calls: Vec<Call>,
}

/// One call that changed something, or a note of the workload. Bytes are places in the journal.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    Open { handle: u64, truncates: bool, path: String },
    Write { handle: u64, at: u64, bytes: Range<usize> },
    Truncate { handle: u64, to: u64 },
    Extend { handle: u64, to: u64 },
    Zero { handle: u64, from: u64, to: u64 },
    Sync { handle: u64 },
    Rename { from: String, to: String },
    Link { from: String, to: String },
    Unlink { path: String },
    MakeDirectory { path: String },
    Note { bytes: Range<usize> },
}

const HEADER_BYTES: usize = 40;
const O_TRUNC: u64 = 0o1000;

impl Journal {
    /// Reads a journal. `below` is the recorded directory: paths are made relative to it.
    pub(crate) fn parse(bytes: Vec<u8>, below: &str) -> Self {
        let mut calls = Vec::new();
        let mut at = 0;
        // The last record of a process that was killed may be torn.
        while at + HEADER_BYTES <= bytes.len() {
            let word = |n: usize| u64::from_le_bytes(bytes[at + n..at + n + 8].try_into().unwrap());
            let (length, kind) = (word(0) as u32 as usize, word(0) >> 32);
            let (handle, a, b) = (word(8), word(16), word(24));
            let data = at + HEADER_BYTES..at + HEADER_BYTES + length;
            if data.end > bytes.len() {
                break;
            }
            at = data.end;
            let mut paths = bytes[data.clone()].split(|byte| *byte == 0).map(|path| {
                let path = String::from_utf8(path.to_vec()).unwrap();
                path.strip_prefix(below)
                    .map_or(path.clone(), |path| path.trim_start_matches('/').to_owned())
            });
            let mut path = || paths.next().unwrap();
            calls.push(match kind {
                1 => Call::Open { handle, truncates: a & O_TRUNC != 0, path: path() },
                2 => Call::Write { handle, at: a, bytes: data },
                3 => Call::Truncate { handle, to: a },
                4 => Call::Sync { handle },
                5 => Call::Rename { from: path(), to: path() },
                6 => Call::Link { from: path(), to: path() },
                7 | 8 => Call::Unlink { path: path() },
                9 => Call::MakeDirectory { path: path() },
                10 => Call::Note { bytes: data },
                11 => Call::Extend { handle, to: a },
                12 => Call::Zero { handle, from: a, to: b },
                _ => panic!("a record of kind {kind} at {at}"),
            });
        }
        Self { bytes, calls }
    }

    /// Returns what a process did up to a call, at which it was killed, and what the next one did.
    pub(crate) fn killed_at(mut self, cut: usize, next: Self) -> Self {
        let from = self.bytes.len();
        self.bytes.extend(next.bytes);
        self.calls.truncate(cut);
        self.calls.extend(next.calls.into_iter().map(|mut call| {
            if let Call::Write { bytes, .. } | Call::Note { bytes } = &mut call {
                *bytes = bytes.start + from..bytes.end + from;
            }
            call
        }));
        self
    }

    pub(crate) fn note(&self, index: usize) -> Option<&str> {
        match &self.calls[index] {
            Call::Note { bytes } => Some(std::str::from_utf8(&self.bytes[bytes.clone()]).unwrap()),
            _ => None,
        }
    }
}
