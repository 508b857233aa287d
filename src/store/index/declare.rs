//! Declaring and dropping indexes.
//!
//! The marker of an index says that it is complete. It is a row of the index's own keyspace, and so a
//! record of the log like any other:
//!
//! | step | on disk after it | the next opening |
//! |---|---|---|
//! | its keyspace is created | an index without a marker | refuses writes until it is declared, which empties it |
//! | with all writers waiting, it is emptied, and its function is known to them | the same; what an earlier version has left is gone | the same |
//! | it is [built](super::build), while writers maintain it | entries of some rows | the same |
//! | its marker is written | all entries, and the marker | once it is declared with this version, it is complete |
//!
//! To drop one, it is emptied with all writers waiting, which then maintain it no longer; after that its
//! keyspace is dropped. A power cut leaves a prefix of the log: if it has the marker, it has all that
//! the index consists of, and if it lacks what made the index incomplete, it lacks what was written
//! without it, too.

use super::{Index, Keyspace};
use crate::catalog::index_keyspace;
use crate::error::{Error, ErrorKind, Result};
use crate::index::{DeclaredIndex, IndexSpec, KeyspaceIndexes, MARKER, entry_range};
use crate::os::failpoint;
use crate::store::core::Core;
use crate::store::keyspaces::{drop_keyspace, find, make_keyspace};
use crate::store::names::check_name;
use crate::topology::KeyspaceSpec;
use crate::transaction::refuse_while_running;
use std::ops::Bound;
use std::sync::Arc;

/// The longest name of an index, in bytes.
const NAME_BYTES_MAX: usize = 200;

impl Keyspace {
    /// Declares a secondary index, and returns it. From now on every write of this keyspace, through
    /// whatever handle, writes what follows from it in the index, in the same commit.
    ///
    /// Call this after each opening of the store, for each index, before you write to the keyspace. An
    /// index begins empty if it is new, if it was built with another version, or if the process ended
    /// before it was complete: [`Index::build`] then adds the rows that are already there. An index that
    /// is declared already is returned as it is, with the function that it has, if version and
    /// uniqueness are the same.
    ///
    /// What it costs each write of this keyspace: a read of the row, a call of the function for what
    /// was and for what will be, and, where the two differ, the entries, in one batch with the row. A
    /// deletion of a range reads its rows, and deletes the entries of each.
    ///
    /// Durable when it returns. The first declaration creates a keyspace of the store's own, with one
    /// partition unless the specification says otherwise. Waits for writes in progress.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for a name that is empty, longer than 200
    /// bytes, or has control characters, for a keyspace whose rows expire, and in a
    /// [listener](crate::StoreBuilder::listener) of this store or the closure of a
    /// [transaction](crate::Store::transact);
    /// [`Closed`](ErrorKind::Closed) if the keyspace was dropped; those of
    /// [`Store::create_keyspace`](crate::Store::create_keyspace) and of [`put`](Self::put).
    pub fn index(&self, spec: IndexSpec) -> Result<Index> {
        check_name("an index", &spec.name, NAME_BYTES_MAX)?;
        if self.rows_expire() {
            // A row expires without a write that could take its entries away.
            let text = format!(
                "the rows of keyspace `{}` expire, so it cannot have an index; keep what index \
                 `{}` is to find in a keyspace without a time to live",
                self.name(),
                spec.name
            );
            return Err(Error::new(ErrorKind::InvalidArgument, text));
        }
        let catalog = &self.core().catalog;
        self.core().reshaper.registry.teller().refuse("declare an index")?;
        refuse_while_running(catalog.home.id, "declare an index")?;
        catalog.check_open()?;
        let _declaring = catalog.declaring.lock();
        // It may have been dropped. From here on it is not.
        catalog.keyspace(self.id())?;
        let present = self.state().indexes();
        let same = present
            .as_ref()
            .and_then(|indexes| indexes.get(&spec.name))
            .filter(|index| (index.version, index.unique) == (spec.version, spec.unique));
        let entries = find_or_make(self.core(), &index_keyspace(self.id(), &spec.name), &spec)?;
        if let Some(declared) = same {
            return Ok(Index { rows: self.clone(), entries, declared: Arc::clone(declared) });
        }
        let declared = Arc::new(DeclaredIndex::new(spec, self.name(), entries.id()));
        let index = Index { rows: self.clone(), entries, declared };
        let is_complete =
            index.entries.get(MARKER)?.as_deref() == Some(&index.declared.form().marker());
        let next = with_index(present.as_deref(), &index.declared);
        // With all others waiting: none of them writes entries of one version among those of another,
        // or meets the ones that are about to go.
        let _stopped = catalog.stop_writers();
        if is_complete {
            index.declared.set_ready();
        } else {
            catalog.check_writable()?;
            if let Some(former) = present.as_ref().and_then(|it| it.get(index.name())) {
                former.set_incomplete();
            }
            index.empty()?;
            failpoint::hit("index-emptied");
        }
        catalog.show_indexes(self.state(), next);
        Ok(index)
    }

