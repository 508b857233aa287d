//! The hand-over: rounds until little is left, then the seal, the commit and the publication.

use super::super::journal;
use super::super::phase::Phase;
use super::context::{Commit, Reshape, ReshapePair, Tally, names};
use super::retry_budget::RetryBudget;
use crate::catalog::{Catalog, KeyspaceState, View};
use crate::engine::{Engine, EngineBatch};
use crate::error::{Error, ErrorKind, Result};
use crate::latch::{Changes, Seal, hand_over};
use crate::os::parallel;
use crate::topology::{Change, Topology, encode_topology};
use crate::write::Redo;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// After this many rounds, writers are slowed down, more with each round, so that the copying can
/// keep up.
const UNHINDERED_ROUNDS: u32 = 8;

/// How long things take, as measured so far.
struct Estimate {
    per_key: Duration,
    sync: Duration,
}

impl Estimate {
    /// Returns true if n keys and the syncs fit into the pause. If the disk's syncs take longer
    /// than the pause, a quarter of it is left for keys: waiting does not shorten a sync.
    fn fits(&self, keys: usize, pause: Duration) -> bool {
        let syncs = self.sync.saturating_mul(2);
        let left = pause.saturating_sub(syncs).max(pause / 4);
        self.per_key.saturating_mul(u32::try_from(keys).unwrap_or(u32::MAX)) <= left
    }
}

/// The result of an attempt to seal.
enum Attempt {
    Committed,
    /// It would have taken too long.
    TooMuch,
}

/// All that a commit needs, prepared before the seal so that the seal is short.
struct Prepared {
    next: Topology,
    record: Vec<u8>,
    keyspace: Arc<KeyspaceState>,
    view: View,
    batch: EngineBatch,
}

/// Marks the store in doubt if the thread unwinds between the commit's write and its publication,
/// when memory and disk hold different topologies.
struct DoubtOnUnwind<'a>(&'a Catalog);

impl Drop for DoubtOnUnwind<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.mark_in_doubt("a reshape panicked in its commit");
        }
    }
}

