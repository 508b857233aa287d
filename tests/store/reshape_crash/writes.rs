//! The writes of the writers, and what must therefore be there.

use crate::basic::both;
use annulus::{Batch, Store, Swap};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) const WRITERS: u64 = 4;

/// Keys begin with one of these, so that each writer has some in every range.
const LETTERS: [&str; 6] = ["a", "d", "h", "m", "r", "w"];
const KEYS_PER_LETTER: usize = 2;

/// Keyspace and key; with a value, an entry of a store.
type Place = (usize, String);
pub(super) type Rows = BTreeMap<Place, Vec<u8>>;

enum Act {
    Put(Place, Vec<u8>),
    Delete(Place),
    Batch(Vec<(Place, Option<Vec<u8>>)>),
    /// The keys of one letter.
    DeleteRange(Place),
    Swap(Place, Option<Vec<u8>>, Option<Vec<u8>>),
}

/// One writer: its part of the rows, and how many of its writes they reflect.
pub(super) struct Writer {
    seed: u64,
    number: u64,
    rows: Rows,
    done: u64,
    /// Whether it is known whether the write in progress took effect.
    settled: bool,
}

/// Everything in the store.
pub(super) fn rows(store: &Store) -> Rows {
    let mut all = Rows::new();
    for (index, keyspace) in both(store).iter().enumerate() {
        for row in keyspace.scan(..).unwrap() {
            let (key, value) = row.unwrap();
            assert_eq!(keyspace.get(&key).unwrap().as_deref(), Some(&value[..]));
            all.insert((index, String::from_utf8(key).unwrap()), value);
        }
    }
    all
}

impl Writer {
    pub(super) fn new(seed: u64, number: u64) -> Self {
        Self { seed, number, rows: Rows::new(), done: 0, settled: true }
    }

    /// Returns the file with a byte for each acknowledged write.
    fn notes(&self, directory: &Path) -> PathBuf {
        directory.join(format!("notes-{}", self.number))
    }

    /// Returns the file with the number of writes before those that the notes count.
    fn base(&self, directory: &Path) -> PathBuf {
        directory.join(format!("base-{}", self.number))
    }

    pub(super) fn prepare_notes(&mut self, directory: &Path) {
        self.settled = false;
        fs::write(self.notes(directory), "").unwrap();
        fs::write(self.base(directory), self.done.to_string()).unwrap();
    }

    fn is_mine(&self, place: &Place) -> bool {
        place.1[1..].starts_with(&format!("{}/", self.number))
    }

    fn mine(&self, rows: &Rows) -> Rows {
        let mine = rows.iter().filter(|(place, _)| self.is_mine(place));
        mine.map(|(place, value)| (place.clone(), value.clone())).collect()
    }

