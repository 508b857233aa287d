//! The true load: keys whose popularity passes from one to the next, a hot spot, a hot key, and
//! keys that are appended.

use crate::arguments::{Arguments, Shape};
use crate::space::{Space, ends};
use annulus::heat::Operation;
use annulus::topology::{Change, KeyspaceSpec, Topology};
use annulus::{KeyspaceId, PartitionId, ShardId};
use std::collections::BTreeMap;
use std::time::Duration;

/// The number of keys of a partition at the beginning.
const KEYS: usize = 8;
const KEY_BYTES: u64 = 8 << 20;
const LOG_BYTES_PER_SECOND: u64 = 1 << 20;
/// In operations a second, on average.
const LOAD_PER_PARTITION: f64 = 100.0;
const WRITES: f64 = 0.2;
/// How long popularity takes to pass from one key to the next.
const DRIFT_S: f64 = 3600.0;
const JUMP_S: f64 = 600.0;
/// The hot spot, the hot key and the appended keys, in fair shares of a shard.
const SPOT: f64 = 3.0;
const HOT_KEY: f64 = 1.5;
const LOG: f64 = 0.5;
/// The width of the hot spot, which moves on by half of that in an hour.
const SPOT_KEYS: usize = 4 * KEYS;

pub(crate) struct Load {
    spaces: Vec<Space>,
    log: KeyspaceId,
    shape: Shape,
    shards: f64,
    /// Operations a second.
    total: f64,
    /// The share of the most popular key in its keyspace's load, of the second, and so on; and
    /// sums.
    zipf: Vec<f64>,
    sums: Vec<f64>,
    seed: u64,
}

/// A sampled access.
pub(crate) struct Drawn {
    pub(crate) keyspace: KeyspaceId,
    pub(crate) key: [u8; 8],
    pub(crate) kind: Operation<'static>,
}

/// The state at a moment.
pub(crate) struct Moment {
    pub(crate) by_shard: BTreeMap<ShardId, f64>,
    /// The load of the heaviest key.
    pub(crate) heaviest: f64,
}

impl Load {
    /// Creates the keyspaces, and their load.
    pub(crate) fn new(
        arguments: &Arguments,
        mut topology: Topology,
    ) -> annulus::Result<(Self, Topology)> {
        let mut random = fastrand::Rng::with_seed(arguments.seed);
        let each = arguments.partitions.div_ceil(arguments.keyspaces) as usize;
        let keys = each * KEYS;
        let mut spaces = Vec::new();
        topology = create(&topology, "log".into(), KeyspaceSpec::range().into())?;
        let log = topology.keyspaces().last().map(|keyspace| keyspace.id()).unwrap_or_default();
        for number in 0..arguments.keyspaces {
            let arcs = each.div_ceil(arguments.shards as usize);
            let spec = match number % 2 {
                0 => KeyspaceSpec::hash().arcs_per_shard(arcs as u32).into(),
                _ => {
                    let starts = (1..each).map(|start| ((start * KEYS) as u64).to_be_bytes());
                    KeyspaceSpec::range().split_at(starts).into()
                }
            };
            topology = create(&topology, format!("keyspace {number}"), spec)?;
            let created = topology.keyspaces().last();
            spaces.extend(created.map(|keyspace| Space::new(keyspace, keys, &mut random)));
        }
        let weights: Vec<f64> = (1..=keys).map(|n| (n as f64).powf(-arguments.zipf)).collect();
        let sum: f64 = weights.iter().sum();
        let zipf: Vec<f64> = weights.into_iter().map(|weight| weight / sum).collect();
        let mut sum = 0.0;
        let sums = zipf.iter().map(|share| {
            sum += share;
            sum
        });
        let load = Self {
            spaces,
            log,
            shape: arguments.load,
            shards: f64::from(arguments.shards),
            total: LOAD_PER_PARTITION * f64::from(arguments.partitions),
            sums: sums.collect(),
            zipf,
            seed: arguments.seed,
        };
        Ok((load, topology))
    }

    pub(crate) fn fair(&self) -> f64 {
        self.total / self.shards
    }

    /// Returns the shares of the hot spot, the hot key and the log in all load.
    fn extras(&self, now: f64) -> [f64; 3] {
        let hot = now / 3600.0 % 3.0 >= 2.0;
        let fair = match self.shape {
            Shape::Drift => [SPOT, if hot { HOT_KEY } else { 0.0 }, LOG],
            Shape::Steady => [0.0; 3],
            Shape::Jump => [SPOT, 0.0, 0.0],
        };
        fair.map(|fair| fair / self.shards)
    }

    /// Returns by how many places popularity has moved on.
    fn drift(&self, now: f64) -> f64 {
        if self.shape == Shape::Drift { now / DRIFT_S } else { 0.0 }
    }

    /// Returns where the hot spot is: a keyspace and its first key there.
    fn spot(&self, now: f64) -> (usize, usize) {
        let keys = self.zipf.len();
        let last = keys.saturating_sub(SPOT_KEYS);
        if self.shape == Shape::Jump {
            let jump = (now / JUMP_S) as u64;
            let mut random = fastrand::Rng::with_seed(self.seed ^ (jump + 1));
            let spaces = self.spaces.len() / 2;
            return (random.usize(0..spaces) * 2 + 1, random.usize(0..=last));
        }
        let moved = now / 3600.0 * SPOT_KEYS as f64 / 2.0;
        (1, (keys / 3 + moved as usize) % (last + 1))
    }

    /// Returns the key that is hot in these hours: a different one each time.
    fn hot_key(&self, now: f64) -> (usize, usize) {
        let time = (now / 3600.0 / 3.0) as usize;
        (time % self.spaces.len(), (time + 1) * 7919 % self.zipf.len())
    }

