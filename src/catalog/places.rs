//! The directories of an open store: resolved once, and compared with what their paths name.
//!
//! RocksDB opens each new file by its path. If the path has come to name another directory (the
//! store was moved aside and another created in its place, a disk was mounted over it), what is
//! flushed next goes there, and both are lost. So paths are resolved when a store is opened, which
//! makes changes of the working directory and of symbolic links harmless, and each commit and flush
//! first checks whether they still name what was opened; so does a thread, once a second.
//!
//! The check opens no file, since descriptors may be few. The number of an inode is reused only
//! when its last descriptor is closed, and the store keeps one of each lock file open, RocksDB one
//! of each database's directory: of two stores in the same place, at least these differ.

use super::directory::io;
use crate::error::{Error, ErrorKind, Result};
use crate::os::file_id::FileId;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What names the log, and its mirror, in the store's directory: a directory, or a symbolic link to
/// one; and what messages call it.
pub(crate) const LOGS: [(&str, &str); 2] =
    [("log", "the store's log"), ("log-mirror", "the mirror of the store's log")];

/// How often the thread checks.
const EVERY: Duration = Duration::from_secs(1);

/// A directory or a lock file that was opened.
pub(crate) struct Place {
    what: String,
    path: PathBuf,
    id: FileId,
}

impl Place {
    /// Notes what a path names: a directory or a file. `path` must be resolved.
    pub(crate) fn note(what: impl Into<String>, path: &Path) -> Result<Self> {
        let id = FileId::of(&path.metadata().map_err(io("look at", path))?);
        Ok(Self { what: what.into(), path: path.to_owned(), id })
    }

    fn check(&self) -> Result<()> {
        let (what, place) = (&self.what, self.path.display());
        let found = match std::fs::metadata(&self.path) {
            Ok(found) if FileId::of(&found) == self.id => return Ok(()),
            Ok(_) => "another one is there now".to_owned(),
            Err(error) => error.to_string(),
        };
        Err(Error::new(
            ErrorKind::Io,
            format!(
                "{what} {place} is no longer the one that was opened (inode {}): {found}; put it \
                 back and open the store again, in another process if it was closed meanwhile",
                self.id.inode
            ),
        ))
    }
}

/// The places of a store.
pub(crate) struct Places {
    opened: Mutex<Vec<Place>>,
    looked: Mutex<Instant>,
}

impl Default for Places {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl Places {
    pub(crate) fn new(opened: Vec<Place>) -> Self {
        Self { opened: Mutex::new(opened), looked: Mutex::new(Instant::now()) }
    }

    pub(crate) fn add(&self, place: Place) {
        self.opened.lock().push(place);
    }

    /// Forgets a directory and what is below it.
    pub(crate) fn remove(&self, directory: &Path) {
        self.opened.lock().retain(|place| !place.path.starts_with(directory));
    }

    /// Checks that every path names what was opened.
    ///
    /// # Errors
    ///
    /// `Io`, with the path and what was opened.
    pub(crate) fn check(&self) -> Result<()> {
        self.opened.lock().iter().try_for_each(Place::check)
    }

    /// The same, unless the last check was less than a second ago.
    pub(crate) fn check_if_due(&self) -> Result<()> {
        {
            let mut looked = self.looked.lock();
            if looked.elapsed() < EVERY {
                return Ok(());
            }
            *looked = Instant::now();
        }
        self.check()
    }
}

/// Returns a path without symbolic links, `.` and `..`, as far as it exists; what is to be created
/// below is appended unchanged.
pub(crate) fn resolve(path: &Path) -> Result<PathBuf> {
    let whole = std::path::absolute(path).map_err(io("resolve", path))?;
    let mut missing = Vec::new();
    let mut there = whole.as_path();
    loop {
        match there.canonicalize() {
            Ok(resolved) => {
                missing.reverse();
                return Ok(missing.into_iter().fold(resolved, |path, part| path.join(part)));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(io("resolve", there)(error)),
        }
        let (Some(parent), Some(name)) = (there.parent(), there.file_name()) else {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("there is no {}; create it, or check the path", whole.display()),
            ));
        };
        missing.push(name);
        there = parent;
    }
}

