//! One reshape, from its intent to its end: a file for each phase, in their order.
//!
//! | phase | file | what happens |
//! |---|---|---|
//! | `Prepared` | `prepare.rs` | which partitions are to replace which is determined, checked, and made durable as an intent |
//! | `Seeding` | `seed.rs` | targets are made, by link or copy |
//! | | `follow.rs` | what is written meanwhile is read from the log |
//! | `CatchingUp` | `catch_up.rs` | rounds apply it to the targets |
//! | | `verify.rs` | sources and targets are compared |
//! | `Sealed`, `Committed` | `hand_over.rs`, `estimate.rs` | writers wait; the last writes are applied, the topology is committed, the targets serve |
//! | `Cleaned`, `RolledBack` | `clean.rs` | the sources are removed, or the targets and the intent |
//!
//! Each phase is a method of [`Reshape`] (`context.rs`) that asserts, in debug builds, what the
//! phases before it have brought about.

mod catch_up;
mod clean;
mod context;
mod estimate;
mod follow;
mod hand_over;
mod prepare;
mod retry_budget;
mod seed;
mod split_key;
mod verify;

pub(super) use context::Reshape;

use super::control::Control;
use super::options::{Check, ReshapeOptions};
use super::outcome::Outcome;
use super::phase::Phase;
use super::reshaper::Reshaper;
use crate::error::{Error, ErrorKind, Result};
use crate::expiry::Held;
use crate::id::{PartitionId, ShardId};
use crate::planner::Step;
use context::{Commit, ReshapePair, Tally};
use follow::Follower;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;
use verify::compare;

/// The end of a step.
pub(super) struct Ended {
    /// The outcome; `None` if nothing was begun.
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

/// Returns the shards that a step reads or writes.
fn step_shards(reshaper: &Arc<Reshaper>, step: &Step) -> BTreeSet<ShardId> {
    let topology = reshaper.catalog.topology();
    let owners = topology.keyspace(step.keyspace).into_iter().flat_map(|keyspace| {
        let mine = |id: &PartitionId| step.sources.contains(id);
        keyspace.partitions().filter(move |partition| mine(&partition.id)).map(|p| p.owner)
    });
    owners.chain(step.owners.iter().copied()).collect()
}

impl Reshape<'_> {
    /// Does everything after the intent. Whatever happens, either the sources serve or the targets
    /// do.
    pub(super) fn finish(self, begun: Instant, trim: bool) -> Ended {
        let mut tally = Tally::default();
        tally.estimate.has_committed(self.recording);
        let ended = catch_unwind(AssertUnwindSafe(|| self.copy_and_commit(&mut tally)));
        let ended = ended.unwrap_or_else(|panic| Err(panicked(&*panic)));
        // Whatever fails after the commit, the targets serve from then on.
        let error = if tally.commit == Commit::Done {
            self.clean();
            None
        } else {
            ended.err()
        };
        if let Some(error) = &error {
            tracing::debug!(
                reshape = self.number,
                error = format_args!("{error:#}"),
                "is rolled back"
            );
            self.roll_back(tally.commit);
        }
        let outcome = self.outcome(&tally, error.as_ref(), begun, trim);
        self.publish(&outcome);
        Ended { outcome: Some(outcome), error }
    }

    /// Runs the phases from the seeding to the commit.
    fn copy_and_commit(&self, tally: &mut Tally) -> Result<()> {
        self.set_phase(Phase::Seeding);
        // IMPORTANT: begin before anything is read from the sources. What was applied before this
        // position is in what they hold from now on; what comes after it is in the log.
        let rows = self.source_rows.clone();
        let mut follower = Follower::begin(&self.reshaper.catalog, self.spec.keyspace, rows)?;
        self.check_sources()?;
        let targets = self.seed(&follower, tally)?;
        let mut sources = self.sources.clone();
        // IMPORTANT: sort the sources in the order in which batches take latches, because all of
        // them are sealed together.
        sources.sort_by_key(|side| side.partition.name);
        let expired_at = self.held.as_ref().map(Held::at);
        let pair = ReshapePair { sources, targets, expired_at };
        self.set_phase(Phase::CatchingUp);
        self.catch_up(&pair, &mut follower, tally)?;
        self.compare(&pair, &mut follower, tally)?;
        crate::os::failpoint::hit("reshape-caught-up");
        // The log is pinned until the end of this, by which the engines know where their targets
        // were born.
        self.hand_over(&pair, &mut follower, tally)
    }

    /// Compares both sides, as far as that is wanted, and applies what was left out.
    fn compare(
        &self,
        pair: &ReshapePair,
        follower: &mut Follower,
        tally: &mut Tally,
    ) -> Result<()> {
        let check = self.options.check;
        if check == Check::None {
            return Ok(());
        }
        let pace = |read| self.pace(read);
        let compared = match compare(pair, follower, check, self.pause_target(), tally, pace) {
            Ok(compared) => compared,
            // A write that a source did not take is in the log, and not damage to the copy.
            Err(error) => return Err(self.check_sources().err().unwrap_or(error)),
        };
        // Writers waited for the cut of the comparison, too.
        tally.pause = compared.sealed;
        pair.apply(&compared.pending)?;
        tally.keys_caught_up += compared.pending.len() as u64;
        Ok(())
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
