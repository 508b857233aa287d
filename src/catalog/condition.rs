//! The condition of an open store: whether it takes writes, and the health of its shards.

use super::Catalog;
use super::missing::MissingShards;
use super::shard_health::{ShardHealth, ShardState};
use crate::engine::Engine as _;
use crate::error::{Error, Result};
use crate::id::ShardId;
use std::fmt::Display;
use std::sync::Arc;

impl Catalog {
    /// Returns true if the store was opened read-only: nothing on disk may be changed.
    pub(crate) fn is_read_only(&self) -> bool {
        self.home.lock.is_none()
    }

    /// Checks that the store's paths still name what was opened, before anything is committed or
    /// flushed. If they do not, the store takes no more writes.
    ///
    /// # Errors
    ///
    /// `Io`, with the path and what was opened.
    pub(crate) fn check_places(&self) -> Result<()> {
        self.home.places.check().inspect_err(|error| self.displace(error))
    }

    /// Does what [`check_places`](Self::check_places) does, at most once a second.
    pub(crate) fn watch_places(&self) {
        if let Err(error) = self.home.places.check_if_due() {
            tracing::error!(error = format_args!("{error:#}"), "the store takes no more writes");
            self.displace(&error);
        }
    }

    fn displace(&self, error: &Error) {
        self.health.mark_displaced(error);
        // What is flushed or merged from now on might end up in another store.
        self.quiesce();
    }

    /// Ends background work of all engines; reads through handles that are still held go on.
    pub(crate) fn quiesce(&self) {
        self.shards.load().values().for_each(|shard| shard.quiesce());
        self.metadata.engine.quiesce();
    }

    /// Refuses writes to a store that takes none.
    ///
    /// IMPORTANT: a writer asks after it has taken its stripes: what ends the store's writes (a
    /// close, a change of the topology of which no one knows whether it is on disk) then waits for
    /// writers that were not refused, or finds what they have written.
    #[inline]
    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.health.takes_writes() { Ok(()) } else { Err(self.refusal()) }
    }

    /// Refuses what writes files in a store that is opened read-only.
    pub(crate) fn check_disk_writable(&self) -> Result<()> {
        if self.is_read_only() { Err(self.refusal()) } else { Ok(()) }
    }

    #[cold]
    fn refusal(&self) -> Error {
        self.health.refusal(&self.home.path)
    }

    /// Makes the store refuse writes from now on, because a change of the topology may or may not be
    /// on disk; each refusal carries the first cause.
    pub(crate) fn mark_in_doubt(&self, cause: impl Display) {
        self.health.mark_in_doubt(cause);
    }

    /// Marks the store closed. Returns true if it was not closed before.
    pub(crate) fn mark_closed(&self) -> bool {
        self.health.close()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.health.is_closed()
    }

    /// # Errors
    ///
    /// `Closed`.
    pub(crate) fn check_open(&self) -> Result<()> {
        self.health.check_open()
    }
}

/// Its shards.
impl Catalog {
    /// Returns the catalog of a store of which these shards are missing.
    pub(crate) fn without(mut self, missing: MissingShards) -> Self {
        missing.iter().for_each(|(shard, missing)| self.note_missing(*shard, &missing.cause));
        self.missing = Arc::new(missing);
        self
    }

    /// Checks that a shard is not missing.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub(crate) fn check_there(&self, id: ShardId) -> Result<()> {
        self.missing.get(&id).map_or(Ok(()), |missing| Err(missing.error(id)))
    }

    /// Checks that no shard is missing.
    ///
    /// # Errors
    ///
    /// `Unavailable`, with the first that is.
    pub(crate) fn check_all_there(&self) -> Result<()> {
        self.missing.keys().try_for_each(|id| self.check_there(*id))
    }

    /// Returns the health of a shard; one that nothing has happened to has served since the opening.
    pub(crate) fn shard_health(&self, shard: ShardId) -> ShardHealth {
        let serving =
            ShardHealth { state: ShardState::Serving, since: self.opened_at, reason: None };
        self.shard_healths.inner.lock().by_shard.get(&shard).cloned().unwrap_or(serving)
    }

    /// Notes that the opening has done without a shard.
    pub(super) fn note_missing(&self, shard: ShardId, cause: &Error) {
        let mut inner = self.shard_healths.inner.lock();
        inner.enter(shard, ShardState::Missing, Some(format!("{cause:#}")));
    }

    /// Draws the states of shards from their partitions, after one was marked as behind.
    pub(super) fn observe_shards(&self) {
        // IMPORTANT: look with the lock held, so that the last one to draw has seen what all have
        // marked.
        let mut inner = self.shard_healths.inner.lock();
        inner.observe(&self.shards_behind());
    }

    /// Does so where nothing was marked: a shard whose partitions have been brought up, or dropped,
    /// serves again.
    pub(crate) fn observe_recovered_shards(&self) {
        let mut inner = self.shard_healths.inner.lock();
        if !inner.all_serve() {
            inner.observe(&self.shards_behind());
        }
    }

    /// Notes that a shard has refused what its partitions lack, for the `refusals`th time in a row.
    pub(crate) fn note_refusal(&self, shard: ShardId, refusals: u32, cause: &Error) {
        self.shard_healths.inner.lock().note_refusal(shard, refusals, cause);
    }

    /// Returns what has changed since the last call, in order.
    pub(crate) fn take_health_changes(&self) -> Vec<(ShardId, ShardHealth)> {
        std::mem::take(&mut self.shard_healths.inner.lock().changes)
    }
}
