//! What the store rests on, as tests that run on each engine: [`conforms`] lists them, and an
//! engine's tests name it with a [`Subject`].
//!
//! A crash is the end of a shard without a flush: what was in memory only is gone, and is applied
//! again from the log, which is whole. Power cuts are simulated by the tests of whole stores.

pub(in crate::engine) mod cursors;
pub(in crate::engine) mod log;
pub(in crate::engine) mod model;
pub(in crate::engine) mod partitions;
pub(in crate::engine) mod reads;
pub(in crate::engine) mod snapshots;
pub(in crate::engine) mod writes;

use super::{Direction, Engine, Read};
use crate::id::{KeyspaceId, PartitionId};
use crate::log::{CommitLog, CopyOptions, LogAccess, LogDamage, LogOptions, Operation, Position};
use crate::placement::KeyRange;
use crate::topology::PartitionName;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A row, as tests compare it.
pub(super) type Row = (Vec<u8>, Vec<u8>);

/// An engine under test.
pub(super) trait Subject: Sized + Send + Sync {
    type Engine: Engine;
    /// Returns a place in which there is no shard yet.
    fn new(directory: &Path, write_buffer_bytes: usize) -> Self;
    /// Opens the shard there; creates it if there is none.
    fn open(&self, log: &Arc<CommitLog>) -> Self::Engine;
    /// Returns true if there is anything left of the shard's content.
    fn is_there(&self) -> bool;
    /// Marks the shard to be removed when it is closed.
    fn retire(&self, shard: &Self::Engine);
}

/// The handle of a partition of a subject's engine.
pub(super) type PartitionOf<S> = <<S as Subject>::Engine as Engine>::Partition;

pub(super) const ONE: PartitionName = name(1);
pub(super) const TWO: PartitionName = name(2);

pub(super) const fn name(id: u64) -> PartitionName {
    PartitionName { id: PartitionId(id), generation: 0 }
}

/// A shard with a log.
pub(super) struct Fixture<S: Subject> {
    shard: Option<S::Engine>,
    pub(super) log: Arc<CommitLog>,
    pub(super) subject: S,
    directory: tempfile::TempDir,
}

impl<S: Subject> Fixture<S> {
    pub(super) fn new() -> Self {
        Self::with_write_buffer(64 << 20)
    }

    pub(super) fn with_write_buffer(bytes: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let log = log_in(directory.path());
        let subject = S::new(directory.path(), bytes);
        let shard = Some(subject.open(&log));
        Self { shard, log, subject, directory }
    }

    /// The same with an empty partition.
    pub(super) fn with_partition() -> (Self, PartitionOf<S>) {
        let fixture = Self::new();
        let one = fixture.shard().create_partition(ONE).unwrap();
        (fixture, one)
    }

    pub(super) fn shard(&self) -> &S::Engine {
        self.shard.as_ref().unwrap()
    }

    pub(super) fn partition(&self, name: PartitionName) -> PartitionOf<S> {
        self.shard().partition(name).unwrap()
    }

    /// Ends the shard without a flush, and opens it again, and the log as if nothing of it were to
    /// be replayed. Handles must be gone.
    pub(super) fn crash(&mut self) {
        self.crash_before_replay();
        self.log.finish_replay();
    }

    /// The same, but the log waits for the end of the replay.
    pub(super) fn crash_before_replay(&mut self) {
        self.close();
        self.log.close().unwrap();
        self.log = open_log(self.directory.path());
        self.shard = Some(self.subject.open(&self.log));
    }

    /// Ends the shard without a flush.
    pub(super) fn close(&mut self) {
        self.shard = None;
    }

    /// Puts a row as a store does. Returns where its record begins.
    pub(super) fn put(&self, partition: &PartitionOf<S>, key: &[u8], value: &[u8]) -> Position {
        let record = Operation::Put { keyspace: KeyspaceId(1), key, value };
        let in_flight = self.log.append(std::iter::once(record)).unwrap();
        self.shard().put(partition, key, value).unwrap();
        in_flight.start()
    }

    /// Returns the value of a key at present.
    pub(super) fn get(&self, partition: &PartitionOf<S>, key: &[u8]) -> Option<Vec<u8>> {
        let value = self.shard().get(partition, key, Read::PRESENT).unwrap();
        value.map(|value| value.to_vec())
    }

    /// Returns the rows of a partition at present.
    pub(super) fn rows(&self, partition: &PartitionOf<S>) -> Vec<Row> {
        rows_of(self.shard(), partition, &KeyRange::whole(), Direction::Forward, Read::PRESENT)
    }
}

