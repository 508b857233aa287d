//! Statistics of indexes: what they occupy, and how far they are.

use super::Keyspace;
use crate::catalog::index_keyspace;
use crate::error::Result;
use crate::index::{MARKER, parse_marker};
use crate::store::keyspaces::find;
use serde::Serialize;
use std::sync::atomic::Ordering;

/// What an index occupies, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct IndexStats {
    /// Its name.
    pub name: String,
    /// How complete it is.
    pub state: IndexState,
    /// True if it was declared since the store was opened. Until then its keyspace is not written.
    pub declared: bool,
    /// Its version; `None` if it was not declared and is not complete.
    pub version: Option<u32>,
    /// True if no two rows may have the same index key; `None` if it was not declared and is not
    /// complete.
    pub unique: Option<bool>,
    /// How many rows the last build has passed; 0 if none has run since it was declared.
    pub rows_passed: u64,
    /// About how many entries it has; those that were deleted count until compaction.
    pub entries_estimated: u64,
    /// Bytes of its files. They are among those of the shards, and of the keyspace of the store's own
    /// that has the entries.
    pub bytes_on_disk: u64,
    /// Bytes of its write buffers.
    pub bytes_in_memory: u64,
}

/// How complete an index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum IndexState {
    /// It has all entries, of the version that is named.
    Complete,
    /// It lacks entries, and a build is adding them.
    Building,
    /// It lacks entries: it has to be declared, and built.
    Incomplete,
    /// It was not declared, and its marker cannot be read at present.
    Unknown,
}

/// Returns the statistics of the indexes of a keyspace, in the order of their creation.
pub(in crate::store) fn index_stats(keyspace: &Keyspace) -> Result<Vec<IndexStats>> {
    let names = keyspace.index_names();
    let stats = names.into_iter().filter_map(|name| {
        // It may have been dropped since.
        let entries = find(keyspace.core(), &index_keyspace(keyspace.id(), &name))?;
        Some(of_index(keyspace, &entries, name))
    });
    stats.collect()
}

fn of_index(keyspace: &Keyspace, entries: &Keyspace, name: String) -> Result<IndexStats> {
    let partitions = entries.stats()?;
    let indexes = keyspace.state().indexes();
    let declared = indexes.as_ref().and_then(|indexes| indexes.get(&name));
    let (state, form) = match declared {
        Some(index) if index.is_ready() => (IndexState::Complete, Some(index.form())),
        Some(index) if index.building.is_locked() => (IndexState::Building, Some(index.form())),
        Some(index) => (IndexState::Incomplete, Some(index.form())),
        None => match entries.get(MARKER) {
            Ok(None) => (IndexState::Incomplete, None),
            Ok(Some(marker)) => (IndexState::Complete, parse_marker(&marker)),
            Err(_) => (IndexState::Unknown, None),
        },
    };
    let keys: u64 = partitions.iter().map(|partition| partition.keys_estimated).sum();
    Ok(IndexStats {
        name,
        state,
        declared: declared.is_some(),
        version: form.map(|form| form.version),
        unique: form.map(|form| form.unique),
        rows_passed: declared.map_or(0, |index| index.rows_passed.load(Ordering::Relaxed)),
        // One of them is the marker.
        entries_estimated: keys.saturating_sub(u64::from(state == IndexState::Complete)),
        bytes_on_disk: partitions.iter().map(|partition| partition.bytes_on_disk).sum(),
        bytes_in_memory: partitions.iter().map(|partition| partition.bytes_in_memory).sum(),
    })
}
