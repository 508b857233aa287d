//! Removing old backups, and files that no backup needs.

use super::repository::Repository;
use crate::error::{Error, Result};
use crate::log::{Position, tidy_archive};
use crate::os::failpoint;
use crate::os::files::{cannot, sync_directory};
use std::collections::{BTreeMap, BTreeSet};

/// What was removed from a repository.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Pruned {
    /// The numbers of the backups.
    pub backups: Vec<u64>,
    /// How many files of shards no backup needed any more.
    pub files: u64,
    /// How many bytes they had.
    pub bytes: u64,
}

impl Repository {
    /// Removes the oldest backups, and keeps this many; and the files and the log that only they
    /// needed.
    ///
    /// If it is interrupted, each backup is there whole or not at all, and the next call removes what
    /// is left.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for 0;
    /// [`InUse`](crate::ErrorKind::InUse) if the repository is in use;
    /// [`Damaged`](crate::ErrorKind::Damaged) if a manifest is damaged: which files it needs is not
    /// known, so nothing is removed; remove that manifest, which the error names, if its backup is not
    /// wanted; [`Io`](crate::ErrorKind::Io).
    pub fn prune(&self, keep: usize) -> Result<Pruned> {
        if keep == 0 {
            return Err(Error::invalid(
                "keep at least one backup; to remove all, remove the directory",
            ));
        }
        let _lock = self.lock()?;
        let numbers = self.sound()?.into_iter().map(|manifest| manifest.number);
        let numbers: Vec<u64> = numbers.collect();
        let old = numbers.len().saturating_sub(keep);
        let backups: Vec<u64> = numbers.into_iter().take(old).collect();
        backups.iter().try_for_each(|number| self.remove(*number))?;
        let (files, bytes) = self.collect()?;
        Ok(Pruned { backups, files, bytes })
    }

    /// Returns the manifests, of which none is damaged.
    fn sound(&self) -> Result<Vec<super::manifest::Manifest>> {
        self.manifests()?.into_iter().map(|(_, manifest)| manifest).collect()
    }

    /// Removes what no backup needs. Returns how many files of shards, and their bytes.
    pub(super) fn collect(&self) -> Result<(u64, u64)> {
        let manifests = self.sound()?;
        let needed: BTreeSet<_> =
            manifests.iter().flat_map(|it| it.files()).map(|file| file.stored).collect();
        let removed = self.files()?.remove_others(|name| needed.contains(&name))?;
        // Of each part of the log: its last segment, and from where on it is needed.
        let mut parts: BTreeMap<u64, (u64, Position)> = BTreeMap::new();
        for manifest in &manifests {
            let part = parts.entry(manifest.log).or_insert((0, manifest.first()));
            part.0 = part.0.max(manifest.last_segment);
            part.1 = part.1.min(manifest.first());
        }
        let logs = self.path.join("log");
        let failed = |error| cannot("read", &logs, error);
        for entry in logs.read_dir().map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let number = path.file_name().and_then(|name| name.to_str()?.parse::<u64>().ok());
            match number.map(|number| parts.get(&number)) {
                Some(Some((last, needed))) => tidy_archive(&path, *last, *needed)?,
                Some(None) => {
                    failpoint::hit("backup-collect");
                    std::fs::remove_dir_all(&path)
                        .map_err(|error| cannot("remove", &path, error))?;
                }
                None => {}
            }
        }
        sync_directory(&logs)?;
        Ok(removed)
    }
}
