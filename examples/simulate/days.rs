//! Days of a load that moves, and shards that come and go.

use crate::arguments::Arguments;
use crate::cluster::Cluster;
use crate::load::{Load, Moment};
use crate::report::{explain, human, max_over_mean, quantile, resident, times};
use crate::setup::{heat, options};
use annulus::ShardId;
use annulus::heat::Observation;
use annulus::planner::load::{LoadPlan, Policy};
use annulus::topology::{ShardInfo, Topology};
use std::time::{Duration, Instant};

/// Parts of an interval, for what happens in it.
const PARTS: u32 = 10;

pub(crate) fn run(arguments: &Arguments) -> Result<(), String> {
    let begun = Instant::now();
    let mut run = Run::new(arguments).map_err(|error| error.to_string())?;
    println!(
        "{} shards, {} partitions in {} keyspaces, seed {}; made in {:.1} s",
        arguments.shards,
        run.partitions(),
        arguments.keyspaces + 1,
        arguments.seed,
        begun.elapsed().as_secs_f64()
    );
    println!(
        "{:>6} {:>8} {:>6} {:>6} {:>6} {:>6} {:>9} {:>10} {:>8}",
        "hour", "max/mean", "least", "moves", "splits", "merges", "moved", "partitions", "plan ms"
    );
    let intervals = (arguments.days() * 86_400.0 / arguments.interval_s as f64).ceil() as u32;
    for number in 0..intervals {
        run.shards_come_and_go(number, intervals);
        run.interval(number);
    }
    run.summary(begun.elapsed())
}

pub(crate) struct Run<'a> {
    pub(crate) arguments: &'a Arguments,
    pub(crate) load: Load,
    pub(crate) cluster: Cluster,
    pub(crate) random: fastrand::Rng,
    pub(crate) interval: Duration,
    pub(crate) now: Duration,
    /// max/mean and its lower bound, in each interval.
    pub(crate) imbalances: Vec<(f64, f64)>,
    pub(crate) observing: Duration,
    pub(crate) observed: u64,
    /// The shard that is being removed.
    pub(crate) leaving: Option<ShardId>,
}

impl<'a> Run<'a> {
    fn new(arguments: &'a Arguments) -> annulus::Result<Self> {
        let infos = (0..arguments.shards).map(|n| ShardInfo::new(ShardId(n), format!("{n}")));
        let (load, topology) = Load::new(arguments, Topology::new(infos)?)?;
        let interval = Duration::from_secs(arguments.interval_s);
        let cluster = Cluster::new(topology, heat(interval), options(arguments), arguments.seed);
        Ok(Self {
            arguments,
            load,
            cluster,
            random: fastrand::Rng::with_seed(arguments.seed),
            interval,
            now: Duration::ZERO,
            imbalances: Vec::new(),
            observing: Duration::ZERO,
            observed: 0,
            leaving: None,
        })
    }

    fn partitions(&self) -> usize {
        self.cluster.topology.keyspaces().map(|keyspace| keyspace.partition_count()).sum()
    }

    fn interval(&mut self, number: u32) {
        let before = [
            self.cluster.counts.moves,
            self.cluster.counts.splits,
            self.cluster.counts.merges,
            self.cluster.counts.bytes,
        ];
        let mut moment = None;
        for part in 0..PARTS {
            let begun = Instant::now();
            self.sample(self.now, self.interval / PARTS);
            self.observing += begun.elapsed();
            self.now = self.interval * number + self.interval * (part + 1) / PARTS;
            self.cluster.advance(self.now);
            if part == PARTS / 2 {
                moment = Some(self.load.moment(&self.cluster.topology, self.now));
            }
        }
        self.cluster.tracker.tick(self.now);
        let found = (!self.cluster.is_acting()).then(|| {
            let bytes = self.load.bytes(&self.cluster.topology, self.now);
            self.cluster.plan(self.now, &bytes)
        });
        self.line(before, moment.as_ref());
        if let Some(found) = found {
            self.act(found);
        }
    }

    fn act(&mut self, found: LoadPlan) {
        if self.arguments.explain {
            explain(&found);
        }
        if self.cluster.options.policy == Policy::Automatic {
            self.cluster.begin(self.now, found.actions.into_iter().map(|it| it.step), true);
        }
    }

    fn sample(&mut self, from: Duration, time: Duration) {
        let samples = self.arguments.samples as usize / PARTS as usize;
        let all = self.load.fair() * f64::from(self.arguments.shards);
        let weight = all * time.as_secs_f64() / samples as f64;
        for number in 0..samples {
            let now = from + time.mul_f64(number as f64 / samples as f64);
            let drawn = self.load.draw(now, &mut self.random);
            let seen = Observation::new(drawn.keyspace, &drawn.key, drawn.kind);
            let seen = seen.bytes(100).weight(weight);
            self.cluster.tracker.observe(now, &seen);
        }
        self.observed += samples as u64;
    }

    fn line(&mut self, before: [u64; 4], moment: Option<&Moment>) {
        let Some(moment) = moment else { return };
        let times = max_over_mean(&moment.by_shard);
        let least = (moment.heaviest / self.load.fair()).max(1.0);
        self.imbalances.push((times, least));
        let counts = &self.cluster.counts;
        println!(
            "{:>6.2} {times:>8.3} {least:>6.3} {:>6} {:>6} {:>6} {:>9} {:>10} {:>8.1}",
            self.now.as_secs_f64() / 3600.0,
            counts.moves - before[0],
            counts.splits - before[1],
            counts.merges - before[2],
            human(counts.bytes - before[3]),
            self.partitions(),
            counts.planned.last().map_or(0.0, Duration::as_secs_f64) * 1000.0
        );
    }

    fn summary(&self, took: Duration) -> Result<(), String> {
        let counts = &self.cluster.counts;
        let (first, second) = self.imbalances.split_at(self.imbalances.len() / 2);
        for (half, values) in [("first", first), ("second", second)] {
            let times: Vec<f64> = values.iter().map(|(times, _)| *times).collect();
            let over: Vec<f64> = values.iter().map(|(times, least)| times / least).collect();
            println!(
                "{half} half: max/mean {:.3} median, {:.3} p95, {:.3} max; over the least possible \
                 {:.3}, {:.3}, {:.3}",
                quantile(&times, 0.5),
                quantile(&times, 0.95),
                quantile(&times, 1.0),
                quantile(&over, 0.5),
                quantile(&over, 0.95),
                quantile(&over, 1.0)
            );
        }
        println!(
            "{} moves, {} splits, {} merges, {} stale, {} moved of {}",
            counts.moves,
            counts.splits,
            counts.merges,
            counts.stale,
            human(counts.bytes),
            human(self.load.bytes(&self.cluster.topology, self.now).values().sum())
        );
        println!("planning: {}", times(&counts.planned));
        println!("input of the planner: {}", times(&counts.demanded));
        println!("applying a reshape: {}", times(&counts.applied));
        println!(
            "tracker: {:.0} ns a sample with drawing it, {} partitions touched, the process has \
             {}; {:.0} s in all",
            self.observing.as_nanos() as f64 / self.observed.max(1) as f64,
            self.cluster.tracker.touched(),
            resident().map_or("unknown".into(), human),
            took.as_secs_f64()
        );
        let over: Vec<f64> = second.iter().map(|(times, least)| times / least).collect();
        let median = quantile(&over, 0.5);
        if let Some(most) = self.arguments.imbalance_max
            && median > most
        {
            return Err(format!("{median:.3} times the least possible max/mean; may be {most}"));
        }
        Ok(())
    }
}
