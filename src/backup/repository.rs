//! A directory with the backups of one store.

use super::files::Files;
use super::manifest::{Backup, Manifest};
use crate::catalog::directory::{self, Identity, io};
use crate::catalog::places::{check_outside_shards, resolve};
use crate::error::{Error, ErrorKind, Result};
use crate::os::failpoint;
use crate::os::files::{cannot, sync_directory};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The file that says whose backups a directory has.
const IDENTITY: &str = "BACKUPS";
const LOCK: &str = "LOCK";
/// The extension of a manifest that is being written.
const WRITING: &str = "tmp";

/// The backups of a store, in one directory.
///
/// One process at a time adds and removes backups; others may read meanwhile if that does not need
/// what is being removed: they wait for nothing, and are refused while one is at work.
#[derive(Debug)]
pub struct Repository {
    pub(super) path: PathBuf,
    pub(super) store: u128,
}

/// Keeps other processes out of a repository until it is dropped.
pub(super) struct Lock(Option<File>);

impl Drop for Lock {
    fn drop(&mut self) {
        // Otherwise a child process that is just being started would hold it, too.
        let _ = self.0.as_ref().map(File::unlock);
    }
}

impl Repository {
    /// Opens the repository in a directory. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if there is none; [`Damaged`](ErrorKind::Damaged),
    /// [`Incompatible`](ErrorKind::Incompatible), [`Io`](ErrorKind::Io).
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let Some(Identity { store, .. }) = Identity::read(&path.join(IDENTITY))? else {
            let text =
                format!("there are no backups in {}; make one, or check the path", path.display());
            return Err(Error::new(ErrorKind::NotFound, text));
        };
        let path = path.canonicalize().map_err(io("resolve", path))?;
        Ok(Self { path, store })
    }

    /// Opens the repository of a store, or creates it in a directory that is missing or empty.
    pub(super) fn open_or_create(path: &Path, store: u128, of: &Path) -> Result<Self> {
        let resolved = resolve(path)?;
        if resolved.starts_with(of) || of.starts_with(&resolved) {
            return Err(Error::invalid(format!(
                "the repository {} and the store {} overlap: what is lost with one would be lost with \
                 the other; choose another directory",
                path.display(),
                of.display()
            )));
        }
        check_outside_shards("the repository", &resolved)?;
        let identity = path.join(IDENTITY);
        match Identity::read(&identity)? {
            Some(found) if found.store != store => {
                return Err(Error::invalid(format!(
                    "{} has backups of another store; choose another directory",
                    path.display()
                )));
            }
            Some(_) => {}
            None => {
                if !directory::holds_only(path, &[LOCK, "BACKUPS.tmp"])? {
                    let text = format!(
                        "{} has no backups and is not empty; choose another directory",
                        path.display()
                    );
                    return Err(Error::new(ErrorKind::AlreadyExists, text));
                }
                directory::create(path)?;
                Identity { store, shard: None }.write(&identity)?;
            }
        }
        let repository = Self::open(path)?;
        for below in ["backups", "files", "log"] {
            directory::create(&repository.path.join(below))?;
        }
        Ok(repository)
    }

    /// Returns the backups, the oldest first. Those whose manifest is damaged are left out:
    /// [`verify`](Self::verify) names them.
    ///
    /// Cost: reads the manifests.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io).
    pub fn backups(&self) -> Result<Vec<Backup>> {
        let manifests = self.manifests()?;
        Ok(manifests
            .iter()
            .filter_map(|(_, it)| it.as_ref().ok())
            .map(Manifest::describe)
            .collect())
    }

    /// Returns the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the numbers of the backups, with their manifests or why these cannot be read.
    pub(super) fn manifests(&self) -> Result<Vec<(u64, Result<Manifest>)>> {
        let directory = self.path.join("backups");
        let failed = |error| cannot("read", &directory, error);
        let mut manifests = Vec::new();
        for entry in directory.read_dir().map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let number = path.file_name().and_then(|name| name.to_str()?.parse().ok());
            if let Some(number) = number {
                manifests.push((number, Manifest::read(&path, number, self.store)));
            }
        }
        manifests.sort_by_key(|(number, _)| *number);
        Ok(manifests)
    }

    /// Returns the files that backups share.
    pub(super) fn files(&self) -> Result<Files> {
        Files::open(&self.path.join("files"))
    }

    /// Returns the directory of a part of the log that has no gap, by the backup with which it begins.
    pub(super) fn log(&self, first: u64) -> PathBuf {
        self.path.join("log").join(format!("{first:010}"))
    }

    fn manifest_path(&self, number: u64) -> PathBuf {
        self.path.join("backups").join(format!("{number:010}"))
    }

    /// Puts the manifest of a backup in place, of which everything else is on the disk.
    pub(super) fn add(&self, manifest: &Manifest) -> Result<()> {
        let path = self.manifest_path(manifest.number);
        let writing = path.with_extension(WRITING);
        let content = manifest.encode()?;
        let mut file = File::create(&writing).map_err(|error| cannot("create", &writing, error))?;
        file.write_all(&content)
            .and_then(|()| file.sync_all())
            .map_err(|error| cannot("write", &writing, error))?;
        failpoint::hit("backup-manifest");
        std::fs::rename(&writing, &path).map_err(|error| cannot("rename", &writing, error))?;
        sync_directory(&self.path.join("backups"))?;
        failpoint::hit("backup-named");
        Ok(())
    }

    /// Removes the manifest of a backup, on the disk when it returns: from then on it is none.
    pub(super) fn remove(&self, number: u64) -> Result<()> {
        let path = self.manifest_path(number);
        std::fs::remove_file(&path).map_err(|error| cannot("remove", &path, error))?;
        sync_directory(&self.path.join("backups"))?;
        failpoint::hit("backup-removed");
        Ok(())
    }

    /// Excludes all others.
    pub(super) fn lock(&self) -> Result<Lock> {
        let path = self.path.join(LOCK);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(io("open the lock file", &path))?;
        self.locked(file.try_lock())?;
        Ok(Lock(Some(file)))
    }

    /// Excludes those who add and remove backups. A repository that cannot be written needs no lock.
    pub(super) fn lock_shared(&self) -> Result<Lock> {
        let Ok(file) = File::open(self.path.join(LOCK)) else { return Ok(Lock(None)) };
        self.locked(file.try_lock_shared())?;
        Ok(Lock(Some(file)))
    }

    fn locked(&self, locked: std::result::Result<(), TryLockError>) -> Result<()> {
        let place = self.path.display();
        match locked {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => Err(Error::new(
                ErrorKind::InUse,
                format!("the repository {place} is in use: wait until that has ended"),
            )),
            Err(TryLockError::Error(error)) => Err(io("lock", &self.path)(error)),
        }
    }
}
