//! Whether a shard has room in memory for writes, known before they are in its database.
//!
//! RocksDB stops writes when a family has too many memtables that are not in files, or too many files to
//! merge. A write that it stops waits inside, with its stripes and the commit gate, as long as the disk of
//! its shard takes nothing. So writers ask before, and wait with nothing held.
//!
//! A family is stalled when it has [`SEALED_MAX`] sealed memtables, and a flush is running, which may make
//! room. Where nothing runs, flushes have failed: then the write goes on, and RocksDB says why. RocksDB
//! would take one memtable more ([`MEMTABLES`]), which is for the writers that have asked before the last
//! one was sealed: they find room. Whether it is so costs a lock to ask; so it is asked only after a
//! memtable was sealed, or RocksDB has reported that it slows a family down or stops it.

use super::database::RocksDb;
use super::stats::sealed_memtables;
use crate::engine::Engine as _;
use crate::os::failpoint;
use crate::topology::PartitionName;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

/// How many memtables a family may have, RocksDB's limit: one that is written, and some that are sealed.
pub(super) const MEMTABLES: i32 = 3;

/// How many of them are sealed when writers begin to wait.
const SEALED_MAX: u64 = 2;

/// Whether writes may have to wait. Shared with the listener.
#[derive(Default)]
pub(super) struct Stalls {
    may_be: AtomicBool,
    /// The families that may have too many sealed memtables.
    suspects: Mutex<BTreeSet<PartitionName>>,
}

impl Stalls {
    #[inline]
    pub(super) fn may_be(&self) -> bool {
        self.may_be.load(Ordering::Relaxed)
    }

    /// Notes that a memtable of a family was sealed. Other writers of the database wait meanwhile.
    pub(super) fn note_sealed(&self, name: PartitionName) {
        self.suspects.lock().insert(name);
        self.note();
    }

    /// Notes that RocksDB's condition of a family has changed.
    pub(super) fn note(&self) {
        self.may_be.store(true, Ordering::Release);
    }
}

impl RocksDb {
    /// Returns true if writes would have to wait.
    #[cold]
    pub(super) fn confirm_stall(&self) -> bool {
        if failpoint::skip("ask-for-room") {
            return false;
        }
        // IMPORTANT: both before asking, so that what changes meanwhile is noted again; and no lock is held
        // while RocksDB is asked, which may hold its own while it reports a sealed memtable.
        self.stalls.may_be.store(false, Ordering::SeqCst);
        let suspects = std::mem::take(&mut *self.stalls.suspects.lock());
        let is_full = |name: PartitionName| {
            let partition = self.partition(name)?;
            let sealed = sealed_memtables(&self.db, &partition)?;
            (sealed >= SEALED_MAX).then_some(name)
        };
        let full: BTreeSet<_> = suspects.iter().filter_map(|name| is_full(*name)).collect();
        let property = |name| self.db.property_int_value(name).ok().flatten().unwrap_or(0);
        let is_short = !full.is_empty() || property("rocksdb.is-write-stopped") > 0;
        let works =
            ["rocksdb.num-running-flushes", "rocksdb.num-running-compactions"].map(property);
        let is_stalled = is_short && works.into_iter().any(|running| running > 0);
        if is_short {
            self.stalls.suspects.lock().extend(full);
            self.stalls.note();
        }
        is_stalled
    }
}
