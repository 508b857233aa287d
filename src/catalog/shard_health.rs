//! The health of each shard: what of it can be read and written, since when, and why not all.
//!
//! | from | what happens | to |
//! |---|---|---|
//! | – | an opening reaches the shard | `Serving` |
//! | `Serving` | it refuses a write, so that a partition falls [behind](super::behind) the log | `ReadOnly` |
//! | `ReadOnly` | none of its partitions is behind any more | `Serving` |
//! | `ReadOnly` | it has refused, again and again, what its partitions lack, and is [taken out](super::taken_out) | `Failed` |
//! | – | an opening has done without the shard | `Missing` |
//! | `Failed`, `Missing` | it is taken back | `Serving` |
//!
//! `Serving` and `ReadOnly` are drawn from the partitions; the other two are noted with the views in which
//! its partitions are not there. A state decides nothing: whether a partition can be read or written is known
//! to itself. So no state of a shard can disagree with its partitions for longer than it takes to look at
//! them, and a shard concerns no other.

use super::Catalog;
use crate::error::Error;
use crate::id::ShardId;
use parking_lot::Mutex;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

/// What of a shard can be read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ShardState {
    /// Everything.
    Serving,
    /// It has refused a write. The partitions concerned refuse reads and writes as
    /// [`Busy`](crate::ErrorKind::Busy), until the store has brought them up to the log; the others can
    /// be read, and written as far as the shard takes it.
    ReadOnly,
    /// Nothing. It has refused for several seconds what its partitions lack, so the store has taken it
    /// out. What needs it is refused as [`Unavailable`](crate::ErrorKind::Unavailable). The store tries
    /// again and again to open it, and takes it back with everything that was acknowledged; but an
    /// operator should look at the disk. Snapshots, scans and values that are held from before read on, and
    /// it is not opened before they are dropped.
    Failed,
    /// Nothing. The opening could not reach it, and was
    /// [allowed](crate::StoreBuilder::allow_missing_shards) to do without it. What needs it is refused
    /// as [`Unavailable`](crate::ErrorKind::Unavailable), until it can be opened.
    Missing,
}

impl ShardState {
    /// A short lower-case name, stable across versions: for logs and for `--json`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::ReadOnly => "read_only",
            Self::Failed => "failed",
            Self::Missing => "missing",
        }
    }
}

impl fmt::Display for ShardState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ShardState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The health of a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ShardHealth {
    /// What of it can be read and written.
    pub state: ShardState,
    /// Since when, by the clock of the system. In JSON it is `since_ms`, milliseconds since 1970.
    #[serde(rename = "since_ms", with = "crate::units::unix_ms")]
    pub since: SystemTime,
    /// Why not everything; `None` while the shard serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl ShardHealth {
    fn new(state: ShardState, reason: Option<String>) -> Self {
        Self { state, since: crate::units::to_the_ms(SystemTime::now()), reason }
    }
}

/// The healths of the shards of an open store. Those that are not here have served since it was
/// opened.
#[derive(Default)]
pub(crate) struct ShardHealths {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    by_shard: BTreeMap<ShardId, ShardHealth>,
    /// What has changed since it was last asked for.
    changes: Vec<(ShardId, ShardHealth)>,
}

impl Inner {
    fn state(&self, shard: ShardId) -> ShardState {
        self.by_shard.get(&shard).map_or(ShardState::Serving, |health| health.state)
    }

    fn enter(&mut self, shard: ShardId, state: ShardState, reason: Option<String>) {
        let before = self.state(shard);
        if before == state {
            return;
        }
        let why = reason.as_deref().unwrap_or("all of it can be read and written again");
        match state {
            ShardState::Serving => tracing::info!(%shard, %before, now = %state, "{why}"),
            _ => tracing::error!(%shard, %before, now = %state, "{why}"),
        }
        let health = ShardHealth::new(state, reason);
        self.changes.push((shard, health.clone()));
        self.by_shard.insert(shard, health);
    }

