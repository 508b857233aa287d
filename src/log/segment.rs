//! One file of the log: its header, how it is made, and how its records are read.

use super::LogAccess;
use super::mapping::{MapWriter, Mapping};
use super::record::{self, HEADER_BYTES, Header};
use crate::error::{Error, ErrorKind, Result};
use crate::os::failpoint;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where records begin: after one page, most of which is zeros.
pub(super) const CONTENT: u64 = 4096;
/// The format that this version writes.
const FORMAT: u32 = 1;
const MAGIC: [u8; 8] = *b"annulog\0";
const FIELDS_BYTES: usize = 64;

/// What the first page of a segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) store: u128,
    /// The number in the sequence of segments.
    pub(super) number: u64,
    pub(super) file_bytes: u64,
    /// Drawn at random for each use of the file.
    pub(super) salt: u128,
}

/// Why a segment's header was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    Damaged,
    /// Of a format that only later versions know.
    Newer(u32),
}

impl SegmentHeader {
    /// Returns what the checksums of the segment's records begin with.
    pub(super) fn seed(&self) -> u32 {
        crc32c::crc32c(&self.salt.to_le_bytes())
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(CONTENT as usize + 8);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.store.to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.file_bytes.to_le_bytes());
        out.extend_from_slice(&self.salt.to_le_bytes());
        let check = crc32c::crc32c(&out);
        out.extend_from_slice(&check.to_le_bytes());
        // With zeros where the first record will begin: there is none yet.
        out.resize(CONTENT as usize + 8, 0);
        out
    }

    pub(super) fn decode(from: &[u8]) -> Result<Self, Unreadable> {
        let fields = from.first_chunk::<FIELDS_BYTES>().ok_or(Unreadable::Damaged)?;
        let check = from.get(FIELDS_BYTES..).and_then(|rest| rest.first_chunk::<4>());
        let check = check.map(|bytes| u32::from_le_bytes(*bytes)).ok_or(Unreadable::Damaged)?;
        let word = |at: usize| fields.get(at..).and_then(|rest| rest.first_chunk::<8>()).copied();
        let number = |at: usize| word(at).map(u64::from_le_bytes).ok_or(Unreadable::Damaged);
        if word(0) != Some(MAGIC) {
            return Err(Unreadable::Damaged);
        }
        let format = number(8)? as u32;
        if format > FORMAT {
            // Another format may have its checksum elsewhere.
            return Err(Unreadable::Newer(format));
        }
        if crc32c::crc32c(fields) != check || format != FORMAT {
            return Err(Unreadable::Damaged);
        }
        let wide = |at: usize| Ok(u128::from(number(at)?) | u128::from(number(at + 8)?) << 64);
        Ok(Self { store: wide(16)?, number: number(32)?, file_bytes: number(40)?, salt: wide(48)? })
    }
}

/// The memory of a file, for readers and for its writer.
type Map = (Arc<Mapping>, MapWriter);

/// Where the segments are, and what they have in common.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) directory: PathBuf,
    pub(super) store: u128,
    pub(super) access: LogAccess,
    pub(super) segment_bytes: u64,
    /// How many bytes of records stay on disk after they were released.
    pub(super) keep_bytes: u64,
}

/// The extension of segments.
pub(super) const SEGMENT: &str = "log";
/// The extension of segments that are being prepared.
pub(super) const PREPARING: &str = "new";

impl Place {
    pub(super) fn path(&self, number: u64, extension: &str) -> PathBuf {
        self.directory.join(format!("{number:010}.{extension}"))
    }

    pub(super) fn sync_directory(&self) -> Result<()> {
        let synced = File::open(&self.directory).and_then(|directory| directory.sync_all());
        synced.map_err(|error| cannot("sync", &self.directory, error))
    }

    /// Makes a segment ready for use: with its blocks, its header and its name on the disk.
    pub(super) fn prepare(&self, number: u64, file_bytes: u64) -> Result<Prepared> {
        let path = self.path(number, PREPARING);
        let made = self.make(&path, file_bytes);
        if made.is_err() {
            // So that a full disk is not fuller than before.
            let _ = std::fs::remove_file(&path);
        }
        self.finish(number, file_bytes, made?, None)
    }

