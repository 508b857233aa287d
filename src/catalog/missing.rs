//! Shards that an opening has done without, and what their return needs.
//!
//! | step | on disk after it | if the process dies here, an opening |
//! |---|---|---|
//! | – | the log is kept from the first position that a shard needs it from | with the shard: replays that; without it: does the steps below |
//! | 1. an opening without the shard reads the log, and records the position from which that has records, and the numbers of openings that the shard may know ([`note`](crate::catalog::openings::Checked::note)); in one synced write with the number of this opening | the record; the log from that position on | with the shard: finds a number that the record accepts, and replays the log from that position or from an earlier one; without it: keeps the record |
//! | 2. the store serves what is there; the log is released up to the recorded position at most (`Catalog::release_log`) | the record; the log from the position on | the same |
//! | 3. an opening with the shard accepts the number that it knows, and writes its own into it | the record, and both numbers | the same as after 2 |
//! | 4. it replays the log, to this shard as to all others | the same | the same: a replay is repeated |
//! | 5. the record goes, synced; from now on the shard's engine says where it needs the log from, as it does since it was opened | no record | as if the shard had never been missing |
//!
//! So nothing that was acknowledged for the shard is lost: it is in its files, or in the log from the
//! recorded position on. While it is missing, nothing is written to it: a write that concerns it is
//! refused as a whole, and what the log has for it is from before.
//!
//! Why the position is the right one: the log's first position at an opening is the one up to which all
//! shards, this one included, had everything in files when the log was last released.

use super::metadata::Metadata;
use super::record_key::{numbered, parse_number};
use crate::engine::{Durability, MetadataBatch};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ShardId;
use crate::log::Position;
use crate::os::failpoint;
use crate::topology::{decode, encode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const PREFIX: &[u8] = b"missing/";
const WHAT: &str = "the record of a missing shard in the metadata";

/// A shard that the opening has done without.
#[derive(Debug, Clone)]
pub(crate) struct Missing {
    /// Why.
    pub(crate) cause: Error,
    /// From where on its return needs the log.
    pub(crate) log_from: Position,
}

impl Missing {
    /// Returns the error of an operation that needs the shard.
    #[cold]
    pub(crate) fn error(&self, shard: ShardId) -> Error {
        let message = format!(
            "shard {shard} has been missing since the store was opened: {}; the call was refused \
             as a whole, and trying again does not help before the store is opened with the shard",
            self.cause
        );
        Error::new(ErrorKind::Unavailable, message).with_source(self.cause.clone())
    }
}

/// The shards that the opening has done without.
pub(crate) type MissingShards = BTreeMap<ShardId, Missing>;

/// What the metadata keep of a missing shard until it is back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MissingRecord {
    /// From where on its return needs the log.
    log_from: u64,
    /// The numbers of openings of which it may know one.
    pub(crate) openings: Vec<u128>,
}

/// The records of missing shards.
pub(crate) type MissingRecords = BTreeMap<ShardId, MissingRecord>;

impl MissingRecord {
    pub(crate) fn new(log_from: Position, openings: Vec<u128>) -> Self {
        Self { log_from: log_from.get(), openings }
    }

    /// Returns from where on the shard's return needs the log.
    pub(crate) fn log_from(&self) -> Position {
        Position::new(self.log_from)
    }

    /// Checks that the log has everything that the return of a shard needs.
    ///
    /// # Errors
    ///
    /// `Damaged` if it begins later.
    pub(crate) fn check_log(&self, shard: ShardId, first: Position) -> Result<()> {
        let needed = self.log_from();
        if first <= needed {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Damaged,
            format!(
                "shard {shard} was missing, and needs the log from position {needed} on, but it \
                 begins at {first}: restore the log, or open with LogDamage::DropRest, which does \
                 without what is lost"
            ),
        ))
    }
}

/// Returns the records of missing shards.
pub(crate) fn records(metadata: &Metadata) -> Result<MissingRecords> {
    let parse = |suffix: &[u8]| Some(ShardId(u32::try_from(parse_number(suffix)?).ok()?));
    let records = metadata.records(PREFIX, parse)?.into_iter();
    records.map(|(shard, record)| Ok((shard, decode(WHAT, &record)?))).collect()
}

/// Adds the record of a missing shard to a batch.
pub(crate) fn note(
    batch: &mut MetadataBatch,
    shard: ShardId,
    record: &MissingRecord,
) -> Result<()> {
    batch.put(&numbered(PREFIX, u64::from(shard.0)), &encode(WHAT, record)?);
    Ok(())
}

/// Removes the records of shards that are back, synced.
///
/// IMPORTANT: after the replay. What the log has for them is needed until then, and an opening that
/// does not find them again must know from where on.
pub(crate) fn forget(metadata: &Metadata, shards: impl Iterator<Item = ShardId>) -> Result<()> {
    let mut batch = MetadataBatch::default();
    let mut any = false;
    for shard in shards {
        batch.delete(&numbered(PREFIX, u64::from(shard.0)));
        any = true;
    }
    if !any {
        return Ok(());
    }
    failpoint::hit("missing-before-forget");
    metadata.engine.write(batch, Durability::Synced)?;
    failpoint::hit("missing-after-forget");
    Ok(())
}
