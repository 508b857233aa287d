//! Directories: the lock at the store's top, and the files that say whose a directory is.
//!
//! ```text
//! <store>/STORE            identity of the store; written last, so it marks a complete creation
//! <store>/STORE.new        the same while the store is being created
//! <store>/LOCK             locked while the store is open; names the process
//! <store>/HEAT*            what was last known of the load; may be deleted
//! <store>/log/             the commit log: every write of every keyspace that is not in files yet;
//!                          a directory, or a symbolic link to one
//! <log>/LOCK, OPENED       in a log that a link leads to: locked while it is open; its last opening
//! <store>/metadata/        an engine instance: topology, intents of reshapes
//! <shard>/SHARD            identity of the shard: which store, which number; locked while it is open
//! <shard>/OPENED           its last opening
//! <shard>/data/            an engine instance: the partitions
//! ```

use crate::error::{Error, ErrorKind, Result};
use crate::id::ShardId;
use crate::os::file_id::FileId;
use crate::os::files::sync_directory;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

/// The format of the store's directory as a whole. In format 1 each shard had a log of its own, and
/// batches over several shards had records in the metadata.
const FORMAT: u32 = 2;

/// Adds to an error of the operating system what was being done to which path.
pub(crate) fn io(doing: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    move |error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Io,
        };
        let remedy = crate::os::descriptors::remedy(&error);
        Error::new(kind, format!("cannot {doing} {}{remedy}", path.display())).with_source(error)
    }
}

/// Excludes other processes from a store, or from one of its shards, for as long as it lives.
pub(crate) struct DirectoryLock {
    file: File,
    process: u32,
}

/// Unlocked explicitly, because closing the file would not suffice: a child process that is just
/// being started holds what it inherited until it has become another program.
impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // A forked process that drops its copy of the store must not release its parent's lock.
        if std::process::id() == self.process {
            // Where this fails, the lock ends with the last copy of the file.
            let _ = self.file.unlock();
        }
    }
}

impl DirectoryLock {
    /// Locks a store by a separate file, which names the process.
    pub(crate) fn take(store: &Path) -> Result<Self> {
        let path = store.join("LOCK");
        let mut file = take(&path, true, |file| in_use(store, file))?;
        let process = std::process::id();
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(process.to_string().as_bytes()))
            .map_err(io("write", &path))?;
        Ok(Self { file, process })
    }

    /// Locks a directory of the log that a link leads to: a copy of the store has the same link.
    pub(crate) fn take_log(log: &Path) -> Result<Self> {
        let file = take(&log.join("LOCK"), true, |_| {
            Error::new(
                ErrorKind::InUse,
                format!(
                    "the log in {} is open in another process, perhaps by a copy of this store; \
                     close it there first",
                    log.display()
                ),
            )
        })?;
        Ok(Self { file, process: std::process::id() })
    }

    /// Locks a shard by its identity: a copy of the store may have the same one.
    pub(crate) fn take_shard(shard: &Path) -> Result<Self> {
        let path = shard.join("SHARD");
        let file = take(&path, false, |_| {
            Error::new(
                ErrorKind::InUse,
                format!(
                    "the shard in {} is open already, in this process or in another one, perhaps by \
                     a copy of this store; close it there first",
                    shard.display()
                ),
            )
        })?;
        Ok(Self { file, process: std::process::id() })
    }
}

/// Opens and locks a file, and makes sure that it is still the one at its path once it is locked.
fn take(path: &Path, create: bool, in_use: impl Fn(&mut File) -> Error) -> Result<File> {
    loop {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(create).truncate(false);
        let mut file = no_link(&mut options).open(path).map_err(io("open the lock file", path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(&mut file)),
            Err(TryLockError::Error(error)) => return Err(io("lock", path)(error)),
        }
        let mine = file.metadata().map_err(io("look at", path))?;
        match fs::symlink_metadata(path) {
            Ok(named) if FileId::of(&named) == FileId::of(&mine) => return Ok(file),
            // It was removed or replaced since it was opened: a lock on the old file excludes no
            // process.
            Ok(_) => {}
            Err(error) if create && error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(io("look at", path)(error)),
        }
    }
}

/// Refuses symbolic links, which would let a file elsewhere be truncated.
fn no_link(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        let flags = rustix::fs::OFlags::NOFOLLOW.bits();
        options.custom_flags(i32::try_from(flags).unwrap_or(0));
    }
    options
}

/// Creates a file and replaces any that is there: neither a link nor another name of a file is
/// followed.
pub(crate) fn create_afresh(path: &Path) -> std::io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).open(path)
}

fn in_use(store: &Path, lock: &mut File) -> Error {
    let mut holder = String::new();
    let holder = match lock.read_to_string(&mut holder) {
        Ok(_) if !holder.is_empty() => format!("process {}", holder.trim()),
        _ => "another process".to_owned(),
    };
    Error::new(
        ErrorKind::InUse,
        format!("the store {} is open in {holder}; close it there first", store.display()),
    )
}

/// The content of an identity file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) store: u128,
    /// None in the store's own file.
    pub(crate) shard: Option<ShardId>,
}

