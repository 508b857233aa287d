//! The records that reshapes keep in the metadata.
//!
//! ```text
//! "reshape/" + number      the intent of a reshape that is not committed yet
//! "foreign/" + partition   how much of a partition's files lies outside its range
//! "history/" + number      how a reshape ended
//! "retired/" + shard       the directory of a removed shard, until its files are gone
//! ```

use super::options::Transport;
use super::outcome::Outcome;
use super::phase::Phase;
use crate::catalog::Metadata;
use crate::catalog::record_key::{RETIRED, numbered, of_partition, parse_number, parse_partition};
use crate::engine::{Durability, MetadataBatch};
use crate::error::Result;
use crate::id::ShardId;
use crate::topology::{PartitionName, ReshapeSpec, decode, encode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const INTENT: &[u8] = b"reshape/";
const FOREIGN: &[u8] = b"foreign/";
const HISTORY: &[u8] = b"history/";

/// How many ended reshapes are remembered.
pub(crate) const HISTORY_MAX: usize = 256;

/// What a reshape is about to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Intent {
    pub(crate) spec: ReshapeSpec,
    /// The owners of the source partitions.
    pub(crate) from: Vec<ShardId>,
    /// The targets, and the shards on which they are made.
    pub(crate) targets: Vec<(PartitionName, ShardId)>,
    pub(crate) transport: Transport,
}

impl Intent {
    /// Returns the outcome of a reshape whose process died.
    pub(crate) fn interrupted(&self, number: u64, ended_at: SystemTime) -> Outcome {
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
            pause: Duration::ZERO,
            elapsed: Duration::ZERO,
            ended_at,
        }
    }
}

/// Returns the records under a prefix, decoded.
fn read<K, V: serde::de::DeserializeOwned>(
    metadata: &Metadata,
    prefix: &[u8],
    parse: impl Fn(&[u8]) -> Option<K>,
) -> Result<Vec<(K, V)>> {
    let what = format!("a record `{}` in the metadata", prefix.escape_ascii());
    let records = metadata.records(prefix, parse)?.into_iter();
    records.map(|(key, record)| Ok((key, decode(&what, &record)?))).collect()
}

/// Like [`read`], where the store can do without damaged records: they are `None`, or left out if
/// not even their number can be read.
fn read_sound<V: serde::de::DeserializeOwned>(
    metadata: &Metadata,
    prefix: &[u8],
) -> Result<Vec<(u64, Option<V>)>> {
    let what = format!("a record `{}` in the metadata", prefix.escape_ascii());
    let sound = |record: &[u8]| {
        let decoded = decode(&what, record);
        decoded
            .inspect_err(|error| {
                tracing::warn!(error = format_args!("{error:#}"), "left out a damaged record")
            })
            .ok()
    };
    let records = metadata.records(prefix, |suffix| Some(parse_number(suffix)))?.into_iter();
    Ok(records.filter_map(|(number, record)| Some((number?, sound(&record)))).collect())
}

/// Returns the intents of reshapes that were not committed, by number.
pub(crate) fn intents(metadata: &Metadata) -> Result<Vec<(u64, Intent)>> {
    read(metadata, INTENT, parse_number)
}

/// Makes an intent durable.
pub(crate) fn begin(metadata: &Metadata, number: u64, intent: &Intent) -> Result<()> {
    let record = encode("the intent of a reshape", intent)?;
    let durability = Durability::synced_unless_skipped("intent");
    metadata.engine.put(&numbered(INTENT, number), &record, durability)
}

/// Removes an intent, together with the commit, or once the targets that it names are gone.
pub(crate) fn end(batch: &mut MetadataBatch, number: u64) {
    batch.delete(&numbered(INTENT, number));
}

/// Records how much of a partition's files lies outside its range; no record is kept if nothing
/// does.
pub(crate) fn set_out_of_range(
    batch: &mut MetadataBatch,
    name: PartitionName,
    permille: u32,
) -> Result<()> {
    if permille > 0 {
        let record = encode("the foreign share of a partition", &permille)?;
        batch.put(&of_partition(FOREIGN, name), &record);
    }
    Ok(())
}

pub(crate) fn forget_out_of_range(batch: &mut MetadataBatch, name: PartitionName) {
    batch.delete(&of_partition(FOREIGN, name));
}

/// Returns how much of each partition's files lies outside its range, for the partitions where any
/// does.
pub(crate) fn out_of_range(metadata: &Metadata) -> Result<BTreeMap<PartitionName, u32>> {
    Ok(read(metadata, FOREIGN, parse_partition)?.into_iter().collect())
}

/// Records how a reshape ended, and removes old records. Not synced: the history is for people.
pub(crate) fn remember(metadata: &Metadata, number: u64, outcome: &Outcome) -> Result<()> {
    let record = encode("the outcome of a reshape", outcome)?;
    let mut batch = MetadataBatch::default();
    batch.put(&numbered(HISTORY, number), &record);
    if let Some(last_old) = number.checked_sub(HISTORY_MAX as u64) {
        // All old records: not every reshape leaves a record, so not every old record has a new one
        // that replaces it.
        let (first, end) = (numbered(HISTORY, 0), numbered(HISTORY, last_old + 1));
        batch.delete_range(&first, &end);
    }
    metadata.engine.write(batch, Durability::Buffered)
}

