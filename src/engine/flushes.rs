//! From which position of the log each family of a shard needs it: what files hold, decided from
//! what RocksDB reports about memtables and flushes.
//!
//! RocksDB numbers the writes of a database. When a memtable is sealed it reports the number of the
//! memtable's first write, and when a flush is installed, the number of the last write in its file.
//! A family's memtables follow each other, and their files are installed in that order: so all
//! memtables whose first number is not above that last one are in files, however many of them a
//! flush takes, and whatever asked for it: a full memtable, the budget over all of them, or a caller.
//! A flush that fails is not reported, and a later one takes its memtables, too. RocksDB drops from
//! a file what a later write has replaced, never the last write; if it did, or a report were
//! missing, the position would be lower than it could be, which only keeps the log longer.
//!
//! IMPORTANT: the position that belongs to a sealed memtable is the log's `applied()` during the
//! report. RocksDB lets no writer in before the report returns, so the next memtable is empty, and
//! what was applied before that position is in the sealed one, or an earlier one. A family that is
//! still catching up by reading the log, or that lacks a record which could not be applied, has
//! less than that: nothing is noted for it until it follows.

use crate::log::Position;
use crate::topology::PartitionName;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};

/// A memtable that takes no more writes.
struct Sealed {
    /// The number of its first write, or that of an earlier memtable if it has none: it counts as
    /// flushed when a flush has reached that number.
    first: u64,
    /// What was applied to the family before this position is in this memtable or before it.
    applied: Position,
}

/// What is known of a family.
struct Flushed {
    /// Files hold everything that was written to the family before this position.
    before: Position,
    /// True if records are applied to it along with all others.
    follows: bool,
    /// The greatest number of a write in a file that a flush has installed.
    installed: u64,
    /// The memtables that may not be in files, oldest first.
    sealed: VecDeque<Sealed>,
}

impl Flushed {
    fn new(before: Position, follows: bool) -> Self {
        Self { before, follows, installed: 0, sealed: VecDeque::new() }
    }

    fn seal(&mut self, first: u64, applied: Position) {
        if !self.follows {
            return;
        }
        let first = self.sealed.back().map_or(first, |before| first.max(before.first));
        self.sealed.push_back(Sealed { first, applied });
        // The flush may have been reported before the seal.
        self.advance();
    }

    fn install(&mut self, last: u64) {
        self.installed = self.installed.max(last);
        self.advance();
    }

    fn advance(&mut self) {
        while let Some(sealed) = self.sealed.front().filter(|front| front.first <= self.installed) {
            self.before = self.before.max(sealed.applied);
            self.sealed.pop_front();
        }
    }

    /// Takes note that files hold everything before a position.
    fn reach(&mut self, before: Position) {
        self.before = self.before.max(before);
        let now = self.before;
        // A memtable that does not move the position says nothing.
        while self.sealed.front().is_some_and(|front| front.applied <= now) {
            self.sealed.pop_front();
        }
    }
}

/// Up to where files hold a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FlushState {
    pub(super) name: PartitionName,
    pub(super) before: Position,
    /// True if what is applied at the log's `applied()` is applied to this family, too.
    pub(super) follows: bool,
}

/// The families of a shard.
#[derive(Default)]
pub(super) struct Flushes(Mutex<BTreeMap<PartitionName, Flushed>>);

impl Flushes {
    /// Begins with a family that follows, and of which files hold everything before a position.
    pub(super) fn add(&self, name: PartitionName, from: impl FnOnce() -> Position) {
        let mut families = self.0.lock();
        families.insert(name, Flushed::new(from(), true));
    }

    /// Begins with a family that is yet to catch up with the log, from a position on.
    pub(super) fn add_behind(&self, name: PartitionName, from: impl FnOnce() -> Position) {
        let mut families = self.0.lock();
        families.insert(name, Flushed::new(from(), false));
    }

    pub(super) fn follow(&self, name: PartitionName, from: Position) {
        if let Some(family) = self.0.lock().get_mut(&name).filter(|family| !family.follows) {
            family.follows = true;
            family.before = family.before.max(from);
        }
    }

    /// Notes nothing more of a family that lacks a record, which is still in flight: so what is
    /// noted already, and what a caller has found by [`state`](Self::state), is before it.
    pub(super) fn stop_following(&self, name: PartitionName) {
        if let Some(family) = self.0.lock().get_mut(&name) {
            family.follows = false;
        }
    }

    pub(super) fn remove(&self, name: PartitionName) {
        self.0.lock().remove(&name);
    }

    /// Notes a sealed memtable; `applied` is the log's.
    pub(super) fn seal(&self, name: PartitionName, first: u64, applied: impl FnOnce() -> Position) {
        if let Some(family) = self.0.lock().get_mut(&name) {
            family.seal(first, applied());
        }
    }

    /// Notes an installed flush whose file ends with this write.
    pub(super) fn install(&self, name: PartitionName, last: u64) {
        if let Some(family) = self.0.lock().get_mut(&name) {
            family.install(last);
        }
    }

    /// Notes that files hold everything that was written to a family before a position, which the
    /// family must have followed at.
    pub(super) fn reach(&self, name: PartitionName, before: Position) {
        if let Some(family) = self.0.lock().get_mut(&name) {
            family.reach(before);
        }
    }

