//! Partitions that are behind the log: how they fall behind, and how one that has got what it lacked
//! is put back.

use super::behind::Behind;
use super::{Catalog, KeyspaceState, OpenPartition, View};
use crate::engine::Engine as _;
use crate::error::Error;
use crate::id::ShardId;
use crate::latch::{PartitionStatus, hand_over};
use crate::log::{CommitLog, Position};
use crate::os::failpoint;
use parking_lot::MutexGuard;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

impl OpenPartition {
    /// Notes that the shard could not apply the record at a position. The caller owns the stripes
    /// of its keys.
    ///
    /// IMPORTANT: the record is still in flight. What the engine has noted of the partition's
    /// flushes is therefore before the record, and it notes nothing more: no flush, whenever it
    /// began, releases the record.
    pub(crate) fn fall_behind(&self, missing: Position, cause: &Error) {
        if !failpoint::skip("behind-keeps-log") {
            self.shard.stop_following(&self.handle);
        }
        self.behind.get_or_init(|| Behind::new(missing, cause)).lacks(missing);
        if self.state.mark_behind() {
            tracing::error!(
                partition = %self.name.id, shard = %self.owner, error = format_args!("{cause:#}"),
                "a partition is behind the log, and refuses reads and writes until it is brought up"
            );
        }
    }

    /// Returns the part of the log that has all that the partition lacks. Waits for the writes that
    /// were in progress when it fell behind; returns `None` if that takes until after the deadline.
    ///
    /// IMPORTANT: they have found the partition current, and so they append and apply after others
    /// have failed. From when they have ended on, the log gets no more records of the partition:
    /// each write finds it behind.
    pub(crate) fn missing(&self, log: &CommitLog, deadline: Instant) -> Option<Range<Position>> {
        let behind = self.behind.get()?;
        let until = match behind.until.get() {
            Some(until) => *until,
            None => {
                let skip = failpoint::skip("behind-drain");
                let _drained = if skip { None } else { Some(self.state.seal(Some(deadline))?) };
                *behind.until.get_or_init(|| log.end())
            }
        };
        Some(behind.from()..until)
    }
}

impl View {
    /// Returns the view in which another state of a partition takes the place of the one with the
    /// same name.
    fn with_replaced(&self, by: &Arc<OpenPartition>) -> Self {
        let same = |partition: &Arc<OpenPartition>| match partition.name == by.name {
            true => Arc::clone(by),
            false => Arc::clone(partition),
        };
        let partitions = self.partitions.iter().map(|slot| slot.as_ref().map(same)).collect();
        self.with_partitions(Arc::clone(&self.keyspace), partitions)
    }
}

/// A partition that is behind, and where it is.
pub(crate) struct Lagging {
    pub(crate) keyspace: Arc<KeyspaceState>,
    pub(crate) partition: Arc<OpenPartition>,
}

impl Catalog {
    /// Notes that some partition may be behind, after it was marked.
    #[cold]
    pub(crate) fn note_behind(&self) {
        self.any_behind.store(true, Ordering::Release);
        self.observe_shards();
    }

    /// Returns the shards of which a partition is behind, with the cause of one.
    pub(super) fn shards_behind(&self) -> BTreeMap<ShardId, String> {
        let causes = self.find_lagging().into_iter().filter_map(|Lagging { partition, .. }| {
            Some((partition.owner, partition.behind.get()?.cause()))
        });
        causes.collect()
    }

    /// Returns the partitions that are behind, apart from those whose keyspace is being dropped.
    pub(crate) fn lagging(&self) -> Vec<Lagging> {
        // IMPORTANT: before looking, so that none is overlooked that falls behind meanwhile.
        if !self.any_behind.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        let lagging = self.find_lagging();
        if !lagging.is_empty() {
            self.any_behind.store(true, Ordering::Release);
        }
        lagging
    }

    fn find_lagging(&self) -> Vec<Lagging> {
        let mut lagging = Vec::new();
        for keyspace in self.keyspaces().values() {
            for partition in keyspace.load().open() {
                let state = &partition.state;
                if state.is_behind() && state.status() == PartitionStatus::Current {
                    let (keyspace, partition) = (Arc::clone(keyspace), Arc::clone(partition));
                    lagging.push(Lagging { keyspace, partition });
                }
            }
        }
        lagging
    }

    /// Replaces a partition that was behind, and has got what it lacked, with a state of it that
    /// serves. `_changing` is the lock on changes of the topology, under which the partition was
    /// found in the present view.
    ///
    /// A new state, and not the old one without its mark: a reader that began before the partition
    /// fell behind, and asks only now whether what it read counts, learns that it does not; a
    /// reshape that has the old one as its source ends.
    pub(crate) fn put_back(&self, lagging: &Lagging, _changing: &MutexGuard<'_, ()>) {
        let Lagging { keyspace, partition } = lagging;
        // What is flushed from now on counts: all of the log below `applied()` is applied to it.
        // What it got just now is in memory, so the position from which the log is needed stays.
        let skip = failpoint::skip("behind-position");
        let flushed = if skip { self.log.applied() } else { Position::default() };
        partition.shard.follow(&partition.handle, flushed);
        let (name, shard) = (partition.name, Arc::clone(&partition.shard));
        let state = OpenPartition::new(name, partition.owner, shard, Arc::clone(&partition.handle));
        let state = Arc::new(state.with_out_of_range(partition.out_of_range_permille));
        let view = keyspace.view().with_replaced(&state);
        hand_over([&partition.state], [&state.state], || keyspace.publish(view));
    }
}
