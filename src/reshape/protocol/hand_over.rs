//! The hand-over: rounds until little is left, then the seal, the commit and the publication.

use super::super::journal;
use super::super::phase::Phase;
use super::context::{Commit, Reshape, ReshapePair, Tally, names};
use super::follow::{Changes, Follower};
use super::retry_budget::RetryBudget;
use crate::catalog::{Catalog, KeyspaceState, View};
use crate::engine::{Engine, MetadataBatch};
use crate::error::{Error, ErrorKind, Result};
use crate::latch::{Seal, hand_over};
use crate::log::Position;
use crate::topology::{Change, Topology, encode_topology};
use std::sync::Arc;
use std::time::Instant;

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
    batch: MetadataBatch,
}

/// What the seal has brought about: no source is written to, and everything that was is read.
struct Sealed<'p> {
    seals: Vec<Seal<'p>>,
    /// The last writes, which are still to be applied.
    rest: Changes,
    /// Where the targets were born.
    birth: Position,
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
    pub(super) fn hand_over(
        &self,
        pair: &ReshapePair,
        follower: &mut Follower,
        tally: &mut Tally,
    ) -> Result<()> {
        let mut budget = RetryBudget::new();
        while budget.allows_another() {
            self.catch_up(pair, follower, tally)?;
            tally.rounds += 1;
            if tally.estimate.fits_log(follower.bytes_behind(), self.pause_target())
                && let Attempt::Committed = self.try_commit(pair, follower, tally)?
            {
                return Ok(());
            }
        }
        Err(Error::new(
            ErrorKind::Busy,
            format!(
                "after {} rounds the partition is still written to faster than its copy can follow \
                 within {:?}; raise pause_target, or try again when less is written",
                tally.rounds, self.options.pause_target
            ),
        ))
    }

    fn try_commit(
        &self,
        pair: &ReshapePair,
        follower: &mut Follower,
        tally: &mut Tally,
    ) -> Result<Attempt> {
        let log = &self.reshaper.catalog.log;
        let changing = self.reshaper.catalog.changing();
        let prepared = self.prepare_commit(pair)?;
        pair.advance(follower, log.end(), tally)?;

        self.note_phase(Phase::Sealed);
        let begun = Instant::now();
        let seals = self.seal(pair, begun);
        let (rest, all) = match &seals {
            // Everything that was written to the sources is before this end.
            Some(_) => follower.follow_until(log.end(), self.seal_deadline(begun))?,
            None => (Changes::default(), false),
        };
        let fits = all && tally.estimate.fits(rest.len(), self.pause_target());
        let Some(seals) = seals.filter(|_| fits) else {
            drop(changing);
            tally.pause = tally.pause.max(begun.elapsed());
            self.tell_phase(Phase::Sealed);
            self.set_phase(Phase::CatchingUp);
            pair.apply(&rest)?;
            tally.keys_caught_up += rest.len() as u64;
            return Ok(Attempt::TooMuch);
        };
        self.commit(pair, prepared, Sealed { seals, rest, birth: follower.birth() }, tally)?;
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
    fn commit_batch(&self, pair: &ReshapePair) -> Result<MetadataBatch> {
        let mut batch = MetadataBatch::default();
        journal::end(&mut batch, self.number);
        for source in names(&pair.sources) {
            journal::forget_out_of_range(&mut batch, source);
        }
        for target in &pair.targets {
            let permille = target.partition.out_of_range_permille;
            journal::set_out_of_range(&mut batch, target.partition.name, permille)?;
        }
        Ok(batch)
    }

    /// Seals all sources. A writer that is preempted with its stripe held, or waits for its disk,
    /// may hold it for milliseconds: the seal is abandoned early and tried again, so that it does
    /// not block all other writers meanwhile.
    fn seal<'p>(&self, pair: &'p ReshapePair, begun: Instant) -> Option<Vec<Seal<'p>>> {
        let deadline = Some(self.seal_deadline(begun));
        pair.sources.iter().map(|side| side.partition.state.seal(deadline)).collect()
    }

    /// Returns when a seal is given up that still waits for writers: for those of the sources to
    /// release their stripes, or for others to finish records that come before the sources' last.
    fn seal_deadline(&self, begun: Instant) -> Instant {
        begun + self.pause_target() / 5
    }

    /// Commits, hands over and publishes, with the sources sealed: the last writes are applied, one
    /// synced record puts the new topology into effect, and the targets serve.
    ///
    /// The log is not synced for it, unlike for the commit of a keyspace. A power cut may take the end
    /// of the log and leave this topology. Then the targets lack the same writes that the sources
    /// would lack: no file of either has more than what was synced.
    fn commit(
        &self,
        pair: &ReshapePair,
        prepared: Prepared,
        sealed: Sealed<'_>,
        tally: &mut Tally,
    ) -> Result<()> {
        let Sealed { seals, rest, birth } = sealed;
        let is_sealed = || seals.len() == pair.sources.len();
        crate::os::failpoint::require(is_sealed, "a source is written to");
        let catalog = &self.reshaper.catalog;
        let Prepared { next, record, keyspace, view, batch } = prepared;
        // Checked under the seal: what makes a store refuse writes, or a source fall behind the
        // log, is marked before the writer releases its stripes.
        catalog.check_writable()?;
        self.check_sources()?;
        if !crate::os::failpoint::skip("catch-up-rest") {
            pair.apply(&rest)?;
            tally.keys_caught_up += rest.len() as u64;
        }
        crate::os::failpoint::hit("reshape-sealed");
        let skip = crate::os::failpoint::skip("birth-position");
        Self::tell_birth(pair, if skip { catalog.log.applied() } else { birth });
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

    /// Has the targets' engines keep the log from the birth position on, until files have what the
    /// targets hold now.
    ///
    /// IMPORTANT: after everything was applied, and before the pin of the log is dropped. What an
    /// engine notes when a memtable of a target is full counts all writes that the log has by then.
    /// Before this, some of them came to the target only later: they would be in a younger memtable,
    /// and with the older one in a file the log would be released although it alone has them. From
    /// now on it is right: the target has everything up to the end of the log, and gets the rest from
    /// its writers.
    fn tell_birth(pair: &ReshapePair, birth: Position) {
        for target in &pair.targets {
            target.partition.shard.follow(&target.partition.handle, birth);
        }
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

fn in_doubt(catalog: &Catalog, error: Error) -> Error {
    catalog.mark_in_doubt(&error);
    Error::new(
        ErrorKind::InDoubt,
        "the commit of a reshape may or may not be on disk; open the store again",
    )
    .with_source(error)
}