    /// Returns the log's `applied()`, and the state of each family at that position.
    pub(super) fn state(&self, applied: impl FnOnce() -> Position) -> (Position, Vec<FlushState>) {
        let families = self.0.lock();
        let state = families.iter().map(|(name, family)| FlushState {
            name: *name,
            before: family.before,
            follows: family.follows,
        });
        (applied(), state.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(id: u64) -> PartitionName {
        PartitionName { id: crate::PartitionId(id), generation: 0 }
    }

    fn before(flushes: &Flushes, id: u64) -> u64 {
        let (_, state) = flushes.state(Position::default);
        state.iter().find(|family| family.name == name(id)).unwrap().before.0
    }

    /// A shard with one family, which files hold up to position 10.
    fn one() -> Flushes {
        let flushes = Flushes::default();
        flushes.add(name(1), || Position(10));
        flushes
    }

    fn seal(flushes: &Flushes, first: u64, applied: u64) {
        flushes.seal(name(1), first, || Position(applied));
    }

    #[test]
    fn a_flush_takes_the_memtables_that_begin_before_its_end() {
        let flushes = one();
        seal(&flushes, 5, 100);
        seal(&flushes, 20, 200);
        seal(&flushes, 30, 300);
        assert_eq!(before(&flushes, 1), 10, "sealed is not flushed");
        // Of the first one, and of a part that replaces nothing: its last write has number 19.
        flushes.install(name(1), 19);
        assert_eq!(before(&flushes, 1), 100);
        // Of the other two together.
        flushes.install(name(1), 44);
        assert_eq!(before(&flushes, 1), 300);
    }

    #[test]
    fn a_flush_that_failed_is_made_up_for_by_the_next() {
        let flushes = one();
        seal(&flushes, 5, 100);
        seal(&flushes, 20, 200);
        flushes.install(name(1), 25);
        assert_eq!(before(&flushes, 1), 200);
    }

    #[test]
    fn the_report_of_a_flush_may_come_before_that_of_the_seal() {
        let flushes = one();
        flushes.install(name(1), 25);
        assert_eq!(before(&flushes, 1), 10);
        seal(&flushes, 20, 200);
        assert_eq!(before(&flushes, 1), 200);
        seal(&flushes, 26, 300);
        assert_eq!(before(&flushes, 1), 200);
    }

    /// RocksDB seals empty memtables when it recovers from an error.
    #[test]
    fn an_empty_memtable_is_flushed_with_the_one_before_it() {
        let flushes = one();
        seal(&flushes, 5, 100);
        seal(&flushes, 0, 200);
        assert_eq!(before(&flushes, 1), 10);
        flushes.install(name(1), 4);
        assert_eq!(before(&flushes, 1), 10);
        flushes.install(name(1), 9);
        assert_eq!(before(&flushes, 1), 200);
    }

    #[test]
    fn a_family_knows_only_its_own_flushes() {
        let flushes = one();
        flushes.add(name(2), || Position(50));
        seal(&flushes, 5, 100);
        flushes.install(name(2), 9);
        assert_eq!((before(&flushes, 1), before(&flushes, 2)), (10, 50));
        flushes.remove(name(1));
        // Reports that come late.
        seal(&flushes, 5, 100);
        flushes.install(name(1), 9);
        assert_eq!(flushes.state(Position::default).1.len(), 1);
        assert_eq!(before(&flushes, 2), 50);
    }

    /// What it has sealed while it catches up says nothing: records before `applied()` follow.
    #[test]
    fn a_family_that_catches_up_goes_by_its_seed() {
        let flushes = Flushes::default();
        flushes.add_behind(name(1), || Position(10));
        seal(&flushes, 5, 100);
        flushes.install(name(1), 9);
        assert_eq!(before(&flushes, 1), 10);
        flushes.follow(name(1), Position(40));
        assert_eq!(before(&flushes, 1), 40);
        flushes.follow(name(1), Position(60));
        assert_eq!(before(&flushes, 1), 40, "it follows already");
        seal(&flushes, 12, 200);
        flushes.install(name(1), 15);
        assert_eq!(before(&flushes, 1), 200);
    }

    /// What is in a file of a family that lacks a record does not release the record: not where its
    /// memtable was sealed meanwhile, nor where a caller has waited for the flush.
    #[test]
    fn a_family_that_lacks_a_record_notes_no_flush_until_it_has_it() {
        let flushes = one();
        seal(&flushes, 5, 100);
        // The record at 150 is in flight, and refused.
        flushes.stop_following(name(1));
        seal(&flushes, 20, 200);
        flushes.install(name(1), 29);
        assert_eq!(before(&flushes, 1), 100);
        let (_, state) = flushes.state(|| Position(300));
        assert!(
            state.iter().all(|family| !family.follows),
            "a caller that waits for a flush leaves it alone"
        );
        // Now it is applied, as number 30.
        flushes.follow(name(1), Position::default());
        assert_eq!(before(&flushes, 1), 100);
        seal(&flushes, 30, 400);
        assert_eq!(before(&flushes, 1), 100);
        flushes.install(name(1), 30);
        assert_eq!(before(&flushes, 1), 400);
    }

    #[test]
    fn a_flush_that_was_waited_for_counts_from_its_beginning() {
        let flushes = one();
        seal(&flushes, 5, 100);
        seal(&flushes, 20, 200);
        flushes.reach(name(1), Position(150));
        assert_eq!(before(&flushes, 1), 150);
        flushes.reach(name(1), Position(120));
        assert_eq!(before(&flushes, 1), 150);
        flushes.install(name(1), 25);
        assert_eq!(before(&flushes, 1), 200);
    }
}
