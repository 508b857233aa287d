//! The directory of one shard: created, checked, opened, and removed when the shard has left the
//! store.

use super::findings::Leftover;
use crate::catalog::directory::{self, Identity, io};
use crate::catalog::places::{Place, Places};
use crate::catalog::{Catalog, openings};
use crate::engine::{LockGuard, Resources, ShardEngine};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ShardId;
use crate::log::CommitLog;
use crate::reshape::journal;
use crate::topology::ShardInfo;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Creates a shard's directory, identity and empty engine. What an interrupted creation has already
/// made is used.
pub(super) fn create_shard(
    store: &Path,
    shard: &ShardInfo,
    identity: Identity,
    resources: &Resources,
    log: &Arc<CommitLog>,
) -> Result<()> {
    let directory = store.join(&shard.directory);
    let mine = Identity { shard: Some(shard.id), ..identity };
    let file = directory.join("SHARD");
    let found = Identity::read(&file)?;
    if found.is_none() && directory::holds_only(&directory, &["SHARD.tmp", "OPENED.tmp"])? {
        let (relative, parent) = (shard.directory.is_relative(), directory.parent());
        let leaves = shard.directory.components().any(|part| part == Component::ParentDir);
        if let (true, false, Some(parent)) = (relative, leaves, parent) {
            directory::create_below(store, parent)?;
        }
        directory::create(&directory)?;
        mine.write(&file)?;
    } else if found != Some(mine) {
        return Err(Error::new(
            ErrorKind::AlreadyExists,
            format!(
                "the directory {} for shard {} is not empty; choose another",
                directory.display(),
                shard.id
            ),
        ));
    }
    ShardEngine::open(&directory.join("data"), resources, None, log)?;
    // RocksDB syncs the content of its directory, but not the entry of the directory itself.
    directory::sync(&directory)
}

/// Notes the directories of a shard, so that it is noticed when their paths name others.
pub(super) fn note_shard(places: &Places, id: ShardId, directory: &Path) -> Result<()> {
    places.add(Place::note(format!("the directory of shard {id}"), directory)?);
    let data = directory.join("data");
    places.add(Place::note(format!("the database of shard {id}"), &data)?);
    Ok(())
}

/// Returns the directory of a shard, resolved, if it is the right one.
pub(super) fn check_shard(store: &Path, shard: &ShardInfo, id: u128) -> Result<PathBuf> {
    let directory = store.join(&shard.directory);
    let (number, place) = (shard.id, directory.display());
    if !directory.is_dir() {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!(
                "the directory {place} of shard {number} is missing; mount its disk, or restore it"
            ),
        ));
    }
    let damaged = |why: String| Err(Error::new(ErrorKind::Damaged, why));
    match Identity::read(&directory.join("SHARD"))? {
        Some(found) if found.store != id => damaged(format!(
            "the directory {place} should be shard {number} but belongs to another store; put the right one there"
        )),
        Some(Identity { shard: Some(found), .. }) if found != number => damaged(format!(
            "the directory {place} should be shard {number} but is shard {found}; put them back in place"
        )),
        Some(Identity { shard: Some(_), .. }) if ShardEngine::exists(&directory.join("data"))? => {
            directory.canonicalize().map_err(io("resolve", &directory))
        }
        Some(Identity { shard: Some(_), .. }) => damaged(format!(
            "shard {number} has no database in {place}/data; restore it from a copy"
        )),
        _ => damaged(format!(
            "the directory {place} should be shard {number} but has no SHARD file; put the right one there"
        )),
    }
}

/// Opens the engine of a shard.
pub(super) fn open_shard(
    directory: &Path,
    resources: &Resources,
    guard: &LockGuard,
    log: &Arc<CommitLog>,
) -> Result<ShardEngine> {
    ShardEngine::open(&directory.join("data"), resources, guard.clone(), log)
}

/// Removes the files of shards that were removed in an earlier opening, as far as they still exist
/// and belong to this store. What cannot be removed, perhaps because its disk fails, is left to the
/// next opening: the store does not need it.
pub(super) fn finish_retiring(catalog: &Catalog, recovered: &mut Vec<Leftover>) -> Result<()> {
    for (number, directory) in journal::retired(&catalog.metadata)? {
        let Some((shard, directory)) = u32::try_from(number).ok().map(ShardId).zip(directory)
        else {
            tracing::warn!(
                shard = number,
                "the record of a removed shard is damaged: its files, if any, stay"
            );
            continue;
        };
        let directory = catalog.home.path.join(directory);
        match remove_files(catalog, shard, &directory) {
            Ok(removed) => {
                journal::forget_retired(&catalog.metadata, number)?;
                if removed {
                    tracing::info!(%shard, directory = %directory.display(), "removed the files of a removed shard");
                    recovered.push(Leftover::Shard { shard, directory });
                }
            }
            Err(error) => tracing::warn!(
                %shard,
                error = format_args!("{error:#}"),
                "left files of a removed shard behind"
            ),
        }
    }
    Ok(())
}

/// Removes the files of a shard. Returns true if there were any.
fn remove_files(catalog: &Catalog, shard: ShardId, directory: &Path) -> Result<bool> {
    let identity = directory.join("SHARD");
    let mine = Identity { store: catalog.home.id, shard: Some(shard) };
    // Without its identity, or with another, the directory now belongs to something else.
    if Identity::read(&identity)? != Some(mine) {
        return Ok(false);
    }
    ShardEngine::remove(&directory.join("data"))?;
    openings::forget(directory)?;
    std::fs::remove_file(&identity).map_err(io("remove", &identity))?;
    Ok(true)
}
