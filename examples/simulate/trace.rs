//! A recorded load, over and over, on a range keyspace that begins as one partition.

use crate::arguments::Arguments;
use crate::cluster::Cluster;
use crate::recording::{Recording, read};
use crate::report::{explain, human, max_over_mean, times};
use annulus::heat::{HeatOptions, Observation, Operation};
use annulus::planner::load::{Policy, RebalanceOptions};
use annulus::topology::{Change, KeyspaceSpec, ShardInfo, Topology};
use annulus::{KeyspaceId, PartitionId, ShardId};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

const KEYSPACE: KeyspaceId = KeyspaceId(1);
/// The store drains samples, and begins reshapes, ten times a second.
const TICK: Duration = Duration::from_millis(100);
/// As many as the store aims for.
const SAMPLES_PER_SECOND: f64 = 32_000.0;
/// How long a load that has settled is watched.
const WATCHED: Duration = Duration::from_secs(600);

pub(crate) fn run(arguments: &Arguments, path: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path:?}: {error}"))?;
    let mut recording = read(&text);
    if recording.keys.is_empty() {
        return Err(format!("{path:?} has no rows; see --help for what it must look like"));
    }
    let mut run = Run::new(arguments, &recording)?;
    let whole = Duration::from_secs(arguments.settle_s) + WATCHED;
    println!(
        "{} keys, {} operations a pass of {:.1} s, {} shards",
        recording.keys.len(),
        recording.operations.len(),
        recording.operations.len() as f64 / arguments.rate,
        arguments.shards
    );
    println!(
        "{:>9} {:>9} {:>10} {:>9} {:>9}",
        "end s", "max/mean", "partitions", "reshapes", "moved"
    );
    while run.now() < whole {
        if recording.weights.is_some() {
            recording.draw(&mut run.random);
        }
        run.pass(&recording);
    }
    run.summary()
}

struct Run<'a> {
    arguments: &'a Arguments,
    cluster: Cluster,
    random: fastrand::Rng,
    one_in: u32,
    /// Operations until the next one that is sampled.
    left: u32,
    operations: u64,
    ticked: Duration,
    planned: Duration,
    /// When each pass ended, and max/mean in it.
    passes: Vec<(Duration, f64)>,
    /// How many reshapes there were when it counted as settled.
    settled: Option<u64>,
}

impl<'a> Run<'a> {
    fn new(arguments: &'a Arguments, recording: &Recording) -> Result<Self, String> {
        let infos = (0..arguments.shards).map(|n| ShardInfo::new(ShardId(n), format!("{n}")));
        let spec = KeyspaceSpec::range().into();
        let created = Change::CreateKeyspace { name: "trace".into(), spec };
        let topology = Topology::new(infos)
            .and_then(|topology| topology.apply(&created))
            .map_err(|error| error.to_string())?;
        let policy = if arguments.no_rebalance { Policy::Suggest } else { Policy::Automatic };
        let options = RebalanceOptions::new().policy(policy);
        let chosen = (arguments.rate / SAMPLES_PER_SECOND).clamp(1.0, 1024.0) as u32;
        debug_assert!(recording.keys.is_sorted());
        Ok(Self {
            arguments,
            cluster: Cluster::new(topology, HeatOptions::default(), options, arguments.seed),
            random: fastrand::Rng::with_seed(arguments.seed),
            one_in: arguments.one_in.unwrap_or(chosen),
            left: 0,
            operations: 0,
            ticked: Duration::ZERO,
            planned: Duration::ZERO,
            passes: Vec::new(),
            settled: None,
        })
    }

    fn now(&self) -> Duration {
        Duration::from_secs_f64(self.operations as f64 / self.arguments.rate)
    }

