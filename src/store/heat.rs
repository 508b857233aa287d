//! The load of a store, as the application can ask for it.

use super::{Keyspace, Store};
use crate::cache::HotCacheStats;
use crate::heat::{HeatReport, HotKeys};
use crate::rebalancer::Rebalancer;

impl Store {
    /// Returns where the load falls: the load of each partition and shard, over three windows, and
    /// the hot keys of each keyspace. All of it is estimated from a sample of the operations.
    ///
    /// Cost: O(partitions), plus the samples of the last tenth of a second.
    ///
    /// ```
    /// # use annulus::{Store, topology::KeyspaceSpec};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// # let words = store.create_keyspace("words", KeyspaceSpec::hash())?;
    /// for _ in 0..10_000 {
    ///     words.get("the")?;
    /// }
    /// let heat = store.heat();
    /// assert!(heat.max_over_mean.short > 3.0, "one key, one of four shards");
    /// assert_eq!(words.hot_keys(1).reads[0].key[..], b"the"[..]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn heat(&self) -> HeatReport {
        self.core().rebalancer.report()
    }

    /// Returns the rebalancer: its policy and switches, what it would do, and what it has decided.
    #[must_use]
    pub fn rebalancer(&self) -> Rebalancer<'_> {
        Rebalancer::new(&self.core().rebalancer)
    }

    /// Returns what the cache of hot keys holds and how often it was hit, or `None` if there is no
    /// cache.
    #[must_use]
    pub fn hot_cache_stats(&self) -> Option<HotCacheStats> {
        Some(self.core().hot_cache.as_ref()?.stats())
    }
}

impl Keyspace {
    /// Returns the most frequently read and the most frequently written keys, at most `limit` of
    /// each, with bounds on the error of their counts. The result is up to a tenth of a second old.
    #[must_use]
    pub fn hot_keys(&self, limit: usize) -> HotKeys {
        self.core().rebalancer.hot_keys(self.id(), limit)
    }
}