/// Refuses directories of shards and of the log that overlap, by resolved paths: removing one would
/// remove another. `shards` are (number, directory), and `logs` is where the log and its mirror are to
/// be, if elsewhere than they are; a relative directory is taken from the store's directory.
pub(crate) fn check_overlaps<'a>(
    store: &Path,
    logs: [Option<&Path>; 2],
    shards: impl IntoIterator<Item = (crate::id::ShardId, &'a Path)>,
) -> Result<()> {
    let store = resolve(store)?;
    let mut taken = vec![("the store's metadata".to_owned(), store.join("metadata"))];
    for ((entry, name), given) in LOGS.into_iter().zip(logs) {
        let directory = resolve(&store.join(given.unwrap_or(Path::new(entry))))?;
        if store.starts_with(&directory) {
            return Err(overlap(name, &directory, "the store", &store));
        }
        for (what, other) in &taken {
            check_apart(name, &directory, what, other)?;
        }
        taken.push((name.to_owned(), directory));
    }
    for (id, directory) in shards {
        let directory = resolve(&store.join(directory))?;
        if store.starts_with(&directory) {
            return Err(overlap(&format!("shard {id}"), &directory, "the store", &store));
        }
        // Its database may be elsewhere, through a symbolic link.
        let data = resolve(&directory.join("data"))?;
        for (what, other) in &taken {
            for mine in [&directory, &data] {
                check_apart(&format!("shard {id}"), mine, what, other)?;
            }
        }
        taken.push((format!("shard {id}"), directory.clone()));
        if !data.starts_with(&directory) {
            taken.push((format!("the database of shard {id}"), data));
        }
    }
    Ok(())
}

fn check_apart(what: &str, path: &Path, other: &str, other_path: &Path) -> Result<()> {
    if path.starts_with(other_path) || other_path.starts_with(path) {
        return Err(overlap(what, path, other, other_path));
    }
    Ok(())
}

/// Refuses a new directory inside any store's shard: it would be removed with that shard.
pub(crate) fn check_outside_shards(what: &str, directory: &Path) -> Result<()> {
    let directory = resolve(directory)?;
    // Its own `SHARD` may be there, left by a creation that was interrupted.
    match directory.ancestors().skip(1).find(|above| above.join("SHARD").exists()) {
        Some(shard) => Err(overlap(what, &directory, "a shard", shard)),
        None => Ok(()),
    }
}

fn overlap(what: &str, path: &Path, other: &str, other_path: &Path) -> Error {
    Error::invalid(format!(
        "the directory {} of {what} overlaps with {} of {other}: what is removed with one would be \
         the other's; choose another directory",
        path.display(),
        other_path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ShardId;

    #[test]
    fn paths_are_resolved_as_far_as_they_are_there() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path().canonicalize().unwrap();
        std::fs::create_dir(top.join("a")).unwrap();
        std::os::unix::fs::symlink(top.join("a"), top.join("link")).unwrap();
        assert_eq!(resolve(&top.join("link/../link/b/c")).unwrap(), top.join("a/b/c"));
        assert_eq!(resolve(&top.join("x")).unwrap(), top.join("x"));
    }

    #[test]
    fn overlaps_are_found_by_what_paths_lead_to() {
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("store");
        std::fs::create_dir_all(store.join("shards/0/data/scratch")).unwrap();
        std::os::unix::fs::symlink(store.join("shards/0/data"), directory.path().join("link"))
            .unwrap();
        let check_with = |log: Option<&str>, paths: &[&str]| {
            let paths = paths.iter().map(Path::new).enumerate();
            let paths = paths.map(|(n, path)| (ShardId(n as u32), path));
            check_overlaps(&store, [log.map(Path::new), None], paths)
        };
        let check = |paths: &[&str]| check_with(None, paths);
        let (link, outside) = (directory.path().join("link"), directory.path().join("outside"));
        let (link, outside) = (link.to_str().unwrap(), outside.to_str().unwrap());
        check(&["shards/0", "shards/1", outside]).unwrap();
        let nested = format!("{link}/scratch/x");
        let refused: [&[&str]; 10] = [
            &["shards/0", "shards/0"],
            &["shards/0", "shards/0/data/1"],
            &["shards/0/x", "shards/0"],
            &["shards/0", link],
            &["shards/0", &nested],
            &["metadata/0"],
            &["log"],
            &["log/0"],
            &["."],
            &[".."],
        ];
        for paths in refused {
            let error = check(paths).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{paths:?}: {error}");
        }
        check_with(Some("wal"), &["shards/0", "shards/1"]).unwrap();
        check_with(Some(outside), &["shards/0", "log"]).unwrap();
        for log in ["shards", "shards/0/x", link, "metadata", "metadata/x", "", ".."] {
            let error = check_with(Some(log), &["shards/0"]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{log}: {error}");
        }
    }
}
