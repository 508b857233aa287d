//! The rebalancer's thread, and what it does each time it wakes.

use super::decisions::{Decision, Verdict};
use super::state::{Control, State, Tracking};
use crate::error::{Error, ErrorKind, Result};
use crate::heat::{HeatEvent, HeatReport, HotKeys, Observation};
use crate::id::KeyspaceId;
use crate::planner::load::{LoadPlan, Policy, Reason};
use crate::reshape::{self, Event, Job, Purpose, Registry};
use crate::sampling::Sampler;
use crate::topology::Topology;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often samples are drained: ten times a second, so that what becomes hot is reported within
/// one second.
const TICK: Duration = Duration::from_millis(100);

/// How often the thread wakes where no load is counted.
const TICK_WITHOUT_HEAT: Duration = Duration::from_secs(1);

/// Starts the thread of a store that was just opened. Where no load is counted, it only checks that
/// the store's directories are still there.
pub(crate) fn start(state: &Arc<State>) {
    let registry = Arc::clone(&state.reshaper.registry);
    if !registry.thread_started() {
        return;
    }
    let (state, counted) = (Arc::clone(state), Arc::clone(&registry));
    let counts = state.settings.heat.is_some();
    let tick = if counts { TICK } else { TICK_WITHOUT_HEAT };
    let spawned = std::thread::Builder::new().name("annulus-rebalance".into()).spawn(move || {
        while counted.rest(tick) {
            let ticked = catch_unwind(AssertUnwindSafe(|| {
                state.reshaper.catalog.watch_places();
                if counts {
                    state.tick();
                }
            }));
            if ticked.is_err() {
                tracing::error!("the rebalancer panicked; load is not watched any more");
                break;
            }
        }
        drop(state);
        counted.thread_ended();
    });
    if let Err(error) = spawned {
        tracing::warn!(%error, "cannot start the rebalancer; load is not watched");
        registry.thread_ended();
    }
}

/// Purpose of a job that evens out load, with at most this many reshapes at the same time.
struct Balance(usize);

impl Purpose for Balance {
    fn reshapes_max(&self) -> usize {
        self.0
    }
}

impl State {
    fn tick(&self) {
        self.collect();
        self.look_after_job();
        let due = {
            let mut control = self.control.lock();
            let every = self.settings.rebalance.interval;
            let due = control.policy != Policy::Manual
                && control.job.is_none()
                && control.planned.elapsed() >= every;
            if due {
                control.planned = Instant::now();
            }
            due
        };
        if due && let Err(error) = self.plan_and_act() {
            tracing::warn!(error = format_args!("{error:#}"), "the rebalancer cannot plan");
        }
        self.tune_compaction();
        self.save_if_due();
    }

    pub(crate) fn report(&self) -> HeatReport {
        self.collect();
        self.tracking.lock().tracker.report(self.now())
    }

    pub(crate) fn hot_keys(&self, keyspace: KeyspaceId, limit: usize) -> HotKeys {
        self.tracking.lock().tracker.hot_keys(self.now(), keyspace, limit)
    }

    /// Drains the samples, and notifies the listener of what they show.
    ///
    /// IMPORTANT: the caller holds no lock, and none is held here while the listener is called: it
    /// may ask for the heat, which leads here again.
    pub(crate) fn collect(&self) {
        let latencies = {
            let mut tracking = self.tracking.lock();
            let latencies =
                tracking.fetch(&self.reshaper.catalog.topology(), &self.sampler, self.now());
            // Under the lock, so that events of one key are reported in their order.
            self.unnotified.lock().extend(tracking.tracker.tick(self.now()));
            latencies
        };
        self.reshaper.registry.foreground.record(latencies);
        self.notify(&self.reshaper.registry);
    }

    /// Notifies the listener of what was found. If another thread is doing so, or a call of the
    /// listener has led here, that is left to it, or to the next tick.
    fn notify(&self, registry: &Registry) {
        while !registry.teller().is_calling()
            && let Some(_turn) = self.notifying.try_lock()
            && let Some(event) = self.next_unnotified()
        {
            tracing::debug!("{event}");
            registry.tell(&Event::Heat(event));
        }
    }

    fn next_unnotified(&self) -> Option<HeatEvent> {
        self.unnotified.lock().pop_front()
    }

    /// Records how the job ended, if it has.
    fn look_after_job(&self) {
        let mut control = self.control.lock();
        let Some(job) = control.job.take_if(|job| job.has_ended()) else { return };
        // The load before says little about the load after.
        control.planned = Instant::now();
        drop(control);
        let committed = job.outcomes().iter().filter(|outcome| outcome.error.is_none()).count();
        let mut log = self.log.lock();
        match job.wait() {
            Ok(_) => log.add(Decision::new(
                Verdict::Done,
                format!("{}: {} ended well", job.title(), count(committed)),
            )),
            Err(error) => log.add(Decision::new(
                Verdict::Failed,
                format!("{}, after {}: {error:#}", job.title(), count(committed)),
            )),
        }
    }

