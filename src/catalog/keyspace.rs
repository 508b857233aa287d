//! The state of a keyspace that its handles, readers, writers and reshapes share.

use super::View;
use crate::id::KeyspaceId;
use crate::index::KeyspaceIndexes;
use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The open keyspaces, in the order of their creation.
pub(crate) type Keyspaces = BTreeMap<KeyspaceId, Arc<KeyspaceState>>;

/// A keyspace that is open, or has been dropped since.
pub(crate) struct KeyspaceState {
    id: KeyspaceId,
    name: Box<str>,
    /// True if its records have the values before, too.
    pub(super) old_values: AtomicBool,
    /// True if it has indexes.
    pub(super) indexed: AtomicBool,
    pub(super) indexes: ArcSwapOption<KeyspaceIndexes>,
    view: ArcSwap<View>,
}

impl KeyspaceState {
    pub(crate) fn new(view: View) -> Self {
        let (id, name) = (view.keyspace.id(), view.keyspace.name().into());
        Self {
            id,
            name,
            old_values: AtomicBool::new(false),
            indexed: AtomicBool::new(false),
            indexes: ArcSwapOption::empty(),
            view: ArcSwap::from_pointee(view),
        }
    }

    pub(crate) const fn id(&self) -> KeyspaceId {
        self.id
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns true if its records have the values before, too.
    #[inline]
    pub(crate) fn logs_old_values(&self) -> bool {
        self.old_values.load(Ordering::Relaxed)
    }

    /// Returns true if it has indexes. Does not change while the commit gate is passed.
    #[inline]
    pub(crate) fn has_indexes(&self) -> bool {
        self.indexed.load(Ordering::Acquire)
    }

    /// Returns its indexes, if it has any.
    pub(crate) fn indexes(&self) -> Option<Arc<KeyspaceIndexes>> {
        self.indexes.load_full()
    }

    /// Returns the present view, for as long as a single operation takes.
    #[inline]
    pub(crate) fn load(&self) -> Guard<Arc<View>> {
        self.view.load()
    }

    /// Returns the present view, to keep.
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// Publishes another view. Changes of the topology are excluded.
    pub(super) fn publish(&self, view: View) {
        self.view.store(Arc::new(view));
    }
}
