//! One reshape, from its intent to its end.

use super::catch_up::{Endpoint, ReshapePair};
use super::control::Control;
use super::event::Event;
use super::journal;
use super::options::{Check, ReshapeOptions, Transport};
use super::prepare::check_disks;
use super::reshaper::Reshaper;
use super::seed::{self, TargetSpec};
use super::verify::compare;
use super::{Outcome, Phase};
use crate::catalog::OpenPartition;
use crate::engine::Durability;
use crate::engine::{Engine, EngineBatch};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{PartitionId, ShardId};
use crate::latch::DirtySet;
use crate::placement::PartitionRange;
use crate::planner::Step;
use crate::topology::{PartitionName, ReshapeSpec};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often a reshape that is paused looks whether its keyspace is being dropped.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A reshape that is under way: what its phases share.
pub(super) struct Reshape<'a> {
    pub(super) reshaper: &'a Arc<Reshaper>,
    pub(super) options: ReshapeOptions,
    pub(super) control: &'a Control,
    pub(super) step: usize,
    pub(super) number: u64,
    pub(super) spec: ReshapeSpec,
    /// The one that was chosen.
    pub(super) transport: Transport,
    pub(super) sources: Vec<Endpoint>,
    pub(super) source_span: PartitionRange,
    pub(super) target_specs: Vec<TargetSpec>,
    pub(super) dirty: Arc<DirtySet>,
}

/// What was counted on the way.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) bytes: u64,
    pub(super) keys_caught_up: u64,
    pub(super) rounds: u32,
    /// How long a key took in the last round that had any.
    pub(super) per_key: Option<Duration>,
    pub(super) pause_ms: f64,
    pub(super) commit: Commit,
    /// The one in use, once the targets are begun.
    pub(super) transport: Option<Transport>,
}

/// Whether what was done can be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Commit {
    #[default]
    Ahead,
    /// Nobody knows whether it is on disk.
    Begun,
    Done,
}

/// How a step ended.
pub(super) struct Ended {
    /// None if nothing was begun.
    pub(super) outcome: Option<Outcome>,
    pub(super) error: Option<Error>,
}

/// Runs a step of a job to its end.
pub(super) fn run(
    reshaper: &Arc<Reshaper>,
    step: &Step,
    options: ReshapeOptions,
    control: &Control,
    index: usize,
) -> Ended {
    let begun = Instant::now();
    let registry = &reshaper.registry;
    let shards = step_shards(reshaper, step);
    let begin = || {
        let claimed = registry.claim(step.keyspace, &step.sources, shards, control, None)?;
        let disturbance = registry.foreground.disturb();
        let reshape = Reshape::prepare(reshaper, step, options, control, index)?;
        Ok((claimed, disturbance, reshape))
    };
    match begin() {
        Ok((_claimed, _disturbance, reshape)) => reshape.finish(begun, false),
        Err(error) => {
            control.set_phase(index, Phase::RolledBack);
            Ended { outcome: None, error: Some(error) }
        }
    }
}

/// The shards that a step reads or writes.
fn step_shards(reshaper: &Arc<Reshaper>, step: &Step) -> BTreeSet<ShardId> {
    let topology = reshaper.catalog.topology();
    let owners = topology.keyspace(step.keyspace).into_iter().flat_map(|keyspace| {
        let mine = |id: &PartitionId| step.sources.contains(id);
        keyspace.partitions().filter(move |partition| mine(&partition.id)).map(|p| p.owner)
    });
    owners.chain(step.owners.iter().copied()).collect()
}

impl<'a> Reshape<'a> {
    pub(super) fn set_phase(&self, phase: Phase) {
        self.note_phase(phase);
        self.tell_phase(phase);
    }

    /// Without telling: `changing` is held, which a listener may be waiting for elsewhere.
    pub(super) fn note_phase(&self, phase: Phase) {
        self.control.set_phase(self.step, phase);
    }

    pub(super) fn tell_phase(&self, phase: Phase) {
        self.reshaper.registry.tell(&Event::Phase { reshape: self.number, phase });
    }

    /// Whether to go on: waits while the job is paused.
    pub(super) fn checkpoint(&self) -> Result<()> {
        loop {
            self.reshaper.registry.check(self.spec.keyspace)?;
            if self.control.checkpoint_within(LOOK_EVERY)? {
                return Ok(());
            }
        }
    }

    fn pace(&self, bytes: u64) -> Result<()> {
        let registry = &self.reshaper.registry;
        registry.pacer.took(bytes, &registry.foreground, &|| self.checkpoint())
    }

