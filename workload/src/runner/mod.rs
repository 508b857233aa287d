//! Runs operations against one engine, and measures them.
//!
//! Latencies are of the calls alone: what is written is made before the clock starts. With a
//! target rate, operations have the times at which they should start, and their latency counts from
//! then: an engine that stops for a second is charged with all the operations that had to wait, not
//! with one (Gil Tene's "coordinated omission").

mod observer;
mod outcome;
mod pace;
mod tally;
mod watch;
mod worker;

pub use observer::{Observer, Stage};
pub(crate) use outcome::max_over_mean;
pub use outcome::{EventTimes, Interval, Outcome};

use crate::chooser::Distribution;
use crate::engine::{Engine, Event, InvalidArgument, Result};
use crate::growth::Growth;
use crate::hot::HotRange;
use crate::keys::Keys;
use crate::operations::Operations;
use crate::random::derive;
use crate::values::Values;
use crate::workload::Mix;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tally::Slots;
use watch::Watch;
use worker::{End, Worker};

/// How long a run is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Length {
    /// So many operations, shared by the threads.
    Operations(u64),
    /// So long.
    Time(Duration),
}

/// What to run.
#[derive(Debug, Clone)]
pub struct Run<'a> {
    /// The kinds of operations.
    pub mix: Mix,
    /// Which records they are for.
    pub distribution: Distribution,
    /// The records' keys.
    pub keys: Keys,
    /// What is written, and what reads are checked against.
    pub values: &'a Values,
    /// How many threads.
    pub threads: usize,
    /// When it ends.
    pub length: Length,
    /// How much of that is run before, without being measured; in percent.
    pub warm_up_percent: u8,
    /// Operations a second of all threads together; as many as possible without it.
    pub rate: Option<f64>,
    /// What everything random is drawn from.
    pub seed: u64,
    /// What happens to the engine, after so many percent of the run.
    pub event: Option<(u8, Event)>,
    /// After so many percent of the run, half of the operations fall on 1 % of the keys, one beside
    /// the other.
    pub hotspot_at: Option<u8>,
    /// How long an interval of the time line is.
    pub interval: Duration,
}

/// What the threads share while they run.
struct Shared<'a> {
    engine: &'a dyn Engine,
    growth: &'a Growth,
    run: &'a Run<'a>,
    /// How many operations each thread has done.
    done: Vec<Done>,
    working: AtomicUsize,
    stop: AtomicBool,
    /// The hot spot has appeared, in a run whose length is a time.
    hot: AtomicBool,
    slots: Slots,
}

/// On a cache line of its own.
#[derive(Default)]
#[repr(align(128))]
struct Done(AtomicU64);

impl<'a> Shared<'a> {
    fn new(engine: &'a dyn Engine, growth: &'a Growth, run: &'a Run<'a>) -> Self {
        Self {
            engine,
            growth,
            run,
            done: (0..run.threads).map(|_| Done::default()).collect(),
            working: AtomicUsize::new(run.threads),
            stop: AtomicBool::new(false),
            hot: AtomicBool::new(false),
            slots: Slots::new(run.interval),
        }
    }

    fn done(&self) -> u64 {
        self.done.iter().map(|Done(done)| done.load(Ordering::Relaxed)).sum()
    }
}

/// Loads records into an empty engine: insertions alone.
///
/// # Errors
///
/// Those of [`run`](run()).
pub fn load(
    engine: &dyn Engine,
    growth: &Growth,
    records: u64,
    run: &Run<'_>,
    tell: &mut dyn FnMut(f64, u64) -> ControlFlow<()>,
) -> Result<Outcome> {
    let load = Run {
        mix: Mix { insert: 100, ..Mix::default() },
        distribution: Distribution::Sequential,
        length: Length::Operations(records),
        warm_up_percent: 0,
        rate: None,
        event: None,
        hotspot_at: None,
        ..run.clone()
    };
    self::run(engine, growth, &load, tell)
}