    /// Draws one access at `now`.
    pub(crate) fn draw(&self, now: Duration, random: &mut fastrand::Rng) -> Drawn {
        let seconds = now.as_secs_f64();
        let [spot, hot, log] = self.extras(seconds);
        let mut at = random.f64();
        let of = |(space, key): (usize, usize), kind| Drawn {
            keyspace: self.spaces[space].id,
            key: (key as u64).to_be_bytes(),
            kind,
        };
        if at < log {
            let key = log_key(now).to_be_bytes();
            return Drawn { keyspace: self.log, key, kind: Operation::Write };
        }
        at -= log;
        if at < hot {
            return of(self.hot_key(seconds), Operation::Read);
        }
        at -= hot;
        if at < spot {
            let (space, first) = self.spot(seconds);
            return of((space, first + random.usize(0..SPOT_KEYS)), Operation::Read);
        }
        let (keys, drift) = (self.zipf.len(), self.drift(seconds));
        let (share, space) = (random.f64(), random.usize(0..self.spaces.len()));
        let place = self.sums.partition_point(|sum| *sum <= share).min(keys - 1);
        let moved = drift as usize + usize::from(random.f64() < drift.fract());
        let key = self.spaces[space].key_of[(place + keys - moved % keys) % keys] as usize;
        let kind = if random.f64() < WRITES { Operation::Write } else { Operation::Read };
        of((space, key), kind)
    }

    /// Returns the load of a key of a keyspace, without the extras, as a share of its keyspace.
    fn popularity(&self, space: &Space, key: usize, drift: f64) -> f64 {
        let keys = self.zipf.len();
        let place = space.place_of[key] as usize + drift as usize;
        let (one, next) = (self.zipf[place % keys], self.zipf[(place + 1) % keys]);
        one + (next - one) * drift.fract()
    }

    /// Returns the load of each key of a keyspace, in the order of keys or tokens, summed up: one
    /// more value than keys.
    fn summed(&self, number: usize, now: f64, heaviest: &mut f64) -> Vec<f64> {
        let space = &self.spaces[number];
        let [spot, hot, log] = self.extras(now);
        let base = (1.0 - spot - hot - log) * self.total / self.spaces.len() as f64;
        let drift = self.drift(now);
        let (spot_space, spot_key) = self.spot(now);
        let spot_keys = if spot_space == number { spot_key..spot_key + SPOT_KEYS } else { 0..0 };
        let hot_key = Some(self.hot_key(now)).filter(|it| it.0 == number).map(|it| it.1);
        let mut sums = Vec::with_capacity(self.zipf.len() + 1);
        let mut sum = 0.0;
        sums.push(sum);
        for at in 0..self.zipf.len() {
            let key = space.tokens.as_ref().map_or(at, |tokens| tokens[at].1 as usize);
            let mut load = base * self.popularity(space, key, drift);
            if spot_keys.contains(&key) {
                load += spot * self.total / SPOT_KEYS as f64;
            }
            if hot_key == Some(key) {
                load += hot * self.total;
            }
            *heaviest = heaviest.max(load);
            sum += load;
            sums.push(sum);
        }
        sums
    }

    /// Returns the load of the shards at `now`.
    pub(crate) fn moment(&self, topology: &Topology, now: Duration) -> Moment {
        let mut by_shard: BTreeMap<ShardId, f64> =
            topology.shards().map(|shard| (shard.id, 0.0)).collect();
        let mut heaviest = 0.0;
        for (number, space) in self.spaces.iter().enumerate() {
            let sums = self.summed(number, now.as_secs_f64(), &mut heaviest);
            let Some(keyspace) = topology.keyspace(space.id) else { continue };
            space.walk(keyspace, |index, keys| {
                let owner = keyspace.partitioning().owner(index).unwrap_or_default();
                *by_shard.entry(owner).or_default() += sums[keys.end] - sums[keys.start];
            });
        }
        if let Some(log) = topology.keyspace(self.log) {
            let partitioning = log.partitioning();
            let owner = partitioning.owner(partitioning.find(&log_key(now).to_be_bytes()));
            let [.., share] = self.extras(now.as_secs_f64());
            *by_shard.entry(owner.unwrap_or_default()).or_default() += share * self.total;
        }
        Moment { by_shard, heaviest }
    }

    /// Returns how many bytes each partition has.
    pub(crate) fn bytes(&self, topology: &Topology, now: Duration) -> BTreeMap<PartitionId, u64> {
        let mut bytes = Vec::new();
        for space in &self.spaces {
            let Some(keyspace) = topology.keyspace(space.id) else { continue };
            let mut ids = keyspace.partitions().map(|partition| partition.id);
            space.walk(keyspace, |_, keys| {
                bytes.extend(ids.next().map(|id| (id, keys.len() as u64 * KEY_BYTES)));
            });
        }
        let log = topology.keyspace(self.log);
        for partition in log.iter().flat_map(|keyspace| keyspace.partitions()) {
            let last = if self.shape == Shape::Drift { log_key(now) } else { 0 };
            let [from, to] = ends(&partition.range, last);
            bytes.push((partition.id, to.saturating_sub(from) * LOG_BYTES_PER_SECOND / 1000));
        }
        bytes.into_iter().collect()
    }
}

fn create(topology: &Topology, name: String, spec: KeyspaceSpec) -> annulus::Result<Topology> {
    topology.apply(&Change::CreateKeyspace { name, spec })
}

/// Returns the next key of the log: one a millisecond.
fn log_key(now: Duration) -> u64 {
    now.as_millis() as u64
}
