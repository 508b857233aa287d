//! Making a copy of a store a store of its own.
//!
//! A copy has the number of its original, names the same directories if they are not below the store's,
//! and is refused as soon as the original was opened after it, or it after the original. Here it gets a
//! number and directories of its own.
//!
//! | step | on disk after it | if the process dies here, or the power fails |
//! |---|---|---|
//! | 1. `STORE.adopting`, with the new number | the copy | the same call goes on with that number |
//! | 2. `STORE` becomes `STORE.copied` | a directory that no opening takes for a store | the same call goes on, from here to the end |
//! | 3. each shard's `SHARD` gets the new number, and its `OPENED` is removed | the same | the same |
//! | 4. the segments of the log are written again, with the new number, in `log.adopting` | the same | the same |
//! | 5. `log` becomes `log.copied`, and `log.adopting` becomes `log` | the same | the same |
//! | 6. the metadata: number, directories, no openings; one synced commit | the same | the same |
//! | 7. `log.copied` and the mirror are removed | the same | the same |
//! | 8. `STORE.adopting` becomes `STORE` | **a store** | |

use super::log_directory::{self, entry, is_there};
use super::open::metadata_directory;
use crate::catalog::directory::{self, DirectoryLock, Identity, io};
use crate::catalog::places::check_overlaps;
use crate::catalog::{Metadata, openings};
use crate::engine::{LogDamage, ShardEngine};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ShardId;
use crate::log::{self, CopyNumber, CopySet};
use crate::os::failpoint;
use crate::topology::ShardInfo;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const ADOPTING: &str = "STORE.adopting";
const COPIED: &str = "STORE.copied";
const LOG_ADOPTING: &str = "log.adopting";
const LOG_COPIED: &str = "log.copied";

/// Where the parts of a copy are.
///
/// ```
/// use annulus::{AdoptOptions, ShardId};
///
/// let options = AdoptOptions::new().shard(ShardId(1), "/disk2/copy").log("/nvme/copy-log");
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct AdoptOptions {
    /// The directories of the copied shards, as far as they are not where the original's are below its
    /// directory.
    pub shards: BTreeMap<ShardId, PathBuf>,
    /// The directory with the copied segments of the log, if they are not in `log` below the store's
    /// directory; it is only read. Default: none.
    pub log: Option<PathBuf>,
}

impl AdoptOptions {
    /// Returns the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the directory of one copied shard.
    #[must_use]
    pub fn shard(mut self, shard: ShardId, directory: impl Into<PathBuf>) -> Self {
        self.shards.insert(shard, directory.into());
        self
    }

    /// Sets the directory of the copied log.
    #[must_use]
    pub fn log(mut self, directory: impl Into<PathBuf>) -> Self {
        self.log = Some(directory.into());
        self
    }
}

/// A copy that is being adopted.
struct StoreCopy {
    store: PathBuf,
    old: u128,
    new: u128,
    shards: Vec<(ShardInfo, PathBuf)>,
}

/// Makes the copy of a store a store of its own. Returns the directories of its shards.
pub(super) fn adopt(path: &Path, options: &AdoptOptions) -> Result<Vec<PathBuf>> {
    let store = path.canonicalize().map_err(io("resolve", path))?;
    let (present, adopting) = (store.join("STORE"), store.join(ADOPTING));
    let interrupted = Identity::read(&adopting)?;
    let old = match Identity::read(&present)? {
        Some(identity) => identity,
        None => Identity::read(&store.join(COPIED))?.filter(|_| interrupted.is_some()).ok_or_else(
            || {
                let text =
                    format!("there is no copy of a store in {}; check the path", store.display());
                Error::new(ErrorKind::NotFound, text)
            },
        )?,
    };
    let _lock = DirectoryLock::take(&store)?;
    let drawn = || Identity { store: uuid::Uuid::new_v4().as_u128(), shard: None };
    let new = interrupted.unwrap_or_else(drawn);
    let copy = look(store, old.store, new.store, options)?;
    let locks = copy.shards.iter().map(|(_, directory)| DirectoryLock::take_shard(directory));
    let _locks = locks.collect::<Result<Vec<_>>>()?;
    if interrupted.is_none() {
        new.write(&adopting)?;
    }
    if is_there(&present) {
        directory::rename(&present, &copy.store.join(COPIED))?;
    }
    failpoint::hit("adopt-begun");
    for (shard, directory) in &copy.shards {
        Identity { shard: Some(shard.id), ..new }.write(&directory.join("SHARD"))?;
        openings::forget(directory)?;
        directory::sync(directory)?;
        failpoint::hit("adopt-shard");
    }
    copy.renumber_log(options)?;
    let directory_of = |shard: &ShardInfo| {
        let mine = copy.shards.iter().find(|(mine, _)| mine.id == shard.id);
        mine.map_or_else(|| shard.directory.clone(), |(mine, _)| mine.directory.clone())
    };
    let metadata = Metadata::open(&metadata_directory(&copy.store)?, None, LogDamage::Refuse)?;
    metadata.adopt(new.store, directory_of)?;
    drop(metadata);
    failpoint::hit("adopt-metadata");
    remove_if_there(&copy.store.join(LOG_COPIED))?;
    log_directory::remove(&copy.store, CopyNumber::MIRROR)?;
    directory::sync(&copy.store)?;
    directory::rename(&adopting, &present)?;
    // An opening passes over it, and so does the next adoption.
    let copied = copy.store.join(COPIED);
    fs::remove_file(&copied).map_err(io("remove", &copied))?;
    tracing::info!(store = %copy.store.display(), "a copy has become a store of its own");
    Ok(copy.shards.into_iter().map(|(_, directory)| directory).collect())
}

