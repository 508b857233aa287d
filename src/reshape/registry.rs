//! The registry of a store's reshapes: which partitions take part in one, in how many each shard
//! takes part, and their totals.

use super::control::Control;
use super::event::{Event, Listener, Teller, TellerId};
use super::foreground::Foreground;
use super::job::Job;
use super::limiter::Pacer;
use super::options::ReshapeOptions;
use super::outcome::Outcome;
use super::totals::{ReshapeStats, Totals};
use crate::catalog::closed;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{KeyspaceId, PartitionId, ShardId};
use crate::topology::{PartitionName, ReshapeSpec};
use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often a waiting reshape checks whether it was aborted.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How many ended jobs are listed.
const ENDED_JOBS_MAX: usize = 64;

pub(crate) struct Registry {
    pub(crate) options: ReshapeOptions,
    pub(crate) pacer: Pacer,
    pub(crate) foreground: Foreground,
    teller: Teller,
    state: Mutex<State>,
    changed: Condvar,
    next_number: AtomicU64,
    next_job: AtomicU64,
    /// True while the trimming thread runs.
    pub(super) trimming: AtomicBool,
    totals: Mutex<Totals>,
}

#[derive(Default)]
struct State {
    /// Partitions that take part in a reshape.
    claims: BTreeMap<PartitionId, Claim>,
    /// How many reshapes each shard takes part in.
    shards: BTreeMap<ShardId, usize>,
    /// Keyspaces that are being dropped.
    closing: BTreeSet<KeyspaceId>,
    stopping: bool,
    /// Threads that run jobs.
    threads: usize,
    jobs: VecDeque<Job>,
    /// Partitions to trim, once no other reshape wants them.
    to_trim: VecDeque<PartitionName>,
}

struct Claim {
    keyspace: KeyspaceId,
    /// The control of a trim, which yields to any other reshape.
    yields: Option<Arc<Control>>,
}

/// Partitions, and places on shards, that are claimed for one reshape.
pub(crate) struct Claimed<'a> {
    registry: &'a Registry,
    partitions: Vec<PartitionId>,
    shards: BTreeSet<ShardId>,
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        let mut state = self.registry.state.lock();
        for partition in &self.partitions {
            state.claims.remove(partition);
        }
        for shard in &self.shards {
            if let Some(count) = state.shards.get_mut(shard) {
                *count = count.saturating_sub(1);
            }
        }
        drop(state);
        self.registry.changed.notify_all();
    }
}

impl Registry {
    pub(crate) fn new(options: ReshapeOptions, listener: Option<Listener>) -> Self {
        Self {
            options,
            pacer: Pacer::new(options.throttle),
            foreground: Foreground::default(),
            teller: Teller::new(listener),
            state: Mutex::default(),
            changed: Condvar::new(),
            next_number: AtomicU64::new(1),
            next_job: AtomicU64::new(1),
            trimming: AtomicBool::new(false),
            totals: Mutex::default(),
        }
    }

    /// Sets a lower bound for the number of the next reshape.
    pub(crate) fn begin_numbers_at(&self, number: u64) {
        self.next_number.fetch_max(number, Ordering::AcqRel);
    }

