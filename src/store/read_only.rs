//! The opening of a store only for reading: nothing on disk is created, changed or locked.
//!
//! What an opening for writing would repair stays as it is, and leftovers are ignored. The log is
//! replayed into memory.
//!
//! Another process may write meanwhile, make files and release what they make superfluous of the
//! log. A replay is right if it begins at or before what the files lack, and ends at or after the
//! last write that is in any of them: then its end decides each key. The first is known of a log
//! that was opened before the shards, because files are never older than the log says; the second of
//! one that is opened after them, because the log is written before the files. So the log is opened
//! twice, and if both begin at the same position, then the second is right on both sides. If they do
//! not, a part was released meanwhile that the files may lack, and the opening is tried again.

use super::Store;
use super::core::Core;
use super::log_copies::LogCopies;
use super::missing::FoundShards;
use super::open::{
    Opening, damaged, draining, lost, metadata_directory, open_keyspaces, parts, resources,
};
use super::recovery::{RecoveryReport, wanted_partitions};
use super::shard_spec::check_specs;
use crate::catalog::missing::{self, Since};
use crate::catalog::openings::Accepted;
use crate::catalog::{Catalog, Metadata};
use crate::engine::{Engine as _, ShardEngine};
use crate::error::{Error, ErrorKind, Result};
use crate::write::replay;
use std::sync::Arc;

/// How often an opening is tried: another process that has the store open may remove files that
/// this one has just found listed.
const TRIES: u32 = 3;

/// Opens a store only for reading.
pub(super) fn load_read_only(opening: &Opening) -> Result<Store> {
    let mut tries = 1;
    loop {
        // What another process removes meanwhile must not look like a shard that is missing.
        let is_last = tries == TRIES;
        let allow_missing_shards = opening.allow_missing_shards && is_last;
        match try_load(Opening { allow_missing_shards, ..opening.clone() }) {
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
    let Opening { home, mut options, listener, shards: specs, allow_missing_shards, .. } = opening;
    // Load is not observed: what is known about it belongs to the process that writes it to disk.
    options.heat = None;
    let path = &home.path;
    let metadata = Metadata::open_read_only(&metadata_directory(path)?, options.log_damage)?;
    let topology = metadata.topology(home.id)?;
    check_specs(path, &specs, &metadata, &topology)?;
    let accepted = Accepted::read(&metadata, missing::records(&metadata)?)?;
    let mut found = FoundShards::find(path, home.id, &topology, &accepted, allow_missing_shards)?;
    let log_copies = LogCopies::find(path, metadata.log_copies()?)?;
    let checked = accepted.check_all(path, &parts(&found, &log_copies))?;
    let open_log = || log_copies.open_read_only(&options, &home);
    let began_at = open_log()?.first();
    let resources = resources(&options, &home, &topology);
    found.check_log(checked.missing(), began_at, options.log_damage)?;
    let shards = found.open(&topology, |directory, _| {
        ShardEngine::open_read_only(&directory.join("data"), &resources, None)
    })?;
    for (id, shard) in &shards {
        wanted_partitions(&topology, *id, &shard.partitions().into_iter().collect())?;
    }
    let log = open_log()?;
    if log.first() != began_at {
        return Err(Error::new(
            ErrorKind::Busy,
            format!(
                "another process released a part of the log of {} while it was opened; open it \
                 again",
                path.display()
            ),
        ));
    }
    let mut recovery = RecoveryReport {
        lost: lost(&metadata, log.lost().to_vec(), &shards),
        log_copies: log.repairs().to_vec(),
        damaged: damaged(&shards),
        draining: draining(&topology),
        missing: found.report(&home.path, &topology),
        ..RecoveryReport::default()
    };
    let catalog = Catalog::new(home, options.limits(), topology, shards, metadata, log, resources);
    let catalog =
        catalog.without(found.into_missing(checked.missing(), began_at, Since::ReadOnlyOpening));
    catalog.show_keyspaces(open_keyspaces(&catalog)?)?;
    recovery.replayed = replay(&catalog, &**catalog.keyspaces(), &catalog.log)?;
    let core = Core::new(options, Arc::new(catalog), listener);
    Ok(Store::new(core, recovery))
}
