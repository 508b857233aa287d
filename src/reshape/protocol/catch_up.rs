//! Catching up: what was written to the sources meanwhile is applied to the targets.

use super::context::{Endpoint, Reshape, ReshapePair, Tally};
use super::follow::{Change, Changes, Follower, may_meet};
use crate::catalog::OpenPartition;
use crate::engine::{Engine, EngineBatch, WriteBatch as _};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ShardId;
use crate::log::Position;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// How many bytes are written to the targets at once.
const BATCH_BYTES: usize = 1 << 20;

/// Returns the side to which a key belongs.
///
/// # Errors
///
/// `Internal` if there is none: both sides tile the same range, so skipping the key would lose it.
fn side_of<'a>(sides: &'a [Endpoint], key: &[u8]) -> Result<&'a Endpoint> {
    let side = match sides {
        [only] => Some(only),
        several => several.iter().find(|side| side.filter.has(key)),
    };
    side.ok_or_else(|| without_target(key))
}

#[cold]
fn without_target(key: &[u8]) -> Error {
    let key = key.escape_ascii();
    let message = format!("no target of the reshape takes key `{key}`, which a source has");
    Error::new(ErrorKind::Internal, message)
}

impl Reshape<'_> {
    /// Runs one round: applies what has been written since the last one. Its size is bounded by
    /// what the log has when it begins, and its memory by parts that are applied one by one.
    pub(super) fn catch_up(
        &self,
        pair: &ReshapePair,
        follower: &mut Follower,
        tally: &mut Tally,
    ) -> Result<()> {
        let end = follower.end();
        loop {
            self.checkpoint()?;
            self.check_sources()?;
            let advanced = pair.advance(follower, end, tally)?;
            self.control.bytes_behind.store(follower.bytes_behind(), Ordering::Relaxed);
            self.pace(advanced.bytes)?;
            if advanced.is_last {
                return Ok(());
            }
        }
    }
}

/// What was done at once.
pub(super) struct Advanced {
    /// How many bytes of keys and values were applied.
    pub(super) bytes: u64,
    /// Whether there is nothing more to read up to the end that was asked for, at this moment.
    pub(super) is_last: bool,
}

impl ReshapePair {
    /// Reads a bounded part of the log, at most up to a position, and applies it.
    pub(super) fn advance(
        &self,
        follower: &mut Follower,
        end: Position,
        tally: &mut Tally,
    ) -> Result<Advanced> {
        let (from, begun) = (follower.position(), Instant::now());
        let changes = follower.follow(end)?;
        let (read, bytes) = (begun.elapsed(), follower.position().0 - from.0);
        tally.estimate.has_read(bytes, changes.len(), read);
        let begun = Instant::now();
        self.apply(&changes)?;
        // The work alone: the throttle, or a pause, says nothing about how long a seal takes.
        tally.estimate.has_applied(changes.len(), begun.elapsed());
        tally.keys_caught_up += changes.len() as u64;
        let is_last = bytes == 0 || follower.position() >= end;
        Ok(Advanced { bytes: changes.bytes() as u64, is_last })
    }

    /// Applies to the targets what was written to the sources, in the order in which it was. Doing
    /// this twice is harmless if everything that came later is done again, too.
    pub(crate) fn apply(&self, changes: &Changes) -> Result<()> {
        let mut batches: BTreeMap<ShardId, EngineBatch> = BTreeMap::new();
        let mut bytes = 0;
        for change in changes.iter() {
            bytes += self.add(change, &mut batches)?;
            if bytes >= BATCH_BYTES {
                self.write(std::mem::take(&mut batches))?;
                bytes = 0;
            }
        }
        self.write(batches)
    }

