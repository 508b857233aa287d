//! The state that the handles of a store share.

use super::Options;
use crate::cache::HotCache;
use crate::catalog::Catalog;
use crate::rebalancer::{self, Recent, Settings};
use crate::reshape::{Listener, Reshaper};
use crate::sampling::Sampler;
use crate::write::{Redo, Writer};
use std::sync::Arc;

/// The parts of an open store.
pub(crate) struct Core {
    pub(crate) options: Options,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) redo: Arc<Redo>,
    pub(crate) sampler: Arc<Sampler>,
    pub(crate) hot_cache: Option<HotCache>,
    pub(crate) reshaper: Arc<Reshaper>,
    pub(crate) rebalancer: Arc<rebalancer::State>,
}

impl Core {
    pub(super) fn new(
        options: Options,
        catalog: Arc<Catalog>,
        redo: Redo,
        listener: Option<Listener>,
    ) -> Self {
        let (redo, sampler) = (Arc::new(redo), Arc::new(Sampler::new(options.heat.is_some())));
        let recent = Arc::new(Recent::new(options.rebalance.cool_down));
        let noted = Arc::clone(&recent);
        let reshaper = Reshaper::new(
            Arc::clone(&catalog),
            Arc::clone(&redo),
            options.reshape,
            listener,
            Box::new(move |outcome| noted.note(outcome)),
        );
        let settings = Settings { heat: options.heat, rebalance: options.rebalance };
        let rebalancer =
            rebalancer::State::new(Arc::clone(&reshaper), Arc::clone(&sampler), settings, recent);
        Self {
            hot_cache: (options.hot_cache_bytes > 0)
                .then(|| HotCache::new(options.hot_cache_bytes)),
            options,
            catalog,
            redo,
            sampler,
            reshaper,
            rebalancer: Arc::new(rebalancer),
        }
    }

    /// Returns what the write of a batch passes through.
    pub(super) fn writer(&self) -> Writer<'_> {
        Writer {
            catalog: &self.catalog,
            redo: &self.redo,
            cache: self.hot_cache.as_ref(),
            sampler: &self.sampler,
        }
    }
}
