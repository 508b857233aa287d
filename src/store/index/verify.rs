//! Verification of an index: it and its rows are compared with each other, both ways.

use super::findings::{IndexProblem, IndexVerification};
use super::{Index, Keyspace};
use crate::catalog::index_keyspace;
use crate::error::{ErrorKind, Result};
use crate::index::{Form, IndexesUsed, MARKER, parse_entry, parse_marker};
use crate::store::keyspaces::find;
use crate::store::{Problem, Snapshot};
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

/// How many findings are named; all of them are counted.
const EXAMPLES_MAX: usize = 10;

/// How many rows, or entries, are compared at once.
const AT_ONCE: usize = 64;

/// What is to be repaired.
#[derive(Default)]
struct Broken {
    /// Rows that lack entries.
    rows: BTreeSet<Vec<u8>>,
    /// Entries that are too many, with the row that they name, if any.
    stale: Vec<StaleEntry>,
}

struct StaleEntry {
    row: Option<Vec<u8>>,
    /// Its key and its value.
    entry: (Vec<u8>, Vec<u8>),
}

impl Index {
    /// Compares the index with the rows of its keyspace, both ways, as of one moment. Reads and
    /// writes continue meanwhile. [`Store::verify`](crate::Store::verify) does this, too, for all
    /// indexes that are declared and complete.
    ///
    /// Cost: reads all rows and all entries, and for each of them the other side.
    ///
    /// # Errors
    ///
    /// [`Busy`](ErrorKind::Busy) if the index is not complete; those of
    /// [`Store::snapshot`](crate::Store::snapshot) and of scans. What is wrong with the index is in the
    /// report and is not an error.
    pub fn verify(&self) -> Result<IndexVerification> {
        let snapshot = Snapshot::take(self.rows.core(), None)?;
        Ok(self.compare(&snapshot)?.0)
    }

    /// Compares the index with the rows as [`verify`](Self::verify) does, and writes what is missing
    /// and deletes what is stale. Each row is read again for that, with its writers waiting.
    ///
    /// # Errors
    ///
    /// Those of `verify` and of [`build`](Self::build).
    pub fn repair(&self) -> Result<IndexVerification> {
        let snapshot = Snapshot::take(self.rows.core(), None)?;
        let (mut report, broken) = self.compare(&snapshot)?;
        let (writer, state) = (self.rows.core().writer(None, None), self.rows.state());
        // First, so that what a row lacks is not taken by an entry that is about to go.
        for StaleEntry { row, entry } in broken.stale {
            let rows = row.into_iter().collect();
            report.repaired += writer.reindex(state, &self.declared, &rows, &[entry], false)?;
        }
        for row in broken.rows {
            let rows = [row].into();
            report.repaired += writer.reindex(state, &self.declared, &rows, &[], true)?;
        }
        Ok(report)
    }

    fn compare(&self, snapshot: &Snapshot) -> Result<(IndexVerification, Broken)> {
        // Also that it is complete.
        self.at(snapshot).scan((Bound::Included(""), Bound::Included("")))?;
        let (mut report, mut broken) = (IndexVerification::default(), Broken::default());
        self.compare_rows(snapshot, &mut report, &mut broken)?;
        let index = Entries { rows: &self.rows, entries: &self.entries, unique: self.is_unique() };
        let has = |row: &[u8], value: &[u8], index_key: &Vec<u8>| {
            self.declared.keys(row, value).is_ok_and(|keys| keys.contains(index_key))
        };
        index.compare(snapshot, has, &mut report, &mut broken)?;
        Ok((report, broken))
    }

    /// Looks for what follows from the rows in the index.
    fn compare_rows(
        &self,
        snapshot: &Snapshot,
        report: &mut IndexVerification,
        broken: &mut Broken,
    ) -> Result<()> {
        for rows in chunks(snapshot.scan(&self.rows, ..)?) {
            let rows = rows?;
            report.rows += rows.len() as u64;
            let mut follow = Vec::new();
            for (row, value) in &rows {
                // A row that the function refuses was written before there was the index.
                for index_key in self.declared.keys(row, value).unwrap_or_default() {
                    let entry = self.declared.entry(&index_key, row);
                    follow.push((row, index_key, entry));
                }
            }
            let found =
                snapshot.get_many(&self.entries, follow.iter().map(|(.., entry)| &entry.0))?;
            for ((row, index_key, (_, value)), found) in follow.into_iter().zip(found) {
                if found.as_deref() != Some(&value) {
                    report.missing += 1;
                    report.name(|| IndexProblem::Missing { index_key, key: row.clone() });
                    broken.rows.insert(row.clone());
                }
            }
        }
        Ok(())
    }
}