    fn pass(&mut self, recording: &Recording) {
        let mut loads: BTreeMap<ShardId, f64> =
            self.cluster.topology.shards().map(|shard| (shard.id, 0.0)).collect();
        for operation in &recording.operations {
            let now = self.now();
            if now >= self.ticked + TICK {
                self.ticked = now;
                self.tick(now, recording);
            }
            let (key, bytes) = &recording.keys[operation.key as usize];
            if let Some(keyspace) = self.cluster.topology.keyspace(KEYSPACE) {
                let partitioning = keyspace.partitioning();
                let owner = partitioning.owner(partitioning.find(key));
                *loads.entry(owner.unwrap_or_default()).or_default() += 1.0;
            }
            self.sample(now, key, *bytes, operation.write);
            self.operations += 1;
        }
        self.passes.push((self.now(), max_over_mean(&loads)));
        println!(
            "{:>9.0} {:>9.3} {:>10} {:>9} {:>9}",
            self.now().as_secs_f64(),
            max_over_mean(&loads),
            self.cluster.topology.keyspaces().map(|it| it.partition_count()).sum::<usize>(),
            self.cluster.counts.reshapes(),
            human(self.cluster.counts.bytes)
        );
    }

    /// Samples one operation in `one_in`, at random distances, as the store does.
    fn sample(&mut self, now: Duration, key: &[u8], bytes: u64, write: bool) {
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            return;
        }
        self.left = self.random.u32(0..2 * self.one_in - 1);
        let kind = if write { Operation::Write } else { Operation::Read };
        let weight = f64::from(self.one_in);
        let seen = Observation::new(KEYSPACE, key, kind).bytes(bytes).weight(weight);
        self.cluster.tracker.observe(now, &seen);
    }

    fn tick(&mut self, now: Duration, recording: &Recording) {
        if now >= Duration::from_secs(self.arguments.settle_s) {
            self.settled.get_or_insert(self.cluster.counts.reshapes());
        }
        let acted = self.cluster.is_acting();
        self.cluster.advance(now);
        self.cluster.tracker.tick(now);
        if self.cluster.is_acting() {
            return;
        }
        if acted {
            // The load before says little about the load after.
            self.planned = now;
        }
        if now < self.planned + self.cluster.options.interval {
            return;
        }
        self.planned = now;
        let bytes = self.bytes(recording);
        let found = self.cluster.plan(now, &bytes);
        if self.arguments.explain {
            explain(&found);
        }
        if self.cluster.options.policy == Policy::Automatic {
            let steps = found.actions.into_iter().map(|action| action.step);
            self.cluster.begin(now, steps, true);
        }
    }

    fn bytes(&self, recording: &Recording) -> BTreeMap<PartitionId, u64> {
        let mut bytes = BTreeMap::new();
        let Some(keyspace) = self.cluster.topology.keyspace(KEYSPACE) else { return bytes };
        let ids: Vec<PartitionId> = keyspace.partitions().map(|partition| partition.id).collect();
        bytes.extend(ids.iter().map(|id| (*id, 0)));
        for (key, size) in &recording.keys {
            *bytes.entry(ids[keyspace.partitioning().find(key)]).or_default() += size;
        }
        bytes
    }

    /// Prints whether the load became even, stayed so, and was then left alone; an error if it is
    /// required to.
    fn summary(&self) -> Result<(), String> {
        let settle = Duration::from_secs(self.arguments.settle_s);
        let reshapes = self.cluster.counts.reshapes();
        let further = reshapes - self.settled.unwrap_or(reshapes);
        let worst = |from: Duration| {
            let passes = self.passes.iter().filter(|(end, _)| *end > from);
            passes.map(|(_, times)| *times).fold(0.0, f64::max)
        };
        let even = self.passes.iter().find(|(_, times)| *times <= 1.3);
        match even {
            Some((end, _)) => println!(
                "at most 1.3 in the pass that ended at {:.0} s; {:.3} at worst after it",
                end.as_secs_f64(),
                worst(*end)
            ),
            None => println!("never at most 1.3 in a pass"),
        }
        let worst = worst(settle);
        println!(
            "{} reshapes, {} of bytes moved, and {further} reshapes in the ten minutes after {} s, \
             with {worst:.3} at worst",
            reshapes,
            human(self.cluster.counts.bytes),
            self.arguments.settle_s
        );
        println!("planning: {}", times(&self.cluster.counts.planned));
        if let Some(most) = self.arguments.imbalance_max
            && (worst > most || further > 0)
        {
            return Err(format!(
                "max/mean {worst:.3} of {most} allowed, {further} reshapes of none"
            ));
        }
        Ok(())
    }
}
