//! The moment of a backup: what of the store belongs to it, kept as it is while it is copied.
//!
//! `docs/backup.md` argues why this is one moment.

use crate::catalog::{Catalog, Records};
use crate::clock::Timestamp;
use crate::engine::{Engine as _, LinkedFiles, ShardEngine};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ShardId;
use crate::log::{LogFiles, Pin};
use crate::os::{failpoint, parallel};
use std::sync::Arc;

/// How often it is tried without keeping changes of the topology waiting.
const TRIES: usize = 4;

/// The files, the log and the metadata of a store that belong to one moment.
pub(super) struct Cut {
    pub(super) shards: Vec<(ShardId, LinkedFiles)>,
    pub(super) records: Records,
    /// What the files need of the log begins here.
    pub(super) pin: Pin,
    /// Its end is the moment.
    pub(super) log: LogFiles,
    pub(super) at: Timestamp,
}

impl Cut {
    /// Makes a cut. Writers do not wait for it. A change of the topology waits for as long as it takes
    /// to read the metadata; if several come in between, the last try keeps them waiting for the links,
    /// too.
    pub(super) fn make(catalog: &Catalog) -> Result<Self> {
        // So that the log that belongs to the files is short.
        each_shard(&shards(catalog), ShardEngine::flush)?;
        catalog.release_log();
        // IMPORTANT: before the links. Files that are linked later lack less.
        let pin = match failpoint::skip("backup-pin") {
            true => catalog.log.pin(),
            false => catalog.log.pin_first(),
        };
        let mut tries = 1;
        loop {
            let patient = tries < TRIES;
            let changing = catalog.changing();
            let topology = catalog.topology();
            let changing = if patient {
                drop(changing);
                None
            } else {
                Some(changing)
            };
            let too_early = failpoint::skip("backup-cut").then(|| catalog.log.files());
            let all = shards(catalog);
            let owners = all.iter().filter(|(id, _)| topology.shard(*id).is_some());
            let owners: Vec<_> = owners.cloned().collect();
            let linked = each_shard(&owners, |shard| {
                let linked = shard.link_files();
                failpoint::hit("backup-link");
                linked
            });
            let _changing = changing.unwrap_or_else(|| catalog.changing());
            let is_same = catalog.topology().epoch() == topology.epoch();
            if !is_same && !failpoint::skip("backup-epoch") {
                tries += 1;
                continue;
            }
            let linked = linked?;
            let records = catalog.metadata.records_for_copy()?;
            // IMPORTANT: after the links. What is in files is in the log before.
            let log = too_early.unwrap_or_else(|| catalog.log.files());
            let at = catalog.home.clock.now();
            let shards = owners.iter().map(|(id, _)| *id).zip(linked).collect();
            failpoint::hit("backup-cut");
            return Ok(Self { shards, records, pin, log, at });
        }
    }
}

fn shards(catalog: &Catalog) -> Vec<(ShardId, Arc<ShardEngine>)> {
    catalog.shards().iter().map(|(id, shard)| (*id, Arc::clone(shard))).collect()
}

/// Runs a job for each shard, in parallel. Returns all results, or the first error.
fn each_shard<T: Send>(
    shards: &[(ShardId, Arc<ShardEngine>)],
    job: impl Fn(&ShardEngine) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let panicked = || Error::new(ErrorKind::Internal, "a shard's worker panicked");
    let done = parallel::each(shards, |(_, shard)| job(shard));
    done.into_iter().map(|done| done.unwrap_or_else(|_| Err(panicked()))).collect()
}
