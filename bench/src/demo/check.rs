//! Comparison of what a keyspace returns with what was put into it.

use annulus::{Keyspace, ReadOptions, ScanOptions};
use std::sync::atomic::{AtomicU32, Ordering};

/// A key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// How often the row in the same place was overwritten. The first number is raised before a write,
/// the second after its acknowledgement: a read between them must return a version between them.
#[derive(Debug, Default)]
pub struct Version {
    begun: AtomicU32,
    acknowledged: AtomicU32,
}

// Sequentially consistent: what is checked is the order of a write and its number, as other threads
// see it.
impl Version {
    /// Returns the next version, which is about to be written. One thread writes a row.
    pub(super) fn begin(&self) -> u32 {
        self.begun.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(super) fn acknowledge(&self, version: u32) {
        self.acknowledged.store(version, Ordering::SeqCst);
    }

    /// Returns the last version that has been acknowledged.
    pub(super) fn acknowledged(&self) -> u32 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    fn begun(&self) -> u32 {
        self.begun.load(Ordering::SeqCst)
    }
}

/// Returns the value of a row after this many overwrites.
pub(super) fn value_of(original: &[u8], version: u32) -> Vec<u8> {
    match version {
        0 => original.to_vec(),
        _ => [original, b"#", version.to_string().as_bytes()].concat(),
    }
}

/// Returns which version of its row a value is, if it is one.
fn version_of(value: &[u8], original: &[u8]) -> Option<u32> {
    match value.strip_prefix(original)? {
        [] => Some(0),
        [b'#', digits @ ..] => std::str::from_utf8(digits).ok()?.parse().ok(),
        _ => None,
    }
}

/// The content of a keyspace: rows in the order of their keys, and the version of each.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The rows as they were loaded.
    pub rows: &'a [Row],
    /// The version of each.
    pub versions: &'a [Version],
}

impl<'a> Expected<'a> {
    pub(super) fn row(self, place: usize) -> Option<(&'a Row, &'a Version)> {
        Some((self.rows.get(place)?, self.versions.get(place)?))
    }

    /// Returns the rows that are not as they were loaded.
    pub fn overwritten(self) -> impl Iterator<Item = (&'a Row, &'a Version)> {
        self.rows.iter().zip(self.versions).filter(|(_, version)| version.begun() > 0)
    }

    /// Returns true if a read of this row that began when `acknowledged` was may return this value.
    pub(super) fn may_be(self, place: usize, value: &[u8], acknowledged: u32) -> bool {
        let Some((row, version)) = self.row(place) else { return false };
        let found = version_of(value, &row.1);
        found.is_some_and(|found| (acknowledged..=version.begun()).contains(&found))
    }

    /// Returns true if a value is what this row has while no one writes.
    fn is(self, place: usize, value: &[u8]) -> bool {
        let last = self.row(place).map_or(0, |(_, version)| version.acknowledged());
        self.may_be(place, value, last)
    }
}

/// The differences found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Differences {
    /// Reads that returned another value.
    pub wrong: u64,
    /// Reads that returned nothing.
    pub lost: u64,
}

impl std::ops::AddAssign for Differences {
    fn add_assign(&mut self, other: Self) {
        self.wrong += other.wrong;
        self.lost += other.lost;
    }
}

/// Reads back the rows in these places; `read` is called with the number of rows since the last
/// call.
///
/// # Errors
///
/// Those of the store.
pub fn read_back(
    keyspace: &Keyspace,
    expected: Expected<'_>,
    places: &[usize],
    mut read: impl FnMut(u64),
) -> annulus::Result<Differences> {
    const ROWS_A_TICK: usize = 1_000;
    let mut differences = Differences::default();
    for places in places.chunks(ROWS_A_TICK) {
        for place in places {
            let Some((row, _)) = expected.row(*place) else { continue };
            match keyspace.get(&row.0)? {
                Some(found) if expected.is(*place, &found) => {}
                Some(_) => differences.wrong += 1,
                None => differences.lost += 1,
            }
        }
        read(places.len() as u64);
    }
    Ok(differences)
}

