//! Starting the threads, waiting for them, and collecting what they counted.

use super::outcome::{self, Outcome};
use super::settings::{Length, Run};
use super::shared::{Left, Shared};
use super::watch::Watch;
use super::worker::{End, Worker};
use crate::chooser::Distribution;
use crate::engine::{Engine, InvalidArgument, Result};
use crate::growth::Growth;
use crate::hot::HotRange;
use crate::operations::Operations;
use crate::random::derive;
use crate::workload::Mix;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::time::Instant;

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

/// Runs operations. `tell` is called several times a second with the fraction that is done and the
/// number of operations, and ends the run by breaking.
///
/// # Errors
///
/// The first error of the engine; the run ends with it. [`InvalidArgument`] if the growth is not
/// for as many threads.
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
    let mut warm_up_operations = 0;
    if let Some(warm) = warm {
        workers =
            work(&first, workers, warm, &mut Watch::without_events(&mut |_, _| tell(0.0, 0)))?;
        warm_up_operations = workers.iter().map(|worker| worker.tally.operations).sum();
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
    Ok(Outcome { cache_reads, warm_up_operations, ..outcome })
}

/// Returns twice as many as the run inserts on average: YCSB's guess, so that popular records are
/// also among those to come. A run whose length is a time gets none.
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

/// Runs the workers to their end, watched by this thread.
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
