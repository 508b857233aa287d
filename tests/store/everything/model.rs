//! What the store should have: maps, and what follows from them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Each key with its value, and when it expires, from the beginning on; `None` for never.
pub(super) type Rows = BTreeMap<Vec<u8>, (Vec<u8>, Option<Duration>)>;
pub(super) type Entries = BTreeSet<(Vec<u8>, Vec<u8>)>;

/// The keyspaces: two with an index by words, of which the second has unique names as well, and two
/// whose rows expire, of which the second has no default lifetime.
pub(super) const KEYSPACES: usize = 4;
pub(super) const NAMED: usize = 1;
pub(super) const LIFETIME: Duration = Duration::from_secs(30 * 60);

pub(super) fn has_words(of: usize) -> bool {
    of < 2
}

pub(super) fn expires(of: usize) -> bool {
    of >= 2
}

/// The state of everything that applications see, at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub(super) now: Duration,
    pub(super) rows: [Rows; KEYSPACES],
}

/// A write of one keyspace.
#[derive(Debug, Clone)]
pub(super) enum Write {
    /// With the lifetime of its own, if it has one: `Some(None)` for ever.
    Put(Vec<u8>, Vec<u8>, Option<Option<Duration>>),
    Delete(Vec<u8>),
    DeleteRange(Vec<u8>, Vec<u8>),
    Add(Vec<u8>, i64),
}

impl Model {
    fn is_alive(&self, (_, expires): &(Vec<u8>, Option<Duration>)) -> bool {
        expires.is_none_or(|expires| expires > self.now)
    }

    pub(super) fn get(&self, of: usize, key: &[u8]) -> Option<Vec<u8>> {
        let row = self.rows[of].get(key).filter(|row| self.is_alive(row))?;
        Some(row.0.clone())
    }

    pub(super) fn alive(&self, of: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let rows = self.rows[of].iter().filter(|(_, row)| self.is_alive(row));
        rows.map(|(key, (value, _))| (key.clone(), value.clone())).collect()
    }

    /// Returns the rows that there are with their times.
    pub(super) fn times(&self, of: usize) -> Rows {
        let rows = self.rows[of].iter().filter(|(_, row)| self.is_alive(row));
        rows.map(|(key, row)| (key.clone(), row.clone())).collect()
    }

    pub(super) fn counter(&self, of: usize, key: &[u8]) -> i64 {
        self.get(of, key).map_or(0, |value| i64::from_le_bytes(value.try_into().unwrap()))
    }

    /// Makes a write, whether or not a unique index allows it.
    pub(super) fn apply(&mut self, of: usize, write: &Write) {
        let default = match of {
            2 => Some(self.now + LIFETIME),
            _ => None,
        };
        match write {
            Write::Put(key, value, lifetime) => {
                let until = match lifetime {
                    Some(own) => own.map(|own| self.now + own),
                    None => default,
                };
                self.rows[of].insert(key.clone(), (value.clone(), until));
            }
            Write::Delete(key) => drop(self.rows[of].remove(key)),
            Write::DeleteRange(start, end) => {
                self.rows[of].retain(|key, _| key < start || key >= end);
            }
            Write::Add(key, n) => {
                let after = self.counter(of, key) + n;
                self.rows[of].insert(key.clone(), (after.to_le_bytes().into(), default));
            }
        }
    }

    /// Returns the same after a write; `None` if two rows had one name then.
    pub(super) fn after(&self, of: usize, write: &Write) -> Option<Self> {
        let mut after = self.clone();
        after.apply(of, write);
        after.has_unique_names().then_some(after)
    }

    pub(super) fn has_unique_names(&self) -> bool {
        let alive = self.alive(NAMED);
        alive.iter().filter(|(_, value)| value.starts_with(b"@")).count() == self.names().len()
    }

    /// Returns each name, once.
    fn names(&self) -> BTreeSet<Vec<u8>> {
        let alive = self.alive(NAMED).into_iter();
        alive.filter_map(|(_, value)| value.strip_prefix(b"@").map(<[u8]>::to_vec)).collect()
    }

    /// Returns what the index by words should have.
    pub(super) fn words(&self, of: usize) -> Entries {
        let of_row = |(key, value): (Vec<u8>, Vec<u8>)| {
            words_of(&value).into_iter().map(|word| (word, key.clone())).collect::<Vec<_>>()
        };
        self.alive(of).into_iter().flat_map(of_row).collect()
    }

    /// Returns what the index by names should have.
    pub(super) fn named(&self) -> Entries {
        let name = |(key, value): (Vec<u8>, Vec<u8>)| {
            value.strip_prefix(b"@").map(|name| (name.to_vec(), key))
        };
        self.alive(NAMED).into_iter().filter_map(name).collect()
    }
}

pub(super) fn words_of(value: &[u8]) -> Vec<Vec<u8>> {
    let words = value.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    words.map(<[u8]>::to_vec).collect()
}
