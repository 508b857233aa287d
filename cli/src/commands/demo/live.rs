//! The store at work while it is reshaped: threads read and write, each checks every value that it
//! reads, and meanwhile a shard comes, another one goes, partitions are split and merged.

use super::Row;
use super::check::{Differences, Expected, Version, value_of};
use crate::exit::{Failure, Outcome};
use crate::output::Output;
use crate::reshape::{Interrupt, Totals, Trims, follow, totals};
use annulus::planner::{Request, SplitAt};
use annulus::{
    Batch, Keyspace, PartitionId, ReshapeStats, ScanOptions, ShardId, ShardSpec, ShardStats, Store,
};
use fastrand::Rng;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Threads that read and write.
const THREADS: usize = 4;

/// Between two calls, as the clients of a store have other things to do: with processors that do
/// nothing but call it, the figures would be of waiting for a processor.
const THINK: Duration = Duration::from_micros(100);

/// Rows of a scan, and of a batch.
const SCAN_ROWS: usize = 20;
const BATCH_ROWS: usize = 4;

/// The store at work.
pub(super) struct Live<'a> {
    pub(super) store: &'a Store,
    pub(super) keyspaces: [(&'a Keyspace, Expected<'a>); 2],
    pub(super) seed: u64,
    pub(super) trims: &'a Trims,
    pub(super) output: &'a Output,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub(super) struct LiveSummary {
    pub(super) counts: Counts,
    pub(super) seconds: f64,
    /// Of the jobs, which is without trims.
    pub(super) moved: Totals,
    pub(super) stats: ReshapeStats,
}

/// What a thread did and found.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    pub(super) reads: u64,
    pub(super) writes: u64,
    pub(super) scans: u64,
    pub(super) differences: Differences,
    pub(super) wrong_scans: u64,
    pub(super) slowest_read_ms: f64,
    pub(super) slowest_write_ms: f64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.reads += other.reads;
        self.writes += other.writes;
        self.scans += other.scans;
        self.differences += other.differences;
        self.wrong_scans += other.wrong_scans;
        self.slowest_read_ms = self.slowest_read_ms.max(other.slowest_read_ms);
        self.slowest_write_ms = self.slowest_write_ms.max(other.slowest_write_ms);
    }
}

