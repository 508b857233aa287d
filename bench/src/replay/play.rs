//! The threads of a replay, from beginning to end.

use super::script::Script;
use super::stage::Stage;
use super::summary::Summary;
use super::timeline::{Timeline, max_over_mean};
use super::worker::{Counts, End, Run, Worked, Worker, histogram};
use annulus::{Result, ShardId};
use hdrhistogram::Histogram;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The maximum number of decisions in a summary.
const DECISIONS: usize = 64;

/// How often the caller is notified of the progress.
const TELL_EVERY: Duration = Duration::from_millis(20);

/// How fast, for how long, and what is checked.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Threads that do the operations.
    pub threads: usize,
    /// Operations a second, of all threads together; `None` for full speed.
    pub rate: Option<f64>,
    /// When it ends.
    pub end: End,
    /// How long the intervals of the summary are; `None` for 1 second, or a twentieth of a shorter
    /// run.
    pub interval: Option<Duration>,
    /// Whether what is read is checked.
    pub verify: bool,
    /// The seed of the draws.
    pub seed: u64,
}

/// Plays the script. `tell` is called several times a second with the operations so far and the
/// time since the beginning; a break ends the replay early.
///
/// # Errors
///
/// Those of the store.
pub fn play(
    stage: &Stage,
    script: &Script,
    plan: &Plan,
    mut tell: impl FnMut(u64, Duration) -> ControlFlow<()>,
) -> Result<Summary> {
    let topology = stage.store.topology();
    let shards: Vec<_> = topology.shards().map(|shard| (shard.id, shard.weight)).collect();
    let ids: Vec<ShardId> = shards.iter().map(|(id, _)| *id).collect();
    let partitions_before = stage.keyspace.placement().partition_count();
    let reshapes_before = stage.reshapes.list().len();
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let run = Run {
        keyspace: &stage.keyspace,
        keys: &script.keys,
        shards: &ids,
        value_bytes: stage.value_bytes,
        alone: stage.alone,
        verify: plan.verify,
        begun: Instant::now(),
        end: plan.end,
        stop: &stop,
        done: &done,
    };
    let (worked, interrupted) = work(&run, stage, script, plan, &mut tell)?;
    let (counts, timeline, nanos, ended) = sum(worked, ids.len());
    let shortest = || Duration::from_secs_f64((ended.as_secs_f64() / 20.0).min(1.0));
    let wanted = plan.interval.unwrap_or_else(shortest);
    let weights: Vec<u32> = shards.iter().map(|(_, weight)| *weight).collect();
    let list = stage.reshapes.list().into_iter().skip(reshapes_before);
    let list = list.map(|it| (it.ended.saturating_duration_since(run.begun), it));
    Ok(Summary {
        counts,
        nanos,
        seconds: ended.as_secs_f64(),
        threads: plan.threads,
        keys: script.keys.count(),
        preloaded: stage.preloaded,
        intervals: timeline.intervals(wanted, ended),
        max_over_mean_last: max_over_mean(&timeline.since(ended * 3 / 4), &weights),
        shards,
        reshapes: list.filter(|(at, _)| *at <= ended).collect(),
        partitions_before,
        partitions: stage.keyspace.placement().partition_count(),
        decisions: stage.store.rebalancer().explain(DECISIONS),
        hot_cache: stage.store.hot_cache_stats(),
        interrupted,
    })
}

/// Runs the threads to their end, or until `tell` breaks; the flag says whether it did.
fn work(
    run: &Run<'_>,
    stage: &Stage,
    script: &Script,
    plan: &Plan,
    tell: &mut impl FnMut(u64, Duration) -> ControlFlow<()>,
) -> Result<(Vec<Worked>, bool)> {
    let held = stage.held(&script.keys);
    std::thread::scope(|scope| {
        let parts = script.parts(plan.threads, plan.seed).into_iter();
        let workers: Vec<_> = parts
            .map(|part| {
                // Each thread has its share of the rate.
                let share = part.pass() as f64 / script.pass() as f64;
                let rate = plan.rate.map(|rate| rate * share).filter(|rate| *rate > 0.0);
                let pace = rate.map(|rate| Duration::from_secs_f64(1.0 / rate));
                let worker = Worker::new(run, held.clone(), pace);
                scope.spawn(move || {
                    let worked = worker.work(part);
                    if worked.is_err() {
                        run.stop.store(true, Ordering::Relaxed);
                    }
                    worked
                })
            })
            .collect();
        let mut interrupted = false;
        while workers.iter().any(|worker| !worker.is_finished()) {
            if tell(run.done.load(Ordering::Relaxed), run.begun.elapsed()).is_break() {
                interrupted = true;
                run.stop.store(true, Ordering::Relaxed);
            }
            std::thread::sleep(TELL_EVERY);
        }
        let join = |worker: std::thread::ScopedJoinHandle<'_, _>| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        let worked: Result<Vec<Worked>> = workers.into_iter().map(join).collect();
        Ok((worked?, interrupted))
    })
}

fn sum(worked: Vec<Worked>, shards: usize) -> (Counts, Timeline, Histogram<u64>, Duration) {
    let mut counts = Counts::default();
    let mut timeline = Timeline::new(shards);
    let mut nanos: Option<Histogram<u64>> = None;
    let mut ended = Duration::from_micros(1);
    for thread in worked {
        counts += thread.counts;
        timeline.add(thread.timeline);
        ended = ended.max(thread.ended);
        nanos = Some(match nanos {
            // Their bounds are the same, so nothing is lost.
            Some(all) => all + thread.nanos,
            None => thread.nanos,
        });
    }
    (counts, timeline, nanos.unwrap_or_else(histogram), ended)
}
