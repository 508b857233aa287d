//! Opening the cursors of a scan: where they begin, at which moment, and how many at a time.

use super::left_out::{LeftOut, LeftOutList};
use super::partition_cursor::{PartitionCursor, RowFilter, filtered};
use crate::catalog::{OpenPartition, View};
use crate::engine::{Direction, EngineSnapshot, Read};
use crate::error::{Error, ErrorKind, Result};
use crate::expiry::{Held, Moment};
use crate::id::ShardId;
use crate::os::parallel;
use crate::placement::KeyRange;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// If opening cursors takes longer than this, it waits for a disk.
const SERIAL_OPEN_MAX: Duration = Duration::from_millis(1);

/// The cut that a scan reads from.
pub(crate) type ShardSnapshots = Arc<Cut>;

/// What of a store's moment is kept as long as anything reads it.
pub(crate) struct Cut {
    /// One snapshot of each shard.
    pub(crate) shards: BTreeMap<ShardId, EngineSnapshot>,
    /// Keeps rows from being reclaimed that had not expired; where there are rows that expire.
    pub(crate) held: Option<Held>,
}

impl Cut {
    pub(crate) fn get(&self, shard: &ShardId) -> Option<&EngineSnapshot> {
        self.shards.get(shard)
    }
}

/// What cursors are opened from.
pub(crate) struct CursorFactory {
    pub(crate) cut: Option<ShardSnapshots>,
    pub(crate) range: KeyRange,
    pub(crate) direction: Direction,
    pub(crate) deadline: Option<Instant>,
    pub(crate) bypass_cache: bool,
    pub(crate) read_ahead: Option<usize>,
    pub(crate) expired_at: Option<Moment>,
    /// How many threads may open cursors.
    pub(crate) threads: usize,
    /// Where damage is noted, if it is to be left out.
    pub(crate) left_out: Option<LeftOutList>,
    /// Where partitions of missing shards are noted, if they are to be left out.
    pub(crate) missing_left_out: Option<LeftOutList>,
}

impl CursorFactory {
    /// Returns a partition with its filter; `None` if it is left out because its shard is missing.
    ///
    /// # Errors
    ///
    /// `Unavailable` if its shard is missing, and it is not to be left out.
    pub(crate) fn find(
        &self,
        view: &View,
        index: usize,
    ) -> Result<Option<(Arc<OpenPartition>, RowFilter)>> {
        if let (Some(list), Some((shard, missing))) = (&self.missing_left_out, view.missing(index))
        {
            let partition = view.keyspace.partitions().nth(index).map(|it| it.id);
            let partition = partition.unwrap_or_default();
            let error = missing.error(shard);
            list.lock().push(LeftOut { partition, shard, is_rest: false, error });
            return Ok(None);
        }
        filtered(view, index).map(Some)
    }

    /// Opens a cursor that stands on its first row. Returns `None` if the partition is left out as
    /// damaged.
    pub(crate) fn cursor(
        &self,
        partition: &OpenPartition,
        filter: RowFilter,
    ) -> Result<Option<PartitionCursor>> {
        let at = match &self.cut {
            Some(cut) => Some(cut.get(&partition.owner).ok_or_else(|| {
                Error::new(ErrorKind::Internal, "a snapshot lacks the shard of a partition")
            })?),
            None => None,
        };
        let (deadline, bypass_cache) = (self.deadline, self.bypass_cache);
        let (read_ahead, expired_at) = (self.read_ahead, self.expired_at);
        let read = Read { at, deadline, bypass_cache, read_ahead, expired_at };
        let (range, direction) = (&self.range, self.direction);
        match &self.left_out {
            None => PartitionCursor::open(partition, filter, range, direction, read).map(Some),
            Some(list) => {
                PartitionCursor::open_sound(partition, filter, range, direction, read, list)
            }
        }
    }

