//! The state of a keyspace that its handles, readers, writers and reshapes share.

use super::View;
use crate::error::{Error, Result};
use crate::expiry::{Expiring, PutLifetime, WriteMoment};
use crate::id::KeyspaceId;
use crate::index::KeyspaceIndexes;
use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The open keyspaces, in the order of their creation.
pub(crate) type Keyspaces = BTreeMap<KeyspaceId, Arc<KeyspaceState>>;

/// Returns the error of a put with a lifetime in a keyspace whose rows do not expire.
#[cold]
pub(crate) fn does_not_expire(keyspace: &str) -> Error {
    Error::invalid(format!(
        "the rows of keyspace `{keyspace}` do not expire, so none can have a lifetime; create a \
         keyspace with a time to live for them"
    ))
}

/// A keyspace that is open, or has been dropped since.
pub(crate) struct KeyspaceState {
    id: KeyspaceId,
    name: Box<str>,
    /// True if its records have the values before, too.
    pub(super) old_values: AtomicBool,
    /// True if it has indexes.
    pub(super) indexed: AtomicBool,
    pub(super) indexes: ArcSwapOption<KeyspaceIndexes>,
    expiring: Option<Arc<Expiring>>,
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
            expiring: view.expiring().cloned(),
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

    /// Returns what its parts share if its rows expire.
    #[inline]
    pub(crate) fn expiring(&self) -> Option<&Arc<Expiring>> {
        self.expiring.as_ref()
    }

    /// Checks whether rows may have such a lifetime.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if it is one of its own, and rows do not expire.
    #[inline]
    pub(crate) fn check_lifetime(&self, lifetime: PutLifetime) -> Result<()> {
        if self.expiring.is_none() && lifetime != PutLifetime::Default {
            return Err(does_not_expire(&self.name));
        }
        Ok(())
    }

    /// Returns a value as it is stored that is put at a moment. Where rows do not expire that is
    /// the value as it is.
    #[inline]
    pub(crate) fn store<'v>(
        &self,
        value: &'v [u8],
        lifetime: PutLifetime,
        moment: &WriteMoment,
    ) -> Cow<'v, [u8]> {
        match &self.expiring {
            None => Cow::Borrowed(value),
            Some(expiring) => Cow::Owned(expiring.store(value, lifetime, moment)),
        }
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
