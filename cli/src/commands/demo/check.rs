//! Comparing what a keyspace gives with what was put into it.

use super::Row;
use annulus::{Keyspace, ReadOptions, ScanOptions};
use indicatif::ProgressBar;

/// What differed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Differences {
    /// Reads that gave another value.
    pub(super) wrong: u64,
    /// Reads that gave nothing.
    pub(super) lost: u64,
}

impl std::ops::AddAssign for Differences {
    fn add_assign(&mut self, other: Self) {
        self.wrong += other.wrong;
        self.lost += other.lost;
    }
}

/// Reads each row back.
pub(super) fn read_back(
    keyspace: &Keyspace,
    rows: &[Row],
    bar: &ProgressBar,
) -> annulus::Result<Differences> {
    const ROWS_A_TICK: usize = 1_000;
    let mut differences = Differences::default();
    for rows in rows.chunks(ROWS_A_TICK) {
        for (key, value) in rows {
            match keyspace.get(key)? {
                Some(found) if found == *value => {}
                Some(_) => differences.wrong += 1,
                None => differences.lost += 1,
            }
        }
        bar.inc(rows.len() as u64);
    }
    Ok(differences)
}

/// Scans everything, forward or in reverse; `rows` are in the order of their keys. Gives how many
/// rows differ: other keys, other values, missing or too many.
pub(super) fn scan(keyspace: &Keyspace, rows: &[Row], reverse: bool) -> annulus::Result<u64> {
    let mut options = ScanOptions::new().read(ReadOptions::new().bypass_cache(true));
    options.reverse = reverse;
    let mut scan = keyspace.scan_with(.., options)?;
    let mut different = 0;
    let forward = rows.iter();
    let mut expected: Box<dyn Iterator<Item = &Row>> =
        if reverse { Box::new(forward.rev()) } else { Box::new(forward) };
    while let Some((key, value)) = scan.next_row()? {
        let same = expected.next().is_some_and(|row| row.0 == key && row.1 == value);
        different += u64::from(!same);
    }
    Ok(different + expected.count() as u64)
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
        let mut rows = crate::commands::demo::generate::generate(100, 1);
        rows.sort();
        for spec in [KeyspaceSpec::hash().into(), KeyspaceSpec::from(KeyspaceSpec::range())] {
            let keyspace = store.create_keyspace("k", spec).unwrap();
            for (key, value) in &rows {
                keyspace.put(key, value).unwrap();
            }
            let check = || {
                let bar = ProgressBar::hidden();
                let scans = [false, true].map(|reverse| scan(&keyspace, &rows, reverse).unwrap());
                (read_back(&keyspace, &rows, &bar).unwrap(), scans)
            };
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
}
