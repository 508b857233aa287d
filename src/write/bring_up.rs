//! Bringing up partitions that are behind the log, in the open store.
//!
//! | step | why here |
//! |---|---|
//! | 1. wait for the writes that were in progress when the partition fell behind ([`missing`](crate::catalog::OpenPartition::missing)) | the log has no record of the partition after this, so what is applied next is all of it, and no writer applies at the same time |
//! | 2. exclude changes of the topology | the partition stays in its view until 5 |
//! | 3. read the log, from the first record that is missing up to where 1 ended | what was applied already is applied again: the last operation on a key decides, here as in an opening |
//! | 4. apply all of it as one batch | a cursor that is opened meanwhile, by a scan that came to the partition before it fell behind, sees what was there before, or all of it, and nothing that a later write has replaced |
//! | 5. put a new state of the partition into its view ([`put_back`](crate::catalog::Catalog::put_back)) | it serves from now on |
//!
//! If the shard refuses the batch, it is tried again later. Nothing of this changes the disk: if
//! the process dies at any step, the next opening replays the same records, which the shard's
//! engine keeps until a flush that comes after 5 has taken them to a file.

use super::batch::BATCH_BYTES_MAX;
use super::routed::{add, bytes_of};
use crate::catalog::{Catalog, Lagging, View};
use crate::engine::{Engine as _, EngineBatch};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{KeyspaceId, ShardId};
use crate::latch::PartitionStatus;
use crate::log::{Operation, Position};
use crate::os::backoff::Backoff;
use crate::os::failpoint;
use crate::placement::KeyRange;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the writes are waited for that were in progress. If they take longer, the next look
/// waits again.
const DRAIN_MAX: Duration = Duration::from_millis(20);

/// How long a shard that has refused a batch is left alone.
const WAITS: Backoff = Backoff { first: Duration::from_millis(200), max: Duration::from_secs(5) };

/// Brings up the partitions of a store that are behind, whenever it is asked to look.
#[derive(Default)]
pub(crate) struct BringUp {
    /// The shards that have refused a batch.
    waits: BTreeMap<ShardId, Wait>,
}

/// For how long a shard is left alone.
struct Wait {
    refusals: u32,
    until: Instant,
}

impl BringUp {
    /// Tries to bring up what is behind. Returns how many partitions it has brought up.
    pub(crate) fn look(&mut self, catalog: &Catalog) -> usize {
        let lagging = catalog.lagging();
        let has_any = |shard: ShardId| lagging.iter().any(|one| one.partition.owner == shard);
        self.waits.retain(|shard, _| has_any(*shard));
        let mut brought = 0;
        for one in &lagging {
            let shard = one.partition.owner;
            if self.waits.get(&shard).is_some_and(|wait| Instant::now() < wait.until) {
                continue;
            }
            match bring_up(catalog, one) {
                Ok(true) => {
                    self.waits.remove(&shard);
                    brought += 1;
                }
                Ok(false) => {}
                Err(error) => self.put_off(one, &error),
            }
        }
        brought
    }

    fn put_off(&mut self, one: &Lagging, error: &Error) {
        let shard = one.partition.owner;
        let refusals = self.waits.get(&shard).map_or(0, |wait| wait.refusals).saturating_add(1);
        let until = Instant::now() + WAITS.wait(refusals);
        self.waits.insert(shard, Wait { refusals, until });
        tracing::debug!(
            partition = %one.partition.name.id, %shard, refusals, error = format_args!("{error:#}"),
            "cannot bring up a partition yet"
        );
    }
}

/// Brings up a partition. Returns false if it has to be tried again at once: a write is in
/// progress, or the topology is being changed.
///
/// # Errors
///
/// That of the shard, which still takes no writes; those of the log; that of a store that takes no
/// writes.
fn bring_up(catalog: &Catalog, one: &Lagging) -> Result<bool> {
    let partition = &one.partition;
    catalog.check_writable()?;
    let Some(missing) = partition.missing(&catalog.log, Instant::now() + DRAIN_MAX) else {
        return Ok(false);
    };
    // IMPORTANT: after the writes that were in progress. If the sync of one of them has failed, it
    // was refused and must not be seen: its record may be lost in a power cut.
    catalog.log.check()?;
    let Some(changing) = catalog.try_changing() else { return Ok(false) };
    let view = one.keyspace.view();
    let index = view.partitions.iter().position(|other| Arc::ptr_eq(other, partition));
    // It is not there any more if its keyspace was dropped.
    let Some(index) = index.filter(|_| partition.state.status() == PartitionStatus::Current) else {
        return Ok(false);
    };
    let (batch, operations) = read(catalog, &view, index, one.keyspace.id(), &missing)?;
    failpoint::hit("bring-up-before-apply");
    partition.shard.write_at_once(batch)?;
    failpoint::hit("bring-up-after-apply");
    catalog.put_back(one, &changing);
    failpoint::hit("bring-up-after-put-back");
    tracing::info!(
        partition = %partition.name.id, shard = %partition.owner, operations,
        from = %missing.start, "a partition that was behind the log serves again"
    );
    Ok(true)
}

/// Returns what a part of the log has for a partition, as one batch, and how many operations.
///
/// # Errors
///
/// Those of the log; `Io` if it is more than a batch may hold.
fn read(
    catalog: &Catalog,
    view: &View,
    index: usize,
    keyspace: KeyspaceId,
    part: &Range<Position>,
) -> Result<(EngineBatch, u64)> {
    let partition = view.partition(index)?;
    let (mut batch, mut operations, mut bytes) = (partition.shard.batch(), 0, 0);
    let mut reader = catalog.log.read(part.start)?;
    while reader.position() < part.end {
        let Some(record) = reader.next()? else { break };
        for operation in record.operations() {
            if concerns(view, index, keyspace, operation) {
                bytes += bytes_of(operation);
                if bytes > BATCH_BYTES_MAX {
                    return Err(too_much(bytes));
                }
                add(&mut batch, partition, operation);
                operations += 1;
            }
        }
    }
    Ok((batch, operations))
}

/// Returns true if an operation concerns one of the partitions of a keyspace.
fn concerns(view: &View, index: usize, wanted: KeyspaceId, operation: Operation<'_>) -> bool {
    match operation {
        Operation::Put { keyspace, key, .. }
        | Operation::PutUntil { keyspace, key, .. }
        | Operation::Delete { keyspace, key } => keyspace == wanted && view.index(key) == index,
        Operation::DeleteRange { keyspace, start, end } => {
            let range = KeyRange::new(start, Some(end));
            keyspace == wanted && view.intersecting(&range, &[]).contains(&index)
        }
        Operation::Previous { .. } => false,
    }
}

#[cold]
fn too_much(bytes: usize) -> Error {
    Error::new(
        ErrorKind::Io,
        format!(
            "what the partition lacks has more than {bytes} bytes, too much to apply at once; open \
             the store again, which brings it up"
        ),
    )
}
