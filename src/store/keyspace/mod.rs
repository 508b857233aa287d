//! The handle of a keyspace; its reads are in `read.rs`, `memory.rs` and `count.rs`, its writes in
//! `write.rs` and `update.rs`.

mod count;
mod late;
mod memory;
mod read;
mod update;
mod write;

pub(super) use read::read;

use super::core::Core;
use crate::catalog::{KeyspaceState, View};
use crate::heat::Operation;
use crate::id::KeyspaceId;
use crate::overload::Priority;
use crate::read::Value;
use crate::sampling::{SampleTicket, SampledOperation, Sampler};
use crate::topology::{self, TimeToLive};
use crate::write::Claim;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// The handle of a keyspace. Cheap to clone; every method may be called from any thread.
///
/// Reads and writes of one key are linearizable. Writes have the store's default
/// [durability](crate::Options::durability); the `…_with` methods take another one.
///
/// ```
/// use annulus::{Store, topology::KeyspaceSpec};
///
/// # fn main() -> annulus::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// let store = Store::open(directory.path().join("store"))?;
/// let users = store.create_keyspace("users", KeyspaceSpec::hash())?;
/// users.put("ada", "countess")?;
/// assert_eq!(users.get("ada")?.as_deref(), Some(&b"countess"[..]));
/// assert!(users.get("bob")?.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Keyspace {
    core: Arc<Core>,
    state: Arc<KeyspaceState>,
    /// When its calls give up.
    deadline: Option<Instant>,
    /// How important they are.
    priority: Priority,
    /// By which a write of this handle can be given up that is made on another thread.
    claim: Option<Arc<Claim>>,
}

impl Keyspace {
    pub(super) fn new(core: &Arc<Core>, state: &Arc<KeyspaceState>) -> Self {
        Self {
            core: Arc::clone(core),
            state: Arc::clone(state),
            deadline: None,
            priority: Priority::default(),
            claim: None,
        }
    }

    /// Returns the same with another deadline.
    pub(super) fn with(&self, deadline: Option<Instant>) -> Self {
        Self { deadline, ..self.clone() }
    }

    /// Returns the same with another priority.
    pub(super) fn with_priority_of(&self, priority: Priority) -> Self {
        Self { priority, ..self.clone() }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(super) fn priority(&self) -> Priority {
        self.priority
    }

    /// Returns the keyspace's number in the store.
    #[must_use]
    pub fn id(&self) -> KeyspaceId {
        self.state.id()
    }

    /// Returns the keyspace's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.state.name()
    }

    /// Returns how the keyspace's keys are placed now: partitioning, partitions, owners.
    #[must_use]
    pub fn placement(&self) -> Arc<topology::KeyspaceLayout> {
        Arc::clone(&self.state.load().keyspace)
    }

    /// Returns how long its rows live; `None` if they do not expire.
    #[must_use]
    pub fn time_to_live(&self) -> Option<TimeToLive> {
        self.state.expiring().map(|expiring| expiring.time_to_live())
    }

    pub(super) fn rows_expire(&self) -> bool {
        self.state.expiring().is_some()
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(super) fn sampler(&self) -> &Arc<Sampler> {
        &self.core.sampler
    }

    /// Records a read, if it is sampled.
    #[inline]
    pub(super) fn record_read(
        &self,
        sampled: Option<SampleTicket>,
        key: &[u8],
        value: Option<&Value>,
    ) {
        if sampled.is_some() {
            let bytes = key.len() + value.map_or(0, |value| value.len());
            self.sampler().end(sampled, self.id(), key, Operation::Read, bytes);
        }
    }

    /// Records one of several reads, if it is sampled.
    pub(super) fn record_read_untimed(&self, key: &[u8], value: Option<&Value>) {
        if let Some(sampled) = self.sampler().begin() {
            let bytes = key.len() + value.map_or(0, |value| value.len());
            self.sampler().record(SampledOperation {
                keyspace: self.id(),
                key,
                access: Operation::Read,
                bytes,
                weight: sampled.weight(),
                took: None,
            });
        }
    }

    pub(super) fn store_id(&self) -> u128 {
        self.core.catalog.home.id
    }

    pub(crate) fn view(&self) -> Arc<View> {
        self.state.view()
    }

    pub(super) fn state(&self) -> &Arc<KeyspaceState> {
        &self.state
    }
}

impl fmt::Debug for Keyspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyspace").field("id", &self.id()).field("name", &self.name()).finish()
    }
}
