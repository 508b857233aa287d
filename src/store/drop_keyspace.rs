//! The drop of a keyspace.

use crate::catalog::{Catalog, KeyspaceState, Metadata, remove_leftover};
use crate::engine::MetadataBatch;
use crate::error::Result;
use crate::os::failpoint;
use crate::topology::Change;

/// Drops a keyspace none of whose partitions is being reshaped.
pub(super) fn drop_closed(catalog: &Catalog, keyspace: &KeyspaceState) -> Result<()> {
    let _changing = catalog.changing();
    let next = catalog.topology().apply(&Change::DropKeyspace { id: keyspace.id() })?;
    let mut records = MetadataBatch::default();
    Metadata::forget_spec(&mut records, keyspace.id());
    catalog.check_writable()?;
    // A log that has failed refuses the commit, after the partitions were closed.
    catalog.log.check()?;
    let view = keyspace.view();
    // Before the commit, so that no write is acknowledged and then lost to the drop.
    for partition in view.open() {
        partition.state.close();
    }
    catalog.commit_with(&next, records)?;
    failpoint::hit("drop-after-commit");
    catalog.publish(next, |keyspaces| {
        keyspaces.remove(&keyspace.id());
    });
    // Those of a missing shard are orphans when it is back, and are dropped then.
    for partition in view.open() {
        remove_leftover(&partition.shard, partition.name);
    }
    Ok(())
}
