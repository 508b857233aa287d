//! The state that the handles of a store share.

use super::Options;
use super::disks::DiskKeeper;
use crate::cache::HotCache;
use crate::catalog::{Catalog, LogKeeper};
use crate::os::helpers::Helpers;
use crate::overload::Admission;
use crate::rebalancer::{self, Recent, Settings};
use crate::reshape::{Listener, Reshaper};
use crate::sampling::Sampler;
use crate::write::{Claim, Writer};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Instant;

/// How many threads may wait for the log at the same time, on behalf of callers with deadlines.
const HELPERS_MAX: usize = 64;

/// The parts of an open store.
pub(crate) struct Core {
    pub(crate) options: Options,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) sampler: Arc<Sampler>,
    pub(crate) hot_cache: Option<HotCache>,
    pub(crate) reshaper: Arc<Reshaper>,
    pub(crate) rebalancer: Arc<rebalancer::State>,
    /// None in a store that is closed or was opened read-only. It ends when nothing can write any
    /// more: handles of keyspaces write even after the last one of the store was dropped.
    pub(super) log_keeper: Mutex<Option<LogKeeper>>,
    /// None if all calls are worked on at once.
    pub(super) admission: Option<Arc<Admission>>,
    /// What waits for the log, or for several shards, until a deadline.
    pub(super) helpers: Helpers,
    /// None in a store that is closed or was opened read-only.
    pub(super) disk_keeper: Mutex<Option<DiskKeeper>>,
    /// Held by each snapshot, so that it is known whether there are any.
    pub(super) snapshots: Arc<()>,
}

impl Core {
    pub(super) fn new(options: Options, catalog: Arc<Catalog>, listener: Option<Listener>) -> Self {
        let sampler = Arc::new(Sampler::new(options.heat.is_some()));
        let recent = Arc::new(Recent::new(options.rebalance.cool_down));
        let noted = Arc::clone(&recent);
        let reshaper = Reshaper::new(
            Arc::clone(&catalog),
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
            admission: options.overload.map(Admission::new),
            options,
            catalog,
            sampler,
            reshaper,
            rebalancer: Arc::new(rebalancer),
            log_keeper: Mutex::default(),
            helpers: Helpers::new("annulus-late", HELPERS_MAX),
            disk_keeper: Mutex::default(),
            snapshots: Arc::default(),
        }
    }

    /// Returns what a write passes through, which waits for others until a deadline.
    pub(super) fn writer<'a>(
        &'a self,
        deadline: Option<Instant>,
        claim: Option<&'a Claim>,
    ) -> Writer<'a> {
        let cache = self.hot_cache.as_ref();
        Writer { catalog: &self.catalog, cache, sampler: &self.sampler, deadline, claim }
    }
}
