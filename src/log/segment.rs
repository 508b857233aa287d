//! The file of a segment: its header, and how it is made.

use super::copy_set::CopyNumber;
use super::mapping::{MapWriter, Mapping};
use super::options::{CopyOptions, LogAccess, LogOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::os::failpoint;
use crate::os::file_id::FileId;
use crate::os::files::{cache_by_page, cannot, sync_directory};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where records begin: after one page, most of which is zeros.
pub(super) const CONTENT: u64 = 4096;
/// The fewest bytes of a segment: a page for its header, and some for records.
const BYTES_MIN: u64 = 4 * CONTENT;
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
    /// Drawn at random for each use of the file; the same in both copies.
    pub(super) salt: u128,
    /// Which copy of the log the file is of.
    pub(super) copy: u32,
}

/// Why a segment's header was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    Damaged,
    /// Of a format that only later versions know.
    Newer(u32),
}

/// Returns what the checksums of the records of a segment with this salt begin with.
pub(super) fn seed(salt: u128) -> u32 {
    crc32c::crc32c(&salt.to_le_bytes())
}

impl SegmentHeader {
    /// Returns what the checksums of the segment's records begin with.
    pub(super) fn seed(&self) -> u32 {
        seed(self.salt)
    }

    /// Returns what a segment begins with: the header, and zeros to where the first record will
    /// begin, and there, since there is none yet.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = self.encode_fields();
        out.resize(CONTENT as usize + 8, 0);
        out
    }

    /// Returns the header alone.
    pub(super) fn encode_fields(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(CONTENT as usize + 8);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&self.copy.to_le_bytes());
        out.extend_from_slice(&self.store.to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.file_bytes.to_le_bytes());
        out.extend_from_slice(&self.salt.to_le_bytes());
        let check = crc32c::crc32c(&out);
        out.extend_from_slice(&check.to_le_bytes());
        out
    }

    /// Decodes what a file begins with; returns `None` if it is damaged.
    ///
    /// # Errors
    ///
    /// `Damaged` if it is another store's; `Incompatible` if a later version wrote it.
    pub(super) fn of_store(from: &[u8], path: &Path, store: u128) -> Result<Option<Self>> {
        let path = path.display();
        match Self::decode(from) {
            Ok(header) if header.store != store => {
                let text =
                    format!("the log {path} belongs to another store; put the right one there");
                Err(Error::new(ErrorKind::Damaged, text))
            }
            Ok(header) => Ok(Some(header)),
            Err(Unreadable::Newer(format)) => {
                let text = format!(
                    "the log {path} has format {format}; open the store with the version of \
                     Annulus that wrote it"
                );
                Err(Error::new(ErrorKind::Incompatible, text))
            }
            Err(Unreadable::Damaged) => Ok(None),
        }
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
        Ok(Self {
            store: wide(16)?,
            number: number(32)?,
            file_bytes: number(40)?,
            salt: wide(48)?,
            copy: (number(8)? >> 32) as u32,
        })
    }
}

/// The memory of a file, for readers and for its writer.
pub(super) type Map = (Arc<Mapping>, MapWriter);
/// A file, and its memory if it is mapped.
pub(super) type MappedFile = (File, Option<Map>);

/// Where the segments of one copy of the log are, and what they have in common.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) copy: CopyNumber,
    pub(super) directory: PathBuf,
    /// What the directory's path is to lead to, where the log can go on without it.
    pub(super) id: Option<FileId>,
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
    /// Returns where a copy of a log is.
    pub(super) fn of(options: &LogOptions, copy: &CopyOptions) -> Self {
        Self {
            copy: copy.copy,
            directory: copy.directory.clone(),
            id: None,
            store: options.store,
            access: options.access,
            segment_bytes: options.segment_bytes.max(BYTES_MIN).next_multiple_of(4096),
            keep_bytes: options.keep_bytes,
        }
    }

    pub(super) fn path(&self, number: u64, extension: &str) -> PathBuf {
        self.directory.join(format!("{number:010}.{extension}"))
    }

    /// Checks that the directory is still the one that was opened: a disk may be gone, and new
    /// files would get into the directory on which it was mounted.
    pub(super) fn check(&self) -> Result<()> {
        if self.id.is_none() || FileId::at(&self.directory) == self.id {
            return Ok(());
        }
        let place = self.directory.display();
        let text = format!("the log's directory {place} is no longer the one that was opened");
        Err(Error::new(ErrorKind::Io, text))
    }

    pub(super) fn sync_directory(&self) -> Result<()> {
        sync_directory(&self.directory)
    }

    /// Makes a file ready for use: with its blocks, its header and its name on the disk.
    pub(super) fn prepare(&self, number: u64, bytes: u64, salt: u128) -> Result<PreparedFile> {
        let path = self.path(number, PREPARING);
        let made = if failpoint::fails_in(&self.directory, "log-prepare") {
            Err(Error::new(ErrorKind::Io, "a test makes the preparation fail"))
        } else {
            self.make(&path, bytes)
        };
        if made.is_err() {
            // So that a full disk is not fuller than before.
            let _ = std::fs::remove_file(&path);
        }
        self.finish(number, bytes, salt, (made?, None))
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

    /// Takes the name of a released file away, for one that will have another number. The old name
    /// is off the disk before the header changes, so that no name ever has a header of another
    /// number.
    pub(super) fn withdraw(&self, from: &Path, number: u64) -> Result<()> {
        let path = self.path(number, PREPARING);
        let renamed = std::fs::rename(from, &path);
        // It is gone if it was only the sync that failed before.
        if let Err(error) = renamed.or_else(|error| if path.exists() { Ok(()) } else { Err(error) })
        {
            return Err(cannot("rename", from, error));
        }
        self.sync_directory()
    }

    /// Makes a withdrawn file ready for use.
    pub(super) fn recycle(
        &self,
        number: u64,
        bytes: u64,
        salt: u128,
        file: MappedFile,
    ) -> Result<PreparedFile> {
        failpoint::hit("log-recycle");
        let recycled = self.finish(number, bytes, salt, file);
        if recycled.is_err() {
            let _ = std::fs::remove_file(self.path(number, PREPARING));
        }
        recycled
    }

    fn finish(
        &self,
        number: u64,
        file_bytes: u64,
        salt: u128,
        (file, map): MappedFile,
    ) -> Result<PreparedFile> {
        let preparing = self.path(number, PREPARING);
        let path = self.path(number, SEGMENT);
        let copy = u32::from(self.copy.0);
        let header = SegmentHeader { store: self.store, number, file_bytes, salt, copy };
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
        Ok(PreparedFile { copy: self.copy, path, file, map })
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

/// Opens a segment for reading.
pub(super) fn open_to_read(path: &Path) -> std::io::Result<File> {
    let file = File::open(path)?;
    cache_by_page(&file);
    Ok(file)
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

/// The file of a segment that is ready for use.
#[derive(Debug)]
pub(super) struct PreparedFile {
    pub(super) copy: CopyNumber,
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) map: Option<Map>,
}
