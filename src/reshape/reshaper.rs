//! What reshapes of one store share.

use super::event::Listener;
use super::options::ReshapeOptions;
use super::outcome::Outcome;
use super::registry::Registry;
use crate::catalog::Catalog;
use crate::write::Redo;
use std::sync::Arc;

/// Called with how each reshape ended.
pub(crate) type Observer = Box<dyn Fn(&Outcome) + Send + Sync>;

/// The reshapes of a store.
pub(crate) struct Reshaper {
    pub(crate) catalog: Arc<Catalog>,
    /// Batches over several shards, which a commit fences off.
    pub(super) redo: Arc<Redo>,
    /// Of its own: a thread that has let go of everything else says to it that it has ended.
    pub(crate) registry: Arc<Registry>,
    pub(super) observer: Observer,
}

impl Reshaper {
    pub(crate) fn new(
        catalog: Arc<Catalog>,
        redo: Arc<Redo>,
        options: ReshapeOptions,
        listener: Option<Listener>,
        observer: Observer,
    ) -> Arc<Self> {
        let registry = Arc::new(Registry::new(options, listener));
        Arc::new(Self { catalog, redo, registry, observer })
    }
}
