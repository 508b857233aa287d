//! Which keyspaces log old values: a record in the metadata for each.
//!
//! ```text
//! "old-values/" + number   the keyspace with this number logs old values; the record is empty
//! ```
//!
//! One synced record is put or deleted: after a crash it is there or not. That of a keyspace that was
//! dropped means nothing, since its number is not given again.

use super::record_key::{numbered, parse_number};
use super::{Catalog, KeyspaceState, Keyspaces};
use crate::engine::{Durability, MetadataBatch};
use crate::error::Result;
use crate::id::KeyspaceId;
use std::sync::atomic::Ordering;

const OLD_VALUES: &[u8] = b"old-values/";

impl Catalog {
    /// Finds out which keyspaces log old values.
    pub(super) fn load_old_values(&self, keyspaces: &Keyspaces) -> Result<()> {
        for (number, _) in self.metadata.records(OLD_VALUES, parse_number)? {
            let id = u32::try_from(number).ok().map(KeyspaceId);
            if let Some(keyspace) = id.and_then(|id| keyspaces.get(&id)) {
                self.show_old_values(keyspace, true);
            }
        }
        Ok(())
    }

    /// Sets whether a keyspace logs old values. Durable when this returns.
    ///
    /// # Errors
    ///
    /// `Closed` if the keyspace was dropped; those of a change of the topology.
    pub(crate) fn set_old_values(&self, keyspace: &KeyspaceState, logged: bool) -> Result<()> {
        let _changing = self.changing();
        self.keyspace(keyspace.id())?;
        if keyspace.logs_old_values() == logged {
            return Ok(());
        }
        self.check_writable()?;
        self.check_places()?;
        let key = numbered(OLD_VALUES, u64::from(keyspace.id().0));
        let mut batch = MetadataBatch::default();
        if logged {
            batch.put(&key, b"")
        } else {
            batch.delete(&key)
        }
        let written = self.metadata.engine.write(batch, Durability::Synced);
        written.map_err(|error| self.in_doubt(error))?;
        // As a topology: so that it does not depend on the log of the metadata.
        self.metadata.engine.flush()?;
        self.show_old_values(keyspace, logged);
        Ok(())
    }

    fn show_old_values(&self, keyspace: &KeyspaceState, logged: bool) {
        keyspace.old_values.store(logged, Ordering::Release);
        if logged {
            self.old_values.store(true, Ordering::Release);
        }
    }

    /// Returns true if any keyspace may log old values.
    pub(crate) fn may_log_old_values(&self) -> bool {
        self.old_values.load(Ordering::Relaxed)
    }
}