/// Ends the threads, also when what they are to outlast panics.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Live<'_> {
    /// Reshapes the store under load.
    pub(super) fn run(&self) -> Outcome<LiveSummary> {
        let (started, stop) = (Instant::now(), AtomicBool::new(false));
        let (reshaped, worked) = std::thread::scope(|scope| {
            let work = |thread| Worker::new(self, thread).work(&stop);
            let threads: Vec<_> =
                (0..THREADS).map(|thread| scope.spawn(move || work(thread))).collect();
            let stopper = Stop(&stop);
            let reshaped = self.reshape();
            drop(stopper);
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            let worked: annulus::Result<Vec<Counts>> = threads.into_iter().map(join).collect();
            (reshaped, worked)
        });
        let mut counts = Counts::default();
        worked?.into_iter().for_each(|thread| counts += thread);
        let seconds = started.elapsed().as_secs_f64();
        Ok(LiveSummary { counts, seconds, moved: reshaped?, stats: self.store.reshape_stats() })
    }

    /// Everything that can be done to partitions and shards, one after the other.
    fn reshape(&self) -> Outcome<Totals> {
        let mut outcomes = Vec::new();
        let topology = self.store.topology();
        let (new, old) = (topology.next_shard(), topology.shards().next().map(|shard| shard.id));
        let spec = ShardSpec::new(format!("shards/{new}"));
        let request = self.store.add_shard_request(spec);
        outcomes.extend(self.job(format!("add shard {new}"), &request)?);
        if let Some(shard) = old {
            let request = Request::RemoveShard(shard);
            outcomes.extend(self.job(format!("remove shard {shard}"), &request)?);
        }
        if let Some((shard, weight)) = self.lightest()? {
            // The weight that it has: it gets what it lacks.
            let request = Request::SetWeight { shard, weight };
            outcomes.extend(self.job(format!("even out shard {shard}"), &request)?);
        }
        for (keyspace, expected) in self.keyspaces {
            let Some((partition, at)) = fullest(keyspace, expected.rows) else { continue };
            let title = format!("split partition {partition}");
            let split = self.job(title, &Request::Split { partition, at, to: None })?;
            let targets = split.first().map(|outcome| outcome.targets.clone());
            outcomes.extend(split);
            if let Some([left, right]) = targets.as_deref() {
                let request = Request::Merge { left: *left, right: *right, to: None };
                outcomes
                    .extend(self.job(format!("merge partitions {left} and {right}"), &request)?);
            }
        }
        self.trims.wait(self.store, &Interrupt::never(), &Output::new(true))?;
        Ok(totals(&outcomes))
    }

    /// The shard with the fewest bytes for its weight, and its weight.
    fn lightest(&self) -> Outcome<Option<(ShardId, u32)>> {
        let shards = self.store.stats()?.shards;
        let load = |shard: &ShardStats| shard.bytes_on_disk / u64::from(shard.weight);
        Ok(shards.iter().min_by_key(|shard| load(shard)).map(|shard| (shard.id, shard.weight)))
    }

    fn job(&self, title: String, request: &Request) -> Outcome<Vec<annulus::Outcome>> {
        let (started, job) = (Instant::now(), self.store.start(request)?);
        follow(&job, title.clone(), &Interrupt::never(), self.output);
        let outcomes = job
            .wait()
            .map_err(|error| Failure::from(error).note(format!("while the demo was to {title}")))?;
        let (seconds, number) = (started.elapsed().as_secs_f64(), outcomes.len());
        let s = if number == 1 { "" } else { "s" };
        self.output.note(format_args!("live   {title}: {number} reshape{s}, {seconds:.2} s"));
        Ok(outcomes)
    }
}

/// The partition with most of the rows, and where to split it; none if there are too few of them.
fn fullest(keyspace: &Keyspace, rows: &[Row]) -> Option<(PartitionId, SplitAt)> {
    let placement = keyspace.placement();
    let mut places: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (place, (key, _)) in rows.iter().enumerate() {
        places.entry(placement.partitioning().find(key)).or_default().push(place);
    }
    let (index, places) = places.into_iter().max_by_key(|(_, places)| places.len())?;
    let partition = placement.partition(index)?.id;
    if placement.partitioning().name() == "hash" {
        return Some((partition, SplitAt::Middle));
    }
    let middle = places.get(places.len() / 2).filter(|_| places.len() > 1)?;
    Some((partition, SplitAt::Key(rows.get(*middle)?.0.clone())))
}

/// A thread that reads any row and writes its own: every row is written by one thread.
struct Worker<'a> {
    live: &'a Live<'a>,
    thread: usize,
    random: Rng,
    counts: Counts,
}

impl<'a> Worker<'a> {
    fn new(live: &'a Live<'a>, thread: usize) -> Self {
        let random = Rng::with_seed(live.seed.wrapping_add(thread as u64));
        Self { live, thread, random, counts: Counts::default() }
    }

    fn work(mut self, stop: &AtomicBool) -> annulus::Result<Counts> {
        while !stop.load(Ordering::Relaxed) {
            let begun = Instant::now();
            let writes = match self.random.u8(..32) {
                0..16 => self.read()?,
                16..17 => self.scan()?,
                17..28 => self.put()?,
                28..30 => self.swap()?,
                _ => self.batch()?,
            };
            let ms = begun.elapsed().as_secs_f64() * 1e3;
            let Counts { slowest_read_ms, slowest_write_ms, .. } = &mut self.counts;
            let slowest = if writes { slowest_write_ms } else { slowest_read_ms };
            *slowest = slowest.max(ms);
            std::thread::sleep(THINK);
        }
        Ok(self.counts)
    }