    /// Everything after the intent. Whatever happens, the sources serve or the targets do.
    pub(super) fn finish(self, begun: Instant, trim: bool) -> Ended {
        let mut tally = Tally::default();
        let ended = catch_unwind(AssertUnwindSafe(|| self.copy_and_commit(&mut tally)));
        self.sources.iter().for_each(|side| side.partition.state.untrack());
        let ended = ended.unwrap_or_else(|panic| Err(panicked(&*panic)));
        // Whatever fails after the commit: the targets are what serves now.
        let error = if tally.commit == Commit::Done {
            self.clean();
            None
        } else {
            ended.err()
        };
        if let Some(error) = &error {
            tracing::debug!(reshape = self.number, %error, "is rolled back");
            self.roll_back(tally.commit);
        }
        let outcome = self.outcome(&tally, error.as_ref(), begun, trim);
        self.publish(&outcome);
        Ended { outcome: Some(outcome), error }
    }

    fn copy_and_commit(&self, tally: &mut Tally) -> Result<()> {
        self.set_phase(Phase::Seeding);
        for side in &self.sources {
            side.partition.state.track(Arc::clone(&self.dirty));
        }
        let targets = self.seed(tally)?;
        let mut sources = self.sources.clone();
        // IMPORTANT: the order in which batches take latches, for whoever seals them all.
        sources.sort_by_key(|side| side.partition.name);
        let sides = ReshapePair { sources, targets };
        self.set_phase(Phase::CatchingUp);
        self.catch_up_once(&sides, tally)?;
        if self.options.check != Check::None {
            let (check, pause) = (self.options.check, self.pause_target());
            let compared = compare(&sides, &self.dirty, check, pause, |read| self.pace(read))?;
            // Writes waited for that, too.
            tally.pause_ms = compared.sealed.as_secs_f64() * 1e3;
            tally.keys_caught_up += sides.apply(compared.pending)?.keys;
        }
        crate::os::failpoint::hit("reshape-caught-up");
        self.seal_and_commit(&sides, tally)
    }

    /// Makes the targets, with what the sources hold at some moment. A link begins with a flush,
    /// which a source that refuses writes refuses, too; its rows can be copied all the same.
    fn seed(&self, tally: &mut Tally) -> Result<Vec<Endpoint>> {
        match self.seed_by(self.transport, tally) {
            Err(error)
                if self.transport == Transport::Link
                    && self.options.transport.is_none()
                    && error.kind() == ErrorKind::Io =>
            {
                tracing::warn!(reshape = self.number, %error, "copies what cannot be linked");
                let sources: Vec<_> =
                    self.sources.iter().map(|side| Arc::clone(&side.partition)).collect();
                check_disks(&sources, &self.target_specs)?;
                tally.bytes = 0;
                self.seed_by(Transport::Copy, tally)
            }
            seeded => seeded,
        }
    }

    fn seed_by(&self, transport: Transport, tally: &mut Tally) -> Result<Vec<Endpoint>> {
        tally.transport = Some(transport);
        let mut targets = Vec::with_capacity(self.target_specs.len());
        for target_spec in &self.target_specs {
            self.checkpoint()?;
            // What an earlier attempt under this name could not remove.
            target_spec.shard.drop_partition(target_spec.name)?;
            let (handle, foreign) = match (transport, self.sources.as_slice()) {
                (Transport::Link, [source, ..]) => {
                    let handle = seed::link(&source.partition, target_spec)?;
                    let bytes = target_spec.shard.usage(&handle)?.bytes_on_disk;
                    tally.bytes += bytes;
                    self.control.add_done(0, bytes);
                    let (source, span) = (&source.partition, &self.source_span);
                    // A source without files shares none.
                    let foreign = match bytes {
                        0 => 0,
                        _ => seed::out_of_range_permille(source, span, target_spec)?,
                    };
                    (handle, foreign)
                }
                _ => {
                    let pace = |keys, bytes| {
                        tally.bytes += bytes;
                        self.control.add_done(keys, bytes);
                        self.pace(bytes)
                    };
                    (seed::copy(&self.sources, target_spec, pace)?, 0)
                }
            };
            crate::os::failpoint::hit("reshape-after-target");
            let shard = Arc::clone(&target_spec.shard);
            let partition = OpenPartition::new(target_spec.name, target_spec.owner, shard, handle);
            let partition = Arc::new(partition.with_foreign(foreign));
            targets.push(Endpoint { partition, filter: target_spec.filter.clone() });
        }
        Ok(targets)
    }