/// Returns the rows that a cursor shows.
pub(super) fn rows_of<E: Engine>(
    shard: &E,
    partition: &E::Partition,
    range: &KeyRange,
    direction: Direction,
    read: Read<'_, E::Snapshot>,
) -> Vec<Row> {
    rest(shard.cursor(partition, range, direction, read).unwrap())
}

/// Returns the rows from where a cursor stands.
pub(super) fn rest(mut cursor: impl super::Cursor) -> Vec<Row> {
    let mut rows = Vec::new();
    while let Some((key, value)) = cursor.row() {
        assert_eq!(cursor.key(), Some(key));
        rows.push((key.to_vec(), value.to_vec()));
        cursor.advance();
    }
    assert_eq!(cursor.key(), None);
    cursor.status().unwrap();
    rows
}

pub(super) fn row(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Row {
    (key.as_ref().to_vec(), value.as_ref().to_vec())
}

/// Opens an empty log below a directory, which takes records.
pub(super) fn log_in(directory: &Path) -> Arc<CommitLog> {
    let log = open_log(directory);
    log.finish_replay();
    log
}

/// Opens the log below a directory.
fn open_log(directory: &Path) -> Arc<CommitLog> {
    let log = CommitLog::open(LogOptions {
        copies: vec![CopyOptions::only(directory.join("log"))],
        record: None,
        store: 7,
        access: LogAccess::Written,
        damage: LogDamage::Refuse,
        must_exist: false,
        segment_bytes: 1 << 20,
        keep_bytes: 0,
        hold: false,
        guard: None,
        clock: Arc::new(crate::clock::HybridClock::new(Arc::new(crate::clock::SystemClock))),
    });
    log.unwrap()
}

/// Waits until something is so.
pub(super) fn wait_until(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Makes a test of each that an engine must pass. `$subject` is a path from the root of the crate.
macro_rules! conforms {
    ($subject:ty) => {
        $crate::engine::conformance::conforms! { @each $subject;
            reads {
                a_write_is_read_at_once
                keys_and_values_may_be_any_bytes
                several_keys_are_read_in_their_order
                memory_is_asked_without_a_guess
                a_deadline_ends_a_read_or_changes_nothing
                a_reader_never_goes_back
            }
            writes {
                a_batch_takes_effect_in_the_order_of_its_operations
                a_batch_is_whole_for_readers
                a_range_is_deleted_without_its_end
                an_empty_batch_changes_nothing
                a_batch_that_does_not_wait_is_applied
            }
            cursors {
                a_cursor_keeps_to_its_range
                a_range_without_keys_has_no_rows
                a_cursor_shows_what_was_there_when_it_was_made
                a_long_scan_is_in_order_in_both_directions
            }
            snapshots {
                a_snapshot_sees_nothing_later
                a_snapshot_outlives_flush_and_compaction
                a_snapshot_is_one_moment_of_all_partitions
            }
            partitions {
                partitions_share_no_keys
                a_partition_is_there_after_a_crash
                a_dropped_partition_stays_readable_and_does_not_come_back
                a_name_is_used_again_empty_or_not_at_all
                a_load_is_there_after_a_crash
                a_load_that_fails_leaves_no_partition
                a_link_shares_what_is_there_where_it_is_possible
                sizes_grow_with_what_is_stored
                samples_are_keys_of_the_partition
                a_compaction_keeps_the_rows
                what_is_held_stays_readable_after_background_work_ends
                a_retired_shard_is_removed_with_its_last_handle
            }
            log {
                a_shard_needs_the_log_from_its_oldest_write_in_memory
                the_log_is_synced_before_a_file_exists
                the_log_is_synced_before_a_full_buffer_is_a_file
                the_log_is_synced_before_a_load_arrives
                what_was_not_flushed_is_left_to_the_log
                a_flush_that_is_begun_moves_the_position_when_it_has_ended
                a_full_buffer_moves_the_position
                a_partition_that_catches_up_needs_the_whole_log
                a_partition_that_lacks_a_record_keeps_it
            }
            model {
                a_shard_agrees_with_a_map_over_crashes
            }
        }
    };
    (@each $subject:ty; $($group:ident { $($test:ident)+ })+) => {
        $(mod $group {
            $(
                #[test]
                fn $test() {
                    $crate::engine::conformance::$group::$test::<$subject>();
                }
            )+
        })+
    };
}
pub(in crate::engine) use conforms;