    fn keyspace(&mut self) -> (&'a Keyspace, Expected<'a>) {
        let [hash, range] = self.live.keyspaces;
        if self.random.bool() { hash } else { range }
    }

    /// A row that only this thread writes.
    fn own(&mut self, expected: Expected<'a>) -> Option<(&'a Row, &'a Version)> {
        let number = (expected.rows.len() + THREADS - 1 - self.thread) / THREADS;
        let own = (number > 0).then(|| self.random.usize(..number))?;
        expected.row(own * THREADS + self.thread)
    }

    fn read(&mut self) -> annulus::Result<bool> {
        let (keyspace, expected) = self.keyspace();
        let place = self.random.usize(..expected.rows.len());
        let Some((row, version)) = expected.row(place) else { return Ok(false) };
        let acknowledged = version.acknowledged();
        match keyspace.get(&row.0)? {
            Some(value) if expected.may_be(place, &value, acknowledged) => {}
            Some(_) => self.counts.differences.wrong += 1,
            None => self.counts.differences.lost += 1,
        }
        self.counts.reads += 1;
        Ok(false)
    }

    /// Some neighbouring rows: all of them, in order, none older than it may be.
    fn scan(&mut self) -> annulus::Result<bool> {
        let (keyspace, expected) = self.keyspace();
        let first = self.random.usize(..expected.rows.len());
        let places = first..expected.rows.len().min(first + SCAN_ROWS);
        let rows: Vec<_> = places
            .filter_map(|place| expected.row(place).map(|(row, v)| (place, row, v.acknowledged())))
            .collect();
        let Some((_, (from, _), _)) = rows.first() else { return Ok(false) };
        let bounds = (Bound::Included(from.clone()), Bound::Unbounded);
        let mut scan = keyspace.scan_with(bounds, ScanOptions::new().limit(SCAN_ROWS as u64))?;
        for (place, row, acknowledged) in rows {
            let right = scan.next_row()?.is_some_and(|(key, value)| {
                key == row.0 && expected.may_be(place, value, acknowledged)
            });
            self.counts.wrong_scans += u64::from(!right);
        }
        self.counts.scans += 1;
        Ok(false)
    }

    fn put(&mut self) -> annulus::Result<bool> {
        let (keyspace, expected) = self.keyspace();
        let Some((row, version)) = self.own(expected) else { return Ok(true) };
        let next = version.begin();
        keyspace.put(&row.0, value_of(&row.1, next))?;
        version.acknowledge(next);
        self.counts.writes += 1;
        Ok(true)
    }

    /// Nobody else writes the row, so what this thread wrote last must be there.
    fn swap(&mut self) -> annulus::Result<bool> {
        let (keyspace, expected) = self.keyspace();
        let Some((row, version)) = self.own(expected) else { return Ok(true) };
        let present = value_of(&row.1, version.acknowledged());
        let next = version.begin();
        let new = value_of(&row.1, next);
        let swap = keyspace.compare_and_swap(&row.0, Some(&present), Some(&new))?;
        if !swap.is_swapped() {
            self.counts.differences.wrong += 1;
            keyspace.put(&row.0, new)?;
        }
        version.acknowledge(next);
        self.counts.writes += 1;
        Ok(true)
    }

    /// Some rows of both keyspaces.
    fn batch(&mut self) -> annulus::Result<bool> {
        let mut batch = Batch::new();
        let mut begun = Vec::with_capacity(BATCH_ROWS);
        for _ in 0..BATCH_ROWS {
            let (keyspace, expected) = self.keyspace();
            let Some((row, version)) = self.own(expected) else { continue };
            let next = version.begin();
            batch.put(keyspace, &row.0, value_of(&row.1, next));
            begun.push((version, next));
        }
        self.live.store.write(batch)?;
        for (version, next) in begun {
            version.acknowledge(next);
            self.counts.writes += 1;
        }
        Ok(true)
    }
}
