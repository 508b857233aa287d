//! The parts of RocksDB's manifest that an opening has to judge: its end, and which logs it still
//! needs.

use super::files::cannot;
use super::wal_format::{Break, Walk, walk};
use crate::error::Result;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A manifest that was read, and the place where it stops being sound, if it does.
pub(super) struct Manifest {
    pub(super) path: PathBuf,
    pub(super) walk: Walk,
    /// The number of the oldest log that is needed: RocksDB does not read older ones, and removes
    /// them.
    pub(super) oldest_log: u64,
}

impl Manifest {
    /// Reads the present manifest of a database. Returns `None` if there is none, or nothing names
    /// it: RocksDB then reports what is wrong.
    pub(super) fn read(directory: &Path) -> Result<Option<Self>> {
        let Ok(name) = std::fs::read_to_string(directory.join("CURRENT")) else { return Ok(None) };
        let path = directory.join(name.trim_end());
        if !name.starts_with("MANIFEST-") || !path.is_file() {
            return Ok(None);
        }
        let mut needs = Needs::default();
        let walk = File::open(&path)
            .and_then(|mut file| walk(&mut file, |edit| needs.take(edit)))
            .map_err(|error| cannot("read", &path, error))?;
        Ok(Some(Self { path, walk, oldest_log: needs.oldest_log() }))
    }

    /// Returns where the manifest stops being sound, if nothing sound follows. Only that part can
    /// be unsynced, and nothing was done that depends on it: RocksDB syncs the manifest before it
    /// uses or removes a file by it. If more than that is cut off, RocksDB refuses to open for what
    /// is missing.
    pub(super) fn torn_end(&self) -> Option<&Break> {
        let broken = self.walk.broken.as_ref()?;
        (broken.next.is_none() && self.walk.records > 0).then_some(broken)
    }
}

/// What the edits of a manifest say about logs.
#[derive(Default)]
struct Needs {
    /// The oldest log that is needed, where an edit says that for the whole database.
    oldest: u64,
    /// The oldest log that some family needs, as its last edit says.
    oldest_of_family: u64,
    /// True once a second family was added, even if it was dropped since.
    several_families: bool,
}

impl Needs {
    /// Takes an edit: a sequence of tagged fields. RocksDB writes the single numbers first, and
    /// nothing after them is of use here.
    fn take(&mut self, edit: &[u8]) {
        const COMPARATOR: u64 = 1;
        const LOG: u64 = 2;
        const OLDEST_LOG: u64 = 10;
        const ADDED_FAMILY: u64 = 201;
        const GREATEST_FAMILY: u64 = 203;
        const DATABASE: u64 = (1 << 13) + 1;
        /// Next file, last write, previous log, family.
        const NUMBERS: [u64; 4] = [3, 4, 9, 200];
        let mut rest = edit;
        let mut take = || {
            match varint(&mut rest)? {
                LOG => self.oldest_of_family = varint(&mut rest)?.max(self.oldest_of_family),
                OLDEST_LOG => self.oldest = varint(&mut rest)?.max(self.oldest),
                ADDED_FAMILY => self.several_families = true,
                GREATEST_FAMILY => self.several_families |= varint(&mut rest)? > 0,
                COMPARATOR | DATABASE => {
                    let bytes = usize::try_from(varint(&mut rest)?).ok()?;
                    rest = rest.get(bytes..)?;
                }
                tag if NUMBERS.contains(&tag) => drop(varint(&mut rest)?),
                _ => return None,
            }
            Some(())
        };
        while take().is_some() {}
    }

    /// Returns the oldest log that is needed; 0 if that is not known.
    fn oldest_log(&self) -> u64 {
        // What one family needs is what the database needs if there is no other.
        let of_the_only_one = if self.several_families { 0 } else { self.oldest_of_family };
        self.oldest.max(of_the_only_one)
    }
}

