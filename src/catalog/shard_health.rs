//! The health of each shard: what of it can be read and written, since when, and why not all.
//!
//! | from | what happens | to |
//! |---|---|---|
//! | – | an opening reaches the shard | `Serving` |
//! | `Serving` | it refuses a write, so that a partition falls [behind](super::behind) the log | `ReadOnly` |
//! | `ReadOnly` | it has refused, again and again, what its partitions lack | `Failed` |
//! | `ReadOnly`, `Failed` | none of its partitions is behind any more | `Serving` |
//! | – | an opening has done without the shard | `Missing`, for as long as the store is open |
//!
//! The others than `Missing` are drawn from the partitions, and decide nothing: whether one can be read or written
//! is known to itself. So no state of a shard can disagree with its partitions for longer than it takes
//! to look at them, and a shard concerns no other.

use crate::error::Error;
use crate::id::ShardId;
use parking_lot::Mutex;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

/// After how many refusals in a row of what its partitions lack a shard has failed. With the waits
/// between them that takes about six seconds: longer than RocksDB takes to notice that a full disk has
/// room again.
pub(crate) const REFUSALS_MAX: u32 = 6;

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
    /// The same, for several seconds, in which the store has tried to bring them up in vain. It goes on
    /// trying, but an operator should look at the disk.
    Failed,
    /// Nothing. The opening could not reach it, and was
    /// [allowed](crate::StoreBuilder::allow_missing_shards) to do without it. What needs it is refused
    /// as [`Unavailable`](crate::ErrorKind::Unavailable), until the store is opened with it.
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
    pub(super) inner: Mutex<Inner>,
}

#[derive(Default)]
pub(super) struct Inner {
    pub(super) by_shard: BTreeMap<ShardId, ShardHealth>,
    /// What has changed since it was last asked for.
    pub(super) changes: Vec<(ShardId, ShardHealth)>,
}

impl Inner {
    pub(super) fn state(&self, shard: ShardId) -> ShardState {
        self.by_shard.get(&shard).map_or(ShardState::Serving, |health| health.state)
    }

    pub(super) fn enter(&mut self, shard: ShardId, state: ShardState, reason: Option<String>) {
        let before = self.state(shard);
        if before == state {
            return;
        }
        let why = reason.as_deref().unwrap_or("none of its partitions is behind the log any more");
        match state {
            ShardState::Serving => tracing::info!(%shard, %before, now = %state, "{why}"),
            _ => tracing::error!(%shard, %before, now = %state, "{why}"),
        }
        let health = ShardHealth::new(state, reason);
        self.changes.push((shard, health.clone()));
        self.by_shard.insert(shard, health);
    }

    /// Draws the states from the partitions that are behind, with their causes.
    pub(super) fn observe(&mut self, behind: &BTreeMap<ShardId, String>) {
        for (shard, cause) in behind {
            if self.state(*shard) == ShardState::Serving {
                self.enter(*shard, ShardState::ReadOnly, Some(cause.clone()));
            }
        }
        let recovered = self.by_shard.iter().filter(|(shard, health)| {
            matches!(health.state, ShardState::ReadOnly | ShardState::Failed)
                && !behind.contains_key(shard)
        });
        let recovered: Vec<ShardId> = recovered.map(|(shard, _)| *shard).collect();
        for shard in recovered {
            self.enter(shard, ShardState::Serving, None);
        }
    }

    /// Notes that a shard has refused again what its partitions lack.
    pub(super) fn note_refusal(&mut self, shard: ShardId, refusals: u32, cause: &Error) {
        if refusals >= REFUSALS_MAX && self.state(shard) == ShardState::ReadOnly {
            let reason = format!("it has refused what it lacks {refusals} times: {cause:#}");
            self.enter(shard, ShardState::Failed, Some(reason));
        }
    }

    /// Returns true if none can change by being looked at.
    pub(super) fn all_serve(&self) -> bool {
        let serves = |health: &ShardHealth| {
            matches!(health.state, ShardState::Serving | ShardState::Missing)
        };
        self.by_shard.values().all(serves)
    }
}

#[cfg(test)]
mod tests {
    use super::ShardState::{Failed, ReadOnly, Serving};
    use super::*;
    use crate::error::ErrorKind;

    const SHARD: ShardId = ShardId(1);

    fn reason(inner: &Inner) -> Option<&str> {
        inner.by_shard.get(&SHARD)?.reason.as_deref()
    }

    fn behind(causes: &[(u32, &str)]) -> BTreeMap<ShardId, String> {
        causes.iter().map(|(shard, cause)| (ShardId(*shard), (*cause).to_owned())).collect()
    }

    #[test]
    fn the_states_follow_each_other_as_the_table_says() {
        let cause = Error::new(ErrorKind::Io, "the disk is gone");
        let mut inner = Inner::default();
        inner.note_refusal(SHARD, 100, &cause);
        assert_eq!(inner.state(SHARD), Serving, "nothing is behind");

        inner.observe(&behind(&[(1, "first")]));
        inner.observe(&behind(&[(1, "second")]));
        assert_eq!(reason(&inner), Some("first"), "the first cause stays");
        inner.note_refusal(SHARD, REFUSALS_MAX - 1, &cause);
        assert_eq!(inner.state(SHARD), ReadOnly);
        inner.note_refusal(SHARD, REFUSALS_MAX, &cause);
        inner.note_refusal(SHARD, REFUSALS_MAX + 1, &cause);
        inner.observe(&behind(&[(1, "third"), (2, "another shard")]));
        assert!(reason(&inner).unwrap().contains("the disk is gone"));
        inner.observe(&behind(&[(2, "another shard")]));
        assert!(!inner.all_serve());
        inner.observe(&behind(&[]));
        assert!(inner.all_serve());

        let changes: Vec<_> = inner.changes.iter().map(|(id, it)| (id.0, it.state)).collect();
        let expected = [(1, ReadOnly), (1, Failed), (2, ReadOnly), (1, Serving), (2, Serving)];
        assert_eq!(changes, expected);
    }
}
