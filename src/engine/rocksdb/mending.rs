//! What an opening does to a log or a manifest that stops being sound, before RocksDB reads it.

use super::wal_format::{Break, Shape, TYPE, Walk, walk};
use crate::engine::LogLoss;
use crate::error::{Error, ErrorKind, Result};
use crate::os::files::cannot;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Whether an opening may change what it finds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Opening {
    ForWriting,
    ReadOnly,
}

impl Opening {
    /// Ends a log where it stops being sound. What is cut off is kept next to it if it may be of
    /// use, in a file that RocksDB ignores and that may be deleted.
    ///
    /// # Errors
    ///
    /// `Damaged` if nothing may be changed, and RocksDB would never return from reading the log.
    pub(super) fn cut(self, path: &Path, broken: &Break) -> Result<()> {
        match self {
            Self::ReadOnly => refuse_endless(path, broken),
            Self::ForWriting => {
                let mut log = open(path)?;
                if broken.shape != Shape::Short {
                    keep_rest(&mut log, path, broken.offset)?;
                }
                truncate(&log, path, broken.offset)
            }
        }
    }

    /// Makes RocksDB return from reading a log in which damage has to stay, since another file says
    /// how long the log is: gives a record that it would read forever a type that it rejects.
    ///
    /// # Errors
    ///
    /// See [`cut`](Self::cut).
    pub(super) fn get_past(self, path: &Path, broken: &Break) -> Result<()> {
        match self {
            Self::ReadOnly => refuse_endless(path, broken),
            Self::ForWriting => {
                reject_recycled(path, broken.endless).map_err(|error| cannot("mend", path, error))
            }
        }
    }

    /// Empties a log that has no record.
    pub(super) fn empty(self, path: &Path) -> Result<()> {
        match self {
            Self::ForWriting => truncate(&open(path)?, path, 0),
            Self::ReadOnly => Ok(()),
        }
    }
}

/// Describes the loss of what follows a break.
pub(super) fn torn(path: &Path, log: &Walk, broken: &Break, later: bool) -> LogLoss {
    LogLoss::Torn {
        file: path.to_owned(),
        offset: broken.offset,
        bytes: log.bytes.saturating_sub(broken.offset),
        later,
    }
}

fn refuse_endless(path: &Path, broken: &Break) -> Result<()> {
    if broken.endless.is_none() {
        return Ok(());
    }
    let (log, offset) = (path.display(), broken.offset);
    Err(Error::new(
        ErrorKind::Damaged,
        format!(
            "{log} ends at offset {offset} with what the engine cannot read: restore it from a \
             copy, or open the store once for writing, which ends the file there"
        ),
    ))
}

fn open(path: &Path) -> Result<File> {
    let open = OpenOptions::new().read(true).write(true).open(path);
    open.map_err(|error| cannot("open", path, error))
}

/// Copies the end of a log into a file of its own, unless it is zeros.
fn keep_rest(log: &mut File, path: &Path, offset: u64) -> Result<()> {
    let mut rest = Vec::new();
    log.seek(SeekFrom::Start(offset))
        .and_then(|_| log.read_to_end(&mut rest))
        .map_err(|error| cannot("read", path, error))?;
    if rest.iter().any(|byte| *byte != 0) {
        let mut kept = path.as_os_str().to_owned();
        kept.push(format!(".cut-at-{offset}"));
        let kept = PathBuf::from(kept);
        std::fs::write(&kept, rest).map_err(|error| cannot("write", &kept, error))?;
    }
    Ok(())
}

fn truncate(log: &File, path: &Path, bytes: u64) -> Result<()> {
    let cut = log.set_len(bytes).and_then(|()| log.sync_all());
    cut.map_err(|error| cannot("cut", path, error))?;
    tracing::warn!(log = %path.display(), offset = bytes, "cut a log where it was torn");
    Ok(())
}

/// Changes the types of records of a file that is used again, one after the other as RocksDB would
/// meet them. What they are in is not sound in any case.
fn reject_recycled(path: &Path, first: Option<u64>) -> io::Result<()> {
    const REJECTED: u8 = 0xff;
    let mut next = first;
    while let Some(at) = next {
        let mut log = OpenOptions::new().read(true).write(true).open(path)?;
        log.seek(SeekFrom::Start(at + TYPE as u64))?;
        log.write_all(&[REJECTED])?;
        log.sync_all()?;
        tracing::warn!(log = %path.display(), offset = at, "changed the type of a damaged record");
        log.rewind()?;
        next = walk(&mut log, |_| {})?.broken.and_then(|broken| broken.endless);
    }
    Ok(())
}