/// Returns how the last reshapes ended, by number, as far as the records are sound.
pub(crate) fn history(metadata: &Metadata) -> Result<Vec<(u64, Outcome)>> {
    let records = read_sound(metadata, HISTORY)?.into_iter();
    Ok(records.filter_map(|(number, outcome)| Some((number, outcome?))).collect())
}

/// Returns the number of the last reshape in the history, or 0 if there is none. The history is for
/// people: damage to it does not prevent the store from being opened.
pub(crate) fn last_number(metadata: &Metadata) -> u64 {
    let numbers = metadata.records(HISTORY, |suffix| Some(parse_number(suffix)));
    let numbers = numbers.unwrap_or_else(|error| {
        tracing::warn!(error = format_args!("{error:#}"), "cannot read how earlier reshapes ended");
        Vec::new()
    });
    numbers.into_iter().filter_map(|(number, _)| number).max().unwrap_or(0)
}

/// Records, with the commit of a shard's removal, that its files are to be removed.
pub(crate) fn retire(batch: &mut MetadataBatch, shard: ShardId, directory: &Path) -> Result<()> {
    let record = encode("the directory of a removed shard", &Directory(directory.to_owned()))?;
    batch.put(&numbered(RETIRED, u64::from(shard.0)), &record);
    Ok(())
}

pub(crate) fn forget_retired(metadata: &Metadata, shard: u64) -> Result<()> {
    metadata.engine.delete(&numbered(RETIRED, shard), Durability::Buffered)
}

/// Returns the directories of removed shards whose files may still be there; a directory is `None`
/// where its record is damaged.
pub(crate) fn retired(metadata: &Metadata) -> Result<Vec<(u64, Option<PathBuf>)>> {
    let retired: Vec<(_, Option<Directory>)> = read_sound(metadata, RETIRED)?;
    Ok(retired.into_iter().map(|(shard, found)| (shard, found.map(|found| found.0))).collect())
}

/// A path in a record, whether or not it is valid text.
#[derive(Serialize, Deserialize)]
struct Directory(#[serde(with = "crate::topology::path")] PathBuf);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::Store;
    use crate::topology::KeyspaceSpec;

    fn damage(store: &Store, key: &[u8]) {
        let engine = &store.core().catalog.metadata.engine;
        engine.put(key, b"damaged", Durability::Synced).unwrap();
    }

    /// A past bug: when a record of how a reshape had ended, which is only for people, was damaged,
    /// the store could not be opened any more. The same happened with the directory of a removed
    /// shard.
    #[test]
    fn records_that_the_store_does_without_do_not_refuse_it() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let keyspace = store.create_keyspace("k", KeyspaceSpec::range()).unwrap();
        let partition = keyspace.placement().partitions().next().unwrap();
        let elsewhere = ShardId((partition.owner.0 + 1) % 4);
        store.move_partition(partition.id, elsewhere).unwrap().wait().unwrap();
        assert_eq!(store.reshape_history().unwrap().len(), 1);
        damage(&store, &numbered(HISTORY, 7));
        damage(&store, b"history/who");
        damage(&store, &numbered(RETIRED, 9));
        store.close().unwrap();
        drop((store, keyspace));

        let store = Store::open(directory.path()).unwrap();
        assert_eq!(store.reshape_history().unwrap().len(), 1);
        let job = store.move_partition(partition.id, partition.owner).unwrap();
        assert_eq!(job.wait().unwrap().first().unwrap().reshape, 8, "no number is given twice");
    }

    /// A past bug: the metadata was read between the commit of a keyspace and its publication. An
    /// error there left a keyspace on disk that did not exist for the store until it was opened
    /// again.
    #[test]
    fn nothing_that_can_fail_is_between_a_keyspace_and_its_publication() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let nowhere = PartitionName { id: crate::PartitionId(999), generation: 0 };
        damage(&store, &of_partition(FOREIGN, nowhere));
        out_of_range(&store.core().catalog.metadata).unwrap_err();
        store.create_keyspace("k", KeyspaceSpec::hash()).unwrap();
        store.keyspace("k").unwrap().put("key", "value").unwrap();
    }

    fn outcome(partition: u64) -> Outcome {
        let spec = ReshapeSpec {
            keyspace: crate::KeyspaceId(1),
            sources: vec![crate::PartitionId(partition)],
            split_points: Vec::new(),
            owners: vec![ShardId(0)],
        };
        let (from, targets) = (vec![ShardId(1)], Vec::new());
        Intent { spec, from, targets, transport: Transport::Copy }
            .interrupted(partition, SystemTime::UNIX_EPOCH)
    }

    /// A past bug: each record removed the one whose number was 256 lower. Not every reshape leaves
    /// a record, so a record stayed forever if there was none whose number was 256 higher.
    #[test]
    fn history_is_bounded_whatever_numbers_it_lacks() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let metadata = &store.core().catalog.metadata;
        for number in (0..20 * HISTORY_MAX as u64).step_by(7) {
            remember(metadata, number, &outcome(number)).unwrap();
        }
        let numbers: Vec<_> = history(metadata).unwrap().into_iter().map(|(n, _)| n).collect();
        assert!((1..=HISTORY_MAX / 7 + 1).contains(&numbers.len()), "{numbers:?}");
    }
}