    /// The child's part: writes until it dies.
    pub(super) fn go_on(&mut self, store: &Store, directory: &Path, there: &Rows) {
        self.rows = self.mine(there);
        self.done = fs::read_to_string(self.base(directory)).unwrap().parse().unwrap();
        let mut notes = OpenOptions::new().append(true).open(self.notes(directory)).unwrap();
        loop {
            let act = self.act(self.done);
            act.write(store);
            act.apply(&mut self.rows);
            self.done += 1;
            notes.write_all(b".").unwrap();
            if self.done.is_multiple_of(16) {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
    }

    /// The parent's part: checks that the acknowledged writes are there; the next one may be.
    /// Returns how many rows this writer has.
    pub(super) fn settle(&mut self, directory: &Path, rows: &Rows, what: &str) -> usize {
        let noted = fs::read(self.notes(directory)).unwrap().len();
        let base: u64 = fs::read_to_string(self.base(directory)).unwrap().parse().unwrap();
        while self.done < base + noted as u64 {
            self.act(self.done).apply(&mut self.rows);
            self.done += 1;
        }
        let present = self.mine(rows);
        if present != self.rows && !self.settled {
            self.act(self.done).apply(&mut self.rows);
            self.done += 1;
        }
        self.settled = true;
        for place in present.keys().chain(self.rows.keys()) {
            let number = |value: Option<&Vec<u8>>| {
                value.map(|value| {
                    String::from_utf8_lossy(&value[..value.len().min(12)]).into_owned()
                })
            };
            let (found, expected) = (present.get(place), self.rows.get(place));
            assert!(
                found == expected,
                "{what}: writer {} after {} writes: {place:?} is {:?}, not {:?}",
                self.number,
                self.done,
                number(found),
                number(expected)
            );
        }
        present.len()
    }

    fn place(&self, random: &mut fastrand::Rng) -> Place {
        let (letter, n) = (random.choice(LETTERS).unwrap(), random.usize(..KEYS_PER_LETTER));
        (random.usize(..2), format!("{letter}{}/{n}", self.number))
    }

    /// Returns the write with this number; it depends on the rows only for what a swap expects.
    fn act(&self, number: u64) -> Act {
        let seed = self.seed ^ self.number << 56 ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = fastrand::Rng::with_seed(seed);
        let place = self.place(&mut random);
        let value = |random: &mut fastrand::Rng, long: usize| {
            format!("{number}:{}", ".".repeat(random.usize(..long))).into_bytes()
        };
        match random.u32(..100) {
            0..=39 => Act::Put(place, value(&mut random, 200)),
            40..=54 => Act::Delete(place),
            55..=74 => {
                let mut writes = Vec::new();
                for _ in 0..random.usize(2..7) {
                    let put = (random.u32(..4) > 0).then(|| value(&mut random, 4000));
                    writes.push((self.place(&mut random), put));
                }
                Act::Batch(writes)
            }
            75..=76 => Act::DeleteRange(place),
            _ => {
                let present = self.rows.get(&place).cloned();
                let expected = match random.u32(..4) {
                    0 => Some(b"never written".to_vec()),
                    _ => present,
                };
                let new = (random.u32(..4) > 0).then(|| value(&mut random, 200));
                Act::Swap(place, expected, new)
            }
        }
    }
}

impl Act {
    fn write(&self, store: &Store) {
        let keyspaces = both(store);
        match self {
            Self::Put((keyspace, key), value) => keyspaces[*keyspace].put(key, value).unwrap(),
            Self::Delete((keyspace, key)) => keyspaces[*keyspace].delete(key).unwrap(),
            Self::Batch(writes) => {
                let mut batch = Batch::new();
                for ((keyspace, key), value) in writes {
                    match value {
                        Some(value) => batch.put(&keyspaces[*keyspace], key, value),
                        None => batch.delete(&keyspaces[*keyspace], key),
                    }
                }
                store.write(batch).unwrap();
            }
            Self::DeleteRange((keyspace, key)) => {
                let letter = &key[..key.len() - 1];
                keyspaces[*keyspace].delete_range(annulus::Prefix::new(letter)).unwrap();
            }
            Self::Swap((keyspace, key), expected, new) => {
                let (old, new) = (expected.as_deref(), new.as_deref());
                let swap = keyspaces[*keyspace].compare_and_swap(key, old, new).unwrap();
                let must = expected.as_deref() != Some(b"never written");
                assert_eq!(matches!(swap, Swap::Swapped), must, "{key}: {swap:?}");
            }
        }
    }

    fn apply(&self, rows: &mut Rows) {
        let mut set = |place: &Place, value: &Option<Vec<u8>>| match value {
            Some(value) => drop(rows.insert(place.clone(), value.clone())),
            None => drop(rows.remove(place)),
        };
        match self {
            Self::Put(place, value) => set(place, &Some(value.clone())),
            Self::Delete(place) => set(place, &None),
            Self::Batch(writes) => writes.iter().for_each(|(place, value)| set(place, value)),
            Self::DeleteRange((keyspace, key)) => {
                let letter = &key[..key.len() - 1];
                rows.retain(|(at, name), _| at != keyspace || !name.starts_with(letter));
            }
            Self::Swap(place, expected, new) => {
                if expected.as_deref() != Some(b"never written") {
                    set(place, new);
                }
            }
        }
    }
}