    fn make(&self, path: &Path, file_bytes: u64) -> Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        let file = options.open(path).map_err(|error| cannot("create", path, error))?;
        allocate(&file, file_bytes).map_err(|error| {
            cannot(&format!("reserve {file_bytes} bytes for the log in"), path, error)
        })?;
        Ok(file)
    }

    /// Takes the name of a released segment away, for one that will have another number. The old
    /// name is off the disk before the header changes, so that no name ever has a header of another
    /// number.
    pub(super) fn withdraw(&self, segment: &Segment, number: u64) -> Result<()> {
        let path = self.path(number, PREPARING);
        let renamed = std::fs::rename(&segment.path, &path);
        // It is gone if it was only the sync that failed before.
        if let Err(error) = renamed.or_else(|error| if path.exists() { Ok(()) } else { Err(error) })
        {
            return Err(cannot("rename", &segment.path, error));
        }
        self.sync_directory()
    }

    /// Makes a withdrawn segment ready for use.
    pub(super) fn recycle(&self, number: u64, segment: Arc<Segment>) -> Result<Prepared> {
        failpoint::hit("log-recycle");
        let recycled = match segment.take_apart() {
            Some((file, map, file_bytes)) => self.finish(number, file_bytes, file, map),
            None => Err(Error::new(ErrorKind::Internal, "a segment of the log is still in use")),
        };
        if recycled.is_err() {
            let _ = std::fs::remove_file(self.path(number, PREPARING));
        }
        recycled
    }

    fn finish(
        &self,
        number: u64,
        file_bytes: u64,
        file: File,
        map: Option<Map>,
    ) -> Result<Prepared> {
        let preparing = self.path(number, PREPARING);
        let path = self.path(number, SEGMENT);
        let constant = failpoint::skip("log-salt");
        let salt = if constant { 1 } else { uuid::Uuid::new_v4().as_u128() };
        let header = SegmentHeader { store: self.store, number, file_bytes, salt };
        let written = file.write_all_at(&header.encode(), 0);
        written.map_err(|error| cannot("write", &preparing, error))?;
        let sync = !failpoint::skip("log-sync-segment");
        if sync {
            file.sync_all().map_err(|error| cannot("sync", &preparing, error))?;
        }
        failpoint::hit("log-prepare");
        std::fs::rename(&preparing, &path).map_err(|error| cannot("rename", &preparing, error))?;
        if sync {
            self.sync_directory()?;
        }
        let map = map.or_else(|| self.map(&file, file_bytes, &path));
        Ok(Prepared { number, path, file, map, seed: header.seed(), file_bytes })
    }

    /// Maps a file if that is asked for and possible.
    pub(super) fn map(&self, file: &File, file_bytes: u64, path: &Path) -> Option<Map> {
        // Elsewhere a sync of the file is not known to write what was changed in memory.
        if self.access != LogAccess::Mapped || !cfg!(target_os = "linux") {
            return None;
        }
        let mapped = Mapping::new(file, file_bytes);
        if let Err(error) = &mapped {
            tracing::warn!(file = %path.display(), %error, "cannot map the log; it is written");
        }
        mapped.ok()
    }
}

/// Allocates the blocks of a file, so that a full disk is met here and nowhere else.
pub(super) fn allocate(file: &File, bytes: u64) -> std::io::Result<()> {
    use rustix::io::Errno;
    #[cfg(target_os = "linux")]
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
        other => return Ok(other?),
    }
    let zeros = vec![0; 1 << 20];
    let mut at = 0;
    while at < bytes {
        let part = zeros.get(..(bytes - at) as usize).unwrap_or(&zeros);
        file.write_all_at(part, at)?;
        at += part.len() as u64;
    }
    Ok(())
}

/// A segment that is ready for use.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) map: Option<Map>,
    pub(super) seed: u32,
    pub(super) file_bytes: u64,
}

/// A segment with records.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    pub(super) file: File,
    map: Option<Arc<Mapping>>,
    pub(super) seed: u32,
    pub(super) file_bytes: u64,
    /// Where its first record begins.
    pub(super) first: u64,
    /// Where the next segment begins; `u64::MAX` while there is none.
    end: AtomicU64,
}

/// What writes a segment.
#[derive(Debug)]
pub(super) enum Writer {
    Mapped(MapWriter),
    /// With the bytes of the record that is being made.
    Written(Vec<u8>),
}

impl Prepared {
    pub(super) fn begin(self, first: u64) -> (Arc<Segment>, Writer) {
        let (map, writer) = match self.map {
            Some((map, writer)) => (Some(map), Writer::Mapped(writer)),
            None => (None, Writer::Written(Vec::new())),
        };
        let Self { number, path, file, seed, file_bytes, .. } = self;
        let end = AtomicU64::new(u64::MAX);
        (Arc::new(Segment { number, path, file, map, seed, file_bytes, first, end }), writer)
    }
}

impl Segment {
    /// Returns where in the file a position is.
    pub(super) fn offset(&self, position: u64) -> u64 {
        position.saturating_sub(self.first).saturating_add(CONTENT)
    }

    pub(super) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    pub(super) fn set_end(&self, end: u64) {
        self.end.store(end, Ordering::Release);
    }

