//! Writes of one row of a keyspace that has indexes.

use super::Indexed;
use super::rows::read_row;
use crate::catalog::KeyspaceState;
use crate::engine::Durability;
use crate::error::Result;
use crate::expiry::PutLifetime;
use crate::latch::stripe_set;
use crate::os::failpoint;
use crate::write::single::{KeyChange, Swap};
use crate::write::{Batch, Write, Writer};

impl Writer<'_> {
    /// Puts or deletes a row.
    pub(in crate::write) fn change_indexed(&self, change: KeyChange<'_>) -> Result<()> {
        let row = (change.keyspace.id(), stripe_set(change.key));
        self.own_written_rows([row].into_iter(), |indexed| self.change_row(indexed, change))
    }

    fn change_row(&self, indexed: &Indexed, change: KeyChange<'_>) -> Result<()> {
        let KeyChange { keyspace, key, value, durability } = change;
        let write = match value {
            Some(value) => Write::Put { key: key.to_vec(), value: value.to_vec() },
            None => Write::Delete { key: key.to_vec() },
        };
        let mut batch = Batch::new();
        batch.push(self.catalog.home.id, keyspace.id(), key.len(), write, None);
        self.commit_rows(indexed, batch, durability).map(|_| ())
    }

    /// Replaces a row if it is what is expected.
    pub(in crate::write) fn swap_indexed(
        &self,
        change: KeyChange<'_>,
        expected: Option<&[u8]>,
    ) -> Result<Swap> {
        let KeyChange { keyspace, key, value, durability } = change;
        let row = (keyspace.id(), stripe_set(key));
        let swap = self.own_written_rows([row].into_iter(), |indexed| {
            if !owns_row(indexed, keyspace) {
                return Ok(None);
            }
            let found = read_row(keyspace, key)?;
            if found.as_deref() != expected {
                return Ok(Some(Swap::Found(found)));
            }
            if found.is_some() || value.is_some() {
                self.change_row(indexed, change)?;
            }
            Ok(Some(Swap::Swapped))
        })?;
        match swap {
            Some(swap) => Ok(swap),
            // The rows of a keyspace that has had indexes do not expire.
            None => {
                let lifetime = PutLifetime::Default;
                self.compare_and_swap(keyspace, key, expected, value, lifetime, durability)
            }
        }
    }

    /// Replaces a row by what `change` makes of it. It is called once: the row is owned.
    pub(in crate::write) fn update_indexed<V: AsRef<[u8]>>(
        &self,
        keyspace: &KeyspaceState,
        key: &[u8],
        durability: Durability,
        change: impl FnOnce(Option<&[u8]>) -> Result<Option<V>>,
    ) -> Result<Option<V>> {
        let row = (keyspace.id(), stripe_set(key));
        let mut change = Some(change);
        let updated = self.own_written_rows([row].into_iter(), |indexed| {
            let Some(change) = change.take_if(|_| owns_row(indexed, keyspace)) else {
                return Ok(None);
            };
            let found = read_row(keyspace, key)?;
            let new = change(found.as_deref())?;
            let value = new.as_ref().map(AsRef::as_ref);
            if found.is_some() || value.is_some() {
                self.change_row(indexed, KeyChange { keyspace, key, value, durability })?;
            }
            Ok(Some(new))
        })?;
        match (updated, change) {
            (None, Some(change)) => self.update(keyspace, key, durability, change),
            (updated, _) => Ok(updated.flatten()),
        }
    }
}

/// Returns true if a row of a keyspace is owned. It is not if the last index was dropped since the
/// caller has looked: what it reads of the row would not stay so, and it begins again without indexes.
fn owns_row(indexed: &Indexed, keyspace: &KeyspaceState) -> bool {
    indexed.contains_key(&keyspace.id()) || failpoint::skip("index-gone")
}