    /// Plans, and acts according to the policy.
    fn plan_and_act(&self) -> Result<()> {
        if !self.reshaper.catalog.missing().is_empty() {
            // Nothing is evened out over what is left: it would be undone when the shard is back.
            return Ok(());
        }
        let planned = self.plan()?;
        let may_act = {
            let control = self.control.lock();
            control.policy == Policy::Automatic && !control.paused && !control.quiet
        };
        self.write_down(&planned, may_act);
        if may_act && !planned.actions.is_empty() {
            self.act(planned)?;
        }
        Ok(())
    }

    /// Starts the reshapes of a plan.
    ///
    /// The switches are locked during this: of two threads that want to act only one does, and a
    /// pause comes either before the job, which then starts paused, or finds it.
    ///
    /// # Errors
    ///
    /// `Busy` if reshapes that the rebalancer started are running; those of a start.
    pub(super) fn act(&self, planned: LoadPlan) -> Result<Job> {
        let title = format!(
            "max/mean load from {:.2} to {:.2}",
            planned.before.load_max_over_mean, planned.after.load_max_over_mean
        );
        let steps = planned.actions.into_iter().map(|action| action.step).collect();
        let purpose = Balance(self.settings.rebalance.reshapes_max);
        let mut control = self.control.lock();
        let started = control.must_not_act().and_then(|()| {
            reshape::start(
                &self.reshaper,
                title.clone(),
                steps,
                self.reshaper.registry.options,
                purpose,
            )
        });
        if let Ok(job) = &started {
            if control.paused {
                job.pause();
            }
            control.job = Some(job.clone());
        }
        drop(control);
        if let Err(error) = &started {
            let text = format!("{title}: {error:#}");
            self.log.lock().add(Decision::new(Verdict::Failed, text));
        }
        started
    }

    /// Records what a plan does and what it does not, unless the previous plan said the same.
    pub(super) fn write_down(&self, planned: &LoadPlan, acts: bool) {
        let mut log = self.log.lock();
        for refusal in &planned.refusals {
            let decision = Decision::new(Verdict::Refused, refusal.to_string());
            // That all is well need not be recorded again when another shard is the worst.
            let alike = match refusal.reason {
                Reason::Balanced { .. } => refusal.reason.as_str().to_owned(),
                _ => format!("{:?} {}", refusal.subject, refusal.reason.as_str()),
            };
            log.add_new(alike, decision);
        }
        for action in &planned.actions {
            let verdict = if acts { Verdict::Started } else { Verdict::Suggested };
            let mut decision = Decision::new(verdict, action.step.to_string());
            decision.partitions.clone_from(&action.step.sources);
            decision.moved_load = action.moved_load;
            decision.moved_bytes = action.step.moved_bytes;
            if acts {
                log.add(decision);
            } else {
                log.add_new(format!("{:?}", (&action.step.sources, &action.step.owners)), decision);
            }
        }
        log.end_of_plan();
    }
}

impl Tracking {
    /// Feeds the tracker with the samples since the last time; returns how long the operations
    /// took.
    fn fetch(
        &mut self,
        topology: &Arc<Topology>,
        sampler: &Sampler,
        now: Duration,
    ) -> Vec<Duration> {
        // A keyspace that is new here has been used since then, not only from now on: otherwise its
        // first rates would be as if everything had happened in an instant.
        self.tracker.follow(self.drained, topology);
        let elapsed = now.saturating_sub(self.drained);
        self.drained = now;
        let mut latencies = Vec::new();
        sampler.drain(elapsed, |seen| {
            latencies.extend(seen.took);
            let observation = Observation {
                keyspace: seen.keyspace,
                key: seen.key,
                kind: seen.access,
                bytes: seen.bytes as u64,
                took: seen.took,
                weight: seen.weight.into(),
            };
            self.tracker.observe(now, &observation);
        });
        latencies
    }
}

fn count(reshapes: usize) -> String {
    if reshapes == 1 { "1 reshape".into() } else { format!("{reshapes} reshapes") }
}

impl Control {
    /// Returns true if reshapes of the rebalancer are running.
    pub(super) fn is_acting(&self) -> bool {
        self.job.as_ref().is_some_and(|job| !job.has_ended())
    }

    /// # Errors
    ///
    /// `Busy` if reshapes of the rebalancer are running.
    pub(super) fn must_not_act(&self) -> Result<()> {
        if self.is_acting() {
            return Err(Error::new(
                ErrorKind::Busy,
                "the rebalancer's reshapes are running; wait until they end",
            ));
        }
        Ok(())
    }
}