    /// Draws the states from the partitions that are behind, with their causes.
    fn observe(&mut self, behind: &BTreeMap<ShardId, String>) {
        for (shard, cause) in behind {
            if self.state(*shard) == ShardState::Serving {
                self.enter(*shard, ShardState::ReadOnly, Some(cause.clone()));
            }
        }
        let recovered = self.by_shard.iter().filter(|(shard, health)| {
            health.state == ShardState::ReadOnly && !behind.contains_key(shard)
        });
        let recovered: Vec<ShardId> = recovered.map(|(shard, _)| *shard).collect();
        for shard in recovered {
            self.enter(shard, ShardState::Serving, None);
        }
    }

    /// Returns true if none can change by being looked at.
    fn is_settled(&self) -> bool {
        self.by_shard.values().all(|health| health.state != ShardState::ReadOnly)
    }
}

impl Catalog {
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

    /// The same where nothing was marked: a shard whose partitions have been brought up, or dropped,
    /// serves again.
    pub(crate) fn observe_recovered_shards(&self) {
        let mut inner = self.shard_healths.inner.lock();
        if !inner.is_settled() {
            inner.observe(&self.shards_behind());
        }
    }

    /// Notes that a shard has been taken out.
    pub(super) fn note_taken_out(&self, shard: ShardId, cause: &Error) {
        let mut inner = self.shard_healths.inner.lock();
        inner.enter(shard, ShardState::Failed, Some(format!("{cause:#}")));
    }

    /// Notes that a shard that was missing, or taken out, has been taken back.
    pub(super) fn note_taken_back(&self, shard: ShardId) {
        self.shard_healths.inner.lock().enter(shard, ShardState::Serving, None);
    }

    /// Notes why a shard cannot be taken back yet.
    pub(crate) fn note_still_missing(&self, shard: ShardId, reason: String) {
        let mut inner = self.shard_healths.inner.lock();
        if let Some(health) = inner.by_shard.get_mut(&shard) {
            health.reason = Some(reason);
        }
    }

    /// Returns what has changed since the last call, in order.
    pub(crate) fn take_health_changes(&self) -> Vec<(ShardId, ShardHealth)> {
        std::mem::take(&mut self.shard_healths.inner.lock().changes)
    }
}

#[cfg(test)]
mod tests {
    use super::ShardState::{Failed, ReadOnly, Serving};
    use super::*;

    const SHARD: ShardId = ShardId(1);

    fn reason(inner: &Inner) -> Option<&str> {
        inner.by_shard.get(&SHARD)?.reason.as_deref()
    }

    fn behind(causes: &[(u32, &str)]) -> BTreeMap<ShardId, String> {
        causes.iter().map(|(shard, cause)| (ShardId(*shard), (*cause).to_owned())).collect()
    }

    #[test]
    fn the_states_follow_each_other_as_the_table_says() {
        let mut inner = Inner::default();
        inner.observe(&behind(&[(1, "first")]));
        inner.observe(&behind(&[(1, "second")]));
        assert_eq!(reason(&inner), Some("first"), "the first cause stays");
        inner.observe(&behind(&[]));
        assert_eq!(inner.state(SHARD), Serving);
        inner.observe(&behind(&[(1, "third"), (2, "another shard")]));
        inner.enter(SHARD, Failed, Some("the disk is gone".to_owned()));
        inner.observe(&behind(&[(2, "another shard")]));
        inner.observe(&behind(&[(1, "fourth"), (2, "another shard")]));
        assert_eq!((inner.state(SHARD), reason(&inner)), (Failed, Some("the disk is gone")));
        assert!(!inner.is_settled(), "the other one");
        inner.observe(&behind(&[]));
        assert!(inner.is_settled());
        inner.enter(SHARD, Serving, None);

        let changes: Vec<_> = inner.changes.iter().map(|(id, it)| (id.0, it.state)).collect();
        let of_first = [ReadOnly, Serving, ReadOnly, Failed, Serving].map(|state| (1, state));
        let of = |id| changes.iter().copied().filter(move |change| change.0 == id);
        assert!(of(1).eq(of_first), "{changes:?}");
        assert!(of(2).eq([(2, ReadOnly), (2, Serving)]), "{changes:?}");
    }
}
