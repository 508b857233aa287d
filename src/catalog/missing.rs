//! Shards that an opening has done without, and what their return needs.
//!
//! | step | on disk after it | if the process dies here, an opening |
//! |---|---|---|
//! | – | the log is kept from the first position that a shard needs it from | with the shard: replays that; without it: does the steps below |
//! | 1. an opening without the shard reads the log, and records the position from which that has records, and the numbers of openings that the shard may know ([`note`](crate::catalog::openings::Checked::note)); in one synced write with the number of this opening | the record; the log from that position on | with the shard: finds a number that the record accepts, and replays the log from that position or from an earlier one; without it: keeps the record |
//! | 2. the store serves what is there; the log is released up to the recorded position at most ([`log_needed_from`](super::Catalog::release_log)) | the record; the log from the position on | the same |
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

use super::record_key::{numbered, parse_number};
use super::{Catalog, Metadata};
use crate::engine::{Durability, MetadataBatch};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ShardId;
use crate::log::Position;
use crate::os::failpoint;
use crate::topology::{decode, encode};
use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

const PREFIX: &[u8] = b"missing/";
const WHAT: &str = "the record of a missing shard in the metadata";

/// A shard whose engine is not open.
#[derive(Debug, Clone)]
pub(crate) struct Missing {
    /// Why.
    pub(crate) cause: Error,
    /// From where on its return needs the log.
    pub(crate) log_from: Position,
    pub(crate) since: Since,
}

/// Since when a shard has been missing, which decides what its return takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// The opening has done without it: the metadata have a record of it.
    Opening,
    /// The same, of a store that is open read-only: nothing takes it back.
    ReadOnlyOpening,
    /// It has failed, and was [taken out](super::taken_out).
    Failure,
}

impl Missing {
    /// Returns the error of an operation that needs the shard.
    #[cold]
    pub(crate) fn error(&self, shard: ShardId) -> Error {
        let (what, then) = match self.since {
            Since::Opening => (
                "has been missing since the store was opened",
                "the store takes it back by itself when it can be opened",
            ),
            Since::ReadOnlyOpening => (
                "has been missing since the store was opened",
                "trying again does not help before the store is opened again with the shard",
            ),
            Since::Failure => (
                "was taken out, because it failed",
                "the store takes it back by itself when it can be opened again",
            ),
        };
        let cause = &self.cause;
        let message =
            format!("shard {shard} {what}: {cause}; the call was refused as a whole, and {then}");
        let error = Error::new(ErrorKind::Unavailable, message).with_source(cause.clone());
        if self.since == Since::ReadOnlyOpening { error } else { error.that_may_pass() }
    }
}

/// The shards whose engines are not open.
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

/// Adds to a batch that a shard is missing no more.
pub(crate) fn remove(batch: &mut MetadataBatch, shard: ShardId) {
    batch.delete(&numbered(PREFIX, u64::from(shard.0)));
}

/// Removes the records of shards that are back, synced.
///
/// IMPORTANT: after the replay. What the log has for them is needed until then, and an opening that
/// does not find them again must know from where on.
pub(crate) fn forget(metadata: &Metadata, shards: impl Iterator<Item = ShardId>) -> Result<()> {
    let mut batch = MetadataBatch::default();
    let mut any = false;
    for shard in shards {
        remove(&mut batch, shard);
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

impl Catalog {
    /// The same, of a store that some shards are missing of.
    pub(crate) fn without(mut self, missing: MissingShards) -> Self {
        missing.iter().for_each(|(shard, missing)| self.note_missing(*shard, &missing.cause));
        self.missing = ArcSwap::from_pointee(missing);
        self
    }

    /// Returns the shards whose engines are not open, as they are now.
    pub(crate) fn missing(&self) -> Arc<MissingShards> {
        self.missing.load_full()
    }

    /// Checks that a shard is not missing.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub(crate) fn check_there(&self, id: ShardId) -> Result<()> {
        self.missing.load().get(&id).map_or(Ok(()), |missing| Err(missing.error(id)))
    }

    /// Checks that no shard is missing.
    ///
    /// # Errors
    ///
    /// `Unavailable`, with the first that is.
    pub(crate) fn check_all_there(&self) -> Result<()> {
        let missing = self.missing.load();
        missing.iter().next().map_or(Ok(()), |(id, missing)| Err(missing.error(*id)))
    }
}
