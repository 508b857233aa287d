//! The tracker: from a stream of sampled operations to loads.

use super::history::{HeatHistory, Recorder};
use super::keyspace::KeyspaceHeat;
use super::partition::Touch;
use super::profile::Profile;
use super::random::Random;
use super::rates::{Amounts, Windows};
use super::{HeatOptions, Observation, Operation};
use crate::id::{KeyspaceId, PartitionId};
use crate::topology::Topology;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Turns sampled operations into loads, hot keys, profiles, events and a history.
///
/// Every call takes `now`, the time since the tracker's beginning. If it goes backwards, the latest
/// one counts.
///
/// # Memory
///
/// * 16 bytes for each partition of the topology.
/// * For each partition that is touched: 500 bytes, and when its samples are full
///   `samples_per_partition` × (72 bytes + a key) and a quarter as many scans × (88 bytes + two
///   keys); tokens are part of the bytes, keys have `key_bytes_max` at most. With the defaults and
///   keys of 32 bytes, 40 KiB.
/// * For each keyspace: four times `hot_keys_tracked` × (140 bytes + a key), 160 KiB by default;
///   and its [history](HeatHistory), at most 61,440 samples of 48 bytes and their keys.
///
/// ```
/// use annulus::heat::{Operation, HeatEvent, HeatOptions, Observation, Tracker};
/// use annulus::topology::{Change, KeyspaceSpec, ShardInfo, Topology};
/// use annulus::{KeyspaceId, ShardId};
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// let topology = Topology::new([0, 1].map(|n| ShardInfo::new(ShardId(n), format!("{n}"))))?;
/// let topology = Arc::new(topology.apply(&Change::CreateKeyspace {
///     name: "users".into(),
///     spec: KeyspaceSpec::hash().into(),
/// })?);
/// let mut tracker = Tracker::new(HeatOptions::default(), 42);
/// tracker.follow(Duration::ZERO, &topology);
/// let users = KeyspaceId(1);
/// for n in 0..1_000_u64 {
///     // Each stands for a hundred reads, of which a quarter are of one key.
///     let key = if n % 4 == 0 { "ada".to_owned() } else { format!("user {n}") };
///     let read = Observation::new(users, key.as_bytes(), Operation::Read).bytes(100).weight(100.0);
///     tracker.observe(Duration::from_millis(n), &read);
/// }
/// let now = Duration::from_secs(1);
/// assert!(matches!(&tracker.tick(now)[0], HeatEvent::KeyHot(key) if &*key.key == b"ada"));
/// assert_eq!(tracker.hot_keys(now, users, 1).reads[0].per_second, 25_000.0);
/// let load = tracker.report(now).total.short.load;
/// assert!((load - 100_000.0).abs() < 1_000.0);
/// # Ok::<(), annulus::Error>(())
/// ```
#[derive(Debug)]
pub struct Tracker {
    pub(super) options: HeatOptions,
    pub(super) half_lives: Windows<f64>,
    pub(super) random: Random,
    /// What `now` counts from: not 0 in a tracker that continues the time of another.
    pub(super) origin: Duration,
    /// The latest `now`, with the origin.
    pub(super) latest: Duration,
    pub(super) topology: Option<Arc<Topology>>,
    pub(super) keyspaces: BTreeMap<KeyspaceId, KeyspaceHeat>,
    pub(super) history: Recorder,
}

impl Tracker {
    /// Returns a tracker that knows nothing yet. The options must be
    /// [valid](HeatOptions::validate).
    #[must_use]
    pub fn new(options: HeatOptions, seed: u64) -> Self {
        Self {
            options,
            half_lives: options.half_lives(),
            random: Random::new(seed),
            origin: Duration::ZERO,
            latest: Duration::ZERO,
            topology: None,
            keyspaces: BTreeMap::new(),
            history: Recorder::new(options.history_interval),
        }
    }

    /// Returns the tracker's time: never before what it has seen.
    pub(super) fn clock(&self, now: Duration) -> Duration {
        self.latest.max(self.origin.saturating_add(now))
    }

    fn advance(&mut self, now: Duration) -> Duration {
        self.latest = self.clock(now);
        self.history.advance(self.latest, &mut self.random);
        self.latest
    }