    /// Returns the names of the indexes of this keyspace, whether declared since the opening or not.
    #[must_use]
    pub fn index_names(&self) -> Vec<String> {
        crate::catalog::index_names(&self.core().catalog.keyspaces(), self.id())
    }

    /// Drops an index with all its entries; this is durable when the call returns. Handles of it
    /// return errors from then on.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if there is none with this name; those of
    /// [`Store::drop_keyspace`](crate::Store::drop_keyspace).
    pub fn drop_index(&self, name: &str) -> Result<()> {
        let catalog = &self.core().catalog;
        self.core().reshaper.registry.teller().refuse("drop an index")?;
        refuse_while_running(catalog.home.id, "drop an index")?;
        catalog.check_open()?;
        let _declaring = catalog.declaring.lock();
        self.drop_index_alone(name)
    }

    /// Drops an index. The caller keeps others from declaring and dropping any.
    pub(in crate::store) fn drop_index_alone(&self, name: &str) -> Result<()> {
        let (core, catalog) = (self.core(), &self.core().catalog);
        let entries = find(core, &index_keyspace(self.id(), name)).ok_or_else(|| {
            let of = self.name();
            let text = format!("keyspace `{of}` has no index `{name}`; list those that it has");
            Error::new(ErrorKind::NotFound, text)
        })?;
        {
            let _stopped = catalog.stop_writers();
            let present = self.state().indexes();
            if let Some(index) = present.as_ref().and_then(|indexes| indexes.get(name)) {
                index.set_incomplete();
            }
            entries.delete_range(..)?;
            failpoint::hit("index-emptied");
            catalog.show_indexes(self.state(), without_index(present.as_deref(), name));
        }
        drop_keyspace(core, &entries)
    }
}

impl Index {
    /// Deletes everything, the marker first of all. The caller has all writers waiting.
    pub(super) fn empty(&self) -> Result<()> {
        self.declared.set_incomplete();
        let emptied = self.entries.delete_range(..);
        self.declared.set_begin(self.rows.core().catalog.log.end());
        emptied
    }

    /// Checks that it was neither declared again nor dropped. The caller keeps that out.
    pub(super) fn check_declared(&self) -> Result<()> {
        let now = self.rows.state().indexes();
        let is_same = |indexes: &Arc<KeyspaceIndexes>| {
            indexes.get(self.name()).is_some_and(|now| Arc::ptr_eq(now, &self.declared))
        };
        if now.as_ref().is_some_and(is_same) { Ok(()) } else { Err(self.declared.replaced()) }
    }

    /// Returns bounds of all its entries, without the marker.
    pub(super) fn all_entries() -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
        let range = entry_range(Bound::Unbounded, Bound::Unbounded);
        (Bound::Included(range.start.into()), Bound::Unbounded)
    }
}

fn find_or_make(core: &Arc<Core>, name: &str, spec: &IndexSpec) -> Result<Keyspace> {
    if let Some(found) = find(core, name) {
        return Ok(found);
    }
    let start =
        |point: &Vec<u8>| Vec::from(entry_range(Bound::Included(point), Bound::Unbounded).start);
    let mut points: Vec<Vec<u8>> = spec.split_points.iter().map(start).collect();
    points.sort_unstable();
    let made = make_keyspace(core, name, KeyspaceSpec::range().split_at(points).into());
    failpoint::hit("index-created");
    made
}

pub(super) fn with_index(
    present: Option<&KeyspaceIndexes>,
    index: &Arc<DeclaredIndex>,
) -> KeyspaceIndexes {
    let mut next = without_index(present, &index.name);
    next.declared.push(Arc::clone(index));
    next
}

fn without_index(present: Option<&KeyspaceIndexes>, name: &str) -> KeyspaceIndexes {
    let others = |index: &&Arc<DeclaredIndex>| index.name != name;
    let declared = present.iter().flat_map(|it| it.declared.iter().filter(others).cloned());
    let undeclared = present.iter().flat_map(|it| it.undeclared.iter().filter(|it| *it != name));
    KeyspaceIndexes::new(declared.collect(), undeclared.cloned().collect())
}
