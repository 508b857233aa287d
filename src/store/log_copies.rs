//! The copies of a store's log, as its directory, its metadata and the options name them, and how the
//! log is opened with them.
//!
//! | step of adding, or exchanging, a mirror | on disk after it | if the process dies here, the next opening |
//! |---|---|---|
//! | 1. recorded: the first copy alone has everything | the log, and a mirror that does not count | makes that one again, unless the option says otherwise |
//! | 2. the former mirror's segments, and its name, are removed | the log | goes on without a mirror, unless the option says otherwise |
//! | 3. the directory is made, and named | the log, and a mirror that does not count | makes it again |
//! | 4. the log is opened, which [makes the mirror again](../log/companion.rs) and records it | both | |

use super::Options;
use super::log_directory::{self, LogDirectory, entry, is_there, names};
use crate::catalog::directory::{self, DirectoryLock};
use crate::catalog::{Home, Metadata, openings};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{
    self, CommitLog, CopyNumber, CopyOptions, CopyRepair, CopySet, LogLoss, LogMirror, LogOptions,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The copies that a store's directory names.
pub(super) struct LogCopies {
    store: PathBuf,
    /// Those that have everything, as the metadata says.
    current: CopySet,
    found: Vec<Found>,
    locks: Vec<DirectoryLock>,
}

struct Found {
    copy: CopyNumber,
    /// An error if it cannot be reached.
    directory: Result<LogDirectory>,
}

/// An open log, and what its opening found.
pub(super) struct OpenedLog {
    pub(super) log: Arc<CommitLog>,
    pub(super) lost: Vec<LogLoss>,
    pub(super) repairs: Vec<CopyRepair>,
    pub(super) copies: LogCopies,
}

impl LogCopies {
    /// Finds the copies of a store's log.
    ///
    /// # Errors
    ///
    /// If no copy that has everything can be reached.
    pub(super) fn find(store: &Path, current: CopySet) -> Result<Self> {
        let is_named = |copy| current.has(copy) || is_there(&entry(store, copy));
        let find = |copy| Found { copy, directory: LogDirectory::find(store, copy) };
        let found: Vec<_> =
            CopyNumber::ALL.into_iter().filter(|it| is_named(*it)).map(find).collect();
        let usable = |it: &Found| current.has(it.copy) && it.directory.is_ok();
        if found.iter().any(usable) {
            return Ok(Self { store: store.to_owned(), current, found, locks: Vec::new() });
        }
        let mut errors = found.into_iter().filter(|it| current.has(it.copy));
        let first = errors.next().and_then(|it| it.directory.err());
        Err(match (first, errors.next().and_then(|it| it.directory.err())) {
            (Some(first), Some(second)) => {
                let text = format!("no copy of the log can be reached: {first}; {second}");
                Error::new(first.kind(), text)
            }
            (Some(first), None) => first,
            (None, _) => Error::new(ErrorKind::Damaged, "no copy of the log has everything"),
        })
    }

    /// Locks those that other stores may have. A copy that cannot be locked counts as one that cannot be
    /// reached, unless another process has it.
    pub(super) fn lock(&mut self) -> Result<()> {
        for found in &mut self.found {
            let Ok(directory) = &found.directory else { continue };
            match directory.lock() {
                Ok(lock) => self.locks.extend(lock),
                Err(error) if error.kind() == ErrorKind::InUse => return Err(error),
                Err(error) => found.directory = Err(error),
            }
        }
        Ok(())
    }

    fn reached(&self) -> impl Iterator<Item = &LogDirectory> {
        self.found.iter().filter_map(|found| found.directory.as_ref().ok())
    }

    fn directory(&self, copy: CopyNumber) -> Option<&LogDirectory> {
        self.reached().find(|directory| directory.copy == copy)
    }

    fn is_named(&self, copy: CopyNumber) -> bool {
        is_there(&entry(&self.store, copy))
    }

    /// Returns the directories of the copies that have everything, as far as they can be reached.
    pub(super) fn current(&self) -> impl Iterator<Item = &LogDirectory> {
        self.reached().filter(|directory| self.current.has(directory.copy))
    }

    /// Returns those that know their last opening, by name and directory.
    pub(super) fn parts(&self) -> impl Iterator<Item = (String, PathBuf)> {
        self.current().filter_map(LogDirectory::part)
    }

    fn options(&self) -> Vec<CopyOptions> {
        let option = |found: &Found| CopyOptions {
            copy: found.copy,
            directory: match &found.directory {
                Ok(directory) => directory.path.clone(),
                Err(_) => entry(&self.store, found.copy),
            },
            is_current: self.current.has(found.copy),
            unreachable: found.directory.as_ref().err().cloned(),
        };
        self.found.iter().map(option).collect()
    }

    /// Opens the log only for reading.
    pub(super) fn open_read_only(&self, options: &Options, home: &Home) -> Result<Arc<CommitLog>> {
        CommitLog::open_read_only(log_options(options, home, self.options()))
    }

    /// Opens the log, which is locked, where the options want it and its mirror.
    pub(super) fn open(
        mut self,
        options: &Options,
        home: &Home,
        metadata: &Metadata,
    ) -> Result<OpenedLog> {
        if let Some(given) = &options.log_directory {
            self = self.place_first(home.id, given, metadata)?;
        }
        let wanted = match &options.log_mirror {
            LogMirror::Unchanged => return self.open_as_named(options, home, metadata),
            LogMirror::None => None,
            LogMirror::At(given) => Some(&**given),
        };
        let is_named = self.is_named(CopyNumber::MIRROR);
        let stays = match (wanted, self.directory(CopyNumber::MIRROR)) {
            (None, _) => !is_named && !self.current.has(CopyNumber::MIRROR),
            (Some(given), Some(mirror)) => mirror.is_at(&self.store, given),
            // The link that is there leads to where the option says, where nothing is at the moment.
            (Some(given), None) => is_named && links_to(&self.store, given),
        };
        if stays {
            return self.open_as_named(options, home, metadata);
        }
        let mut earlier = None;
        if is_named || self.current.has(CopyNumber::MIRROR) {
            let opened = self.open_as_named(options, home, metadata)?;
            opened.log.end_mirror()?;
            let OpenedLog { log, lost, repairs, copies } = opened;
            drop(log);
            copies.remove_mirror()?;
            earlier = Some((lost, repairs));
        } else {
            // Its locks are taken again.
            drop(self);
        }
        if let Some(given) = wanted {
            log_directory::create(&home.path, home.id, CopyNumber::MIRROR, Some(given))?;
        }
        let mut copies = Self::find(&home.path, metadata.log_copies()?)?;
        copies.lock()?;
        let mut opened = copies.open_as_named(options, home, metadata)?;
        if let Some((lost, repairs)) = earlier {
            opened.lost.splice(..0, lost);
            opened.repairs.splice(..0, repairs);
        }
        Ok(opened)
    }

    /// Moves the first copy to where an option wants it. Where it does not have everything, or cannot be
    /// reached, the opening will make it there from the mirror.
    fn place_first(self, id: u128, given: &Path, metadata: &Metadata) -> Result<Self> {
        let store = self.store.clone();
        match self.directory(CopyNumber::FIRST) {
            Some(first) if first.is_at(&store, given) => return Ok(self),
            Some(first) if self.current.has(CopyNumber::FIRST) => {
                first.relocate(&store, id, given)?;
            }
            _ => {
                metadata.recorder()(self.current.without(CopyNumber::FIRST))?;
                log_directory::create(&store, id, CopyNumber::FIRST, Some(given))?;
            }
        }
        drop(self);
        let mut copies = Self::find(&store, metadata.log_copies()?)?;
        copies.lock()?;
        Ok(copies)
    }

    fn open_as_named(
        mut self,
        options: &Options,
        home: &Home,
        metadata: &Metadata,
    ) -> Result<OpenedLog> {
        // What a copy that does not count knows of its last opening may be older than what is accepted.
        // IMPORTANT: before it counts again, or a crash would leave a store that refuses it.
        for behind in self.reached().filter(|directory| !self.current.has(directory.copy)) {
            openings::forget(&behind.path)?;
        }
        let mut log_options = log_options(options, home, self.options());
        log_options.record = Some(metadata.recorder());
        // The locks are held as long as anything holds the log's files.
        let locks: Vec<_> = std::mem::take(&mut self.locks);
        log_options.guard = Some(Arc::new((locks, log_options.guard)));
        let log = CommitLog::open(log_options)?;
        self.current = metadata.log_copies()?;
        let (lost, repairs) = (log.lost().to_vec(), log.repairs().to_vec());
        Ok(OpenedLog { log, lost, repairs, copies: self })
    }

    /// Removes the mirror, which does not count any more.
    fn remove_mirror(self) -> Result<()> {
        if let Some(mirror) = self.directory(CopyNumber::MIRROR) {
            log::remove_segments(&mirror.path)?;
            openings::forget(&mirror.path)?;
        }
        log_directory::remove(&self.store, CopyNumber::MIRROR)?;
        directory::sync(&self.store)
    }
}

/// Returns true if the link that names the mirror is the one that an option would make.
fn links_to(store: &Path, given: &Path) -> bool {
    let link = std::fs::read_link(entry(store, CopyNumber::MIRROR));
    link.is_ok_and(|target| store.join(target) == store.join(given))
}

/// Creates the log of a new store; returns it with the copies that it has. IMPORTANT: it is durable
/// before the store's identity is in place, since a store without one is damaged.
pub(super) fn create(options: &Options, home: &Home) -> Result<(Arc<CommitLog>, CopySet)> {
    let mut copies = CopySet::FIRST;
    let first = options.log_directory.as_deref();
    let mut directories = vec![(
        CopyNumber::FIRST,
        log_directory::create(&home.path, home.id, CopyNumber::FIRST, first)?,
    )];
    log_directory::remove(&home.path, CopyNumber::MIRROR)?;
    if let LogMirror::At(given) = &options.log_mirror {
        let mirror = CopyNumber::MIRROR;
        copies = copies.with(mirror);
        directories
            .push((mirror, log_directory::create(&home.path, home.id, mirror, Some(given))?));
    }
    let option =
        |(copy, directory)| CopyOptions { copy, directory, is_current: true, unreachable: None };
    let of_copies = directories.into_iter().map(option).collect();
    let log_options = LogOptions { must_exist: false, ..log_options(options, home, of_copies) };
    Ok((CommitLog::open(log_options)?, copies))
}

/// Returns how the log of a store is opened.
fn log_options(options: &Options, home: &Home, copies: Vec<CopyOptions>) -> LogOptions {
    LogOptions {
        copies,
        record: None,
        store: home.id,
        access: options.log_access,
        damage: options.log_damage,
        must_exist: true,
        segment_bytes: options.log_segment_bytes(),
        keep_bytes: options.log_keep_bytes,
        hold: true,
        guard: home.guard(),
        clock: Arc::clone(&home.clock),
    }
}

/// Returns the directories in which the options want the log and its mirror.
pub(super) fn given(options: &Options) -> [Option<&Path>; 2] {
    let mirror = match &options.log_mirror {
        LogMirror::At(given) => Some(&**given),
        _ => None,
    };
    [options.log_directory.as_deref(), mirror]
}

/// Returns what messages call a copy.
pub(super) fn name_of(directory: &LogDirectory) -> &'static str {
    names(directory.copy).1
}
