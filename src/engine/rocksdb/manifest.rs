//! The parts of RocksDB's manifest that an opening has to judge: whether it is sound up to its end,
//! and which logs it still needs.

use super::mending::{Opening, torn};
use super::wal_format::{Break, Walk, walk};
use crate::error::{Error, ErrorKind, Result};
use crate::log::LogLoss;
use crate::os::files::cannot;
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

    /// Cuts off the end that a power cut has torn, or leaves it to RocksDB if the database is opened
    /// read-only. Returns what was lost.
    ///
    /// | what is there | it is | done |
    /// |---|---|---|
    /// | sound records to the end | a sound manifest | nothing |
    /// | anything, and nothing sound after it | a torn end | it is cut there |
    /// | zeros from the end of a record to the end of a sector, in the last block | the same | the same |
    /// | anything else, or no sound record at all | damage | refused |
    ///
    /// Only what was never synced can be torn, and nothing was done that depends on it: RocksDB syncs
    /// the manifest before it uses or removes a file by it. If more than that is cut off, RocksDB
    /// refuses to open for what is missing. Sound records may follow zeros, where several were
    /// written before a sync: RocksDB does not see them, either.
    ///
    /// IMPORTANT: damage is refused here and not left to RocksDB, which never returns from a
    /// manifest in which a record has the type of those in files that are used again.
    ///
    /// # Errors
    ///
    /// `Damaged`, as the table says.
    pub(super) fn end(&self, opening: Opening) -> Result<Option<LogLoss>> {
        let Some(broken) = &self.walk.broken else { return Ok(None) };
        let is_torn = broken.next.is_none() || broken.padding;
        if !is_torn || self.walk.records == 0 {
            return Err(self.refusal(broken));
        }
        opening.cut(&self.path, broken)?;
        Ok(Some(torn(&self.path, &self.walk, broken, broken.next.is_some())))
    }

    fn refusal(&self, broken: &Break) -> Error {
        let (manifest, offset) = (self.path.display(), broken.offset);
        let directory = self.path.parent().unwrap_or(&self.path).display();
        let and = match broken.next {
            Some(next) => format!("and sound records follow from offset {next} on"),
            None => "and has no sound record".to_owned(),
        };
        let cause =
            format!("Corruption: the manifest {manifest} is damaged at offset {offset}, {and}");
        Error::new(
            ErrorKind::Damaged,
            format!("cannot open the database in {directory}; restore it from a copy"),
        )
        .with_source(Error::new(ErrorKind::Damaged, cause))
    }
}

/// Judges the manifest of a shard, which has no logs, and cuts off its torn end: see
/// [`Manifest::end`].
pub(super) fn end_of_manifest(directory: &Path, opening: Opening) -> Result<Option<LogLoss>> {
    Manifest::read(directory)?.map_or(Ok(None), |manifest| manifest.end(opening))
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

    /// Makes a database with a row in a table. Returns its manifest.
    fn flushed() -> (tempfile::TempDir, Manifest) {
        let directory = tempfile::tempdir().unwrap();
        let resources = Resources::new(&EngineOptions::small(LogDamage::Refuse), 1);
        let db = MetadataEngine::open(directory.path(), &resources, None).unwrap();
        db.put(b"key", b"value", Durability::Synced).unwrap();
        db.flush().unwrap();
        drop(db);
        let manifest = Manifest::read(directory.path()).unwrap().unwrap();
        (directory, manifest)
    }

    /// Of several edits that were written before one sync, the first may be lost: they are cut with
    /// it, and RocksDB does not see them, either.
    #[test]
    fn edits_behind_a_lost_one_are_cut() {
        let (directory, manifest) = flushed();
        let resources = Resources::new(&EngineOptions::small(LogDamage::Refuse), 1);
        let sound = std::fs::read(&manifest.path).unwrap();
        let sector = sound.len() / 512 * 512 + 512;
        let mut torn = sound.clone();
        torn.resize(sector, 0);
        // Any sound record will do.
        torn.extend(sound.get(..100).unwrap());
        std::fs::write(&manifest.path, torn).unwrap();
        let torn = Manifest::read(directory.path()).unwrap().unwrap();
        assert!(matches!(torn.walk.broken, Some(Break { next: Some(_), .. })), "{:?}", torn.walk);
        let read_only = MetadataEngine::open_read_only(directory.path(), &resources, None).unwrap();
        assert!(read_only.get(b"key").unwrap().is_some());
        drop(read_only);
        let db = MetadataEngine::open(directory.path(), &resources, None).unwrap();
        assert!(
            matches!(db.lost(), [LogLoss::Torn { offset, .. }] if *offset == sound.len() as u64),
            "{:?}",
            db.lost()
        );
        assert!(db.get(b"key").unwrap().is_some());
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
        let (_directory, whole) = flushed();
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