/// Reads a number in groups of seven bits, the lowest first; all but the last have the highest bit
/// set.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::{MetadataEngine, Resources};
    use super::*;
    use crate::engine::{Durability, EngineOptions, LogDamage};

    /// The number is where this version of RocksDB writes it: after a flush the older log is no
    /// longer needed.
    #[test]
    fn the_oldest_log_that_is_needed_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let resources = Resources::new(&EngineOptions::small(LogDamage::Refuse), 1);
        let open = || MetadataEngine::open(directory.path(), &resources, None).unwrap();
        let oldest = || Manifest::read(directory.path()).unwrap().unwrap().oldest_log;
        let newest = || super::super::wal::logs(directory.path()).unwrap().pop().unwrap().0;
        let db = open();
        db.put(b"key", b"value", Durability::Buffered).unwrap();
        let before = newest();
        assert!(oldest() <= before);
        db.flush().unwrap();
        assert!(newest() > before);
        assert_eq!(oldest(), newest());
        drop(db);
        // Also from a manifest that another opening has begun.
        let db = open();
        db.put(b"key", b"value", Durability::Buffered).unwrap();
        assert!(oldest() > before);
        assert!(oldest() <= newest());
    }

    /// Adds family 1, which is called `p`.
    const ANOTHER_FAMILY: [u8; 7] = [0xc8, 1, 1, 0xc9, 1, 1, b'p'];

    fn oldest_log(edits: &[Vec<u8>]) -> u64 {
        let mut needs = Needs::default();
        edits.iter().for_each(|edit| needs.take(edit));
        needs.oldest_log()
    }

    /// A past bug: a power cut took the edit that says which logs the metadata needs, and the end of
    /// a log whose content the edit before it had moved into a table. The opening refused.
    #[test]
    fn the_only_family_of_a_database_says_which_logs_are_needed() {
        let directory = tempfile::tempdir().unwrap();
        let resources = Resources::new(&EngineOptions::small(LogDamage::Refuse), 1);
        let db = MetadataEngine::open(directory.path(), &resources, None).unwrap();
        db.put(b"key", b"value", Durability::Synced).unwrap();
        db.flush().unwrap();
        drop(db);
        let whole = Manifest::read(directory.path()).unwrap().unwrap();
        let content = std::fs::read(&whole.path).unwrap();
        let mut edits = Vec::new();
        walk(&mut &*content, |edit| edits.push(edit.to_vec())).unwrap();
        assert!(whole.oldest_log > 0);
        let (_, before_the_last) = edits.split_last().unwrap();
        assert_eq!(oldest_log(before_the_last), whole.oldest_log);
        // As soon as there may be others, the word of one is not enough.
        let several = [&[ANOTHER_FAMILY.to_vec()], before_the_last].concat();
        assert!(oldest_log(&several) < whole.oldest_log);
    }

    #[test]
    fn fields_before_it_are_passed_over() {
        let oldest_log_in = |edit: &[u8]| oldest_log(&[ANOTHER_FAMILY.to_vec(), edit.to_vec()]);
        let name = b"leveldb.BytewiseComparator";
        let mut edit =
            [&[1, name.len() as u8], &name[..], &[2, 9, 3, 0x80, 1, 0xcb, 1, 5]].concat();
        assert_eq!(oldest_log_in(&edit), 0);
        edit.extend([10, 0xac, 2, 4, 7]);
        assert_eq!(oldest_log_in(&edit), 300);
        for end in 0..edit.len() - 3 {
            assert_eq!(oldest_log_in(edit.get(..end).unwrap()), 0, "{end}");
        }
        assert_eq!(oldest_log(&[vec![2, 9, 3, 12]]), 9, "no other family is known");
        assert_eq!(
            oldest_log(&[vec![2, 9, 0xcb, 1, 5]]),
            0,
            "the greatest family is not the first"
        );
        // A tag that follows the numbers, and a number that does not end.
        assert_eq!(oldest_log_in(&[103, 10, 5]), 0);
        assert_eq!(oldest_log_in(&[&[10][..], &[0xff; 11]].concat()), 0);
    }
}