    /// Opens cursors on all of some partitions, in any order. It opens one after the other for a
    /// while, which suffices where everything is in memory, and where threads would cost more than
    /// they save. Several threads open the rest at the same time.
    pub(crate) fn cursors(
        &self,
        mut partitions: Vec<(Arc<OpenPartition>, RowFilter)>,
    ) -> Result<Vec<PartitionCursor>> {
        let mut cursors = Vec::with_capacity(partitions.len());
        let begun = Instant::now();
        while let Some((partition, filter)) = partitions.pop() {
            cursors.extend(self.cursor(&partition, filter)?);
            if self.calls_threads(partitions.len(), begun.elapsed()) {
                return self.cursors_at_once(&partitions, cursors);
            }
        }
        Ok(cursors)
    }

    /// Returns true if other threads should help with the remaining partitions: enough are left,
    /// and opening has taken longer than it would from memory.
    fn calls_threads(&self, left: usize, after: Duration) -> bool {
        self.threads > 1 && left > 1 && after > SERIAL_OPEN_MAX
    }

    fn cursors_at_once(
        &self,
        partitions: &[(Arc<OpenPartition>, RowFilter)],
        mut cursors: Vec<PartitionCursor>,
    ) -> Result<Vec<PartitionCursor>> {
        let next = AtomicUsize::new(0);
        let open = || {
            let mut opened = Vec::new();
            while let Some((partition, filter)) =
                partitions.get(next.fetch_add(1, Ordering::Relaxed))
            {
                opened.extend(self.cursor(partition, filter.clone())?);
            }
            Ok(opened)
        };
        std::thread::scope(|scope| {
            // This thread does what no other thread could be started for.
            let helper = |_| parallel::spawn(scope, "annulus-scan", open);
            let helpers: Vec<_> =
                (1..self.threads.min(partitions.len())).filter_map(helper).collect();
            cursors.extend(open()?);
            for helper in helpers {
                match helper.join() {
                    Ok(opened) => cursors.extend(opened?),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            Ok(cursors)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Cursor;
    use crate::topology::KeyspaceSpec;
    use crate::{Options, Store};

    fn source(threads: usize) -> CursorFactory {
        CursorFactory {
            cut: None,
            range: KeyRange { start: 100_u32.to_be_bytes().into(), end: None },
            direction: Direction::Forward,
            deadline: None,
            bypass_cache: false,
            read_ahead: None,
            expired_at: None,
            threads,
            left_out: None,
            missing_left_out: None,
        }
    }

    #[test]
    fn threads_help_where_they_are_allowed_and_worth_it() {
        let slow = SERIAL_OPEN_MAX * 2;
        assert!(source(2).calls_threads(2, slow));
        assert!(!source(2).calls_threads(2, SERIAL_OPEN_MAX), "one thread is soon done");
        assert!(!source(2).calls_threads(1, slow), "only one is left");
        assert!(!source(1).calls_threads(100, slow), "no other thread is allowed");
    }

    /// A test cannot choose a slow disk, so it asks directly for what happens on one.
    #[test]
    fn arcs_opened_at_once_are_the_arcs_opened_one_by_one() {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { write_buffer_bytes: 4 << 20, ..Options::default() };
        let store = Store::builder(directory.path().join("store")).options(options).open().unwrap();
        let spec = KeyspaceSpec::hash().arcs_per_shard(5);
        let rows = store.create_keyspace("rows", spec).unwrap();
        for number in 0..500_u32 {
            rows.put(number.to_be_bytes(), "value").unwrap();
        }
        let source = source(8);
        let view = rows.view();
        let partitions: Vec<_> =
            (0..view.open().count()).map(|index| filtered(&view, index).unwrap()).collect();
        let keys = |cursors: Vec<PartitionCursor>| {
            let mut keys: Vec<_> = cursors.iter().filter_map(|cursor| cursor.key()).collect();
            keys.sort_unstable();
            keys.iter().map(|key| key.to_vec()).collect::<Vec<_>>()
        };
        let open = |(one, filter): &(Arc<OpenPartition>, RowFilter)| {
            source.cursor(one, filter.clone()).unwrap()
        };
        let one_by_one: Vec<_> = partitions.iter().filter_map(open).collect();
        let at_once = source.cursors_at_once(&partitions, Vec::new()).unwrap();
        let (one_by_one, at_once) = (keys(one_by_one), keys(at_once));
        assert_eq!(one_by_one.len(), view.open().count());
        assert_eq!(at_once, one_by_one);
    }
}