    /// Adds a change to the batches of the shards that it concerns. Returns its bytes.
    fn add(
        &self,
        change: Change<'_>,
        batches: &mut BTreeMap<ShardId, EngineBatch>,
    ) -> Result<usize> {
        match change {
            Change::Put { key, value } => {
                let target = &side_of(&self.targets, key)?.partition;
                batch_of(batches, target).put(&target.handle, key, value);
                Ok(key.len() + value.len())
            }
            Change::Delete { key } => {
                let target = &side_of(&self.targets, key)?.partition;
                batch_of(batches, target).delete(&target.handle, key);
                Ok(key.len())
            }
            // Not cut to the targets' ranges: the other rows that a target may have, in files that
            // it shares, belong to others, and are not shown.
            Change::DeleteRange { start, end } => {
                let mut met = self.targets.iter().filter(|side| may_meet(&side.filter, start, end));
                let first = met.next().ok_or_else(|| without_target(start))?;
                for Endpoint { partition, .. } in std::iter::once(first).chain(met) {
                    batch_of(batches, partition).delete_range(&partition.handle, start, end);
                }
                Ok(start.len() + end.len())
            }
        }
    }

    /// Writes to each target shard the batch that is meant for it.
    fn write(&self, batches: BTreeMap<ShardId, EngineBatch>) -> Result<()> {
        let shards = self.target_shards();
        for (owner, batch) in batches {
            let shard = shards.get(&owner).ok_or_else(|| {
                Error::new(
                    ErrorKind::Internal,
                    format!("changes of the log are for shard {owner}, which has no target"),
                )
            })?;
            shard.write(batch)?;
        }
        Ok(())
    }
}

/// Returns the batch of a partition's shard among those of all shards.
fn batch_of<'b>(
    batches: &'b mut BTreeMap<ShardId, EngineBatch>,
    partition: &OpenPartition,
) -> &'b mut EngineBatch {
    batches.entry(partition.owner).or_insert_with(|| partition.shard.batch())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::Store;
    use crate::placement::KeyRange;
    use crate::read::RowFilter;
    use crate::topology::KeyspaceSpec;
    use std::sync::Arc;

    fn endpoint(keyspace: &crate::Keyspace, range: KeyRange) -> Endpoint {
        Endpoint {
            partition: Arc::clone(keyspace.view().partition(0).unwrap()),
            filter: RowFilter::Keys(range),
        }
    }

    /// A past bug: a key for which there is no target was skipped, and would have been lost.
    #[test]
    fn a_key_without_a_target_ends_the_reshape() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let [source, target] = ["source", "target"].map(|name| {
            let keyspace = store.create_keyspace(name, KeyspaceSpec::range()).unwrap();
            keyspace.put("c", "value").unwrap();
            keyspace
        });
        let pair = ReshapePair {
            sources: vec![endpoint(&source, KeyRange::whole())],
            targets: vec![
                endpoint(&target, KeyRange::new("a", Some("b"))),
                endpoint(&target, KeyRange::new("b", Some("c"))),
            ],
            expired_at: None,
        };
        for change in [
            Change::Put { key: b"c", value: b"" },
            Change::Delete { key: b"c" },
            Change::DeleteRange { start: b"c", end: b"d" },
        ] {
            let mut changes = Changes::default();
            changes.push(change);
            assert_eq!(pair.apply(&changes).unwrap_err().kind(), ErrorKind::Internal);
        }
    }

    #[test]
    fn changes_take_effect_in_their_order_and_where_they_belong() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let [low, high] =
            ["low", "high"].map(|name| store.create_keyspace(name, KeyspaceSpec::range()).unwrap());
        let pair = ReshapePair {
            sources: Vec::new(),
            targets: vec![
                endpoint(&low, KeyRange::new("", Some("m"))),
                endpoint(&high, KeyRange::new("m", None)),
            ],
            expired_at: None,
        };
        let mut changes = Changes::default();
        for (key, value) in [(b"a", b"1"), (b"k", b"1"), (b"n", b"1"), (b"z", b"1")] {
            changes.push(Change::Put { key, value });
        }
        changes.push(Change::DeleteRange { start: b"b", end: b"o" });
        changes.push(Change::Put { key: b"n", value: b"2" });
        changes.push(Change::Delete { key: b"z" });
        for _ in 0..2 {
            pair.apply(&changes).unwrap();
            let rows = |keyspace: &crate::Keyspace| -> Vec<_> {
                keyspace.scan(..).unwrap().map(|row| row.unwrap()).collect()
            };
            assert_eq!(rows(&low), [(b"a".to_vec(), b"1".to_vec())]);
            assert_eq!(rows(&high), [(b"n".to_vec(), b"2".to_vec())]);
        }
    }
}
