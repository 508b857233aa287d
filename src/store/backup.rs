//! Backups of an open store.

use super::Store;
#[cfg(doc)]
use crate::backup::Repository;
use crate::backup::{self, Backup, BackupOptions, Source};
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::error::Result;
use std::path::Path;

impl Store {
    /// Makes a backup in a repository: a directory that has backups of this store, or is missing or
    /// empty, and is best on another disk. Its parent must exist. Files that the repository has are not
    /// copied again, so a later backup copies about what has changed. See
    /// [`backup_with`](Self::backup_with).
    ///
    /// ```
    /// use annulus::{Store, topology::KeyspaceSpec};
    ///
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let (path, backups) = (directory.path().join("store"), directory.path().join("backups"));
    /// let store = Store::open(path)?;
    /// store.keyspace_or_create("users", KeyspaceSpec::hash())?.put("ada", "countess")?;
    /// let backup = store.backup(&backups)?;
    /// println!("backup {} of position {}", backup.number, backup.position);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`backup_with`](Self::backup_with).
    pub fn backup(&self, repository: impl AsRef<Path>) -> Result<Backup> {
        self.backup_with(repository, BackupOptions::new())
    }

    /// Makes a backup as the options say. It is one moment of the whole store, between the call and its
    /// return: a prefix of everything that was written, with every batch and transaction whole, and
    /// every write that was acknowledged before the call.
    ///
    /// Reads and writes continue meanwhile; reshapes do, too, and a change of the topology waits for as
    /// long as it takes to read the metadata. When it returns, the backup survives a power cut. If it is
    /// interrupted, whatever the moment, earlier backups are as they were, and what it has copied is
    /// used by the next one. [`Repository`] has what can be done with it.
    ///
    /// Cost: a flush of each shard; hard links in the shards' directories, which keep files that are
    /// superseded meanwhile until it ends; then, as slowly as the options say, a copy of the log since
    /// the backup before, as far as the store still has it, and of the files that the repository does
    /// not have, on the calling thread.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if the repository is that of another store, or
    /// overlaps with this one; [`AlreadyExists`](ErrorKind::AlreadyExists) if the directory holds
    /// something else; [`InUse`](ErrorKind::InUse) if the repository is in use;
    /// [`Damaged`](ErrorKind::Damaged) if a partition of the store was found damaged when it was opened;
    /// [`Aborted`](ErrorKind::Aborted) if [`on_progress`](BackupOptions::on_progress) ends it;
    /// [`Io`](ErrorKind::Io); [`Closed`](ErrorKind::Closed); [`ReadOnly`](ErrorKind::ReadOnly);
    /// [`InDoubt`](ErrorKind::InDoubt) for a store that takes no writes until it is opened again.
    pub fn backup_with(
        &self,
        repository: impl AsRef<Path>,
        options: BackupOptions,
    ) -> Result<Backup> {
        let core = self.core();
        let source =
            Source { catalog: &core.catalog, foreground: &core.reshaper.registry.foreground };
        backup::create(&source, repository.as_ref(), &options)
    }
}
