//! The application's handle on the rebalancer: switches and queries.

use super::decisions::Decision;
use super::state::State;
use crate::error::Result;
use crate::planner::load::{LoadPlan, Policy};
use crate::reshape::Job;

/// The rebalancer of a store: its switches, and its explanations. From
/// [`Store::rebalancer`](crate::Store::rebalancer).
///
/// By default ([`Policy::Suggest`]) it plans and reports what it would do, and does nothing.
///
/// ```
/// use annulus::{Store, planner::load::Policy};
///
/// # fn main() -> annulus::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// let store = Store::open(directory.path().join("store"))?;
/// store.rebalancer().set_policy(Policy::Automatic);
/// // During the backup, say.
/// store.rebalancer().set_quiet(true);
/// for decision in store.rebalancer().explain(10) {
///     println!("{decision}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct Rebalancer<'a> {
    state: &'a State,
}

impl<'a> Rebalancer<'a> {
    pub(crate) const fn new(state: &'a State) -> Self {
        Self { state }
    }

    /// Returns the present policy.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.state.control.lock().policy
    }

    /// Sets the policy from now on. Reshapes in flight continue.
    pub fn set_policy(&self, policy: Policy) {
        self.state.control.lock().policy = policy;
    }

    /// Pauses: its reshapes in flight stop copying, and no other begins, until
    /// [`resume`](Self::resume).
    pub fn pause(&self) {
        self.set_paused(true);
    }

    /// Continues after a [`pause`](Self::pause).
    pub fn resume(&self) {
        self.set_paused(false);
    }

    fn set_paused(&self, paused: bool) {
        let mut control = self.state.control.lock();
        control.paused = paused;
        if let Some(job) = &control.job {
            if paused { job.pause() } else { job.resume() }
        }
    }

    /// Returns true if it is paused.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.state.control.lock().paused
    }

    /// Begins or ends quiet hours: reshapes in flight run to their end, and no other begins.
    pub fn set_quiet(&self, quiet: bool) {
        self.state.control.lock().quiet = quiet;
    }

    /// Returns true during quiet hours.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.state.control.lock().quiet
    }

    /// Returns true if reshapes that it started are running.
    #[must_use]
    pub fn is_acting(&self) -> bool {
        self.state.control.lock().is_acting()
    }

    /// Returns what it would do now, and why, and why not more. Changes nothing.
    ///
    /// Cost: O(partitions × log partitions), and the engines' estimates of their sizes.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::ErrorKind::Io) if the size of a shard cannot be determined;
    /// [`Closed`](crate::ErrorKind::Closed).
    pub fn plan(&self) -> Result<LoadPlan> {
        let state = self.state;
        state.collect();
        state.plan()
    }

    /// Plans and starts what was planned, whatever the policy, pauses and quiet hours. Returns
    /// `None` if nothing is worth doing.
    ///
    /// # Errors
    ///
    /// Those of [`plan`](Self::plan); [`Busy`](crate::ErrorKind::Busy) if a partition takes part in
    /// another reshape, or reshapes that the rebalancer started are running.
    pub fn run(&self) -> Result<Option<Job>> {
        let state = self.state;
        state.control.lock().must_not_act()?;
        let planned = self.plan()?;
        state.write_down(&planned, true);
        if planned.actions.is_empty() {
            return Ok(None);
        }
        state.act(planned).map(Some)
    }

    /// Returns its last decisions, the oldest first: what was started, suggested and refused, and
    /// why. The last 512 are kept, across closing and opening. One that repeats the previous plan
    /// is not listed again.
    #[must_use]
    pub fn explain(&self, count: usize) -> Vec<Decision> {
        self.state.log.lock().last(count)
    }
}

impl std::fmt::Debug for Rebalancer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rebalancer")
            .field("policy", &self.policy())
            .field("paused", &self.is_paused())
            .field("quiet", &self.is_quiet())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::heat::HeatOptions;
    use crate::topology::KeyspaceSpec;
    use crate::{ErrorKind, Options, Store};
    use std::time::Duration;

    /// A past bug: two threads had both found that no reshapes of the rebalancer ran, and planned;
    /// both started a job, and the first was forgotten. Paused with the rebalancer, it was never
    /// resumed.
    #[test]
    fn of_two_plans_made_at_once_only_one_is_carried_out() {
        let directory = tempfile::tempdir().unwrap();
        let options = Options {
            // Longer than a test runs.
            heat: Some(HeatOptions::new().window(Duration::from_secs(3_600))),
            ..Options::default()
        };
        let store = Store::builder(directory.path()).shards(4).options(options).open().unwrap();
        let keyspace = store.create_keyspace("k", KeyspaceSpec::range().split_at(["5"])).unwrap();
        for number in 0..20_000 {
            keyspace.put((number % 1000).to_string(), "a row").unwrap();
        }
        let state = &store.core().rebalancer;
        let [one, other] = [(); 2].map(|()| store.rebalancer().plan().unwrap());
        assert!(!one.actions.is_empty() && !other.actions.is_empty(), "there is something to do");
        store.rebalancer().pause();
        let job = state.act(one).unwrap();
        assert_eq!(state.act(other).unwrap_err().kind(), ErrorKind::Busy);
        assert_eq!(store.rebalancer().run().unwrap_err().kind(), ErrorKind::Busy);
        store.rebalancer().resume();
        job.wait().unwrap();
    }
}
