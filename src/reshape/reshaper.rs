//! The state that the reshapes of one store share.

use super::event::Listener;
use super::options::ReshapeOptions;
use super::outcome::Outcome;
use super::registry::Registry;
use crate::catalog::Catalog;
use std::sync::Arc;

/// A function that is called with how each reshape ended.
pub(crate) type Observer = Box<dyn Fn(&Outcome) + Send + Sync>;

/// The reshapes of a store.
pub(crate) struct Reshaper {
    pub(crate) catalog: Arc<Catalog>,
    /// In a separate `Arc`: a thread that has released everything else still reports to it that it
    /// has ended.
    pub(crate) registry: Arc<Registry>,
    pub(super) observer: Observer,
}

impl Reshaper {
    pub(crate) fn new(
        catalog: Arc<Catalog>,
        options: ReshapeOptions,
        listener: Option<Listener>,
        observer: Observer,
    ) -> Arc<Self> {
        let registry = Arc::new(Registry::new(options, listener));
        Arc::new(Self { catalog, registry, observer })
    }
}
