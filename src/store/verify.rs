//! Verification: a whole store is checked against what it promises.

use super::findings::{Problem, Recovered};
use crate::catalog::View;
use crate::engine::{Cursor, Direction, Engine, EngineSnapshot, LogLoss, Read};
use crate::error::Result;
use crate::id::ShardId;
use crate::os::parallel;
use crate::placement::KeyRange;
use serde::Serialize;
use std::sync::Arc;

/// How many misplaced keys are named; all of them are counted.
const EXAMPLES_MAX: usize = 10;

/// What [`Store::verify`](crate::Store::verify) found.
#[derive(Debug, Clone, Serialize, Default)]
#[non_exhaustive]
pub struct Verification {
    /// Every violation; empty if all is well.
    pub problems: Vec<Problem>,
    /// What was read from each keyspace.
    pub keyspaces: Vec<KeyspaceVerification>,
    /// What logs had lost when the store was opened: see
    /// [`RecoveryReport::lost`](crate::report::RecoveryReport::lost).
    pub lost: Vec<LogLoss>,
    /// What the opening of the store repaired; none of this is a problem any more.
    pub recovered: Vec<Recovered>,
}

impl Verification {
    /// Returns true if no problem was found.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

/// What [`Store::verify`](crate::Store::verify) read from a keyspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
#[non_exhaustive]
pub struct KeyspaceVerification {
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: usize,
    /// How many keys were read.
    pub keys: u64,
    /// Bytes of keys and values that were read.
    pub bytes: u64,
    /// Keys of other partitions in shared files, which are not a problem and go when the partition
    /// is trimmed.
    pub foreign: u64,
    /// Keys in a partition other than the one to which they are routed.
    pub misplaced: u64,
    /// Keys by shard.
    pub keys_by_shard: Vec<(ShardId, u64)>,
}

/// What was read from one partition.
#[derive(Default)]
struct Tally {
    keys: u64,
    bytes: u64,
    foreign: u64,
    misplaced: u64,
    problems: Vec<Problem>,
}

/// Reads a keyspace as of a cut: every key must be where routing looks for it, and in order.
pub(crate) fn keyspace(
    view: &View,
    snapshot_of: impl Fn(ShardId) -> Option<EngineSnapshot> + Sync,
    problems: &mut Vec<Problem>,
) -> KeyspaceVerification {
    let owners: Vec<(usize, ShardId)> = view
        .keyspace
        .partitions()
        .enumerate()
        .filter(|(index, _)| view.missing(*index).is_none())
        .map(|(index, partition)| (index, partition.owner))
        .collect();
    let mut report = KeyspaceVerification {
        name: view.keyspace.name().to_owned(),
        partitions: owners.len(),
        ..KeyspaceVerification::default()
    };
    let mut shards: Vec<ShardId> = owners.iter().map(|(_, owner)| *owner).collect();
    shards.sort_unstable();
    shards.dedup();
    let tallies = parallel::each(&shards, |shard| {
        let mine = owners.iter().filter(|(_, owner)| owner == shard);
        let mine: Vec<usize> = mine.map(|(index, _)| *index).collect();
        of_shard(view, &mine, snapshot_of(*shard))
    });
    for (shard, tally) in shards.into_iter().zip(tallies) {
        let tally = tally.unwrap_or_else(|_| panicked(shard));
        report.keys += tally.keys;
        report.bytes += tally.bytes;
        report.foreign += tally.foreign;
        report.misplaced += tally.misplaced;
        report.keys_by_shard.push((shard, tally.keys));
        problems.extend(tally.problems);
    }
    report
}

fn panicked(shard: ShardId) -> Tally {
    let unchecked = Problem::Unchecked { shard: Some(shard) };
    Tally { problems: vec![unchecked], ..Tally::default() }
}

fn of_shard(view: &View, indexes: &[usize], snapshot: Option<EngineSnapshot>) -> Tally {
    let mut tally = Tally::default();
    for index in indexes {
        if let Err(error) = of_partition(view, *index, snapshot.as_ref(), &mut tally) {
            let keyspace = view.keyspace.name().to_owned();
            tally.problems.push(Problem::Unreadable { keyspace, index: *index, error });
        }
    }
    tally
}

fn of_partition(
    view: &View,
    index: usize,
    snapshot: Option<&EngineSnapshot>,
    tally: &mut Tally,
) -> Result<()> {
    let partition: &Arc<_> = view.partition(index)?;
    let read = Read { at: snapshot, bypass_cache: true, ..Read::PRESENT };
    let all = KeyRange::default();
    let mut cursor = partition.shard.cursor(&partition.handle, &all, Direction::Forward, read)?;
    let mut last: Option<Vec<u8>> = None;
    while let Some((key, value)) = cursor.row() {
        let bytes = (key.len() + value.len()) as u64;
        if view.index(key) == index {
            tally.keys += 1;
            tally.bytes += bytes;
        } else if partition.out_of_range_permille > 0 {
            tally.foreign += 1;
        } else {
            tally.misplaced += 1;
            if tally.problems.len() < EXAMPLES_MAX {
                tally.problems.push(misplaced(view, index, key));
            }
        }
        if last.as_deref().is_some_and(|last| last >= key) {
            let (keyspace, key) = (view.keyspace.name().to_owned(), key.to_vec());
            tally.problems.push(Problem::OutOfOrder { keyspace, index, key });
        }
        let last = last.get_or_insert_default();
        last.clear();
        last.extend_from_slice(key);
        cursor.advance();
    }
    cursor.status()
}

fn misplaced(view: &View, index: usize, key: &[u8]) -> Problem {
    let (keyspace, routed_to) = (view.keyspace.name().to_owned(), view.index(key));
    Problem::Misplaced { keyspace, key: key.to_vec(), index, routed_to }
}