    pub(super) fn mapping(&self) -> Option<&Mapping> {
        self.map.as_deref()
    }

    /// Returns file and memory of a segment if there is no other reference to it.
    fn take_apart(self: Arc<Self>) -> Option<(File, Option<Map>, u64)> {
        let Self { file, map, file_bytes, .. } = Arc::try_unwrap(self).ok()?;
        let map = match map {
            Some(map) => Some(Mapping::again(map)?),
            None => None,
        };
        Some((file, map, file_bytes))
    }

    pub(super) fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|error| cannot("sync", &self.path, error))
    }

    /// Returns the header of the record that begins at a position, below which the end of the log
    /// must lie.
    pub(super) fn head(&self, position: u64) -> Result<Header> {
        let at = self.offset(position);
        let mut fields = [0; HEADER_BYTES];
        let head = match &self.map {
            Some(map) => map.get(at as usize..at as usize + HEADER_BYTES),
            None => {
                let read = self.file.read_exact_at(&mut fields, at);
                read.map_err(|error| cannot("read", &self.path, error))?;
                Some(&fields[..])
            }
        };
        let header = head.and_then(|head| Header::decode(head, self.seed));
        header.filter(|header| header.position == position).ok_or_else(|| self.damaged(at))
    }

    /// Returns the same record: its header, and its payload in the file's memory or in the buffer.
    pub(super) fn read<'a>(
        &'a self,
        position: u64,
        buffer: &'a mut Vec<u8>,
    ) -> Result<(Header, &'a [u8])> {
        let at = self.offset(position);
        let header = self.head(position)?;
        let from = at + HEADER_BYTES as u64;
        if from + header.payload_bytes() as u64 > self.file_bytes {
            return Err(self.damaged(at));
        }
        let payload = match &self.map {
            Some(map) => {
                let range = from as usize..from as usize + header.payload_bytes();
                map.get(range).ok_or_else(|| self.damaged(at))?
            }
            None => {
                buffer.resize(header.payload_bytes(), 0);
                let read = self.file.read_exact_at(buffer, from);
                read.map_err(|error| cannot("read", &self.path, error))?;
                &buffer[..]
            }
        };
        let sound = crc32c::crc32c_append(self.seed, payload) == header.payload_check
            && record::is_sound(&header, payload);
        if sound { Ok((header, payload)) } else { Err(self.damaged(at)) }
    }

    fn damaged(&self, offset: u64) -> Error {
        let path = self.path.display();
        Error::new(
            ErrorKind::Damaged,
            format!("the log {path} has no sound record at offset {offset}; open the store again"),
        )
    }
}

impl Writer {
    /// Writes a record to a segment, which has room for it: its payload, a zero where the next one
    /// will begin, and its header. `make` fills the payload, and returns false if it does not fit.
    pub(super) fn write(
        &mut self,
        segment: &Segment,
        mut header: Header,
        make: impl FnOnce(&mut [u8]) -> bool,
    ) -> Result<()> {
        let at = segment.offset(header.position);
        let end = segment.offset(header.end());
        let until = if end + 8 <= segment.file_bytes { end + 8 } else { end };
        let range = at as usize..until as usize;
        let out = match self {
            Self::Mapped(map) => map.get(range),
            Self::Written(buffer) => {
                buffer.clear();
                buffer.resize(range.len(), 0);
                Some(&mut buffer[..])
            }
        };
        let parts = out.and_then(|out| out.split_first_chunk_mut::<HEADER_BYTES>());
        let parts = parts.and_then(|(head, rest)| {
            Some((head, rest.split_at_mut_checked(header.payload_bytes())?))
        });
        let Some((head, (payload, rest))) = parts else { return Err(misfit()) };
        if !make(payload) {
            return Err(misfit());
        }
        rest.fill(0);
        header.payload_check = crc32c::crc32c_append(segment.seed, payload);
        *head = header.encode(segment.seed);
        match self {
            Self::Mapped(map) => map.raise(end as usize),
            Self::Written(buffer) => {
                let written = segment.file.write_all_at(buffer, at);
                written.map_err(|error| cannot("write", &segment.path, error))?;
            }
        }
        Ok(())
    }
}

fn misfit() -> Error {
    Error::new(ErrorKind::Internal, "a record for the log is not as long as it was said to be")
}

/// The error of an operation on a file, with its path and, if there is one, the remedy.
pub(super) fn cannot(doing: &str, path: &Path, error: std::io::Error) -> Error {
    let remedy = crate::os::descriptors::remedy(&error);
    Error::new(ErrorKind::Io, format!("cannot {doing} {}{remedy}", path.display()))
        .with_source(error)
}
