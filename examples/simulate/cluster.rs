//! A store without disks: a topology, a tracker, and reshapes that take simulated time.

use annulus::PartitionId;
use annulus::heat::{HeatOptions, Tracker};
use annulus::planner::Step;
use annulus::planner::load::{Demand, LoadPlan, PartitionDemand, RebalanceOptions, plan_for_load};
use annulus::topology::{Change, PartitionName, ReshapeKind, ReshapeSpec, Topology};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes that a reshape copies in a second.
const BYTES_PER_SECOND: f64 = 200e6;
/// What a reshape takes in addition.
const RESHAPE_LEAST: Duration = Duration::from_millis(50);
/// A partition with less of a fair share than this is never cut, so the planner need not know where
/// in it the load falls.
const PROFILE_SHARE: f64 = 0.01;

/// What was done, and how long it took.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) moves: u64,
    pub(crate) splits: u64,
    pub(crate) merges: u64,
    pub(crate) bytes: u64,
    /// Reshapes whose sources or targets were gone before they began.
    pub(crate) stale: u64,
    pub(crate) planned: Vec<Duration>,
    pub(crate) demanded: Vec<Duration>,
    pub(crate) applied: Vec<Duration>,
}

impl Counts {
    pub(crate) fn reshapes(&self) -> u64 {
        self.moves + self.splits + self.merges
    }
}

struct Running {
    spec: ReshapeSpec,
    targets: Vec<PartitionName>,
    ends: Duration,
    bytes: u64,
    of_plan: bool,
}

pub(crate) struct Cluster {
    pub(crate) topology: Arc<Topology>,
    pub(crate) tracker: Tracker,
    pub(crate) options: RebalanceOptions,
    pub(crate) counts: Counts,
    /// The maximum number of reshapes at once.
    reshapes_max: usize,
    rested: BTreeMap<PartitionId, Duration>,
    running: Vec<Running>,
    /// Steps, and whether the rebalancer has planned them.
    waiting: VecDeque<(Step, bool)>,
}

impl Cluster {
    pub(crate) fn new(
        topology: Topology,
        heat: HeatOptions,
        options: RebalanceOptions,
        seed: u64,
    ) -> Self {
        let topology = Arc::new(topology);
        let mut tracker = Tracker::new(heat, seed);
        tracker.follow(Duration::ZERO, &topology);
        Self {
            topology,
            tracker,
            reshapes_max: options.reshapes_max,
            options,
            counts: Counts::default(),
            rested: BTreeMap::new(),
            running: Vec::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Returns true if steps of a plan wait or run: until they have ended, the store plans nothing
    /// new.
    pub(crate) fn is_acting(&self) -> bool {
        self.running.iter().any(|it| it.of_plan) || self.waiting.iter().any(|(_, plan)| *plan)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty()
    }

    pub(crate) fn change(&mut self, now: Duration, change: &Change) {
        let next = self.topology.apply(change).expect("a change of the shards");
        self.topology = Arc::new(next);
        self.tracker.follow(now, &self.topology);
    }

    /// Returns the planner's input, as in the store.
    fn demand(&self, now: Duration, bytes: &BTreeMap<PartitionId, u64>) -> Demand {
        let mut demand = Demand::default();
        let loads: Vec<_> =
            bytes.iter().map(|(id, bytes)| (*id, *bytes, self.tracker.load(now, *id))).collect();
        let total: f64 = loads.iter().map(|(_, _, load)| load.medium).sum();
        let least = total / self.topology.shards().len() as f64 * PROFILE_SHARE;
        demand.partitions.extend(loads.into_iter().map(|(id, bytes, windows)| {
            let load = windows.medium;
            let load_max = windows.short.max(load).max(windows.long);
            let shown = load > 0.0 && load >= least;
            let profile = if shown { self.tracker.profile(id).map(Arc::new) } else { None };
            (id, PartitionDemand::new().load(load).load_max(load_max).bytes(bytes).profile(profile))
        }));
        demand.in_flight = self.running.iter().map(|it| it.spec.clone()).collect();
        demand
            .rested
            .extend(self.rested.iter().map(|(id, since)| (*id, now.saturating_sub(*since))));
        demand
    }

    /// Makes a plan.
    pub(crate) fn plan(&mut self, now: Duration, bytes: &BTreeMap<PartitionId, u64>) -> LoadPlan {
        let rests = self.options.cool_down;
        self.rested.retain(|_, since| now.saturating_sub(*since) < rests);
        let begun = Instant::now();
        let demand = self.demand(now, bytes);
        self.counts.demanded.push(begun.elapsed());
        let begun = Instant::now();
        let found = plan_for_load(&self.topology, &demand, &self.options);
        self.counts.planned.push(begun.elapsed());
        found
    }

    /// Queues steps, which are carried out as soon as there is room for them.
    pub(crate) fn begin(
        &mut self,
        now: Duration,
        steps: impl IntoIterator<Item = Step>,
        of_plan: bool,
    ) {
        self.waiting.extend(steps.into_iter().map(|step| (step, of_plan)));
        self.start(now);
    }

    fn start(&mut self, now: Duration) {
        while self.running.len() < self.reshapes_max
            && let Some((step, of_plan)) = self.waiting.pop_front()
        {
            let named = step.spec().and_then(|spec| {
                let (targets, numbered) = self.topology.name_targets(&spec).ok()?;
                Some((spec, targets, numbered))
            });
            let Some((spec, targets, numbered)) = named else {
                self.counts.stale += 1;
                continue;
            };
            self.topology = Arc::new(numbered);
            let seconds = step.moved_bytes as f64 / BYTES_PER_SECOND;
            let ends = now + RESHAPE_LEAST + Duration::from_secs_f64(seconds);
            let bytes = step.moved_bytes;
            self.running.push(Running { spec, targets, ends, bytes, of_plan });
        }
    }

    /// Ends what has ended by now, each at its time, and begins what waits for room.
    pub(crate) fn advance(&mut self, now: Duration) {
        let mut changed = false;
        while let Some(index) = self.next_to_end(now) {
            let ended = self.running.swap_remove(index);
            self.commit(&ended);
            self.start(ended.ends);
            changed = true;
        }
        if changed {
            self.tracker.follow(now, &self.topology);
        }
    }

    fn next_to_end(&self, now: Duration) -> Option<usize> {
        let ended = self.running.iter().enumerate().filter(|(_, it)| it.ends <= now);
        ended.min_by_key(|(_, it)| (it.ends, it.spec.sources.first())).map(|(index, _)| index)
    }

    fn commit(&mut self, ended: &Running) {
        let Running { spec, targets, .. } = ended;
        let begun = Instant::now();
        let change = Change::Reshape { spec: spec.clone(), targets: targets.clone() };
        let Ok(next) = self.topology.apply(&change) else {
            self.counts.stale += 1;
            return;
        };
        self.topology = Arc::new(next);
        self.counts.applied.push(begun.elapsed());
        self.counts.bytes += ended.bytes;
        match spec.kind() {
            ReshapeKind::Move => self.counts.moves += 1,
            ReshapeKind::Split => self.counts.splits += 1,
            ReshapeKind::Merge => self.counts.merges += 1,
            other => unreachable!("no plan has a {other}"),
        }
        let all = spec.sources.iter().copied().chain(targets.iter().map(|name| name.id));
        self.rested.extend(all.map(|id| (id, ended.ends)));
    }
}
