//! The follower: it reads from the log what is written to the sources while targets are made.
//!
//! It begins before the first target is seeded, at a position below which everything had been
//! applied: the *birth position* of the targets. A snapshot or a flush that comes later has all of
//! that. What comes after it is in the log, in the order in which it took effect, and is applied to
//! the targets in that order; so it does not matter that a seed has some of it already.
//!
//! IMPORTANT: the log is pinned at the birth position, and not at the position that has been read.
//! Of a target, what was written since its birth is only in memory and in the log, and its engine
//! cannot know how much of it that is: what it notes when a memtable is full, that everything before
//! `applied()` is in it or in files, holds for partitions to which writers write and not for one that
//! lags behind the log. So it notes nothing until [`follow`](crate::engine::Engine::follow) is
//! called, when the target has everything; and only then the pin goes.

use crate::catalog::Catalog;
use crate::error::Result;
use crate::id::KeyspaceId;
use crate::log::{Operation, Pin, Position, Reader};
use crate::placement::KeyRange;
use crate::read::RowFilter;
use std::sync::Arc;
use std::time::Instant;

/// How much is held in memory at once: bytes of keys and values, unless one record has more.
const BYTES_PER_ROUND: usize = 4 << 20;

/// How much of the log is read at once, if little of it concerns the sources.
const LOG_BYTES_PER_ROUND: u64 = 64 << 20;

/// A reader of what is written to the sources.
pub(crate) struct Follower {
    catalog: Arc<Catalog>,
    keyspace: KeyspaceId,
    /// The keys or tokens of all sources together.
    rows: RowFilter,
    birth: Position,
    pin: Option<Pin>,
    reader: Reader,
}

impl Drop for Follower {
    fn drop(&mut self) {
        if let Some(pin) = self.pin.take() {
            self.catalog.drop_pin(pin);
        }
    }
}

impl Follower {
    /// Begins at a position below which everything is in the sources.
    pub(crate) fn begin(
        catalog: &Arc<Catalog>,
        keyspace: KeyspaceId,
        rows: RowFilter,
    ) -> Result<Self> {
        let pin = catalog.log.pin();
        let birth = pin.position();
        let reader = catalog.log.read(birth)?;
        Ok(Self { catalog: Arc::clone(catalog), keyspace, rows, birth, pin: Some(pin), reader })
    }

    /// Returns the position at which it began.
    pub(crate) fn birth(&self) -> Position {
        self.birth
    }

    /// Returns the position up to which it has read.
    pub(crate) fn position(&self) -> Position {
        self.reader.position()
    }

    /// Returns the present end of the log.
    pub(crate) fn end(&self) -> Position {
        self.catalog.log.end()
    }

    /// Returns how many bytes of the log are still to be read.
    pub(crate) fn bytes_behind(&self) -> u64 {
        self.bytes_to(self.end())
    }

    /// Returns how many bytes there are up to a position.
    fn bytes_to(&self, end: Position) -> u64 {
        end.0.saturating_sub(self.reader.position().0)
    }

    /// Reads on, up to a position, or until enough is in memory. It also ends at a record that its
    /// writer, perhaps of another partition, has begun and not finished.
    pub(crate) fn follow(&mut self, end: Position) -> Result<Changes> {
        let mut changes = Changes::default();
        let stop = Position(end.0.min(self.reader.position().0 + LOG_BYTES_PER_ROUND));
        self.read_to(stop, &mut changes)?;
        Ok(changes)
    }

    /// Reads everything up to a position; waits for writers that have not finished their records,
    /// and calls `wait` each time, which may end that with an error.
    pub(crate) fn follow_all(
        &mut self,
        end: Position,
        mut wait: impl FnMut() -> Result<()>,
    ) -> Result<Changes> {
        let mut changes = Changes::default();
        while self.bytes_to(end) > 0 {
            let before = self.reader.position();
            changes.append(self.follow(end)?);
            if self.reader.position() == before {
                wait()?;
                std::thread::yield_now();
            }
        }
        Ok(changes)
    }

    /// Like [`follow_all`](Self::follow_all), with writers waiting: ends at the deadline, or with a
    /// full round. Returns what was read, and whether that was everything.
    pub(crate) fn follow_until(
        &mut self,
        end: Position,
        deadline: Instant,
    ) -> Result<(Changes, bool)> {
        let mut changes = Changes::default();
        while self.bytes_to(end) > 0 {
            self.read_to(end, &mut changes)?;
            let all = self.bytes_to(end) == 0;
            if !all && (changes.bytes() >= BYTES_PER_ROUND || Instant::now() >= deadline) {
                return Ok((changes, false));
            }
            std::thread::yield_now();
        }
        Ok((changes, true))
    }

    /// Reads as far as there are whole records, and as far as a round goes.
    fn read_to(&mut self, end: Position, changes: &mut Changes) -> Result<()> {
        while self.reader.position() < end && changes.bytes() < BYTES_PER_ROUND {
            let Some(record) = self.reader.next()? else { break };
            for operation in record.operations() {
                changes.push_if(operation, self.keyspace, &self.rows);
            }
        }
        Ok(())
    }
}