/// The entries of an index, whose function need not be known.
struct Entries<'a> {
    rows: &'a Keyspace,
    entries: &'a Keyspace,
    unique: bool,
}

impl Entries<'_> {
    /// Looks for the rows of which the index has entries. `has` says whether a row, with its value, has
    /// an index key.
    fn compare(
        &self,
        snapshot: &Snapshot,
        has: impl Fn(&[u8], &[u8], &Vec<u8>) -> bool,
        report: &mut IndexVerification,
        broken: &mut Broken,
    ) -> Result<()> {
        for entries in chunks(snapshot.scan(self.entries, Index::all_entries())?) {
            let entries = entries?;
            report.entries += entries.len() as u64;
            let parse = |(key, value): &(Vec<u8>, Vec<u8>)| parse_entry(self.unique, key, value);
            let parsed: Vec<_> = entries.iter().map(parse).collect();
            let keys = parsed.iter().flatten().map(|(_, row)| row);
            let mut values = snapshot.get_many(self.rows, keys)?.into_iter();
            for (entry, parsed) in entries.into_iter().zip(parsed) {
                let Some((index_key, row)) = parsed else {
                    report.stale += 1;
                    report.name(|| IndexProblem::NoEntry { key: entry.0.clone() });
                    broken.stale.push(StaleEntry { row: None, entry });
                    continue;
                };
                let value = values.next().flatten();
                if !value.is_some_and(|value| has(&row, &value, &index_key)) {
                    report.stale += 1;
                    report.name(|| IndexProblem::Stale { index_key, key: row.clone() });
                    broken.stale.push(StaleEntry { row: Some(row), entry });
                }
            }
        }
        Ok(())
    }
}

impl IndexVerification {
    fn name(&mut self, problem: impl FnOnce() -> IndexProblem) {
        if self.problems.len() < EXAMPLES_MAX {
            self.problems.push(problem());
        }
    }
}

/// Returns rows in groups.
fn chunks<R>(mut rows: impl Iterator<Item = Result<R>>) -> impl Iterator<Item = Result<Vec<R>>> {
    std::iter::from_fn(move || {
        let chunk: Result<Vec<R>> = rows.by_ref().take(AT_ONCE).collect();
        chunk.map(|chunk| (!chunk.is_empty()).then_some(chunk)).transpose()
    })
}

/// Verifies all indexes of keyspaces that were complete when a snapshot was taken: those that are
/// declared both ways. Of others, whose functions are not known, each entry must have its row.
pub(in crate::store) fn verify_all(
    keyspaces: &[Keyspace],
    snapshot: &Snapshot,
    problems: &mut Vec<Problem>,
) -> Result<()> {
    let indexes: IndexesUsed = keyspaces
        .iter()
        .filter_map(|keyspace| Some((keyspace.id(), keyspace.state().indexes()?)))
        .collect();
    for keyspace in keyspaces {
        let Some(indexes) = indexes.get(&keyspace.id()) else { continue };
        for name in &indexes.undeclared {
            let found = compare_undeclared(keyspace, name, snapshot)?;
            problems.extend(named(keyspace, name, found));
        }
        for declared in &indexes.declared {
            let core = keyspace.core();
            let entries = Keyspace::new(core, &core.catalog.keyspace(declared.entries)?);
            let index = Index { rows: keyspace.clone(), entries, declared: Arc::clone(declared) };
            let found = match index.compare(snapshot) {
                Ok((found, _)) => found,
                Err(error) if error.kind() == ErrorKind::Busy => continue,
                Err(error) => return Err(error),
            };
            problems.extend(named(keyspace, index.name(), found));
        }
    }
    Ok(())
}

fn named<'a>(
    keyspace: &'a Keyspace,
    index: &'a str,
    found: IndexVerification,
) -> impl Iterator<Item = Problem> + 'a {
    found.problems.into_iter().map(|problem| Problem::Index {
        keyspace: keyspace.name().to_owned(),
        index: index.to_owned(),
        problem,
    })
}

/// Looks for the rows of the entries of an index whose function is not known.
fn compare_undeclared(
    rows: &Keyspace,
    name: &str,
    snapshot: &Snapshot,
) -> Result<IndexVerification> {
    let (mut report, mut broken) = (IndexVerification::default(), Broken::default());
    let Some(entries) = find(rows.core(), &index_keyspace(rows.id(), name)) else {
        return Ok(report);
    };
    let Some(marker) = snapshot.get(&entries, MARKER)? else { return Ok(report) };
    // What has another format is read by another version.
    if let Some(Form { unique, .. }) = parse_marker(&marker) {
        let index = Entries { rows, entries: &entries, unique };
        index.compare(snapshot, |_, _, _| true, &mut report, &mut broken)?;
    }
    Ok(report)
}
