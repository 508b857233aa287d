//! A segment that is open: its file, or two if the log has a mirror, and how its records are read.

use super::copy_set::{CopyNumber, Current};
use super::mapping::{MapWriter, Mapping};
use super::record::{self, HEADER_BYTES, Header};
use super::segment::{CONTENT, MappedFile, PreparedFile};
use crate::error::{Error, ErrorKind, Result};
use crate::os::failpoint;
use crate::os::files::{cannot, forget_cached};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A segment that is ready for use.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) number: u64,
    pub(super) seed: u32,
    pub(super) file_bytes: u64,
    pub(super) first: PreparedFile,
    pub(super) second: Option<PreparedFile>,
}

impl Prepared {
    /// Makes a segment of its files; none without a file.
    pub(super) fn of(
        number: u64,
        seed: u32,
        file_bytes: u64,
        files: impl IntoIterator<Item = PreparedFile>,
    ) -> Option<Self> {
        let mut files = files.into_iter();
        let first = files.next()?;
        Some(Self { number, seed, file_bytes, first, second: files.next() })
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &PreparedFile> {
        std::iter::once(&self.first).chain(&self.second)
    }

    /// Makes it the segment whose records begin at a position; returns with it what writes to its
    /// files, where they are mapped.
    pub(super) fn begin(self, at: u64, current: &Arc<Current>) -> (Arc<Segment>, Maps) {
        let Self { number, seed, file_bytes, first, second } = self;
        let (first, first_map) = SegmentFile::of(first);
        let (second, second_map) = second.map(SegmentFile::of).unzip();
        let segment = Segment {
            number,
            seed,
            file_bytes,
            first: at,
            end: AtomicU64::new(u64::MAX),
            file: first,
            twin: second,
            current: Arc::clone(current),
        };
        (Arc::new(segment), Maps { first: first_map, second: second_map })
    }
}

/// What writes to the files of a segment: for each file there is, none if it is not mapped.
pub(super) struct Maps {
    pub(super) first: Option<MapWriter>,
    pub(super) second: Option<Option<MapWriter>>,
}

/// One of the files of a segment.
#[derive(Debug)]
pub(super) struct SegmentFile {
    pub(super) copy: CopyNumber,
    pub(super) path: PathBuf,
    pub(super) file: File,
    map: Option<Arc<Mapping>>,
}

impl SegmentFile {
    fn of(prepared: PreparedFile) -> (Self, Option<MapWriter>) {
        let PreparedFile { copy, path, file, map } = prepared;
        let (map, writer) = map.unzip();
        (Self { copy, path, file, map }, writer)
    }

    pub(super) fn mapping(&self) -> Option<&Mapping> {
        self.map.as_deref()
    }

    fn read(&self, at: u64, out: &mut [u8]) -> Result<()> {
        let read = self.file.read_exact_at(out, at);
        read.map_err(|error| cannot("read", &self.path, error))
    }

    /// Returns a payload that was read: it is in the file's memory, or in the buffer.
    fn payload<'a>(&'a self, at: u64, bytes: usize, buffer: &'a [u8]) -> Option<&'a [u8]> {
        match &self.map {
            Some(map) => map.get(at as usize..at as usize + bytes),
            None => buffer.get(..bytes),
        }
    }

    pub(super) fn sync(&self) -> Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        if failpoint::fails_in(directory, "log-sync") {
            return Err(Error::new(ErrorKind::Io, "a test makes the sync fail"));
        }
        if self.copy == CopyNumber::MIRROR && failpoint::skip("log-sync-mirror") {
            return Ok(());
        }
        self.file.sync_data().map_err(|error| cannot("sync", &self.path, error))
    }
}

