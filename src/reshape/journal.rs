//! What reshapes keep in the metadata.
//!
//! ```text
//! "reshape/" + number      the intent of a reshape that is not committed yet
//! "foreign/" + partition   how much of a partition's files lies outside its span
//! "history/" + number      how a reshape ended
//! "retired/" + shard       the directory of a removed shard, until its files are gone
//! ```

use super::{Outcome, Phase, Transport};
use crate::error::Result;
use crate::id::ShardId;
use crate::options::Durability;
use crate::shard::{Batch as _, EngineBatch, Shard};
use crate::store::Metadata;
use crate::store::record_key::{numbered, of_partition, parse_number, parse_partition};
use crate::topology::{PartitionName, ReshapeSpec, decode, encode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const INTENT: &[u8] = b"reshape/";
const FOREIGN: &[u8] = b"foreign/";
const HISTORY: &[u8] = b"history/";
const RETIRED: &[u8] = b"retired/";

/// How many ended reshapes are remembered.
pub(crate) const HISTORY_MAX: usize = 256;

/// What a reshape is about to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Intent {
    pub(crate) spec: ReshapeSpec,
    /// The owners of the sources.
    pub(crate) from: Vec<ShardId>,
    /// The targets and the shards on which they are made.
    pub(crate) targets: Vec<(PartitionName, ShardId)>,
    pub(crate) transport: Transport,
}

impl Intent {
    /// How it ended, if its process did.
    pub(crate) fn interrupted(&self, number: u64, unix_seconds: u64) -> Outcome {
        Outcome {
            reshape: number,
            kind: self.spec.kind(),
            trim: false,
            keyspace: self.spec.keyspace,
            sources: self.spec.sources.clone(),
            from: self.from.clone(),
            targets: self.targets.iter().map(|(name, _)| name.id).collect(),
            to: self.spec.owners.clone(),
            transport: self.transport,
            phase: Phase::RolledBack,
            error: Some("its process ended".to_owned()),
            bytes: 0,
            keys_caught_up: 0,
            rounds: 0,
            pause_ms: 0.0,
            elapsed_ms: 0.0,
            unix_seconds,
        }
    }

    /// In a few words, for people.
    pub(crate) fn describe(&self) -> String {
        let list = |ids: Vec<String>| ids.join(" and ");
        let sources = list(self.spec.sources.iter().map(ToString::to_string).collect());
        let owners = list(self.spec.owners.iter().map(ToString::to_string).collect());
        format!("{} of partition {sources} to shard {owners}", self.spec.kind())
    }
}

/// The records under a prefix, decoded.
fn read<K, V: serde::de::DeserializeOwned>(
    metadata: &Metadata,
    prefix: &[u8],
    parse: impl Fn(&[u8]) -> Option<K>,
) -> Result<Vec<(K, V)>> {
    let what = format!("a record `{}` in the metadata", prefix.escape_ascii());
    let records = metadata.records(prefix, parse)?.into_iter();
    records.map(|(key, record)| Ok((key, decode(&what, &record)?))).collect()
}

/// The intents of reshapes that were not committed, by number.
pub(crate) fn intents(metadata: &Metadata) -> Result<Vec<(u64, Intent)>> {
    read(metadata, INTENT, parse_number)
}

/// Makes an intent durable.
pub(crate) fn begin(metadata: &Metadata, number: u64, intent: &Intent) -> Result<()> {
    let record = encode("the intent of a reshape", intent)?;
    let engine = &metadata.engine;
    engine.put(engine.bookkeeping(), &numbered(INTENT, number), &record, Durability::Synced)
}

/// Removes an intent: together with the commit, or when what it made is gone.
pub(crate) fn end(metadata: &Metadata, batch: &mut EngineBatch, number: u64) {
    batch.delete(metadata.engine.bookkeeping(), &numbered(INTENT, number));
}

/// Notes how much of a partition's files lies outside its span; nothing if that is nothing.
pub(crate) fn set_foreign(
    metadata: &Metadata,
    batch: &mut EngineBatch,
    name: PartitionName,
    permille: u32,
) -> Result<()> {
    if permille > 0 {
        let record = encode("the foreign share of a partition", &permille)?;
        batch.put(metadata.engine.bookkeeping(), &of_partition(FOREIGN, name), &record);
    }
    Ok(())
}

pub(crate) fn forget_foreign(metadata: &Metadata, batch: &mut EngineBatch, name: PartitionName) {
    batch.delete(metadata.engine.bookkeeping(), &of_partition(FOREIGN, name));
}

/// How much of each partition's files lies outside its span, where that is anything.
pub(crate) fn foreign(metadata: &Metadata) -> Result<BTreeMap<PartitionName, u32>> {
    Ok(read(metadata, FOREIGN, parse_partition)?.into_iter().collect())
}

/// Remembers how a reshape ended, and forgets an old one for it. Not synced: it is for people.
pub(crate) fn remember(metadata: &Metadata, number: u64, outcome: &Outcome) -> Result<()> {
    let record = encode("the outcome of a reshape", outcome)?;
    let engine = &metadata.engine;
    let mut batch = EngineBatch::default();
    batch.put(engine.bookkeeping(), &numbered(HISTORY, number), &record);
    if let Some(old) = number.checked_sub(HISTORY_MAX as u64) {
        batch.delete(engine.bookkeeping(), &numbered(HISTORY, old));
    }
    engine.write(batch, Durability::Buffered)
}

/// How the last reshapes ended, by number.
pub(crate) fn history(metadata: &Metadata) -> Result<Vec<(u64, Outcome)>> {
    read(metadata, HISTORY, parse_number)
}

/// Notes, with the commit of a shard's removal, that its files are to go.
pub(crate) fn retire(
    metadata: &Metadata,
    batch: &mut EngineBatch,
    shard: ShardId,
    directory: &Path,
) -> Result<()> {
    let record = encode("the directory of a removed shard", &directory)?;
    batch.put(metadata.engine.bookkeeping(), &numbered(RETIRED, u64::from(shard.0)), &record);
    Ok(())
}

pub(crate) fn forget_retired(metadata: &Metadata, shard: u64) -> Result<()> {
    let engine = &metadata.engine;
    engine.delete(engine.bookkeeping(), &numbered(RETIRED, shard), Durability::Buffered)
}

/// The directories of removed shards whose files may still be there.
pub(crate) fn retired(metadata: &Metadata) -> Result<Vec<(u64, PathBuf)>> {
    read(metadata, RETIRED, parse_number)
}
