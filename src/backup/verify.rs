//! Checking backups: every byte of their files, and that the engine reads every block of them.

use super::files::Files;
use super::manifest::{Manifest, ShardFiles};
use super::meter::Meter;
use super::options::Watch;
use super::repository::Repository;
use crate::engine::{EngineOptions, LogDamage, Resources, ShardEngine};
use crate::error::{Error, ErrorKind, Result};
use crate::log::LogView;
use crate::os::files::cannot;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What [`Repository::verify`] found.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct BackupVerification {
    /// What is wrong, with the file named; empty if all is well.
    pub problems: Vec<Error>,
    /// The numbers of the backups that were checked.
    pub backups: Vec<u64>,
    /// How many files were read; those that several backups share count once.
    pub files: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many records of the log were checked.
    pub records: u64,
}

impl BackupVerification {
    /// Returns true if no problem was found.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

impl Repository {
    /// Checks all backups: every file of the repository against its checksum, every record of the log,
    /// and every block of every backup as the engine reads it, which also finds what was damaged before
    /// it was copied.
    ///
    /// Cost: reads each file once, and once more for each backup that has it. Needs a directory for
    /// temporary files, for links.
    ///
    /// # Errors
    ///
    /// [`InUse`](ErrorKind::InUse) if the repository is in use; [`Io`](ErrorKind::Io) if it cannot be
    /// listed. What is wrong with backups is in the result and is not an error.
    pub fn verify(&self) -> Result<BackupVerification> {
        self.verify_with(|_| ControlFlow::Continue(()))
    }

    /// Checks all backups, and calls a function with the progress of reading the files, about once for
    /// each MiB; with [`Break`](ControlFlow::Break) it ends.
    ///
    /// # Errors
    ///
    /// Those of [`verify`](Self::verify), and [`Aborted`](ErrorKind::Aborted).
    pub fn verify_with(
        &self,
        watch: impl Fn(&super::BackupProgress) -> ControlFlow<()> + Send + Sync + 'static,
    ) -> Result<BackupVerification> {
        let _lock = self.lock_shared()?;
        let watch = Watch::new(Arc::new(watch));
        let meter = Meter::new(Some(&watch));
        let mut report = BackupVerification::default();
        let mut sound = Vec::new();
        for (number, manifest) in self.manifests()? {
            report.backups.push(number);
            match manifest {
                Ok(manifest) => sound.push(manifest),
                Err(error) => report.problems.push(error),
            }
        }
        let files = self.files()?;
        self.verify_files(&files, &sound, &meter, &mut report)?;
        self.verify_logs(&sound, &mut report);
        for manifest in &sound {
            for shard in &manifest.shards {
                if let Err(error) = verify_blocks(manifest, shard, &files) {
                    report.problems.push(error);
                }
            }
        }
        Ok(report)
    }

    fn verify_files(
        &self,
        files: &Files,
        manifests: &[Manifest],
        meter: &Meter<'_>,
        report: &mut BackupVerification,
    ) -> Result<()> {
        let all = manifests.iter().flat_map(Manifest::files);
        let all: BTreeMap<_, _> = all.map(|file| (file.stored, file.bytes)).collect();
        meter.expect(all.values().sum());
        for (name, bytes) in all {
            match files.read(name, bytes, None, meter) {
                Err(error) if error.kind() == ErrorKind::Aborted => return Err(error),
                Err(error) => report.problems.push(error),
                Ok(()) => {}
            }
            report.files += 1;
            report.bytes += bytes;
        }
        Ok(())
    }

    /// Reads the log, and checks that it has what each backup needs.
    fn verify_logs(&self, manifests: &[Manifest], report: &mut BackupVerification) {
        let mut parts: BTreeMap<u64, Vec<&Manifest>> = BTreeMap::new();
        for manifest in manifests {
            parts.entry(manifest.log).or_default().push(manifest);
        }
        for (part, manifests) in parts {
            let directory = self.log(part);
            let view = LogView::of_segments(&directory, None);
            let checked = view.and_then(|view| Ok((view.check()?, view.begin(), view.end())));
            let (begin, end) = match checked {
                Ok((records, begin, end)) => {
                    report.records += records;
                    (begin, end)
                }
                Err(error) => {
                    report.problems.push(error);
                    continue;
                }
            };
            let lacks = |it: &&&Manifest| it.first() < begin || it.cut() > end;
            for manifest in manifests.iter().filter(lacks) {
                let text = format!(
                    "the log in {} reaches from position {begin} to {end}, and backup {} needs it from \
                     {} to {}",
                    directory.display(),
                    manifest.number,
                    manifest.first(),
                    manifest.cut()
                );
                report.problems.push(Error::new(ErrorKind::NotFound, text));
            }
        }
    }
}

/// Opens the files of a shard read-only, through links, and reads every block.
fn verify_blocks(manifest: &Manifest, shard: &ShardFiles, files: &Files) -> Result<()> {
    let links = Links::make(manifest, shard, files)?;
    let resources = Resources::new(&EngineOptions::small(LogDamage::Refuse), 1);
    let checked = ShardEngine::open_read_only(&links.0, &resources, None);
    let checked = checked.and_then(|engine| match engine.damaged().iter().next() {
        Some((partition, why)) => Err(Error::new(
            ErrorKind::Damaged,
            format!("partition {} is damaged: {why}", partition.id),
        )),
        None => engine.verify_checksums(),
    });
    checked.map_err(|error| {
        let text = format!("shard {} of backup {} is damaged", shard.shard, manifest.number);
        Error::new(error.kind(), text).with_source(error)
    })
}

/// A directory in which the files of a shard have the names that its database knows.
struct Links(PathBuf);

impl Links {
    fn make(manifest: &Manifest, shard: &ShardFiles, files: &Files) -> Result<Self> {
        let unique = uuid::Uuid::new_v4().simple();
        let directory = std::env::temp_dir().join(format!("annulus-verify-{unique}"));
        let failed = |error| cannot("create the directory", &directory, error);
        std::fs::create_dir(&directory).map_err(failed)?;
        let links = Self(directory);
        for file in &shard.files {
            let to = links.0.join(&file.name);
            link(&files.path(file.stored), &to).map_err(|error| cannot("link", &to, error))?;
        }
        tracing::debug!(backup = manifest.number, shard = %shard.shard, "reading all blocks");
        Ok(links)
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, directory = %self.0.display(), "left links behind");
        }
    }
}

#[cfg(unix)]
fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(from, to)
}

#[cfg(not(unix))]
fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::copy(from, to).map(drop)
}
