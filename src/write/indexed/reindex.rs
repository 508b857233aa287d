//! Entries that are made to follow from rows: by a build, and by a repair.

use super::Bytes2;
use super::rows::read_row;
use crate::catalog::KeyspaceState;
use crate::engine::Durability;
use crate::error::Result;
use crate::index::{DeclaredIndex, EntryWrite};
use crate::latch::stripe_set;
use crate::write::{Batch, Writer};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Writer<'_> {
    /// Deletes those of some suspected entries of rows that do not follow from the rows, and, if
    /// `complete`, writes the entries of the rows that an index lacks. Rows that are gone have none.
    /// Returns how many entries were written and deleted.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if another row has what one of them must have; that of the function.
    pub(crate) fn reindex(
        &self,
        keyspace: &KeyspaceState,
        index: &Arc<DeclaredIndex>,
        keys: &BTreeSet<Vec<u8>>,
        suspects: &[Bytes2],
        complete: bool,
    ) -> Result<u64> {
        // Without a row, as for what is no entry at all, the keyspace still has its indexes.
        let rows = keys.iter().map(|key| stripe_set(key)).chain([0]);
        let rows = rows.map(|stripes| (keyspace.id(), stripes));
        self.own_rows(rows, |indexed| {
            let declared = indexed.get(&keyspace.id()).map(|(_, indexes, _)| &indexes.declared);
            if !declared.is_some_and(|declared| declared.iter().any(|it| Arc::ptr_eq(it, index))) {
                return Err(index.replaced());
            }
            let follow = self.entries_of(keyspace, index, keys)?;
            let mut writes = Vec::new();
            for (key, value) in suspects {
                let follows =
                    follow.iter().any(|(_, entry)| entry == &(key.clone(), value.clone()));
                if !follows && self.read_entry(index, key)?.as_ref() == Some(value) {
                    writes.push(entry_write(index, key.clone(), None, None));
                }
            }
            let mut taken: BTreeMap<&[u8], &[u8]> = BTreeMap::new();
            for ((row, index_key), (key, value)) in follow.iter().filter(|_| complete) {
                let found = self.read_entry(index, key)?;
                let other = found.as_deref().or_else(|| taken.get(&**key).copied());
                match other {
                    Some(other) if other == value => {}
                    Some(other) => return Err(index.violation(index_key, row, other)),
                    None => {
                        taken.insert(key, value);
                        let claim = index.unique.then(|| (row.clone(), index_key.clone()));
                        writes.push(entry_write(index, key.clone(), Some(value.clone()), claim));
                    }
                }
            }
            let count = writes.len() as u64;
            if count > 0 {
                let _ = self.commit_entries(Batch::new(), writes, Durability::Buffered)?;
            }
            Ok(count)
        })
    }

    /// Returns each row with each of its index keys, and the entry that follows.
    fn entries_of(
        &self,
        keyspace: &KeyspaceState,
        index: &DeclaredIndex,
        keys: &BTreeSet<Vec<u8>>,
    ) -> Result<Vec<(Bytes2, Bytes2)>> {
        let mut entries = Vec::new();
        for row in keys {
            let Some(value) = read_row(keyspace, row)? else { continue };
            for index_key in index.keys(row, &value)? {
                let entry = index.entry(&index_key, row);
                entries.push(((row.clone(), index_key), entry));
            }
        }
        Ok(entries)
    }
}

fn entry_write(
    index: &Arc<DeclaredIndex>,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    claim: Option<Bytes2>,
) -> EntryWrite {
    EntryWrite { index: Arc::clone(index), key, value, claim }
}
