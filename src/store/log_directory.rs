//! Where a copy of the log of a store is: `<store>/log` is the directory of the first one, or a
//! symbolic link to it, and `<store>/log-mirror` that of the second one. Whatever reads the log goes by
//! these names, and nothing else says where it is.
//!
//! A log that is to be elsewhere is moved by an opening, before it is read:
//!
//! | step of [`relocate`](LogDirectory::relocate) | on disk after it | if the process dies here, the next opening |
//! |---|---|---|
//! | 1. all segments are in the new directory, and it is synced | the log, and a copy | begins again |
//! | 2. `log.next` links to the new directory | the same | removes the link, and begins again |
//! | 3. if `log` is a directory, it becomes `log.before` | no log, what it was, and the link | goes on |
//! | 4. `log.next` becomes `log` | the log is in the new place | goes on |
//! | 5. the segments in the old place are removed, and `log.before` | the log | |
//!
//! Each step is synced before the next one. If the process dies in 5, and `log` was a link, segments
//! stay in the old place, where nothing names them any more. A mirror is not moved: it is removed, and
//! made again ([`log_copies`](super::log_copies)).

use crate::catalog::directory::{self, DirectoryLock, io};
use crate::catalog::openings;
use crate::catalog::places::{LOGS, check_outside_shards};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{self, CopyNumber};
use crate::os::failpoint;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

const NEXT: &str = "log.next";
const BEFORE: &str = "log.before";

/// Returns what names a copy in the store's directory, and what messages call it.
pub(super) fn names(copy: CopyNumber) -> (&'static str, &'static str) {
    if copy == CopyNumber::FIRST { LOGS[0] } else { LOGS[1] }
}

/// Returns the path that names a copy.
pub(super) fn entry(store: &Path, copy: CopyNumber) -> PathBuf {
    store.join(names(copy).0)
}

/// Returns true if the store's directory has something of this path, whatever it leads to.
pub(super) fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// The directory of a copy of the log, which is there.
#[derive(Debug)]
pub(super) struct LogDirectory {
    pub(super) copy: CopyNumber,
    /// Without links.
    pub(super) path: PathBuf,
    /// True if it is reached by a link, so that other stores may have it, too.
    is_linked: bool,
}

impl LogDirectory {
    /// Returns the directory of a copy of a store's log, which must exist.
    pub(super) fn find(store: &Path, copy: CopyNumber) -> Result<Self> {
        let entry = entry(store, copy);
        let (what, place) = (names(copy).1, entry.display());
        let link = fs::read_link(&entry).ok();
        if !entry.is_dir() {
            return Err(match link {
                Some(target) => Error::new(
                    ErrorKind::NotFound,
                    format!(
                        "{what} {place} is a link to {}, where there is no directory: mount its \
                         disk; or, if you have moved it, make {place} a link to where it is",
                        target.display()
                    ),
                ),
                None => Error::new(
                    ErrorKind::Damaged,
                    format!(
                        "{what} {place} is missing; restore it: without it, writes are lost that are \
                         not in files yet"
                    ),
                ),
            });
        }
        let path = entry.canonicalize().map_err(io("resolve", &entry))?;
        Ok(Self { copy, path, is_linked: link.is_some() })
    }

    /// Locks it, if other stores may have it.
    pub(super) fn lock(&self) -> Result<Option<DirectoryLock>> {
        if self.is_linked { DirectoryLock::take_log(&self.path).map(Some) } else { Ok(None) }
    }

    /// Returns what is to know its last opening: the directory, if other stores may have it.
    pub(super) fn part(&self) -> Option<(String, PathBuf)> {
        self.is_linked.then(|| (names(self.copy).1.to_owned(), self.path.clone()))
    }

    /// Returns true if it is the one that an option names.
    pub(super) fn is_at(&self, store: &Path, given: &Path) -> bool {
        is_own(store, self.copy, given)
            || store.join(given).canonicalize().is_ok_and(|target| target == self.path)
    }