/// Runs operations. `tell` is called some times a second with the part that is done and the number
/// of operations, and ends the run by breaking.
///
/// # Errors
///
/// The first error of the engine; the run ends with it. [`InvalidArgument`] if the growth is not for
/// as many threads.
pub fn run(
    engine: &dyn Engine,
    growth: &Growth,
    run: &Run<'_>,
    tell: &mut dyn FnMut(f64, u64) -> ControlFlow<()>,
) -> Result<Outcome> {
    if run.threads == 0 || run.threads > growth.threads() {
        let (threads, most) = (run.threads, growth.threads());
        return Err(InvalidArgument::error(format!(
            "a run of {threads} threads needs at least one, and a growth for as many, not {most}"
        )));
    }
    let records = growth.readable();
    let hot = run.hotspot_at.map(|_| HotRange::new(run.keys, records, run.seed));
    let chooser = run.distribution.chooser(records + expected_inserts(run));
    let operations = Operations::new(run.mix, chooser, 0);
    let warm = warm_up(run.length, run.warm_up_percent);
    let first = Shared::new(engine, growth, run);
    let mut workers = Vec::with_capacity(run.threads);
    for thread in 0..run.threads {
        let seed = derive(run.seed, &[thread as u64]);
        let operations = operations.clone().seeded(seed).for_thread(thread, run.threads);
        workers.push(Worker::new(run, thread, operations, hot.clone())?);
    }
    if let Some(warm) = warm {
        workers =
            work(&first, workers, warm, &mut Watch::without_events(&mut |_, _| tell(0.0, 0)))?;
        workers.iter_mut().for_each(Worker::forget);
    }
    let stopped = first.stop.into_inner();
    let shared = Shared::new(engine, growth, run);
    shared.stop.store(stopped, Ordering::Relaxed);
    let mut watch = Watch::new(run, tell);
    let cached = engine.cache_reads();
    let workers = work(&shared, workers, run.length, &mut watch)?;
    let cache_reads = engine.cache_reads().zip(cached).map(|(now, before)| now.since(before));
    let outcome = outcome::gather(workers, shared, watch.into_event(), records)?;
    Ok(Outcome { cache_reads, ..outcome })
}

/// Twice as many as the run inserts on average: YCSB's guess, so that popular records are also
/// among those that come. A run that is as long as its time gets none.
fn expected_inserts(run: &Run<'_>) -> u64 {
    match (run.length, run.distribution) {
        (Length::Operations(operations), Distribution::Zipfian | Distribution::Scrambled) => {
            operations * u64::from(run.mix.insert) / 100 * 2
        }
        _ => 0,
    }
}

fn warm_up(length: Length, percent: u8) -> Option<Length> {
    (percent > 0).then_some(match length {
        Length::Operations(operations) => Length::Operations(operations * u64::from(percent) / 100),
        Length::Time(time) => Length::Time(time.mul_f64(f64::from(percent) / 100.0)),
    })
}

/// Lets the workers work to their end, watched by this thread.
fn work<'a>(
    shared: &Shared<'a>,
    workers: Vec<Worker<'a>>,
    length: Length,
    watch: &mut Watch<'_>,
) -> Result<Vec<Worker<'a>>> {
    let started = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = workers
            .into_iter()
            .map(|mut worker| {
                let end = End::of(length, worker.thread(), shared.run.threads, started);
                scope.spawn(move || {
                    let left = Left(shared);
                    let worked = worker.work(shared, started, end);
                    if worked.is_err() {
                        shared.stop.store(true, Ordering::Relaxed);
                    }
                    drop(left);
                    worked.map(|()| worker)
                })
            })
            .collect();
        let watched = watch.watch(shared, length, started, scope);
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        let worked: Vec<Result<Worker<'a>>> = threads.into_iter().map(join).collect();
        let workers = worked.into_iter().collect::<Result<Vec<_>>>()?;
        watched.map(|()| workers)
    })
}

/// Counts a worker out, also one that panics.
struct Left<'a, 'b>(&'a Shared<'b>);

impl Drop for Left<'_, '_> {
    fn drop(&mut self) {
        self.0.working.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