    /// One round: copies what has been written since the last.
    pub(super) fn catch_up_once(&self, sides: &ReshapePair, tally: &mut Tally) -> Result<()> {
        self.checkpoint()?;
        let changes = self.dirty.take();
        self.control.dirty_keys.store(changes.len(), Ordering::Relaxed);
        let begun = Instant::now();
        let copied = sides.apply(changes)?;
        if let Ok(keys @ 1..) = u32::try_from(copied.keys) {
            // The work alone: the throttle, or a pause, says nothing of how long a seal takes.
            tally.per_key = Some(begun.elapsed() / keys);
        }
        tally.keys_caught_up += copied.keys;
        self.control.dirty_keys.store(self.dirty.len(), Ordering::Relaxed);
        self.pace(copied.bytes)
    }

    /// After the commit: the commit goes into a file, and then the sources go.
    fn clean(&self) {
        let cleaned = match crate::os::failpoint::skip("flush-before-drop") {
            true => Ok(()),
            false => self.reshaper.catalog.metadata.engine.flush(),
        };
        crate::os::failpoint::hit("reshape-after-flush");
        match cleaned {
            Ok(()) => {
                for Endpoint { partition, .. } in &self.sources {
                    crate::catalog::remove_leftover(&partition.shard, partition.name);
                    crate::os::failpoint::hit("reshape-after-drop");
                }
            }
            // An older topology must not come back to find its partitions gone.
            Err(error) => tracing::warn!(%error, "left the sources of a reshape behind"),
        }
        self.set_phase(Phase::Cleaned);
    }

    /// Before the commit: the targets go, then the intent. What cannot be undone now, the next
    /// opening undoes.
    fn roll_back(&self, commit: Commit) {
        // In doubt, nobody knows whether the targets are what the next opening will need.
        if commit == Commit::Ahead
            && let Err(error) = self.undo()
        {
            tracing::warn!(reshape = self.number, %error, "a rollback is left to the next opening");
        }
        self.set_phase(Phase::RolledBack);
    }

    fn undo(&self) -> Result<()> {
        for target_spec in &self.target_specs {
            target_spec.shard.drop_partition(target_spec.name)?;
        }
        let metadata = &self.reshaper.catalog.metadata;
        let mut batch = EngineBatch::default();
        journal::end(metadata, &mut batch, self.number);
        metadata.engine.write(batch, Durability::Buffered)
    }

    fn outcome(&self, tally: &Tally, error: Option<&Error>, begun: Instant, trim: bool) -> Outcome {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Outcome {
            reshape: self.number,
            kind: self.spec.kind(),
            trim,
            keyspace: self.spec.keyspace,
            sources: self.spec.sources.clone(),
            from: self.sources.iter().map(|side| side.partition.owner).collect(),
            targets: self.target_specs.iter().map(|target_spec| target_spec.name.id).collect(),
            to: self.spec.owners.clone(),
            transport: tally.transport.unwrap_or(self.transport),
            phase: match tally.commit {
                Commit::Ahead => Phase::RolledBack,
                Commit::Begun => Phase::Sealed,
                Commit::Done => Phase::Cleaned,
            },
            error: error.map(ToString::to_string),
            bytes: tally.bytes,
            keys_caught_up: tally.keys_caught_up,
            rounds: tally.rounds,
            pause_ms: tally.pause_ms,
            elapsed_ms: begun.elapsed().as_secs_f64() * 1e3,
            unix_seconds: now.as_secs(),
        }
    }

    /// Notifies the observer, the log, the statistics and the listener of how it ended.
    fn publish(&self, outcome: &Outcome) {
        let registry = &self.reshaper.registry;
        registry.count(outcome);
        (self.reshaper.observer)(outcome);
        tracing::info!("{outcome}");
        let metadata = &self.reshaper.catalog.metadata;
        if let Err(error) = journal::remember(metadata, outcome.reshape, outcome) {
            tracing::warn!(%error, "cannot remember a reshape");
        }
        registry.tell(&Event::Ended(outcome.clone()));
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    let what = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    Error::new(ErrorKind::Internal, format!("the reshape panicked: {what}"))
}

/// The names of partitions, for the metadata.
pub(super) fn names(sides: &[Endpoint]) -> impl Iterator<Item = PartitionName> + '_ {
    sides.iter().map(|side| side.partition.name)
}
