//! What a write of rows changes in the indexes of their keyspace. Pure, but for the entries that it
//! asks for.

use super::{DeclaredIndex, KeyspaceIndexes};
use crate::error::Result;
use crate::os::failpoint;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A row before and after a write; `None` where it is not there.
pub(crate) struct RowChange<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) old: Option<&'a [u8]>,
    pub(crate) new: Option<&'a [u8]>,
}

/// What is written to an index.
pub(crate) struct EntryWrite {
    pub(crate) index: Arc<DeclaredIndex>,
    pub(crate) key: Vec<u8>,
    /// `None` to delete it.
    pub(crate) value: Option<Vec<u8>>,
    /// The row and its index key, if no other row may have it.
    pub(crate) claim: Option<(Vec<u8>, Vec<u8>)>,
}

/// Reads the value of an entry.
type ReadEntry<'a> = &'a mut dyn FnMut(&[u8]) -> Result<Option<Vec<u8>>>;

/// In order, each once.
type IndexKeys = Vec<Vec<u8>>;

/// A row that takes an entry.
struct Take<'a> {
    row: &'a [u8],
    index_key: Vec<u8>,
    value: Vec<u8>,
}

/// Returns the entries that a write of rows changes. `read` returns the value of an entry.
///
/// The caller owns the rows: no one else changes them until the entries are written. So an entry
/// that one of them has is not changed by others, and one that none of them has may be: that it is
/// still free must be checked where it is written ([`EntryWrite::claim`]).
///
/// # Errors
///
/// `AlreadyExists` if two of the rows want one index key of a unique index, or if another row has
/// one; those of the function for a row that is written, and of `read`.
pub(crate) fn plan(
    indexes: &KeyspaceIndexes,
    rows: &[RowChange<'_>],
    mut read: impl FnMut(&DeclaredIndex, &[u8]) -> Result<Option<Vec<u8>>>,
) -> Result<Vec<EntryWrite>> {
    let mut writes = Vec::new();
    for index in &indexes.declared {
        let read: ReadEntry<'_> = &mut |key| read(index, key);
        match rows {
            [row] => plan_row(index, row, read, &mut writes)?,
            rows => plan_rows(index, rows, read, &mut writes)?,
        }
    }
    Ok(writes)
}

/// Returns the index keys that a row gives up, and those that it takes.
fn changed_keys(
    index: &DeclaredIndex,
    RowChange { key: row, old, new }: &RowChange<'_>,
) -> Result<(IndexKeys, IndexKeys)> {
    if old == new {
        return Ok(Default::default());
    }
    // A row that the function refuses has no entries: none could be written with it.
    let mut before = old.and_then(|old| index.keys(row, old).ok()).unwrap_or_default();
    let mut after = new.map(|new| index.keys(row, new)).transpose()?.unwrap_or_default();
    if !before.is_empty() && !after.is_empty() {
        let taken = after.iter().filter(|key| before.binary_search(key).is_err());
        let taken = taken.cloned().collect();
        before.retain(|key| after.binary_search(key).is_err());
        after = taken;
    }
    Ok((before, after))
}

/// Returns true if an entry that a row had is to be deleted. Until it is complete, a unique index may have
/// the entry for another row, or none yet.
fn is_own(index: &DeclaredIndex, key: &[u8], row: &[u8], read: ReadEntry<'_>) -> Result<bool> {
    let may_be_others = index.unique && !index.is_ready() && !failpoint::skip("index-own");
    Ok(!may_be_others || read(key)?.as_deref() == Some(row))
}

/// Plans for the only row of a write: no other one takes what it gives up.
fn plan_row(
    index: &Arc<DeclaredIndex>,
    change: &RowChange<'_>,
    read: ReadEntry<'_>,
    writes: &mut Vec<EntryWrite>,
) -> Result<()> {
    let (released, taken) = changed_keys(index, change)?;
    for index_key in released {
        let (key, _) = index.entry(&index_key, change.key);
        if is_own(index, &key, change.key, read)? && !failpoint::skip("index-release") {
            writes.push(EntryWrite { index: Arc::clone(index), key, value: None, claim: None });
        }
    }
    for index_key in taken.into_iter().filter(|_| !failpoint::skip("index-take")) {
        let (key, value) = index.entry(&index_key, change.key);
        let claim = index.unique.then(|| (change.key.to_vec(), index_key));
        writes.push(EntryWrite { index: Arc::clone(index), key, value: Some(value), claim });
    }
    Ok(())
}

fn plan_rows(
    index: &Arc<DeclaredIndex>,
    rows: &[RowChange<'_>],
    read: ReadEntry<'_>,
    writes: &mut Vec<EntryWrite>,
) -> Result<()> {
    let mut released: BTreeSet<(Vec<u8>, &[u8])> = BTreeSet::new();
    let mut taken: BTreeMap<Vec<u8>, Take<'_>> = BTreeMap::new();
    for change in rows {
        let row = change.key;
        let (before, after) = changed_keys(index, change)?;
        for index_key in after {
            let (key, value) = index.entry(&index_key, row);
            let take = Take { row, index_key, value };
            if let Some(other) = taken.get(&key) {
                return Err(index.violation(&take.index_key, row, other.row));
            }
            taken.insert(key, take);
        }
        released.extend(before.iter().map(|index_key| (index.entry(index_key, row).0, row)));
    }
    // What is free only because a row of this write gives it up.
    let mut given_up = Vec::new();
    for (key, row) in released {
        if !is_own(index, &key, row, read)? {
            continue;
        }
        if taken.contains_key(&key) {
            given_up.push(key);
        } else if !failpoint::skip("index-release") {
            writes.push(EntryWrite { index: Arc::clone(index), key, value: None, claim: None });
        }
    }
    for (key, Take { row, index_key, value }) in taken {
        if failpoint::skip("index-take") {
            continue;
        }
        let is_claimed = index.unique && given_up.binary_search(&key).is_err();
        let claim = is_claimed.then(|| (row.to_vec(), index_key));
        writes.push(EntryWrite { index: Arc::clone(index), key, value: Some(value), claim });
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::error::{Error, ErrorKind};
    use crate::id::KeyspaceId;
    use crate::index::IndexSpec;

    type Row<'a> = (&'a str, Option<&'a str>, Option<&'a str>);

    /// An index by each letter of the value, which must not have an `!`.
    fn letters(unique: bool, ready: bool) -> KeyspaceIndexes {
        let mut spec = IndexSpec::fallible("letters", 1, |_, value| {
            let letters = value.iter().map(|letter| vec![*letter]).collect();
            if value.contains(&b'!') { Err(Error::invalid("an !")) } else { Ok(letters) }
        });
        spec.unique = unique;
        let index = DeclaredIndex::new(spec, "rows", KeyspaceId(9));
        if ready {
            index.set_ready();
        }
        KeyspaceIndexes::new(vec![Arc::new(index)], Vec::new())
    }

    /// What is written, as text: `-a` deletes an entry, `+a` puts it, `?a` if it is not there.
    fn written(indexes: &KeyspaceIndexes, rows: &[Row<'_>], owner: &str) -> Result<String> {
        let rows: Vec<_> = rows
            .iter()
            .map(|(key, old, new)| RowChange {
                key: key.as_bytes(),
                old: old.map(str::as_bytes),
                new: new.map(str::as_bytes),
            })
            .collect();
        let read = |_: &DeclaredIndex, _: &[u8]| {
            Ok((!owner.is_empty()).then(|| owner.as_bytes().to_vec()))
        };
        let writes = plan(indexes, &rows, read)?;
        let text = |write: EntryWrite| {
            let sign = match (&write.value, &write.claim) {
                (None, _) => '-',
                (Some(_), None) => '+',
                (Some(_), Some(_)) => '?',
            };
            format!("{sign}{}", write.key.first().copied().unwrap_or_default() as char)
        };
        Ok(writes.into_iter().map(text).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn only_what_differs_is_written() {
        let indexes = letters(false, true);
        let of = |row| written(&indexes, &[row], "").unwrap();
        assert_eq!(of(("1", None, Some("ab"))), "+a +b");
        assert_eq!(of(("1", Some("ab"), Some("bca"))), "+c");
        assert_eq!(of(("1", Some("ab"), Some("bb"))), "-a");
        assert_eq!(of(("1", Some("ab"), None)), "-a -b");
        assert_eq!(of(("1", Some("ab"), Some("ba"))), "");
        assert_eq!(of(("1", Some("a!"), Some("a"))), "+a", "what was refused has no entries");
        assert!(written(&indexes, &[("1", Some("a"), Some("!"))], "").is_err());
    }

    /// Several rows go another way, which must come to the same.
    #[test]
    fn one_row_of_several_is_planned_as_one_alone() {
        let values = [None, Some(""), Some("a"), Some("ab"), Some("ba"), Some("bcc"), Some("a!")];
        for (unique, ready) in [(false, true), (true, true), (true, false)] {
            let indexes = letters(unique, ready);
            for (old, new) in values.iter().flat_map(|old| values.map(|new| (*old, new))) {
                let alone = written(&indexes, &[("1", old, new)], "1").ok();
                let rows = [("0", Some("x"), Some("x")), ("1", old, new)];
                assert_eq!(written(&indexes, &rows, "1").ok(), alone, "{old:?} {new:?}");
            }
        }
    }

    #[test]
    fn of_a_unique_index_what_is_taken_must_be_free() {
        let indexes = letters(true, true);
        let of = |rows: &[Row<'_>]| written(&indexes, rows, "");
        assert_eq!(of(&[("1", Some("a"), Some("b"))]).unwrap(), "-a ?b");
        // One row gives up what another one takes, in either order.
        let hand_over = [("1", Some("a"), None), ("2", None, Some("a"))];
        assert_eq!(of(&hand_over).unwrap(), "+a");
        let exchange = [("1", Some("a"), Some("b")), ("2", Some("b"), Some("a"))];
        assert_eq!(of(&exchange).unwrap(), "+a +b");
        let both = [("1", None, Some("a")), ("2", None, Some("a"))];
        assert_eq!(of(&both).unwrap_err().kind(), ErrorKind::AlreadyExists);
    }

    /// Two rows may have one index key before the index is complete. What one of them gives up is
    /// then the other's.
    #[test]
    fn of_an_incomplete_unique_index_only_an_own_entry_is_given_up() {
        let indexes = letters(true, false);
        let of = |owner, rows: &[Row<'_>]| written(&indexes, rows, owner).unwrap();
        let release = [("1", Some("a"), None)];
        assert_eq!(of("1", &release), "-a");
        assert_eq!(of("2", &release), "");
        assert_eq!(of("", &release), "");
        let hand_over = [("1", Some("a"), None), ("2", None, Some("a"))];
        assert_eq!(of("1", &hand_over), "+a");
        assert_eq!(of("3", &hand_over), "?a");
    }
}
