//! What writes the records of a segment into its file, or into both of them.

use super::copy_set::{CopyNumber, Current};
use super::mapping::MapWriter;
use super::opened::{Maps, Prepared, Segment, SegmentFile};
use super::record::{HEADER_BYTES, Header};
use crate::error::{Error, ErrorKind, Result};
use crate::os::failpoint;
use crate::os::files::cannot;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

/// The copies whose file could not be written, and why.
pub(super) type Failed = Vec<(CopyNumber, Error)>;

/// What writes a segment.
#[derive(Debug)]
pub(super) struct Writer {
    first: FileWriter,
    second: Option<FileWriter>,
}

/// What writes one file.
#[derive(Debug)]
enum FileWriter {
    Mapped(MapWriter),
    /// With the bytes of the record that is being made.
    Written(Vec<u8>),
}

/// Where in its file a record is, with the zero after it.
#[derive(Clone, Copy)]
struct Extent {
    at: usize,
    end: usize,
    until: usize,
}

impl Writer {
    /// Begins a segment whose records begin at a position.
    pub(super) fn begin(
        prepared: Prepared,
        at: u64,
        current: &Arc<Current>,
    ) -> (Arc<Segment>, Self) {
        let (segment, Maps { first, second }) = prepared.begin(at, current);
        let writer = |map: Option<MapWriter>| match map {
            Some(map) => FileWriter::Mapped(map),
            None => FileWriter::Written(Vec::new()),
        };
        (segment, Self { first: writer(first), second: second.map(writer) })
    }

    /// Returns true if all its files are mapped.
    pub(super) fn is_mapped(&self) -> bool {
        let mut writers = std::iter::once(&self.first).chain(&self.second);
        writers.all(|writer| matches!(writer, FileWriter::Mapped(_)))
    }

    /// Lets readers see what is in mapped files up to an offset.
    pub(super) fn raise(&mut self, offset: u64) {
        for writer in std::iter::once(&mut self.first).chain(&mut self.second) {
            if let FileWriter::Mapped(map) = writer {
                map.raise(offset as usize);
            }
        }
    }

    /// Writes a record to a segment, which has room for it: its payload, a zero where the next one
    /// will begin, and its header. `make` fills the payload, and returns false if it does not fit:
    /// then nothing was written. Returns the copies that could not be written.
    pub(super) fn write(
        &mut self,
        segment: &Segment,
        header: Header,
        make: impl FnOnce(&mut [u8]) -> bool,
    ) -> Result<Failed> {
        let end = segment.offset(header.end());
        let until = if end + 8 <= segment.file_bytes { end + 8 } else { end };
        let at = segment.offset(header.position);
        let extent = Extent { at: at as usize, end: end as usize, until: until as usize };
        let mut failed = Failed::new();
        let (file, twin) = segment.files();
        let (Some(second), Some(twin)) = (&mut self.second, twin) else {
            self.first.encode(segment.seed, extent, header, make)?;
            self.first.write(file, extent, &mut failed);
            return Ok(failed);
        };
        // A copy that was given up is not touched any more.
        if !segment.is_current(file) {
            second.encode(segment.seed, extent, header, make)?;
            second.write(twin, extent, &mut failed);
            return Ok(failed);
        }
        self.first.encode(segment.seed, extent, header, make)?;
        if segment.is_current(twin) {
            second.copy(self.first.made(extent)?, extent)?;
            second.write(twin, extent, &mut failed);
        }
        self.first.write(file, extent, &mut failed);
        Ok(failed)
    }
}

impl FileWriter {
    /// Returns the place of a record, in the file's memory or in the buffer.
    fn place(&mut self, extent: Extent) -> Result<&mut [u8]> {
        match self {
            Self::Mapped(map) => map.get(extent.at..extent.until).ok_or_else(misfit),
            Self::Written(buffer) => {
                buffer.clear();
                buffer.resize(extent.until - extent.at, 0);
                Ok(buffer)
            }
        }
    }

    /// Makes a record at its place. IMPORTANT: its header last, which readers of the file in other
    /// processes take for the sign that the rest is there.
    fn encode(
        &mut self,
        seed: u32,
        extent: Extent,
        mut header: Header,
        make: impl FnOnce(&mut [u8]) -> bool,
    ) -> Result<()> {
        let out = self.place(extent)?;
        let (head, rest) = out.split_first_chunk_mut::<HEADER_BYTES>().ok_or_else(misfit)?;
        let (payload, rest) =
            rest.split_at_mut_checked(header.payload_bytes()).ok_or_else(misfit)?;
        if !make(payload) {
            return Err(misfit());
        }
        rest.fill(0);
        header.payload_check = crc32c::crc32c_append(seed, payload);
        *head = header.encode(seed);
        Ok(())
    }

    /// Returns the record that was made at its place, and is not raised yet.
    fn made(&mut self, extent: Extent) -> Result<&[u8]> {
        match self {
            Self::Mapped(map) => {
                map.get(extent.at..extent.until).map(|made| &*made).ok_or_else(misfit)
            }
            Self::Written(buffer) => Ok(buffer),
        }
    }

    /// Makes the same record as another writer.
    fn copy(&mut self, made: &[u8], extent: Extent) -> Result<()> {
        let out = self.place(extent)?.split_at_mut_checked(HEADER_BYTES);
        let (Some((head, rest)), Some((header, content))) =
            (out, made.split_at_checked(HEADER_BYTES))
        else {
            return Err(misfit());
        };
        rest.copy_from_slice(content);
        head.copy_from_slice(header);
        Ok(())
    }

    /// Brings the record that was made to where readers see it.
    fn write(&mut self, file: &SegmentFile, extent: Extent, failed: &mut Failed) {
        match self {
            Self::Mapped(map) => map.raise(extent.end),
            Self::Written(buffer) => {
                let directory = file.path.parent().unwrap_or(Path::new("."));
                let written = if failpoint::fails_in(directory, "log-write") {
                    Err(std::io::Error::other("a test makes the write fail"))
                } else {
                    file.file.write_all_at(buffer, extent.at as u64)
                };
                if let Err(error) = written {
                    failed.push((file.copy, cannot("write", &file.path, error)));
                }
            }
        }
    }
}

fn misfit() -> Error {
    Error::new(ErrorKind::Internal, "a record for the log is not as long as it was said to be")
}
