//! Restoring a store.
//!
//! | step | on disk after it | if the process dies here, or the power fails |
//! |---|---|---|
//! | 1. everything is checked that can be without reading all | what was there | the same |
//! | 2. `STORE.restoring` is written | a directory that no call takes for a store | the same call begins again: it removes what it has made |
//! | 3. each shard: its identity, then its files, each compared with its checksum and synced | the same | the same |
//! | 4. the segments of the log, up to the target | the same | the same |
//! | 5. the metadata | the same | the same |
//! | 6. `STORE.restoring` is renamed to `STORE`, its directory synced | **a store**, as after a crash at that moment | the same: its opening replays the log |

use super::files::Files;
use super::manifest::{Manifest, ShardFiles};
use super::meter::Meter;
use super::options::RestoreOptions;
use super::repository::Repository;
use crate::catalog::directory::{self, DirectoryLock, Identity, io};
use crate::catalog::places::{check_outside_shards, check_overlaps};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{ArchivedPart, Continuation, LogView, Position, RecoveryTarget};
use crate::os::files::{cannot, sync_directory};
use crate::os::{failpoint, parallel};
use crate::topology::ShardInfo;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

/// The identity of a store that is being restored.
const RESTORING: &str = "STORE.restoring";

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restored {
    /// The number of the backup.
    pub backup: u64,
    /// The moment of the store, in its log.
    pub position: Position,
    /// How many writes after the backup are in it, of which a batch is one.
    pub records: u64,
    /// When the last of them was made.
    pub last_at: Option<SystemTime>,
    /// The directories of the shards.
    pub shards: Vec<PathBuf>,
}

impl Repository {
    /// Restores a store in a directory that is missing or empty, from a backup, or from a moment after
    /// one; the store is closed then, and its first opening replays what the backup has of the log. It
    /// has the number of the original, and directories of its own.
    ///
    /// If it is interrupted, there is no store, and the same call begins again.
    ///
    /// Cost: reads and writes the files of the backup once, all shards in parallel.
    ///
    /// # Errors
    ///
    /// Before anything is written: [`NotFound`](ErrorKind::NotFound) if there is no such backup, or a
    /// file of it is missing; [`InvalidArgument`](ErrorKind::InvalidArgument) if the repository does not
    /// have the log up to [`to`](field@RestoreOptions::to), if a record before it names a keyspace that
    /// was created after the backup, or if directories overlap;
    /// [`AlreadyExists`](ErrorKind::AlreadyExists) if a directory is not empty;
    /// [`Damaged`](ErrorKind::Damaged) if the manifest or the log is damaged, or a file has another
    /// length; [`InUse`](ErrorKind::InUse) if the repository is in use.
    ///
    /// Later: [`Damaged`](ErrorKind::Damaged), naming a file that does not match its checksum;
    /// [`Aborted`](ErrorKind::Aborted) if [`on_progress`](RestoreOptions::on_progress) ends it;
    /// [`Io`](ErrorKind::Io). There is no store then.
    pub fn restore(&self, store: impl AsRef<Path>, options: RestoreOptions) -> Result<Restored> {
        let store = store.as_ref();
        let _lock = self.lock_shared()?;
        let manifest = choose(&self.manifests()?, &options)?;
        let topology = manifest.records.topology()?;
        let directory_of = |shard: &ShardInfo| place(shard, &options);
        let moved = topology
            .with_shards(|shard| ShardInfo { directory: directory_of(shard), ..shard.clone() });
        check_named(&options, &moved)?;
        let files = self.files()?;
        manifest.files().try_for_each(|file| files.check_length(file.stored, file.bytes))?;
        let archive = LogView::of_segments(&self.log(manifest.log), None)?;
        let part = ArchivedPart { first: manifest.first(), cut: manifest.cut() };
        let knows = |keyspace| topology.has_given_keyspace(keyspace);
        let log = store.join("log");
        let continuation = Continuation::of_archive(&archive, part, options.to, &log, knows)?;
        check_outside_shards("the store", store)?;
        for shard in moved.shards() {
            let directory = store.join(&shard.directory);
            check_outside_shards(&format!("shard {}", shard.id), &directory)?;
        }
        check_overlaps(store, [None, None], moved.shards().map(|it| (it.id, &*it.directory)))?;
        let identity = Identity { store: manifest.store, shard: None };
        let _store_lock = begin(store, identity, moved.shards())?;
        let meter = Meter::new(options.watch.as_ref());
        meter.expect(manifest.files().map(|file| file.bytes).sum());
        let shards: Vec<_> =
            manifest.shards.iter().filter_map(|of| Some((of, moved.shard(of.shard)?))).collect();
        let done = parallel::each(&shards, |(of, shard)| {
            restore_shard(store, identity, shard, of, &files, &meter)
        });
        for done in done {
            let panicked = |_| Error::new(ErrorKind::Internal, "restoring a shard panicked");
            done.unwrap_or_else(|panic| Err(panicked(panic)))?;
        }
        directory::create(&log)?;
        continuation.install()?;
        failpoint::hit("restore-log");
        manifest.records.create(&store.join("metadata"), manifest.store, directory_of)?;
        directory::sync(store)?;
        failpoint::hit("restore-metadata");
        directory::rename(&store.join(RESTORING), &store.join("STORE"))?;
        let recovery = continuation.recovery;
        Ok(Restored {
            backup: manifest.number,
            position: recovery.to,
            records: recovery.records,
            last_at: recovery.last_at,
            shards: moved.shards().map(|shard| store.join(&shard.directory)).collect(),
        })
    }
}