    /// Moves the first copy to another directory.
    pub(super) fn relocate(&self, store: &Path, id: u128, given: &Path) -> Result<()> {
        let target = make(store, id, self.copy, given)?;
        let lock = DirectoryLock::take_log(&target)?;
        openings::forget(&target)?;
        log::copy_segments(&self.path, &target)?;
        failpoint::hit("log-move-copied");
        let next = store.join(NEXT);
        symlink(given, &next).map_err(io("create the link", &next))?;
        directory::sync(store)?;
        failpoint::hit("log-move-linked");
        if !self.is_linked {
            directory::rename(&entry(store, self.copy), &store.join(BEFORE))?;
            failpoint::hit("log-move-aside");
        }
        switch(store)?;
        failpoint::hit("log-move-switched");
        tracing::info!(from = %self.path.display(), to = %target.display(), "moved the log");
        if self.is_linked {
            log::remove_segments(&self.path)?;
            openings::forget(&self.path)?;
        }
        settle(store)?;
        drop(lock);
        Ok(())
    }
}

/// Creates the directory of a copy of the log, of a new store or as one that does not count yet. What
/// an interrupted creation has left there holds nothing, and is removed.
pub(super) fn create(
    store: &Path,
    id: u128,
    copy: CopyNumber,
    given: Option<&Path>,
) -> Result<PathBuf> {
    remove(store, copy)?;
    let entry = entry(store, copy);
    let Some(given) = given.filter(|given| !is_own(store, copy, given)) else {
        directory::create(&entry)?;
        return Ok(entry);
    };
    let target = make(store, id, copy, given)?;
    openings::forget(&target)?;
    log::remove_segments(&target)?;
    failpoint::hit("log-directory-made");
    symlink(given, &entry).map_err(io("create the link", &entry))?;
    directory::sync(store)?;
    Ok(entry)
}

/// Removes what names a copy: a directory with all that is in it, or a link.
pub(super) fn remove(store: &Path, copy: CopyNumber) -> Result<()> {
    let entry = entry(store, copy);
    match fs::remove_dir_all(&entry) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io("remove", &entry)(error)),
        Ok(()) => directory::sync(store),
    }
}

/// Returns true if a path is that of the store's own directory for a copy of the log.
fn is_own(store: &Path, copy: CopyNumber, given: &Path) -> bool {
    store.join(given) == entry(store, copy)
}

/// Creates the directory for a copy of the log, unless it exists, and refuses one that holds something
/// else than the log of this store. As for a shard, the parent must exist unless it is below the store.
fn make(store: &Path, id: u128, copy: CopyNumber, given: &Path) -> Result<PathBuf> {
    let (target, what) = (store.join(given), names(copy).1);
    let leaves = given.components().any(|part| part == Component::ParentDir);
    check_outside_shards(what, &target)?;
    if let (true, false, Some(parent)) = (given.is_relative(), leaves, target.parent()) {
        directory::create_below(store, parent)?;
    }
    directory::create(&target)?;
    log::check_owner(&target, id)?;
    for entry in fs::read_dir(&target).map_err(io("read the directory", &target))? {
        let name = entry.map_err(io("read the directory", &target))?.file_name();
        let is_known = ["LOCK", "OPENED", "OPENED.tmp"].iter().any(|known| name == *known);
        if !is_known && !log::is_segment(Path::new(&name)) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!(
                    "the directory {} for {what} is not empty: it has {}; choose another one",
                    target.display(),
                    name.display()
                ),
            ));
        }
    }
    Ok(target)
}

/// Goes on with a move of the log that was interrupted. Only the names in the store's directory are
/// touched; what is in the log is judged later.
pub(super) fn settle(store: &Path) -> Result<()> {
    let name = entry(store, CopyNumber::FIRST);
    let (next, before) = (store.join(NEXT), store.join(BEFORE));
    if !is_there(&name) && is_there(&before) {
        if is_there(&next) {
            return switch(store).and_then(|()| settle(store));
        }
        directory::rename(&before, &name)?;
    }
    if is_there(&next) {
        fs::remove_file(&next).map_err(io("remove", &next))?;
    }
    if is_there(&before) {
        fs::remove_dir_all(&before).map_err(io("remove", &before))?;
    }
    Ok(())
}

/// Makes `log.next` the log.
fn switch(store: &Path) -> Result<()> {
    directory::rename(&store.join(NEXT), &entry(store, CopyNumber::FIRST))
}
