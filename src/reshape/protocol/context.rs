//! The context that the phases of one reshape share.

use super::super::control::Control;
use super::super::event::Event;
use super::super::options::{ReshapeOptions, Transport};
use super::super::phase::Phase;
use super::super::reshaper::Reshaper;
use super::estimate::Estimate;
use crate::catalog::OpenPartition;
use crate::engine::ShardEngine;
use crate::error::Result;
use crate::expiry::{Held, Moment};
use crate::id::ShardId;
use crate::placement::PartitionRange;
use crate::read::RowFilter;
use crate::topology::{PartitionName, ReshapeSpec};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How often a reshape that is paused checks whether its keyspace is being dropped.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A reshape in progress.
pub(crate) struct Reshape<'a> {
    pub(super) reshaper: &'a Arc<Reshaper>,
    pub(super) options: ReshapeOptions,
    pub(super) control: &'a Control,
    pub(super) step: usize,
    pub(super) number: u64,
    pub(super) spec: ReshapeSpec,
    /// The transport that was chosen.
    pub(super) transport: Transport,
    pub(super) sources: Vec<Endpoint>,
    /// Its moment, where rows expire.
    pub(super) held: Option<Held>,
    pub(super) source_range: PartitionRange,
    /// The rows within that range.
    pub(super) source_rows: RowFilter,
    pub(super) target_specs: Vec<TargetSpec>,
    /// How long it took to record the intent, which says how long the commit will take.
    pub(super) recording: Duration,
}

/// A target that is to be made.
pub(crate) struct TargetSpec {
    pub(crate) name: PartitionName,
    pub(crate) owner: ShardId,
    pub(crate) shard: Arc<ShardEngine>,
    pub(crate) range: PartitionRange,
    /// The rows within its range.
    pub(crate) filter: RowFilter,
}

/// A partition that a reshape reads or writes, and the rows that belong to it.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) partition: Arc<OpenPartition>,
    pub(crate) filter: RowFilter,
}

/// The sources and the targets of a reshape. Both sides tile the same range.
pub(crate) struct ReshapePair {
    pub(crate) sources: Vec<Endpoint>,
    pub(crate) targets: Vec<Endpoint>,
    /// Where rows expire: those that have at this moment do not count, and others stay, on both
    /// sides.
    pub(crate) expired_at: Option<Moment>,
}

/// What was counted during a reshape.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) bytes: u64,
    pub(super) keys_caught_up: u64,
    pub(super) rounds: u32,
    pub(super) estimate: Estimate,
    pub(super) pause: Duration,
    pub(super) commit: Commit,
    /// The transport in use, once the targets are begun.
    pub(super) transport: Option<Transport>,
}

/// How far the commit is, which decides whether the reshape can be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Commit {
    #[default]
    Ahead,
    /// It is unknown whether the commit is on disk.
    Begun,
    Done,
}

impl Reshape<'_> {
    /// Notes the phase and notifies the listener.
    pub(super) fn set_phase(&self, phase: Phase) {
        self.note_phase(phase);
        self.tell_phase(phase);
    }

    /// Notes the phase without notifying the listener: the change lock is held, and a listener may
    /// be waiting for it elsewhere.
    pub(super) fn note_phase(&self, phase: Phase) {
        self.control.set_phase(self.step, phase);
    }

    pub(super) fn tell_phase(&self, phase: Phase) {
        self.reshaper.registry.tell(&Event::Phase { reshape: self.number, phase });
    }

    /// Waits while the job is paused.
    ///
    /// # Errors
    ///
    /// `Aborted` or `Closed` if the reshape is to end.
    pub(super) fn checkpoint(&self) -> Result<()> {
        loop {
            self.reshaper.registry.check(self.spec.keyspace)?;
            if self.control.checkpoint_within(LOOK_EVERY)? {
                return Ok(());
            }
        }
    }

    /// Accounts for bytes that were copied, and waits as the throttle requires.
    pub(super) fn pace(&self, bytes: u64) -> Result<()> {
        let registry = &self.reshaper.registry;
        registry.pacer.took(bytes, &registry.foreground, &|| self.checkpoint())
    }

    /// Returns the longest time that writers should have to wait.
    pub(super) fn pause_target(&self) -> Duration {
        self.options.pause_target
    }

    /// Checks that the sources have what the log has.
    ///
    /// # Errors
    ///
    /// Those of a log that has failed, in which a write that was refused may stand, and of a source
    /// that could not apply a write that the log has: the targets would have what the sources have
    /// not, or the seed lacks what the targets never get.
    pub(super) fn check_sources(&self) -> Result<()> {
        self.reshaper.catalog.log.check()?;
        self.sources.iter().try_for_each(|side| side.partition.check_up_to_date())
    }
}

impl ReshapePair {
    /// Returns the shards of the targets.
    pub(crate) fn target_shards(&self) -> BTreeMap<ShardId, &Arc<ShardEngine>> {
        self.targets.iter().map(|side| (side.partition.owner, &side.partition.shard)).collect()
    }
}

/// Returns the names of the partitions of one side, for the metadata.
pub(super) fn names(side: &[Endpoint]) -> impl Iterator<Item = PartitionName> + '_ {
    side.iter().map(|endpoint| endpoint.partition.name)
}