/// Returns the manifest of the backup that is wanted.
fn choose(manifests: &[(u64, Result<Manifest>)], options: &RestoreOptions) -> Result<Manifest> {
    let sound = || manifests.iter().filter_map(|(_, manifest)| manifest.as_ref().ok());
    let is_before = |manifest: &&Manifest| match options.to {
        Some(RecoveryTarget::Position(position)) => manifest.cut() <= position,
        Some(RecoveryTarget::Time(moment)) => manifest.at.time() <= moment,
        Some(RecoveryTarget::End) | None => true,
    };
    let chosen = match options.backup {
        Some(number) => match manifests.iter().find(|(found, _)| *found == number) {
            Some((_, manifest)) => manifest.clone()?,
            None => {
                let text = format!("there is no backup {number}; list those there are");
                return Err(Error::new(ErrorKind::NotFound, text));
            }
        },
        None => sound().filter(is_before).next_back().cloned().ok_or_else(|| {
            let text =
                "no backup of the repository was made before that moment; list those there are";
            Error::new(ErrorKind::NotFound, text)
        })?,
    };
    if !is_before(&&chosen) {
        return Err(Error::invalid(format!(
            "backup {} was made after that moment; take an earlier one",
            chosen.number
        )));
    }
    let Some(target) = options.to else { return Ok(chosen) };
    let reaches = |manifest: &Manifest| match target {
        RecoveryTarget::Position(position) => manifest.cut() >= position,
        RecoveryTarget::Time(moment) => manifest.at.time() >= moment,
        RecoveryTarget::End => true,
    };
    if sound().any(|manifest| manifest.log == chosen.log && reaches(manifest)) {
        return Ok(chosen);
    }
    let last = sound().filter(|manifest| manifest.log == chosen.log).next_back().unwrap_or(&chosen);
    Err(Error::invalid(format!(
        "the repository has the log after backup {} only up to position {}, the moment of backup {}: \
         restore that, and apply the rest with the store's own log, if it has it",
        chosen.number,
        last.cut(),
        last.number
    )))
}

/// Returns the directory of a restored shard.
fn place(shard: &ShardInfo, options: &RestoreOptions) -> PathBuf {
    let is_below = shard.directory.components().all(|part| matches!(part, Component::Normal(_)));
    match options.shards.get(&shard.id) {
        Some(directory) => directory.clone(),
        None if is_below => shard.directory.clone(),
        None => Path::new("shards").join(shard.id.to_string()),
    }
}

/// Refuses directories for shards that the backup does not have.
fn check_named(options: &RestoreOptions, topology: &crate::topology::Topology) -> Result<()> {
    match options.shards.keys().find(|shard| topology.shard(**shard).is_none()) {
        Some(shard) => {
            Err(Error::new(ErrorKind::NotFound, format!("the backup has no shard {shard}")))
        }
        None => Ok(()),
    }
}

/// Makes the store's directory ready. What an interrupted restoring has left is removed.
fn begin<'s>(
    store: &Path,
    identity: Identity,
    shards: impl Iterator<Item = &'s ShardInfo>,
) -> Result<DirectoryLock> {
    let restoring = store.join(RESTORING);
    let interrupted = Identity::read(&restoring)? == Some(identity);
    if !interrupted && !directory::holds_only(store, &["LOCK", "STORE.tmp"])? {
        return Err(not_empty("the directory", store));
    }
    directory::create(store)?;
    let lock = DirectoryLock::take(store)?;
    for shard in shards {
        let directory = store.join(&shard.directory);
        let mine = Identity { shard: Some(shard.id), ..identity };
        let is_mine = interrupted && Identity::read(&directory.join("SHARD"))? == Some(mine);
        if is_mine {
            remove(&directory.join("data"))?;
        } else if !directory::holds_only(&directory, &["SHARD.tmp"])? {
            return Err(not_empty(&format!("the directory for shard {}", shard.id), &directory));
        }
    }
    remove(&store.join("log"))?;
    remove(&store.join("metadata"))?;
    if !interrupted {
        identity.write(&restoring)?;
    }
    failpoint::hit("restore-begun");
    Ok(lock)
}

fn not_empty(what: &str, directory: &Path) -> Error {
    let text = format!("{what} {} is not empty; choose another one", directory.display());
    Error::new(ErrorKind::AlreadyExists, text)
}

fn remove(directory: &Path) -> Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(cannot("remove", directory, error))
        }
        _ => Ok(()),
    }
}

/// Makes a shard: its identity first, so that an interrupted one is known for what it is.
fn restore_shard(
    store: &Path,
    identity: Identity,
    shard: &ShardInfo,
    of: &ShardFiles,
    files: &Files,
    meter: &Meter<'_>,
) -> Result<()> {
    let directory = store.join(&shard.directory);
    match directory.parent().filter(|_| shard.directory.is_relative()) {
        Some(parent) if parent.starts_with(store) => directory::create_below(store, parent)?,
        _ => {}
    }
    directory::create(&directory)?;
    Identity { shard: Some(shard.id), ..identity }.write(&directory.join("SHARD"))?;
    let data = directory.join("data");
    std::fs::create_dir(&data).map_err(io("create the directory", &data))?;
    for file in &of.files {
        files.read(file.stored, file.bytes, Some(&data.join(&file.name)), meter)?;
        failpoint::hit("restore-file");
    }
    sync_directory(&data)?;
    directory::sync(&directory)
}
