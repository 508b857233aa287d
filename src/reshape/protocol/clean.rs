//! The last phase: the sources are removed, or the targets are, and the outcome is published.

use super::super::event::Event;
use super::super::journal;
use super::super::outcome::Outcome;
use super::super::phase::Phase;
use super::context::{Commit, Endpoint, Reshape, Tally};
use crate::engine::{Durability, Engine, MetadataBatch};
use crate::error::{Error, Result};
use crate::latch::PartitionStatus;
use crate::os::failpoint;
use crate::units;
use std::time::{Instant, SystemTime};

impl Reshape<'_> {
    /// Finishes after the commit: flushes it to a file, and then removes the sources.
    pub(super) fn clean(&self) {
        failpoint::require(
            || {
                let mut states = self.sources.iter().map(|side| side.partition.state.status());
                states.all(|status| status != PartitionStatus::Current)
            },
            "sources that are current must not be dropped",
        );
        let cleaned = match failpoint::skip("flush-before-drop") {
            true => Ok(()),
            false => self.reshaper.catalog.metadata.engine.flush(),
        };
        failpoint::hit("reshape-after-flush");
        match cleaned {
            Ok(()) => {
                for Endpoint { partition, .. } in &self.sources {
                    crate::catalog::remove_leftover(&partition.shard, partition.name);
                    failpoint::hit("reshape-after-drop");
                }
            }
            // The sources stay: an older topology must not come back to find its partitions gone.
            Err(error) => tracing::warn!(
                error = format_args!("{error:#}"),
                "left the sources of a reshape behind"
            ),
        }
        self.set_phase(Phase::Cleaned);
    }

    /// Undoes a reshape before its commit: removes the targets, then the intent. What cannot be
    /// undone now is undone by the next opening.
    pub(super) fn roll_back(&self, commit: Commit) {
        // If the commit is in doubt, the next opening may need the targets.
        if commit == Commit::Ahead
            && let Err(error) = self.undo()
        {
            tracing::warn!(
                reshape = self.number,
                error = format_args!("{error:#}"),
                "a rollback is left to the next opening"
            );
        }
        self.set_phase(Phase::RolledBack);
    }

    fn undo(&self) -> Result<()> {
        failpoint::require(
            || {
                self.sources
                    .iter()
                    .map(|side| &side.partition.state)
                    .all(|state| state.status() != PartitionStatus::Superseded || state.is_behind())
            },
            "targets that serve must not be dropped",
        );
        for target_spec in &self.target_specs {
            target_spec.shard.drop_partition(target_spec.name)?;
        }
        let metadata = &self.reshaper.catalog.metadata;
        let mut batch = MetadataBatch::default();
        journal::end(&mut batch, self.number);
        metadata.engine.write(batch, Durability::Buffered)
    }

    pub(super) fn outcome(
        &self,
        tally: &Tally,
        error: Option<&Error>,
        begun: Instant,
        trim: bool,
    ) -> Outcome {
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
            error: error.map(|error| format!("{error:#}")),
            bytes: tally.bytes,
            keys_caught_up: tally.keys_caught_up,
            rounds: tally.rounds,
            pause: tally.pause,
            elapsed: begun.elapsed(),
            ended_at: units::to_the_second(SystemTime::now()),
        }
    }

    /// Reports the outcome to the observer, the log, the statistics and the listener.
    pub(super) fn publish(&self, outcome: &Outcome) {
        let registry = &self.reshaper.registry;
        registry.count(outcome);
        (self.reshaper.observer)(outcome);
        tracing::info!("{outcome}");
        let metadata = &self.reshaper.catalog.metadata;
        if let Err(error) = journal::remember(metadata, outcome.reshape, outcome) {
            tracing::warn!(error = format_args!("{error:#}"), "cannot remember a reshape");
        }
        registry.tell(&Event::Ended(outcome.clone()));
    }
}