/// Finds the parts of a copy, and refuses those that are the original's. Changes nothing.
fn look(store: PathBuf, old: u128, new: u128, options: &AdoptOptions) -> Result<StoreCopy> {
    let metadata = Metadata::open_read_only(&metadata_directory(&store)?, LogDamage::Refuse)?;
    let topology =
        metadata.topology(old).or_else(|error| metadata.topology(new).map_err(|_| error))?;
    if let Some(unknown) = options.shards.keys().find(|id| topology.shard(**id).is_none()) {
        let text = format!("the copy has no shard {unknown}; list those there are");
        return Err(Error::new(ErrorKind::NotFound, text));
    }
    let mut shards = Vec::new();
    for shard in topology.shards() {
        shards.push(find_shard(&store, shard, [old, new], options)?);
    }
    let directories = shards.iter().map(|(shard, _)| (shard.id, &*shard.directory));
    check_overlaps(&store, [None, None], directories)?;
    let parts: Vec<_> = shards
        .iter()
        .map(|(shard, directory)| (format!("shard {}", shard.id), directory.clone()))
        .collect();
    openings::check(&metadata, &store, &parts)?;
    check_log(&store, metadata.log_copies()?, options)?;
    Ok(StoreCopy { store, old, new, shards })
}

/// Returns a shard of a copy, with its directory as the topology is to name it, and resolved.
fn find_shard(
    store: &Path,
    shard: &ShardInfo,
    stores: [u128; 2],
    options: &AdoptOptions,
) -> Result<(ShardInfo, PathBuf)> {
    let id = shard.id;
    let given = options.shards.get(&id);
    let directory = given.unwrap_or(&shard.directory).clone();
    let named = store.join(&directory);
    let resolved = named.canonicalize().map_err(io("resolve", &named))?;
    let is_of_original = match given {
        Some(_) => {
            shard.directory.is_absolute()
                && shard.directory.canonicalize().ok().as_ref() == Some(&resolved)
        }
        None => !resolved.starts_with(store),
    };
    // After an interruption the topology may have the directories of the copy already.
    if is_of_original
        && Identity::read(&resolved.join("SHARD"))?.is_none_or(|it| it.store != stores[1])
    {
        return Err(Error::invalid(format!(
            "shard {id} is in {}, which is also the original's; copy that directory, too, and say where \
             the copy is",
            resolved.display()
        )));
    }
    let is_right = |found: Identity| stores.contains(&found.store) && found.shard == Some(id);
    let is_there = Identity::read(&resolved.join("SHARD"))?.is_some_and(is_right)
        && ShardEngine::exists(&resolved.join("data"))?;
    if !is_there {
        let text = format!("the directory {} is not a copy of shard {id}", resolved.display());
        return Err(Error::new(ErrorKind::Damaged, text));
    }
    Ok((ShardInfo { directory, ..shard.clone() }, resolved))
}

/// Refuses a log that is the original's, or that lacks what was written.
fn check_log(store: &Path, copies: CopySet, options: &AdoptOptions) -> Result<()> {
    let first = entry(store, CopyNumber::FIRST);
    let is_own = copies.has(CopyNumber::FIRST) && fs::read_link(&first).is_err();
    if is_own || options.log.is_some() || is_there(&store.join(LOG_COPIED)) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the log that {} leads to is also the original's, or lacks what was written; copy the directory of \
         the log, or of its mirror if only that has everything, and say where the copy is",
        first.display()
    )))
}

impl StoreCopy {
    /// Puts a log with the new number in place of the one that was copied.
    fn renumber_log(&self, options: &AdoptOptions) -> Result<()> {
        let log = entry(&self.store, CopyNumber::FIRST);
        let (adopting, copied) = (self.store.join(LOG_ADOPTING), self.store.join(LOG_COPIED));
        if !is_there(&copied) {
            remove_if_there(&adopting)?;
            directory::create(&adopting)?;
            let from = options.log.as_ref().map_or_else(|| log.clone(), |log| self.store.join(log));
            log::copy_segments_as(&from, &adopting, [self.old, self.new], self.new)?;
            failpoint::hit("adopt-log");
            directory::rename(&log, &copied)?;
            failpoint::hit("adopt-log-aside");
        }
        if !is_there(&log) {
            directory::rename(&adopting, &log)?;
        }
        failpoint::hit("adopt-log-switched");
        Ok(())
    }
}

/// Removes a directory with what is in it, or a link.
fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(io("remove", path)(error))
        }
        _ => Ok(()),
    }
}
