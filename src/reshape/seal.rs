//! The end of a reshape: rounds until little is left, then the seal and the commit.

use super::Phase;
use super::catch_up::ReshapePair;
use super::journal;
use super::retry_budget::RetryBudget;
use super::run::{Commit, Reshape, Tally, names};
use crate::catalog::Catalog;
use crate::engine::{Engine, EngineBatch};
use crate::error::{Error, ErrorKind, Result};
use crate::latch::{Changes, hand_over};
use crate::os::parallel;
use crate::topology::{Change, encode_topology};
use crate::write::Redo;
use std::time::{Duration, Instant};

/// After so many rounds writers are slowed down, ever more, so that the copy can keep up.
const UNHINDERED_ROUNDS: u32 = 8;

/// How long things take, as far as was seen.
struct Estimate {
    per_key: Duration,
    sync: Duration,
}

impl Estimate {
    /// Whether so many keys, and the syncs, fit into the pause. A disk whose syncs take longer
    /// than the pause leaves a quarter of it for keys: waiting makes no sync shorter.
    fn fits(&self, keys: usize, pause: Duration) -> bool {
        let syncs = self.sync.saturating_mul(2);
        let left = pause.saturating_sub(syncs).max(pause / 4);
        self.per_key.saturating_mul(u32::try_from(keys).unwrap_or(u32::MAX)) <= left
    }
}

/// What came of an attempt to seal.
enum Attempt {
    Committed,
    /// It would have taken too long.
    TooMuch,
}

/// If the process unwinds between the commit's write and its publication, memory and disk tell
/// different topologies.
struct DoubtOnUnwind<'a>(&'a Catalog);

impl Drop for DoubtOnUnwind<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.mark_in_doubt("a reshape panicked in its commit");
        }
    }
}

