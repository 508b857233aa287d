//! The directory of a store.

use super::directory::DirectoryLock;
use super::places::Places;
use crate::clock::{Clock, HybridClock};
use crate::engine::LockGuard;
use crate::expiry::Horizon;
use std::path::PathBuf;
use std::sync::Arc;

/// The directory of a store and its clock, before its engines are open.
#[derive(Clone)]
pub(crate) struct Home {
    /// The store's number, the same in its directory's and its shards' identity files.
    pub(crate) id: u128,
    pub(crate) path: PathBuf,
    /// `None` in a store that is opened read-only.
    pub(crate) lock: Option<Arc<DirectoryLock>>,
    pub(crate) places: Arc<Places>,
    /// The time of the store, which the log issues to its records.
    pub(crate) clock: Arc<HybridClock>,
    /// Up to when expired rows may be reclaimed.
    pub(crate) horizon: Arc<Horizon>,
}

impl Home {
    pub(crate) fn new(
        id: u128,
        path: PathBuf,
        lock: Option<Arc<DirectoryLock>>,
        places: Arc<Places>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let clock = Arc::new(HybridClock::new(clock));
        Self { id, path, lock, places, horizon: Horizon::new(Arc::clone(&clock)), clock }
    }

    /// Returns what keeps the directory locked, for an engine.
    pub(crate) fn guard(&self) -> LockGuard {
        self.lock.clone().map(|lock| lock as Arc<dyn Send + Sync>)
    }

    /// Returns what keeps the directory and that of a shard locked, for the engine of the shard.
    pub(crate) fn guard_with(&self, shard: DirectoryLock) -> LockGuard {
        Some(Arc::new((shard, self.lock.clone())))
    }
}
