//! Which keyspaces have indexes, and with which functions.
//!
//! The entries of an index are the rows of a keyspace of the store's own, whose name has the number of
//! the keyspace that is indexed and the name of the index. So an index is there as soon as its
//! keyspace is in the topology, and no longer. Its [marker](crate::index::MARKER), which is a row of
//! it, says that it is complete.

use super::commit_gate::Excluding;
use super::{Catalog, KeyspaceState, Keyspaces, OWN_PREFIX};
use crate::id::KeyspaceId;
use crate::index::KeyspaceIndexes;
use crate::os::failpoint;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How names of keyspaces begin that hold the entries of indexes, after [`OWN_PREFIX`].
const INDEX: &str = "index/";

/// Returns the name of the keyspace with the entries of an index.
pub(crate) fn index_keyspace(keyspace: KeyspaceId, index: &str) -> String {
    format!("{OWN_PREFIX}{INDEX}{}/{index}", keyspace.0)
}

/// Returns the number of the keyspace that is indexed, and the name of the index.
fn parse(name: &str) -> Option<(KeyspaceId, &str)> {
    let (number, index) = name.strip_prefix(OWN_PREFIX)?.strip_prefix(INDEX)?.split_once('/')?;
    Some((KeyspaceId(number.parse().ok()?), index))
}

/// Returns the names of the indexes of a keyspace.
pub(crate) fn index_names(keyspaces: &Keyspaces, of: KeyspaceId) -> Vec<String> {
    let names = keyspaces.values().filter_map(|keyspace| parse(keyspace.name()));
    names.filter(|(id, _)| *id == of).map(|(_, name)| name.to_owned()).collect()
}

impl Catalog {
    /// Finds out which keyspaces have indexes. Their functions are not known yet.
    pub(super) fn load_indexes(&self, keyspaces: &Keyspaces) {
        let mut undeclared: BTreeMap<KeyspaceId, Vec<String>> = BTreeMap::new();
        for keyspace in keyspaces.values() {
            if let Some((of, index)) = parse(keyspace.name()) {
                undeclared.entry(of).or_default().push(index.to_owned());
            }
        }
        for (id, names) in undeclared {
            if let Some(keyspace) = keyspaces.get(&id) {
                self.show_indexes(keyspace, KeyspaceIndexes::new(Vec::new(), names));
            }
        }
    }

    /// Replaces the indexes of a keyspace.
    ///
    /// IMPORTANT: once the store is open, with [writers waiting](Self::stop_writers). A write that is
    /// in progress has decided what to do with the indexes that there were.
    pub(crate) fn show_indexes(&self, keyspace: &KeyspaceState, indexes: KeyspaceIndexes) {
        let any = !indexes.is_empty();
        keyspace.indexes.store(any.then(|| Arc::new(indexes)));
        keyspace.indexed.store(any, Ordering::Release);
        if any {
            self.any_indexes.store(true, Ordering::Release);
        }
    }

    /// Has all writers wait, but for this thread, until what is returned is dropped.
    pub(crate) fn stop_writers(&self) -> Option<Excluding<'_>> {
        if failpoint::skip("index-gate") { None } else { self.gate.exclude(None) }
    }

    /// Returns true if any keyspace may have indexes.
    pub(crate) fn may_have_indexes(&self) -> bool {
        self.any_indexes.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_index_comes_back() {
        for index in ["by_email", "a/b", ""] {
            let name = index_keyspace(KeyspaceId(7), index);
            assert_eq!(parse(&name), Some((KeyspaceId(7), index)));
        }
        for other in ["users", "annulus/consumers", "annulus/index/x/y", "index/7/a"] {
            assert_eq!(parse(other), None);
        }
    }
}