impl Reshape<'_> {
    pub(super) fn pause_target(&self) -> Duration {
        Duration::from_millis(u64::from(self.options.pause_ms_target))
    }

    /// Rounds, until what is left fits into the pause; then the commit.
    pub(super) fn seal_and_commit(&self, sides: &ReshapePair, tally: &mut Tally) -> Result<()> {
        let mut estimate = Estimate { per_key: Duration::from_micros(20), sync: Duration::ZERO };
        let mut patience = RetryBudget::new();
        while patience.lasts() {
            self.catch_up_once(sides, tally)?;
            estimate.per_key = tally.per_key.unwrap_or(estimate.per_key);
            tally.rounds += 1;
            if estimate.fits(self.dirty.len(), self.pause_target())
                && let Attempt::Committed = self.try_commit(sides, &mut estimate, tally)?
            {
                return Ok(());
            }
            self.insist(tally.rounds);
        }
        Err(Error::new(
            ErrorKind::Busy,
            format!(
                "after {} rounds there is still more written to the partition than can be copied \
                 in {} ms; raise pause_ms_target, or try again when less is written",
                tally.rounds, self.options.pause_ms_target
            ),
        ))
    }

    /// Slows writers down when round after round did not suffice.
    fn insist(&self, rounds: u32) {
        if let Some(doublings) = rounds.checked_sub(UNHINDERED_ROUNDS) {
            self.dirty.set_bound(self.options.dirty_bytes_max >> (doublings + 4).min(63));
        }
    }

    fn try_commit(
        &self,
        sides: &ReshapePair,
        estimate: &mut Estimate,
        tally: &mut Tally,
    ) -> Result<Attempt> {
        let catalog = &self.reshaper.catalog;
        // Everything that can be done before, so that the seal is short.
        let changing = self.reshaper.catalog.changing();
        let targets = names(&sides.targets).collect();
        let next = self
            .reshaper
            .catalog
            .topology()
            .apply(&Change::Reshape { spec: self.spec.clone(), targets })?;
        catalog.check_places()?;
        let record = encode_topology(&next)?;
        let keyspace = self.reshaper.catalog.keyspace(self.spec.keyspace)?;
        let made = sides.targets.iter().map(|side| &side.partition);
        let view = keyspace.view().with_reshaped(&next, self.spec.keyspace, made)?;
        let mut batch = self.commit_batch(sides)?;
        // So that the sync under the seal finds little to do: other partitions of the shard are
        // written all the time. The first may have much to write, the second what came meanwhile,
        // as the one under the seal will.
        sync(sides)?;
        let begun = Instant::now();
        sync(sides)?;
        estimate.sync = begun.elapsed();

        self.note_phase(Phase::Sealed);
        let begun = Instant::now();
        // A writer may be stopped with its stripe in hand, by a busy processor: rather again than long.
        let deadline = begun + self.pause_target() / 5;
        let seals: Option<Vec<_>> =
            sides.sources.iter().map(|side| side.partition.state.seal(Some(deadline))).collect();
        let changes = match &seals {
            None => Changes::default(),
            Some(_) => self.dirty.take(),
        };
        if seals.is_none() || !estimate.fits(changes.len(), self.pause_target()) {
            drop((seals, changing));
            tally.pause_ms = tally.pause_ms.max(begun.elapsed().as_secs_f64() * 1e3);
            self.tell_phase(Phase::Sealed);
            self.set_phase(Phase::CatchingUp);
            tally.keys_caught_up += sides.apply(changes)?.keys;
            return Ok(Attempt::TooMuch);
        }
        // Under the seal: a batch in doubt says so before it lets go of its stripes.
        catalog.check_writable()?;
        tally.keys_caught_up += sides.apply(changes)?.keys;
        sync(sides)?;
        crate::os::failpoint::hit("reshape-sealed");
        for target in names(&sides.targets) {
            self.reshaper.redo.add_fence(&mut batch, &catalog.metadata.engine, target);
        }
        let doubt = DoubtOnUnwind(catalog);
        tally.commit = Commit::Begun;
        catalog.metadata.record(&record, batch).map_err(|error| in_doubt(catalog, error))?;
        crate::os::failpoint::hit("reshape-after-commit");
        hand_over(
            sides.sources.iter().map(|side| &side.partition.state),
            sides.targets.iter().map(|side| &side.partition.state),
            || self.reshaper.catalog.publish_view(next, &keyspace, view),
        );
        tally.commit = Commit::Done;
        drop((seals, doubt));
        tally.pause_ms = tally.pause_ms.max(begun.elapsed().as_secs_f64() * 1e3);
        drop(changing);
        self.tell_phase(Phase::Sealed);
        self.set_phase(Phase::Committed);
        self.note_foreign(sides);
        Ok(Attempt::Committed)
    }

    /// What the commit records beside the topology.
    fn commit_batch(&self, sides: &ReshapePair) -> Result<EngineBatch> {
        let metadata = &self.reshaper.catalog.metadata;
        let mut batch = EngineBatch::default();
        journal::end(metadata, &mut batch, self.number);
        for source in names(&sides.sources) {
            journal::forget_foreign(metadata, &mut batch, source);
            Redo::forget_fence(&mut batch, &metadata.engine, source);
        }
        for target in &sides.targets {
            let permille = target.partition.out_of_range_permille;
            journal::set_foreign(metadata, &mut batch, target.partition.name, permille)?;
        }
        Ok(batch)
    }

    /// Targets that share files are trimmed when there is time.
    fn note_foreign(&self, sides: &ReshapePair) {
        if !self.options.trim {
            return;
        }
        for target in sides.targets.iter().filter(|side| side.partition.out_of_range_permille > 0) {
            self.reshaper.registry.trim_later(target.partition.name);
        }
        super::start_trimming(self.reshaper);
    }
}

/// Syncs the logs of the targets' shards and of the sources', all at the same time.
///
/// IMPORTANT: the sources', too. A batch may have written to a source and to a partition that stays
/// on its shard; if the commit survived a power cut and the end of that shard's log did not, the
/// batch would be cut, and what is left of the shard no prefix. A shard whose log has failed lets
/// nothing go: a write that failed may stand in that log, and would be read back for the partitions
/// that stay, and not for the one that left.
fn sync(sides: &ReshapePair) -> Result<()> {
    let (targets, mut sources) = (sides.target_shards(), sides.source_shards());
    sources.retain(|id, _| !targets.contains_key(id));
    let sides = [("sync-targets", targets), ("sync-sources", sources)];
    let synced = sides.iter().filter(|(protection, _)| !crate::os::failpoint::skip(protection));
    let shards: Vec<_> = synced.flat_map(|(_, shards)| shards.values()).collect();
    let panicked = || Error::new(ErrorKind::Internal, "a sync panicked");
    parallel::each(&shards, |shard| shard.sync())
        .into_iter()
        .try_for_each(|synced| synced.unwrap_or_else(|_| Err(panicked())))
}

fn in_doubt(catalog: &Catalog, error: Error) -> Error {
    catalog.mark_in_doubt(&error);
    Error::new(
        ErrorKind::InDoubt,
        format!(
            "the commit of a reshape may or may not be on disk; open the store again ({error})"
        ),
    )
    .with_source(error)
}
