//! A stand-in for the store's log: records in their order, and which of them are in flight.

use super::super::sync::{Mutex, MutexGuard};
use super::engine::{Key, Rows};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::PoisonError;

/// The writes of a record, which take effect together.
pub(super) type Record = Vec<(Key, Option<u64>)>;

#[derive(Default)]
struct Inner {
    records: Vec<Record>,
    in_flight: BTreeSet<usize>,
}

impl Inner {
    fn has_since(&self, from: usize, key: Key) -> bool {
        self.records[from..].iter().flatten().any(|(written, _)| *written == key)
    }
}

/// A log. A position is a number of records. Each call is one step, like those of an engine.
#[derive(Default)]
pub(super) struct Log {
    inner: Mutex<Inner>,
    /// All writes, for checks: not on the explorer's locks, since observing must not switch
    /// threads.
    writes: std::sync::Mutex<Record>,
}

/// A record that is perhaps not applied yet.
pub(super) struct InFlight<'a> {
    log: &'a Log,
    position: usize,
}

impl InFlight<'_> {
    pub(super) fn position(&self) -> usize {
        self.position
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        // A task that has failed must not switch to another.
        if !std::thread::panicking() {
            self.log.inner.lock().in_flight.remove(&self.position);
        }
    }
}

impl Log {
    pub(super) fn append(&self, record: &[(Key, Option<u64>)]) -> InFlight<'_> {
        self.append_to(self.inner.lock(), record)
    }

    fn append_to(
        &self,
        mut inner: MutexGuard<'_, Inner>,
        record: &[(Key, Option<u64>)],
    ) -> InFlight<'_> {
        let position = inner.records.len();
        inner.records.push(record.to_vec());
        inner.in_flight.insert(position);
        self.writes.lock().unwrap_or_else(PoisonError::into_inner).extend(record);
        InFlight { log: self, position }
    }

    /// Appends a record in one step with the look whether a record since a position has a key; then
    /// it does not.
    pub(super) fn append_after(
        &self,
        record: &[(Key, Option<u64>)],
        from: usize,
        read: Key,
    ) -> Option<InFlight<'_>> {
        let inner = self.inner.lock();
        if inner.has_since(from, read) {
            return None;
        }
        Some(self.append_to(inner, record))
    }

    /// Returns true if no record since a position has a key.
    pub(super) fn is_unchanged(&self, from: usize, read: Key) -> bool {
        !self.inner.lock().has_since(from, read)
    }

    /// Returns the position below which every record has been applied.
    pub(super) fn applied(&self) -> usize {
        let inner = self.inner.lock();
        inner.in_flight.first().copied().unwrap_or(inner.records.len())
    }

    pub(super) fn end(&self) -> usize {
        self.inner.lock().records.len()
    }

    /// Returns the writes of the records from a position on, and advances it to the end.
    pub(super) fn read(&self, from: &mut usize) -> Record {
        let inner = self.inner.lock();
        let writes = inner.records[*from..].concat();
        *from = inner.records.len();
        writes
    }

    /// Returns the writes of a part of the records.
    pub(super) fn part(&self, part: Range<usize>) -> Record {
        self.inner.lock().records[part].concat()
    }

    /// Returns true if some record has this write.
    pub(super) fn has(&self, key: Key, value: Option<u64>) -> bool {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner).contains(&(key, value))
    }

    /// Returns what an opening makes of the log: the last write of each key.
    pub(super) fn replayed(&self) -> Rows {
        let writes: BTreeMap<_, _> = self.inner.lock().records.iter().flatten().copied().collect();
        writes.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}
