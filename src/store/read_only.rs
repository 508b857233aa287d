//! The opening of a store only for reading: nothing on disk is created, changed or locked.
//!
//! What an opening for writing would repair stays as it is: batches over several shards that a
//! crash has cut are partly visible, which is reported, and leftovers are ignored.

use super::Store;
use super::core::Core;
use super::open::{
    Opening, damaged, draining, lost, metadata_directory, open_keyspaces, open_shards,
};
use super::recovery::{RecoveryReport, wanted_partitions};
use super::shard_directory::check_shard;
use crate::catalog::openings;
use crate::catalog::{Catalog, Metadata};
use crate::engine::{Engine, Resources, ShardEngine};
use crate::error::Result;
use crate::write::{Redo, count_unfinished};
use std::sync::Arc;

/// How often an opening is tried: another process that has the store open may remove files that
/// this one has just found listed.
const TRIES: u32 = 3;

/// Opens a store only for reading.
pub(super) fn load_read_only(opening: &Opening) -> Result<Store> {
    let mut tries = 1;
    loop {
        match try_load(opening.clone()) {
            Err(error) if tries < TRIES => {
                tracing::debug!(
                    error = format_args!("{error:#}"),
                    "trying again to open a store read-only"
                );
                tries += 1;
            }
            opened => return opened,
        }
    }
}

fn try_load(opening: Opening) -> Result<Store> {
    let Opening { home, mut options, listener } = opening;
    // Load is not observed: what is known about it belongs to the process that writes it to disk.
    options.heat = None;
    let path = &home.path;
    let metadata = Metadata::open_read_only(&metadata_directory(path)?, options.log_damage)?;
    let topology = metadata.topology(home.id)?;
    let mut directories = Vec::new();
    for shard in topology.shards() {
        directories.push((shard.id, check_shard(path, shard, home.id)?));
    }
    openings::check(&metadata, path, &directories)?;
    let resources = Resources::new(&options.engine(), topology.shards().len());
    let shards = open_shards(&directories, |_, directory| {
        ShardEngine::open_read_only(&directory.join("data"), &resources, None)
    })?;
    for (id, shard) in &shards {
        wanted_partitions(&topology, *id, &shard.partitions().into_iter().collect())?;
    }
    let mut recovery = RecoveryReport {
        lost: lost(&metadata, &shards),
        damaged: damaged(&shards),
        draining: draining(&topology),
        ..RecoveryReport::default()
    };
    let catalog = Catalog::new(home, options.limits(), topology, shards, metadata, resources);
    catalog.show_keyspaces(open_keyspaces(&catalog)?);
    recovery.unfinished = count_unfinished(&catalog, &**catalog.keyspaces())?;
    let core = Core::new(options, Arc::new(catalog), Redo::default(), listener);
    Ok(Store::new(core, recovery))
}
