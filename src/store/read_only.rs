//! Opening a store to be read: nothing on disk is created, changed or locked.
//!
//! What an opening for writing would put right stays as it is, and is reported: batches over several
//! shards that a crash has cut are seen in part, and leftovers are not looked at.

use super::Store;
use super::core::{Core, Opening};
use super::metadata::Metadata;
use super::open::{
    RecoveryReport, check_shard, damaged, draining, lost, metadata_directory, open_keyspaces,
    open_shards, wanted_partitions,
};
use super::openings;
use crate::engine::{Engine, Resources, ShardEngine};
use crate::error::Result;
use std::sync::Arc;

/// How often an opening is tried: another process, which has the store open, may remove files that
/// this one has just read of.
const TRIES: u32 = 3;

/// Opens a store to be read.
pub(super) fn load_read_only(opening: &Opening) -> Result<Store> {
    let mut tries = 1;
    loop {
        match try_load(opening.clone()) {
            Err(error) if tries < TRIES => {
                tracing::debug!(%error, "trying again to open a store read-only");
                tries += 1;
            }
            opened => return opened,
        }
    }
}

fn try_load(mut opening: Opening) -> Result<Store> {
    // Load is not observed: what is known of it belongs to those who write it down.
    opening.options.heat = None;
    let (path, log_damage) = (opening.path.clone(), opening.options.log_damage);
    let metadata = Metadata::open_read_only(&metadata_directory(&path)?, log_damage)?;
    let topology = metadata.topology(opening.id)?;
    let mut directories = Vec::new();
    for shard in topology.shards() {
        directories.push((shard.id, check_shard(&path, shard, opening.id)?));
    }
    openings::check(&metadata, &path, &directories)?;
    let resources = Resources::new(&opening.options, topology.shards().len());
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
    let topology = Arc::new(topology);
    let core = Arc::new(Core::new(opening, &topology, shards, metadata, resources));
    let keyspaces = open_keyspaces(&core, &topology)?;
    recovery.unfinished = super::redo::count_unfinished(&core, &keyspaces)?;
    Ok(Store::new(core, topology, keyspaces, recovery))
}