/// A segment with records.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) seed: u32,
    pub(super) file_bytes: u64,
    /// Where its first record begins.
    pub(super) first: u64,
    /// Where the next segment begins; `u64::MAX` while there is none.
    end: AtomicU64,
    file: SegmentFile,
    /// The file in the mirror.
    twin: Option<SegmentFile>,
    current: Arc<Current>,
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

    /// Returns its files, also those of copies that were given up.
    pub(super) fn files(&self) -> (&SegmentFile, Option<&SegmentFile>) {
        (&self.file, self.twin.as_ref())
    }

    /// Returns the file of a copy.
    pub(super) fn file_of(&self, copy: CopyNumber) -> Option<&SegmentFile> {
        let (file, twin) = self.files();
        if file.copy == copy { Some(file) } else { twin.filter(|twin| twin.copy == copy) }
    }

    /// Has the system cache what will be written page by page: some of it may have been read with
    /// more around it, by a copy of the file for example.
    pub(super) fn forget_cached(&self, position: u64) {
        for file in std::iter::once(&self.file).chain(&self.twin) {
            forget_cached(&file.file, self.offset(position));
        }
    }

    /// Returns true if a file is of a copy that is written.
    pub(super) fn is_current(&self, file: &SegmentFile) -> bool {
        self.current.has(file.copy)
    }

    /// Returns the files that can be read: those of copies that were given up may lack records.
    fn readable(&self) -> (&SegmentFile, Option<&SegmentFile>) {
        match &self.twin {
            None => (&self.file, None),
            Some(twin) if !self.is_current(&self.file) => (twin, None),
            Some(twin) if !self.is_current(twin) => (&self.file, None),
            Some(twin) => (&self.file, Some(twin)),
        }
    }

    /// Copies bytes of the file that is read, whatever they are.
    pub(super) fn copy_out(&self, at: u64, out: &mut [u8]) -> Result<()> {
        self.readable().0.read(at, out)
    }

    /// Returns the path of the file that is read.
    pub(super) fn path(&self) -> &Path {
        &self.readable().0.path
    }

    /// Returns the files and their memory if there is no other reference to it.
    pub(super) fn take_apart(self: Arc<Self>) -> Option<Vec<(CopyNumber, MappedFile)>> {
        let Self { file, twin, .. } = Arc::try_unwrap(self).ok()?;
        let apart = |SegmentFile { copy, file, map, .. }| {
            let map = match map {
                Some(map) => Some(Mapping::again(map)?),
                None => None,
            };
            Some((copy, (file, map)))
        };
        std::iter::once(file).chain(twin).map(apart).collect()
    }

    /// Returns the header of the record that begins at a position, below which the end of the log
    /// must lie.
    pub(super) fn head(&self, position: u64) -> Result<Header> {
        let (file, twin) = self.readable();
        match (self.head_in(file, position), twin) {
            (Err(_), Some(twin)) => self.head_in(twin, position),
            (head, _) => head,
        }
    }

    fn head_in(&self, file: &SegmentFile, position: u64) -> Result<Header> {
        let at = self.offset(position);
        let mut fields = [0; HEADER_BYTES];
        let head = match &file.map {
            Some(map) => map.get(at as usize..at as usize + HEADER_BYTES),
            None => {
                file.read(at, &mut fields)?;
                Some(&fields[..])
            }
        };
        let header = head.and_then(|head| Header::decode(head, self.seed));
        header.filter(|header| header.position == position).ok_or_else(|| damaged(file, at))
    }

    /// Returns the same record: its header, and its payload in the file's memory or in the buffer.
    pub(super) fn read<'a>(
        &'a self,
        position: u64,
        buffer: &'a mut Vec<u8>,
    ) -> Result<(Header, &'a [u8])> {
        let (file, twin) = self.readable();
        let (file, header) = match (self.check_in(file, position, buffer), twin) {
            (Err(_), Some(twin)) => (twin, self.check_in(twin, position, buffer)?),
            (checked, _) => (file, checked?),
        };
        let at = self.offset(position);
        let from = at + HEADER_BYTES as u64;
        let payload = file.payload(from, header.payload_bytes(), buffer);
        Ok((header, payload.ok_or_else(|| damaged(file, at))?))
    }

    /// Checks the record at a position in one file; reads its payload into the buffer unless the
    /// file is in memory.
    fn check_in(&self, file: &SegmentFile, position: u64, buffer: &mut Vec<u8>) -> Result<Header> {
        let at = self.offset(position);
        let header = self.head_in(file, position)?;
        let from = at + HEADER_BYTES as u64;
        if from + header.payload_bytes() as u64 > self.file_bytes {
            return Err(damaged(file, at));
        }
        if file.map.is_none() {
            buffer.resize(header.payload_bytes(), 0);
            file.read(from, buffer)?;
        }
        let payload = file.payload(from, header.payload_bytes(), buffer);
        let payload = payload.ok_or_else(|| damaged(file, at))?;
        let sound = crc32c::crc32c_append(self.seed, payload) == header.payload_check
            && record::is_sound(&header, payload);
        if sound { Ok(header) } else { Err(damaged(file, at)) }
    }
}

/// Syncs the files of one copy, the older first: what is on its disk is to be one prefix.
pub(super) fn sync_copy<'a>(
    segments: impl IntoIterator<Item = &'a Arc<Segment>>,
    copy: CopyNumber,
) -> Result<()> {
    let mut files = segments.into_iter().filter_map(|segment| segment.file_of(copy));
    files.try_for_each(SegmentFile::sync)
}

fn damaged(file: &SegmentFile, offset: u64) -> Error {
    let path = file.path.display();
    Error::new(
        ErrorKind::Damaged,
        format!("the log {path} has no sound record at offset {offset}; open the store again"),
    )
}