    /// Follows a topology: at the beginning, and whenever there is a later one.
    ///
    /// Partitions that a split or a merge has made inherit from those that it was made of: samples
    /// go where their places lie, and rates in the same proportion; without samples, in proportion
    /// to the tokens, or evenly. So the loads add up to what they were. A moved partition keeps
    /// what it has. Partitions and keyspaces that are gone are forgotten.
    ///
    /// O(partitions); beyond a comparison of numbers, only partitions that differ do work.
    pub fn follow(&mut self, now: Duration, topology: &Arc<Topology>) {
        let now = self.advance(now);
        self.keyspaces.retain(|id, _| topology.keyspace(*id).is_some());
        self.history.retain(|id| topology.keyspace(id).is_some());
        for keyspace in topology.keyspaces() {
            if let Some(known) = self.keyspaces.get_mut(&keyspace.id()) {
                let changes = known.follow(&self.options, &self.half_lives, keyspace);
                self.history.record_reshapes(now, keyspace, &changes);
            } else {
                let heat = KeyspaceHeat::new(&self.options, now, keyspace, &mut self.random);
                self.keyspaces.insert(keyspace.id(), heat);
            }
        }
        self.topology = Some(Arc::clone(topology));
    }

    /// Records one sampled operation. It is routed by the topology that was followed last, wherever
    /// it took place. One of a keyspace that is not known, or whose weight is not positive and
    /// finite, is ignored.
    ///
    /// Amortised O(log tracked keys); some hundred nanoseconds.
    pub fn observe(&mut self, now: Duration, observation: &Observation<'_>) {
        let weight = observation.weight;
        if !(weight > 0.0 && weight.is_finite()) {
            return;
        }
        let now = self.advance(now);
        let Some(keyspace) = self.keyspaces.get_mut(&observation.keyspace) else { return };
        let topology = Arc::clone(&keyspace.keyspace);
        let touch = Touch {
            now,
            partitioning: topology.partitioning(),
            observation,
            key_bytes_max: self.options.key_bytes_max,
            half_lives: self.half_lives,
            ln_draw: self.random.ln_exponential(),
        };
        let amounts = amounts(observation);
        keyspace.touch(&self.options, &touch, &amounts, &mut self.random);
        // The same draw is used: what is a good sample of a partition is one of the whole, too.
        let load = amounts.load();
        self.history
            .record(observation.keyspace, load, touch.ln_draw, || touch.place(observation.key).at);
    }

    /// Returns how the load of a partition is spread over its keys or tokens; `None` if it was
    /// never touched, or does not exist. O(n log n) for n samples.
    #[must_use]
    pub fn profile(&self, partition: PartitionId) -> Option<Profile> {
        self.keyspaces.values().find_map(|keyspace| {
            let heat = keyspace.touched.get(&partition)?;
            Some(heat.profile(&keyspace.keyspace.range(heat.index)))
        })
    }

    /// Returns the load of a partition; 0 if it was never touched, or does not exist. O(keyspaces).
    #[must_use]
    pub fn load(&self, now: Duration, partition: PartitionId) -> Windows<f64> {
        self.rates(now, partition).map(|amounts| amounts.load())
    }

    /// Returns what operations on a partition cost per second; nothing if it was never touched, or
    /// does not exist. O(keyspaces).
    pub(crate) fn rates(&self, now: Duration, partition: PartitionId) -> Windows<Amounts> {
        let now = self.clock(now);
        let mut keyspaces = self.keyspaces.values();
        let rates = keyspaces.find_map(|heat| heat.rates(&self.half_lives, now, partition));
        rates.unwrap_or_default()
    }

    /// Returns where the load was, from the beginning to the last call that passed a time.
    #[must_use]
    pub fn history(&self) -> HeatHistory {
        self.history.finished()
    }

    /// Returns how many partitions were touched and still exist: the memory is proportional to
    /// this.
    #[must_use]
    pub fn touched(&self) -> usize {
        self.keyspaces.values().map(|keyspace| keyspace.touched.len()).sum()
    }
}

/// Returns the amounts that an observation stands for.
fn amounts(observation: &Observation<'_>) -> Amounts {
    let (weight, bytes) = (observation.weight, observation.bytes as f64);
    let timed =
        observation.took.map_or((0.0, 0.0), |took| (weight * took.as_nanos() as f64, weight));
    let mut amounts = Amounts { nanos: timed.0, timed: timed.1, ..Amounts::default() };
    match observation.kind {
        Operation::Write => (amounts.writes, amounts.written_bytes) = (weight, weight * bytes),
        Operation::Read => (amounts.reads, amounts.read_bytes) = (weight, weight * bytes),
        Operation::Scan { rows, .. } => {
            (amounts.reads, amounts.read_bytes) = (weight, weight * bytes);
            amounts.rows = weight * rows as f64;
        }
    }
    amounts
}
