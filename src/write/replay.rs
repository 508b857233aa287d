//! The replay of the log at an opening: what is in it is applied to the shards once more.
//!
//! Each operation goes to the partition that its key belongs to now, whichever it belonged to when
//! it was logged. What the shards have already is applied again, which changes nothing in the end:
//! the log is kept from before everything that is not in files, up to its end, so its last operation
//! on a key decides, and any file holds an earlier state of that key or the same.
//!
//! One thread reads, and one thread for each shard applies.

use super::routed::{Views, add, bytes_of};
use crate::catalog::{Catalog, OpenPartition, View};
use crate::engine::{Engine as _, EngineBatch, ShardEngine};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{KeyspaceId, ShardId};
use crate::log::{CommitLog, Operation, Position};
use crate::os::{failpoint, parallel};
use crate::placement::KeyRange;
use crossbeam::channel::{Sender, bounded};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{Scope, ScopedJoinHandle};

/// About how many bytes are applied to a shard at once.
const BATCH_BYTES: usize = 1 << 20;

/// How many such batches wait for a shard at most.
const BATCHES_WAITING: usize = 4;

/// What was read back from the log at an opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Replayed {
    /// Writes, of which a batch is one.
    pub records: u64,
    /// What they changed: puts, deletes and deletions of ranges.
    pub operations: u64,
    /// Their bytes in the log.
    pub bytes: u64,
}

/// Applies everything that is in the log to the shards, before anyone else can write.
///
/// # Errors
///
/// Those of the log; that of a shard, which is named.
pub(crate) fn replay(
    catalog: &Catalog,
    keyspaces: &impl Views,
    log: &Arc<CommitLog>,
) -> Result<Replayed> {
    let (first, end) = (log.first(), log.end());
    if first == end {
        return Ok(Replayed::default());
    }
    let half = Position(first.0 + (end.0 - first.0) / 2);
    let mut replayed = Replayed { bytes: end.0 - first.0, ..Replayed::default() };
    std::thread::scope(|scope| {
        let mut lanes = Lanes { scope, keyspaces, views: BTreeMap::new(), lanes: BTreeMap::new() };
        let mut reader = log.read(first)?;
        let read = loop {
            let record = match reader.next() {
                Ok(Some(record)) => record,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            // The place itself may be in a mark, which is no record to the reader.
            if record.end() > half {
                failpoint::hit("replay-half");
            }
            replayed.records += 1;
            let mut operations = record.operations();
            let added = operations.try_for_each(|operation| {
                replayed.operations += u64::from(operation.is_change());
                lanes.add(operation)
            });
            // The shard's own error comes at the end.
            if added.is_err() {
                break added;
            }
        };
        lanes.finish(read.is_ok()).and(read)
    })?;
    tracing::info!(
        store = %catalog.home.path.display(), records = replayed.records, bytes = replayed.bytes,
        "replayed the log"
    );
    Ok(replayed)
}

/// Where operations go.
struct Lanes<'scope, 'env, V> {
    scope: &'scope Scope<'scope, 'env>,
    keyspaces: &'env V,
    views: BTreeMap<KeyspaceId, Option<Arc<View>>>,
    lanes: BTreeMap<ShardId, Lane<'scope>>,
}

/// What is to be applied to one shard.
struct Lane<'scope> {
    shard: Arc<ShardEngine>,
    batch: EngineBatch,
    bytes: usize,
    /// `None` if no thread could be started: batches are then applied by the thread that reads.
    thread: Option<(Sender<EngineBatch>, ScopedJoinHandle<'scope, Result<()>>)>,
}

impl<V: Views> Lanes<'_, '_, V> {
    /// Adds an operation to the batches of the shards that it concerns. Those of a keyspace that is
    /// gone are left out.
    fn add(&mut self, operation: Operation<'_>) -> Result<()> {
        let keyspace = operation.keyspace();
        let view = self.views.entry(keyspace).or_insert_with(|| self.keyspaces.view(keyspace));
        let Some(view) = view.clone() else { return Ok(()) };
        match operation {
            Operation::Put { key, .. }
            | Operation::PutUntil { key, .. }
            | Operation::Delete { key, .. } => {
                self.add_to(view.partition(view.index(key))?, operation)
            }
            // What was there before is not what is there now.
            Operation::Previous { .. } => Ok(()),
            Operation::DeleteRange { start, end, .. } => {
                for index in view.intersecting(&KeyRange::new(start, Some(end)), &[]) {
                    self.add_to(view.partition(index)?, operation)?;
                }
                Ok(())
            }
        }
    }

    fn add_to(&mut self, partition: &OpenPartition, operation: Operation<'_>) -> Result<()> {
        let scope = self.scope;
        let lane = self.lanes.entry(partition.owner);
        let lane = lane.or_insert_with(|| Lane::start(scope, &partition.shard));
        add(&mut lane.batch, partition, operation);
        lane.bytes += bytes_of(operation);
        if lane.bytes < failpoint::size("ANNULUS_REPLAY_BYTES", BATCH_BYTES) {
            return Ok(());
        }
        lane.send().map_err(|error| failure(partition.owner, error))
    }

    /// Applies what is left, unless an error has ended the replay, and waits until all is applied.
    fn finish(self, whole: bool) -> Result<()> {
        let mut finished = Ok(());
        for (shard, mut lane) in self.lanes {
            let sent = if whole { lane.send() } else { Ok(()) };
            let done = sent.and(lane.wait()).map_err(|error| failure(shard, error));
            finished = finished.and(done);
        }
        finished
    }
}

impl<'scope> Lane<'scope> {
    fn start(scope: &'scope Scope<'scope, '_>, shard: &Arc<ShardEngine>) -> Self {
        let (sender, batches) = bounded(BATCHES_WAITING);
        let applied_by = Arc::clone(shard);
        let thread = parallel::spawn(scope, "annulus-replay", move || {
            batches.iter().try_for_each(|batch| applied_by.write(batch))
        });
        Self {
            shard: Arc::clone(shard),
            batch: shard.batch(),
            bytes: 0,
            thread: thread.map(|thread| (sender, thread)),
        }
    }

    /// Passes on what has been gathered.
    fn send(&mut self) -> Result<()> {
        if self.bytes == 0 {
            return Ok(());
        }
        self.bytes = 0;
        let batch = std::mem::replace(&mut self.batch, self.shard.batch());
        let sent = match &self.thread {
            None => return self.shard.write(batch),
            Some((sender, _)) => sender.send(batch).is_ok(),
        };
        // Its thread has ended early: with an error.
        if sent { Ok(()) } else { self.wait() }
    }

    /// Waits until everything that was passed on is applied.
    fn wait(&mut self) -> Result<()> {
        let Some((sender, thread)) = self.thread.take() else { return Ok(()) };
        drop(sender);
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn failure(shard: ShardId, error: Error) -> Error {
    let kind = match error.kind() {
        ErrorKind::Damaged => ErrorKind::Damaged,
        _ => ErrorKind::Io,
    };
    let message = format!("shard {shard} cannot be brought up to the log");
    Error::new(kind, message).with_source(error)
}