impl Reshape<'_> {
    /// Catches up in rounds until what is left fits into the pause; then seals and commits.
    pub(super) fn hand_over(&self, pair: &ReshapePair, tally: &mut Tally) -> Result<()> {
        let mut estimate = Estimate { per_key: Duration::from_micros(20), sync: Duration::ZERO };
        let mut budget = RetryBudget::new();
        while budget.allows_another() {
            self.catch_up_once(pair, tally)?;
            estimate.per_key = tally.per_key.unwrap_or(estimate.per_key);
            tally.rounds += 1;
            if estimate.fits(self.dirty.len(), self.pause_target())
                && let Attempt::Committed = self.try_commit(pair, &mut estimate, tally)?
            {
                return Ok(());
            }
            self.slow_writers(tally.rounds);
        }
        Err(Error::new(
            ErrorKind::Busy,
            format!(
                "after {} rounds there is still more written to the partition than can be copied \
                 in {:?}; raise pause_target, or try again when less is written",
                tally.rounds, self.options.pause_target
            ),
        ))
    }

    /// Slows writers down when repeated rounds have not sufficed.
    fn slow_writers(&self, rounds: u32) {
        if let Some(doublings) = rounds.checked_sub(UNHINDERED_ROUNDS) {
            self.dirty.set_bound(self.options.dirty_bytes_max >> (doublings + 4).min(63));
        }
    }

    fn try_commit(
        &self,
        pair: &ReshapePair,
        estimate: &mut Estimate,
        tally: &mut Tally,
    ) -> Result<Attempt> {
        let changing = self.reshaper.catalog.changing();
        let prepared = self.prepare_commit(pair)?;
        // Sync twice, so that the sync under the seal finds little to do: other partitions of the
        // shard are written all the time. The first sync may have much to write, the second only
        // what was written meanwhile, like the one under the seal.
        sync(pair)?;
        let begun = Instant::now();
        sync(pair)?;
        estimate.sync = begun.elapsed();

        self.note_phase(Phase::Sealed);
        let begun = Instant::now();
        let seals = self.seal(pair, begun);
        let changes = seals.as_ref().map_or_else(Changes::default, |_| self.dirty.take());
        let Some(seals) = seals.filter(|_| estimate.fits(changes.len(), self.pause_target()))
        else {
            drop(changing);
            tally.pause = tally.pause.max(begun.elapsed());
            self.tell_phase(Phase::Sealed);
            self.set_phase(Phase::CatchingUp);
            tally.keys_caught_up += pair.apply(changes)?.keys;
            return Ok(Attempt::TooMuch);
        };
        self.commit(pair, prepared, changes, seals, tally)?;
        tally.pause = tally.pause.max(begun.elapsed());
        drop(changing);
        self.tell_phase(Phase::Sealed);
        self.set_phase(Phase::Committed);
        self.queue_trims(pair);
        Ok(Attempt::Committed)
    }

    /// Prepares everything that can be done before the seal.
    fn prepare_commit(&self, pair: &ReshapePair) -> Result<Prepared> {
        let catalog = &self.reshaper.catalog;
        let targets = names(&pair.targets).collect();
        let change = Change::Reshape { spec: self.spec.clone(), targets };
        let next = catalog.topology().apply(&change)?;
        catalog.check_places()?;
        let record = encode_topology(&next)?;
        let keyspace = catalog.keyspace(self.spec.keyspace)?;
        let made = pair.targets.iter().map(|side| &side.partition);
        let view = keyspace.view().with_reshaped(&next, self.spec.keyspace, made)?;
        Ok(Prepared { next, record, keyspace, view, batch: self.commit_batch(pair)? })
    }

    /// Returns what the commit records along with the topology.
    fn commit_batch(&self, pair: &ReshapePair) -> Result<EngineBatch> {
        let metadata = &self.reshaper.catalog.metadata;
        let mut batch = EngineBatch::default();
        journal::end(metadata, &mut batch, self.number);
        for source in names(&pair.sources) {
            journal::forget_out_of_range(metadata, &mut batch, source);
            Redo::forget_fence(&mut batch, &metadata.engine, source);
        }
        for target in &pair.targets {
            let permille = target.partition.out_of_range_permille;
            journal::set_out_of_range(metadata, &mut batch, target.partition.name, permille)?;
        }
        Ok(batch)
    }

    /// Seals all sources. A writer that is preempted with its stripe held, or waits for its disk,
    /// may hold it for milliseconds: the seal is abandoned early and tried again, so that it does
    /// not block all other writers meanwhile.
    fn seal<'p>(&self, pair: &'p ReshapePair, begun: Instant) -> Option<Vec<Seal<'p>>> {
        let deadline = begun + self.pause_target() / 5;
        pair.sources.iter().map(|side| side.partition.state.seal(Some(deadline))).collect()
    }

    /// Commits, hands over and publishes, with the sources sealed: the last keys are copied, one
    /// synced record puts the new topology into effect, and the targets serve.
    fn commit(
        &self,
        pair: &ReshapePair,
        prepared: Prepared,
        changes: Changes,
        seals: Vec<Seal<'_>>,
        tally: &mut Tally,
    ) -> Result<()> {
        debug_assert!(self.is_tracked(), "keys were written that were not copied");
        debug_assert_eq!(seals.len(), pair.sources.len(), "a source is written to");
        let catalog = &self.reshaper.catalog;
        let Prepared { next, record, keyspace, view, mut batch } = prepared;
        // Checked under the seal: a batch in doubt marks the store as such before it releases its
        // stripes.
        catalog.check_writable()?;
        tally.keys_caught_up += pair.apply(changes)?.keys;
        sync(pair)?;
        crate::os::failpoint::hit("reshape-sealed");
        for target in names(&pair.targets) {
            self.reshaper.redo.add_fence(&mut batch, &catalog.metadata.engine, target);
        }
        let doubt = DoubtOnUnwind(catalog);
        tally.commit = Commit::Begun;
        catalog.metadata.record(&record, batch).map_err(|error| in_doubt(catalog, error))?;
        crate::os::failpoint::hit("reshape-after-commit");
        hand_over(
            pair.sources.iter().map(|side| &side.partition.state),
            pair.targets.iter().map(|side| &side.partition.state),
            || catalog.publish_view(next, &keyspace, view),
        );
        tally.commit = Commit::Done;
        drop((seals, doubt));
        Ok(())
    }

    /// Queues targets that share files, to be trimmed when there is time.
    fn queue_trims(&self, pair: &ReshapePair) {
        if !self.options.trim {
            return;
        }
        for target in pair.targets.iter().filter(|side| side.partition.out_of_range_permille > 0) {
            self.reshaper.registry.trim_later(target.partition.name);
        }
    }
}

/// Syncs the logs of the targets' shards and of the sources' shards, all at the same time.
///
/// IMPORTANT: sync the logs of the sources' shards, too. A batch may have written to a source and
/// to a partition that stays on its shard; if the commit survived a power cut and the end of that
/// shard's log did not, the batch would be cut, and what is left of the shard would not be a
/// prefix. No partition may leave a shard whose log has failed: a failed write may still be in that
/// log, and would be read back for the partitions that stay, but not for the one that left.
fn sync(pair: &ReshapePair) -> Result<()> {
    let (targets, mut sources) = (pair.target_shards(), pair.source_shards());
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
        "the commit of a reshape may or may not be on disk; open the store again",
    )
    .with_source(error)
}
