//! The entries of indexes that the writes of a transaction change.
//!
//! They are planned when a row is written, from what the transaction sees by then, and are writes of
//! it like others: so it reads its own. What they were planned from is part of what the transaction
//! relies on, at either isolation: the rows, and the entries that were looked at. So if it is committed,
//! all of that is still so at the place of its record. That the keyspaces have the same indexes then is
//! compared by the commit, with the gate passed.

use super::Transaction;
use crate::error::{ErrorKind, Result};
use crate::index::{DeclaredIndex, EntryWrite, KeyspaceIndexes, RowChange, plan};
use crate::os::failpoint;
use crate::read::{KeyBounds, Value};
use crate::store::Keyspace;
use crate::write::indexes_changed;
use std::sync::Arc;

impl Transaction {
    /// Writes what follows in the indexes from a write of a row.
    pub(super) fn write_entries(
        &self,
        keyspace: &Keyspace,
        key: &[u8],
        new: Option<&[u8]>,
    ) -> Result<()> {
        let indexes = self.use_indexes(keyspace)?;
        let old = self.read_noted(keyspace, key)?;
        self.write_planned(keyspace, &indexes, &[RowChange { key, old: old.as_deref(), new }])
    }

    /// Deletes what the rows of a range have in the indexes.
    pub(super) fn delete_entries(&self, keyspace: &Keyspace, range: &impl KeyBounds) -> Result<()> {
        let indexes = self.use_indexes(keyspace)?;
        // Of a snapshot's isolation the deleted range is what it relies on.
        let bounds = (range.start(), range.end());
        let rows = self.scan(keyspace, bounds)?.collect::<Result<Vec<_>>>()?;
        let deleted: Vec<_> =
            rows.iter().map(|(key, old)| RowChange { key, old: Some(old), new: None }).collect();
        // Also if there are none: the range is a write with these indexes.
        self.write_planned(keyspace, &indexes, &deleted)
    }

    /// Returns the indexes of a keyspace, if they are those that the transaction has used.
    fn use_indexes(&self, keyspace: &Keyspace) -> Result<Arc<KeyspaceIndexes>> {
        let now = keyspace.state().indexes().ok_or_else(indexes_changed)?;
        now.check_declared(keyspace.name())?;
        let (state, id) = (self.state.borrow(), keyspace.id());
        let begun = state.reader.position();
        // What it sees of their entries is of an earlier version, or of none.
        let is_older = now.declared.iter().any(|index| index.begins_after(begun));
        if is_older && !failpoint::skip("index-begin") {
            return Err(indexes_changed());
        }
        // What was written before has no entries, if there were no indexes then.
        let is_same = match state.indexes.get(&id) {
            Some(used) => Arc::ptr_eq(used, &now),
            None => !state.pending.writes(id),
        };
        if is_same { Ok(now) } else { Err(indexes_changed()) }
    }

    fn write_planned(
        &self,
        keyspace: &Keyspace,
        indexes: &Arc<KeyspaceIndexes>,
        rows: &[RowChange<'_>],
    ) -> Result<()> {
        let writes = plan(indexes, rows, |index, key| {
            Ok(self.read_entry(index, key)?.map(|value| value.to_vec()))
        })?;
        for EntryWrite { index, key, claim, .. } in &writes {
            let checked = self.core.catalog.check_key_bytes(key.len());
            checked.map_err(|cause| index.too_long(cause))?;
            if let Some((row, index_key)) = claim
                && let Some(taken_by) = self.read_entry(index, key)?
            {
                return Err(index.violation(index_key, row, &taken_by));
            }
        }
        let state = &mut *self.state.borrow_mut();
        for EntryWrite { index, key, value, .. } in writes {
            state.pending.write(index.entries, &key, value.as_deref(), None);
        }
        state.indexes.insert(keyspace.id(), Arc::clone(indexes));
        // IMPORTANT: that it has become too large is noticed by the caller when the row is among the
        // writes, too. It may be committed all the same.
        Ok(())
    }

    fn read_entry(&self, index: &DeclaredIndex, key: &[u8]) -> Result<Option<Value>> {
        let state = self.core.catalog.keyspace(index.entries)?;
        match self.read_noted(&Keyspace::new(&self.core, &state), key) {
            // The index is younger than the transaction.
            Err(error) if error.kind() == ErrorKind::NotFound => Err(indexes_changed()),
            read => read,
        }
    }

    /// Reads a key and notes that, whatever the isolation.
    fn read_noted(&self, keyspace: &Keyspace, key: &[u8]) -> Result<Option<Value>> {
        match self.own(keyspace, key, true)? {
            Some(own) => Ok(own),
            None => self.snapshot.get(keyspace, key),
        }
    }
}