/// Scans everything, forward or in reverse. Returns how many rows differ: other keys, other values,
/// missing or surplus rows.
///
/// # Errors
///
/// Those of the store.
pub fn scan(keyspace: &Keyspace, expected: Expected<'_>, reverse: bool) -> annulus::Result<u64> {
    let mut options = ScanOptions::new().read(ReadOptions::new().bypass_cache(true));
    options.reverse = reverse;
    let mut scan = keyspace.scan_with(.., options)?;
    let mut different = 0;
    let forward = 0..expected.rows.len();
    let mut places: Box<dyn Iterator<Item = usize>> =
        if reverse { Box::new(forward.rev()) } else { Box::new(forward) };
    while let Some((key, value)) = scan.next_row()? {
        let place =
            places.next().filter(|place| expected.row(*place).is_some_and(|(row, _)| row.0 == key));
        different += u64::from(!place.is_some_and(|place| expected.is(place, value)));
    }
    Ok(different + places.count() as u64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use annulus::{Store, topology::KeyspaceSpec};

    /// Goal: the demo would notice. Method: rows are changed, removed and added behind its back.
    #[test]
    fn every_difference_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("store")).unwrap();
        let mut rows = crate::demo::generate(100, 1);
        rows.sort();
        for spec in [KeyspaceSpec::hash().into(), KeyspaceSpec::from(KeyspaceSpec::range())] {
            let keyspace = store.create_keyspace("k", spec).unwrap();
            let versions: Vec<_> = rows.iter().map(|_| Version::default()).collect();
            let expected = Expected { rows: &rows, versions: &versions };
            for (key, value) in &rows {
                keyspace.put(key, value).unwrap();
            }
            let check = || {
                let places = Vec::from_iter(0..rows.len());
                let scans =
                    [false, true].map(|reverse| scan(&keyspace, expected, reverse).unwrap());
                (read_back(&keyspace, expected, &places, |_| {}).unwrap(), scans)
            };
            assert_eq!(check(), (Differences::default(), [0, 0]));
            // A write that was acknowledged and is missing.
            let (row, version) = expected.row(70).unwrap();
            version.acknowledge(version.begin());
            assert_eq!(check(), (Differences { wrong: 1, lost: 0 }, [1, 1]));
            keyspace.put(&row.0, value_of(&row.1, 1)).unwrap();
            assert_eq!(check(), (Differences::default(), [0, 0]));
            keyspace.put(&rows.get(50).unwrap().0, "changed").unwrap();
            assert_eq!(check(), (Differences { wrong: 1, lost: 0 }, [1, 1]));
            keyspace.delete(&rows.last().unwrap().0).unwrap();
            let (read, [forward, reverse]) = check();
            assert_eq!((read, forward), (Differences { wrong: 1, lost: 1 }, 2));
            assert!(reverse > 0);
            keyspace.put("zzz", "added").unwrap();
            assert!(check().1.iter().all(|different| *different > 0));
            store.drop_keyspace("k").unwrap();
        }
    }

    #[test]
    fn a_read_must_not_be_older_than_what_was_acknowledged_nor_newer_than_what_was_begun() {
        let rows = [(b"k".to_vec(), b"v#1".to_vec())];
        let versions = [Version::default()];
        let expected = Expected { rows: &rows, versions: &versions };
        let may_be =
            |version, acknowledged| expected.may_be(0, &value_of(b"v#1", version), acknowledged);
        assert!(may_be(0, 0) && !may_be(1, 0));
        assert_eq!(versions[0].begin(), 1);
        assert!(may_be(0, 0) && may_be(1, 0) && !may_be(2, 0));
        versions[0].acknowledge(1);
        assert!(!may_be(0, versions[0].acknowledged()) && may_be(1, 1));
        assert!(!expected.may_be(0, b"other", 0) && !expected.may_be(1, b"v#1", 0));
    }
}