impl Identity {
    fn body(&self) -> String {
        let shard = self.shard.map_or_else(|| "-".to_owned(), |shard| shard.to_string());
        format!("store {:032x}\nshard {shard}\n", self.store)
    }

    fn parse(body: &str) -> Option<Self> {
        let field = |name: &str| body.lines().find_map(|line| line.strip_prefix(name));
        let store = u128::from_str_radix(field("store ")?, 16).ok()?;
        let shard = match field("shard ")? {
            "-" => None,
            number => Some(number.parse().ok()?),
        };
        Some(Self { store, shard })
    }

    /// Reads the identity in a file. Returns `None` if the file does not exist.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>> {
        let Some(body) = read_line_file(path)? else { return Ok(None) };
        Self::parse(&body).map(Some).ok_or_else(|| damaged(path))
    }

    /// Writes the file so that after a crash it is there whole or not at all.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        write_line_file(path, &self.body())
    }
}

fn damaged(path: &Path) -> Error {
    Error::new(
        ErrorKind::Damaged,
        format!("the identity file {} is damaged; restore it from a copy", path.display()),
    )
}

fn other_format(path: &Path, format: u32) -> Error {
    let remedy = if format < FORMAT {
        "export it with the version of Annulus that wrote it, and load it into a new store"
    } else {
        "open it with the version of Annulus that wrote it"
    };
    Error::new(
        ErrorKind::Incompatible,
        format!(
            "{} has format {format}, and this version reads format {FORMAT}: its store cannot be \
             opened; {remedy}",
            path.display()
        ),
    )
}

/// Reads a small file of lines, without its first line, the format, and its last one, the checksum.
/// Returns `None` if it does not exist.
pub(crate) fn read_line_file(path: &Path) -> Result<Option<String>> {
    let text = match fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io("read", path)(error)),
    };
    // The version comes first: the rest of another version's file may look quite different.
    let format = text.strip_prefix("annulus ").and_then(|rest| rest.lines().next());
    let format: u32 = format.and_then(|format| format.parse().ok()).ok_or_else(|| damaged(path))?;
    if format != FORMAT {
        return Err(other_format(path, format));
    }
    let (body, checksum) = text.split_once("check ").ok_or_else(|| damaged(path))?;
    let checksum = u32::from_str_radix(checksum.trim_end(), 16).map_err(|_| damaged(path))?;
    if crc32fast::hash(body.as_bytes()) != checksum {
        return Err(damaged(path));
    }
    Ok(body.split_once('\n').map(|(_, body)| body.to_owned()))
}

/// Writes such a file so that after a crash it is there whole or not at all.
pub(crate) fn write_line_file(path: &Path, body: &str) -> Result<()> {
    let body = format!("annulus {FORMAT}\n{body}");
    let checksum = crc32fast::hash(body.as_bytes());
    let temporary = path.with_extension("tmp");
    let mut file = create_afresh(&temporary).map_err(io("create", &temporary))?;
    file.write_all(format!("{body}check {checksum:08x}\n").as_bytes())
        .and_then(|()| {
            if crate::os::failpoint::skip("sync-identity") { Ok(()) } else { file.sync_all() }
        })
        .map_err(io("write", &temporary))?;
    rename(&temporary, path)
}

/// Renames a file durably.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(io("rename", from))?;
    sync_parent(to)
}

/// Creates a directory durably, unless it exists. Its parent must exist.
pub(crate) fn create(directory: &Path) -> Result<()> {
    match fs::create_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && directory.is_dir() => {
            Ok(())
        }
        Err(error) => Err(io("create the directory", directory)(error)),
        Ok(()) => sync_parent(directory),
    }
}

/// Creates a directory below `top`, and what is missing between the two, durably.
pub(crate) fn create_below(top: &Path, directory: &Path) -> Result<()> {
    if directory == top || directory.is_dir() {
        return Ok(());
    }
    if let Some(parent) = directory.parent() {
        create_below(top, parent)?;
    }
    create(directory)
}

/// Makes the entries of a directory durable.
pub(crate) fn sync(directory: &Path) -> Result<()> {
    if crate::os::failpoint::skip("sync-directory-at-creation") {
        return Ok(());
    }
    sync_directory(directory)
}

fn sync_parent(path: &Path) -> Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    sync(parent)
}

/// Returns true if a directory is missing, or holds nothing but these entries.
pub(crate) fn holds_only(directory: &Path, names: &[&str]) -> Result<bool> {
    match fs::read_dir(directory) {
        Ok(mut entries) => Ok(entries.all(|entry| {
            entry.is_ok_and(|entry| names.iter().any(|name| entry.file_name() == *name))
        })),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(io("read the directory", directory)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;

    /// A past bug: a child process that was just being started held a copy of the lock's file, so a
    /// store that had been closed could not be opened again until the child was another program.
    #[test]
    fn a_lock_that_was_let_go_can_be_taken_whoever_inherited_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let lock = DirectoryLock::take(directory.path()).unwrap();
        let inherited = lock.file.try_clone().unwrap();
        let refused = DirectoryLock::take(directory.path()).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::InUse);
        drop(lock);
        Store::open(directory.path()).unwrap();
        drop(inherited);
    }
}