/// What was written to the sources, in the order in which it took effect.
#[derive(Default)]
pub(crate) struct Changes {
    /// The keys and values, one after the other.
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

/// A change, and how long its two parts are.
struct Entry {
    kind: Kind,
    first: usize,
    second: usize,
}

#[derive(Clone, Copy)]
enum Kind {
    Put,
    Delete,
    DeleteRange,
}

/// One of the changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change<'a> {
    Put { key: &'a [u8], value: &'a [u8] },
    Delete { key: &'a [u8] },
    DeleteRange { start: &'a [u8], end: &'a [u8] },
}

impl Changes {
    /// Returns how many there are.
    pub(crate) const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns how many bytes of keys and values they have.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn push(&mut self, change: Change<'_>) {
        let (kind, first, second): (_, _, &[u8]) = match change {
            Change::Put { key, value } => (Kind::Put, key, value),
            Change::Delete { key } => (Kind::Delete, key, &[]),
            Change::DeleteRange { start, end } => (Kind::DeleteRange, start, end),
        };
        self.bytes.extend_from_slice(first);
        self.bytes.extend_from_slice(second);
        self.entries.push(Entry { kind, first: first.len(), second: second.len() });
    }

    /// Adds an operation if it concerns these rows of a keyspace.
    fn push_if(&mut self, operation: Operation<'_>, wanted: KeyspaceId, rows: &RowFilter) {
        if operation.keyspace() != wanted {
            return;
        }
        let (concerns_rows, change) = match operation {
            Operation::Put { key, value, .. } => (rows.has(key), Change::Put { key, value }),
            Operation::PutUntil { key, value, .. } => {
                (rows.has(key), Change::Put { key, value: value.bytes() })
            }
            Operation::Delete { key, .. } => (rows.has(key), Change::Delete { key }),
            Operation::DeleteRange { start, end, .. } => {
                (may_meet(rows, start, end), Change::DeleteRange { start, end })
            }
            Operation::Previous { .. } => return,
        };
        if concerns_rows {
            self.push(change);
        }
    }

    /// Adds those that came later.
    fn append(&mut self, mut later: Self) {
        self.bytes.append(&mut later.bytes);
        self.entries.append(&mut later.entries);
    }

    /// Returns the changes, the first one first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Change<'_>> {
        let mut rest = self.bytes.as_slice();
        let mut take = move |bytes| {
            let (taken, left) = rest.split_at(bytes);
            rest = left;
            taken
        };
        self.entries.iter().map(move |entry| {
            let (first, second) = (take(entry.first), take(entry.second));
            match entry.kind {
                Kind::Put => Change::Put { key: first, value: second },
                Kind::Delete => Change::Delete { key: first },
                Kind::DeleteRange => Change::DeleteRange { start: first, end: second },
            }
        })
    }
}

/// Returns true if some of the rows may lie in a range of keys.
pub(crate) fn may_meet(rows: &RowFilter, start: &[u8], end: &[u8]) -> bool {
    match rows {
        RowFilter::Keys(span) => span.intersects(&KeyRange::new(start, Some(end))),
        RowFilter::All | RowFilter::Tokens(..) => start < end,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::Store;
    use crate::topology::KeyspaceSpec;

    /// Returns the changes in words.
    fn words(changes: &Changes) -> Vec<String> {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let word = |change| match change {
            Change::Put { key, value } => format!("{}={}", text(key), text(value)),
            Change::Delete { key } => format!("-{}", text(key)),
            Change::DeleteRange { start, end } => format!("-{}..{}", text(start), text(end)),
        };
        changes.iter().map(word).collect()
    }

    #[test]
    fn what_concerns_the_sources_is_read_in_its_order_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let [mine, other] = ["mine", "other"]
            .map(|name| store.create_keyspace(name, KeyspaceSpec::range()).unwrap());
        mine.put("c", "before").unwrap();
        let catalog = &store.core().catalog;
        let log = &catalog.log;
        let rows = RowFilter::Keys(KeyRange::new("b", Some("m")));
        let mut follower = Follower::begin(catalog, mine.id(), rows).unwrap();
        mine.put("c", "1").unwrap();
        mine.put("a", "outside").unwrap();
        other.put("c", "elsewhere").unwrap();
        mine.delete_range("a".."d").unwrap();
        mine.delete_range("m".."z").unwrap();
        mine.put("c", "2").unwrap();
        mine.delete("d").unwrap();
        let changes = follower.follow(log.end()).unwrap();
        assert_eq!(words(&changes), ["c=1", "-a..d", "c=2", "-d"]);
        assert_eq!((changes.len(), changes.bytes()), (4, 7));
        assert_eq!(follower.bytes_behind(), 0);
        mine.put("e", "3").unwrap();
        assert!(follower.bytes_behind() > 0);
        let changes = follower.follow_all(log.end(), || panic!("no writer")).unwrap();
        assert_eq!(words(&changes), ["e=3"]);
    }

    /// Goal: memory stays bounded however much was written. Method: more than a round of values.
    #[test]
    fn a_round_ends_when_enough_is_in_memory() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let keyspace = store.create_keyspace("k", KeyspaceSpec::hash()).unwrap();
        let catalog = &store.core().catalog;
        let log = &catalog.log;
        let mut follower = Follower::begin(catalog, keyspace.id(), RowFilter::All).unwrap();
        let value = vec![7; 1 << 20];
        for n in 0..10 {
            keyspace.put(format!("{n}"), &value).unwrap();
        }
        let end = follower.end();
        let mut keys = Vec::new();
        while follower.bytes_to(end) > 0 {
            let changes = follower.follow(end).unwrap();
            assert!((1..=BYTES_PER_ROUND + value.len() + 1).contains(&changes.bytes()));
            keys.extend(changes.iter().map(|change| match change {
                Change::Put { key, .. } => key.to_vec(),
                other => panic!("{other:?}"),
            }));
        }
        assert_eq!(keys, (0..10).map(|n| format!("{n}").into_bytes()).collect::<Vec<_>>());
        // The log from the birth on is kept.
        store.flush().unwrap();
        log.release(end);
        assert!(log.first() <= follower.birth());
    }
}
