//! Where the log of a store is: `<store>/log` is its directory, or a symbolic link to it. Whatever
//! reads the log goes by that name, and nothing else says where it is.
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
//! stay in the old place, where nothing names them any more.

use crate::catalog::directory::{self, DirectoryLock, io};
use crate::catalog::openings;
use crate::catalog::places::{LOG, LOG_NAME, check_outside_shards};
use crate::error::{Error, ErrorKind, Result};
use crate::log;
use crate::os::failpoint;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

const NEXT: &str = "log.next";
const BEFORE: &str = "log.before";

/// The directory of a log that is there.
#[derive(Debug)]
pub(super) struct LogDirectory {
    /// Without links.
    pub(super) path: PathBuf,
    /// True if it is behind a link, so that other stores may have it, too.
    is_linked: bool,
}

impl LogDirectory {
    /// Returns the directory of a store's log, which must exist.
    pub(super) fn find(store: &Path) -> Result<Self> {
        let name = store.join(LOG);
        let place = name.display();
        let link = fs::read_link(&name).ok();
        if !name.is_dir() {
            return Err(match link {
                Some(target) => Error::new(
                    ErrorKind::NotFound,
                    format!(
                        "the store's log {place} is a link to {}, where there is no directory: mount \
                         its disk; or, if you have moved the log, make {place} a link to where it is",
                        target.display()
                    ),
                ),
                None => Error::new(
                    ErrorKind::Damaged,
                    format!(
                        "the store's log {place} is missing; restore it: without it, writes are lost \
                         that are not in files yet"
                    ),
                ),
            });
        }
        let path = name.canonicalize().map_err(io("resolve", &name))?;
        Ok(Self { path, is_linked: link.is_some() })
    }

    /// Locks it, if other stores may have it.
    pub(super) fn lock(&self) -> Result<Option<DirectoryLock>> {
        if self.is_linked { DirectoryLock::take_log(&self.path).map(Some) } else { Ok(None) }
    }

    /// Returns what is to know its last opening: the directory, if other stores may have it.
    pub(super) fn part(&self) -> Option<(String, PathBuf)> {
        self.is_linked.then(|| ("the log".to_owned(), self.path.clone()))
    }
}

/// Creates the directory of the log of a new store. What an interrupted creation has left there
/// holds nothing, and is removed.
pub(super) fn create(store: &Path, id: u128, given: Option<&Path>) -> Result<PathBuf> {
    let name = store.join(LOG);
    // Of a link only the link.
    match fs::remove_dir_all(&name) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(io("remove", &name)(error));
        }
        _ => {}
    }
    let given = given.filter(|given| !is_own(store, given));
    let Some(given) = given else {
        directory::create(&name)?;
        return Ok(name);
    };
    let target = make(store, id, given)?;
    openings::forget(&target)?;
    log::remove_segments(&target)?;
    failpoint::hit("log-directory-made");
    symlink(given, &name).map_err(io("create the link", &name))?;
    directory::sync(store)?;
    Ok(name)
}

/// Returns true if a path is that of the store's own directory for the log.
fn is_own(store: &Path, given: &Path) -> bool {
    store.join(given) == store.join(LOG)
}

/// Creates the directory for a log, unless it exists, and refuses one that holds something else than
/// the log of this store. As for a shard, the parent must exist unless it is below the store.
fn make(store: &Path, id: u128, given: &Path) -> Result<PathBuf> {
    let target = store.join(given);
    let leaves = given.components().any(|part| part == Component::ParentDir);
    check_outside_shards(LOG_NAME, &target)?;
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
                    "the directory {} for {LOG_NAME} is not empty: it has {}; choose another one",
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
    let (name, next, before) = (store.join(LOG), store.join(NEXT), store.join(BEFORE));
    let is_there = |path: &Path| path.symlink_metadata().is_ok();
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
    directory::rename(&store.join(NEXT), &store.join(LOG))
}

impl LogDirectory {
    /// Moves the log, which is locked, to another directory, unless that is where it is.
    pub(super) fn relocate(
        self,
        store: &Path,
        id: u128,
        given: &Path,
        lock: Option<DirectoryLock>,
    ) -> Result<(Self, Option<DirectoryLock>)> {
        let target = store.join(given);
        if is_own(store, given) || target.canonicalize().is_ok_and(|target| target == self.path) {
            return Ok((self, lock));
        }
        make(store, id, given)?;
        let lock = DirectoryLock::take_log(&target)?;
        openings::forget(&target)?;
        log::copy_segments(&self.path, &target)?;
        failpoint::hit("log-move-copied");
        let (name, next) = (store.join(LOG), store.join(NEXT));
        symlink(given, &next).map_err(io("create the link", &next))?;
        directory::sync(store)?;
        failpoint::hit("log-move-linked");
        if !self.is_linked {
            directory::rename(&name, &store.join(BEFORE))?;
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
        Ok((Self::find(store)?, Some(lock)))
    }
}