    pub(crate) fn number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::AcqRel)
    }

    pub(crate) fn job_number(&self) -> u64 {
        self.next_job.fetch_add(1, Ordering::AcqRel)
    }

    /// Claims partitions and a place on each shard, waiting until they are free. With `yields`,
    /// other reshapes may take them back by aborting this one.
    pub(crate) fn claim(
        &self,
        keyspace: KeyspaceId,
        partitions: &[PartitionId],
        shards: BTreeSet<ShardId>,
        control: &Control,
        yields: Option<Arc<Control>>,
    ) -> Result<Claimed<'_>> {
        loop {
            control.checkpoint()?;
            let mut state = self.state.lock();
            state.check(keyspace)?;
            let most = self.options.per_shard_max;
            let room =
                shards.iter().all(|id| state.shards.get(id).is_none_or(|count| *count < most));
            let mut free = true;
            for claim in partitions.iter().filter_map(|id| state.claims.get(id)) {
                free = false;
                if let (Some(other), true) = (&claim.yields, room) {
                    other.abort("another reshape wants the partition");
                }
            }
            if free && room {
                for id in partitions {
                    state.claims.insert(*id, Claim { keyspace, yields: yields.clone() });
                }
                for id in &shards {
                    *state.shards.entry(*id).or_default() += 1;
                }
                return Ok(Claimed { registry: self, partitions: partitions.to_vec(), shards });
            }
            self.changed.wait_for(&mut state, LOOK_EVERY);
        }
    }

    /// Checks that reshapes of a keyspace may continue.
    pub(crate) fn check(&self, keyspace: KeyspaceId) -> Result<()> {
        self.state.lock().check(keyspace)
    }

    /// Ends the reshapes of a keyspace, and prevents new ones from beginning.
    pub(crate) fn close_keyspace(&self, keyspace: KeyspaceId) {
        let mut state = self.state.lock();
        state.closing.insert(keyspace);
        while state.claims.values().any(|claim| claim.keyspace == keyspace) {
            self.changed.wait_for(&mut state, LOOK_EVERY);
        }
    }

    /// Undoes [`close_keyspace`](Self::close_keyspace), once the keyspace is gone or could not be
    /// dropped.
    pub(crate) fn reopen_keyspace(&self, keyspace: KeyspaceId) {
        self.state.lock().closing.remove(&keyspace);
    }

    /// Aborts all jobs, and prevents new ones from beginning.
    pub(crate) fn stop(&self) {
        let mut state = self.state.lock();
        state.stopping = true;
        for job in &state.jobs {
            job.control().abort("the store was closed");
        }
        for claim in state.claims.values() {
            if let Some(control) = &claim.yields {
                control.abort("the store was closed");
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until no job is running; to be called after [`stop`](Self::stop).
    pub(crate) fn wait_until_idle(&self) {
        let mut state = self.state.lock();
        while state.threads > 0 || !state.claims.is_empty() {
            self.changed.wait_for(&mut state, LOOK_EVERY);
        }
    }

    /// Adds a job whose thread is about to start.
    ///
    /// # Errors
    ///
    /// `Busy` if its only reshape concerns a partition that another job is to reshape; a reshape
    /// that is one of several waits instead. `Closed` if the store is being closed.
    pub(crate) fn add(&self, job: Job) -> Result<()> {
        let mut state = self.state.lock();
        if state.stopping {
            return Err(closed());
        }
        if job.has_one_step()
            && let Some(id) = job.sources().iter().find(|id| state.planned(**id))
        {
            return Err(Error::new(
                ErrorKind::Busy,
                format!("partition {id} takes part in a reshape; wait for its end, or abort it"),
            ));
        }
        state.threads += 1;
        state.jobs.push_back(job);
        while state.jobs.len() > ENDED_JOBS_MAX {
            let Some(ended) = state.jobs.iter().position(Job::has_ended) else { break };
            state.jobs.remove(ended);
        }
        Ok(())
    }

    /// IMPORTANT: a thread must have released its store before it calls this. A caller that waits
    /// for it may then reopen the directory.
    pub(crate) fn thread_ended(&self) {
        self.state.lock().threads -= 1;
        self.changed.notify_all();
    }

    /// Counts a thread that belongs to no job. Returns true if it may start.
    pub(crate) fn thread_started(&self) -> bool {
        let mut state = self.state.lock();
        if !state.stopping {
            state.threads += 1;
        }
        !state.stopping
    }

    pub(crate) fn jobs(&self) -> Vec<Job> {
        self.state.lock().jobs.iter().cloned().collect()
    }

    /// Returns the reshapes that jobs are carrying out or are still to carry out; some may be done
    /// already.
    pub(crate) fn in_flight(&self) -> Vec<ReshapeSpec> {
        let state = self.state.lock();
        let running = state.jobs.iter().filter(|job| !job.has_ended());
        running.flat_map(|job| job.specs().iter().cloned()).collect()
    }

    /// Returns true if no partition is being reshaped or trimmed, and the store is not being
    /// closed.
    pub(crate) fn is_resting(&self) -> bool {
        let state = self.state.lock();
        state.claims.is_empty() && !state.stopping
    }

    /// Waits for this long, or until reshapes end for good. Returns true if they have not ended.
    pub(crate) fn rest(&self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        let mut state = self.state.lock();
        while !state.stopping && !self.changed.wait_until(&mut state, until).timed_out() {}
        !state.stopping
    }

    /// Notes that a partition shares files with others.
    pub(crate) fn trim_later(&self, name: PartitionName) {
        self.state.lock().to_trim.push_back(name);
        self.changed.notify_all();
    }

    /// Returns the next partition to trim, waiting for one if necessary, or `None` if there is
    /// still none.
    pub(crate) fn next_to_trim(&self, wait: Duration) -> Result<Option<PartitionName>> {
        let mut state = self.state.lock();
        if state.to_trim.is_empty() && !state.stopping {
            self.changed.wait_for(&mut state, wait);
        }
        if state.stopping {
            return Err(closed());
        }
        Ok(state.to_trim.pop_front())
    }

    pub(crate) fn has_to_trim(&self) -> bool {
        let state = self.state.lock();
        !state.stopping && !state.to_trim.is_empty()
    }

    /// Calls the listener. The caller holds no lock of the store.
    pub(crate) fn tell(&self, event: &Event) {
        self.teller.tell(event);
    }

    /// Returns true if there is a listener.
    pub(crate) const fn has_listener(&self) -> bool {
        self.teller.has_listener()
    }

    /// Returns the teller's identity, which knows whether this thread is calling the listener.
    pub(crate) const fn teller(&self) -> TellerId {
        self.teller.id()
    }

    /// Counts an outcome.
    pub(crate) fn count(&self, outcome: &Outcome) {
        self.totals.lock().count(outcome);
    }

    pub(crate) fn stats(&self) -> ReshapeStats {
        let running = {
            let state = self.state.lock();
            state.jobs.iter().filter(|job| !job.has_ended()).count()
        };
        self.totals.lock().stats(running)
    }
}

impl State {
    /// Returns true if a job that has not ended is to reshape a partition.
    fn planned(&self, id: PartitionId) -> bool {
        self.jobs.iter().any(|job| !job.has_ended() && job.sources().contains(&id))
    }

    fn check(&self, keyspace: KeyspaceId) -> Result<()> {
        if self.stopping {
            return Err(closed());
        }
        if self.closing.contains(&keyspace) {
            return Err(Error::new(ErrorKind::Closed, "the keyspace was dropped"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::topology::KeyspaceSpec;
    use crate::{ErrorKind, Store};

    /// A past bug: the numbers of dropped keyspaces were kept forever.
    #[test]
    fn dropped_keyspaces_are_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let keyspace = store.create_keyspace("k", KeyspaceSpec::range()).unwrap();
        let partition = keyspace.placement().partitions().next().unwrap();
        let elsewhere = crate::ShardId((partition.owner.0 + 1) % 4);
        store.drop_keyspace("k").unwrap();
        assert!(store.core().reshaper.registry.state.lock().closing.is_empty());
        let error = store.move_partition(partition.id, elsewhere).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        store.drop_keyspace("k").unwrap_err();
        assert!(store.core().reshaper.registry.state.lock().closing.is_empty());
    }
}
