//! A replay from beginning to end.

use super::reshapes::{Reshape, Reshapes};
use super::script::Script;
use super::stage::{Place, Preloaded, Stage};
use super::timeline::{Interval, Timeline, max_over_mean};
use super::worker::{Counts, End, Run, Worked, Worker};
use super::{Args, trace};
use crate::commands::heatmap;
use crate::exit::{Failure, Outcome};
use crate::output::Output;
use crate::reshape::Interrupt;
use crate::{human, progress};
use annulus::{Decision, HotCacheStats, SavedHeat, ShardId, Store};
use hdrhistogram::Histogram;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The decisions that a report has.
const DECISIONS: usize = 64;

/// What came of a replay.
pub(super) struct Summary {
    pub(super) counts: Counts,
    pub(super) nanos: Histogram<u64>,
    pub(super) seconds: f64,
    pub(super) threads: usize,
    pub(super) keys: u64,
    pub(super) preloaded: Option<Preloaded>,
    pub(super) shards: Vec<(ShardId, u32)>,
    pub(super) intervals: Vec<Interval>,
    pub(super) max_over_mean_last: f64,
    /// With the time at which they ended, since the beginning.
    pub(super) reshapes: Vec<(Duration, Reshape)>,
    pub(super) partitions_before: usize,
    pub(super) partitions: usize,
    pub(super) decisions: Vec<Decision>,
    pub(super) hot_cache: Option<HotCacheStats>,
    pub(super) interrupted: bool,
}

impl Summary {
    pub(super) fn max_over_mean(&self, interval: &Interval) -> f64 {
        max_over_mean(&interval.per_shard, &self.weights())
    }

    fn weights(&self) -> Vec<u32> {
        self.shards.iter().map(|(_, weight)| *weight).collect()
    }

    /// The reshapes that ended in an interval, and by how much the partitions grew by its end. What
    /// ended with the run belongs to the last.
    pub(super) fn reshapes_in(&self, interval: &Interval) -> (usize, usize) {
        let end = interval.at + interval.length;
        let is_last = end.as_secs_f64() >= self.seconds;
        let end = if is_last { Duration::MAX } else { end };
        let in_it = self.reshapes.iter().filter(|(at, _)| (interval.at..end).contains(at));
        let grown: i64 =
            self.reshapes.iter().filter(|(at, _)| *at < end).map(|(_, it)| it.grown).sum();
        (in_it.count(), self.partitions_before.saturating_add_signed(grown as isize))
    }
}

pub(super) fn run(args: &Args, output: &Output) -> Outcome<Summary> {
    let options = args.stage.options()?;
    let mut script = match (&args.trace, &args.from, &args.weight) {
        (Some(path), _, _) => trace::trace(path, &options)?,
        (None, Some(path), Some(weight)) => trace::weighted(path, &args.rows, weight, &options)?,
        _ => return Err(Failure::usage("give --trace, or --from and --weight")),
    };
    script.cap(args.stage.value_bytes_max.unwrap_or(u32::MAX));
    let (operations, keys) = (script.pass(), script.keys.keys.len() as u64);
    let (operations, keys) = (human::count(operations), human::count(keys));
    output.note(format_args!("a pass has {operations} operations on {keys} keys"));
    let place = Place::of(&args.stage)?;
    let reshapes = Reshapes::default();
    let stage = Stage::set(args, &place.path, &script, &reshapes, output)?;
    let played = play(args, &stage, &script, &reshapes, output);
    // Also after an error: the threads of the store must end before the process does.
    let closed = stage.store.close();
    let summary = played?;
    closed?;
    if let Some(path) = &args.heatmap {
        let heat = SavedHeat::read(&place.path)?;
        heatmap::write(path, heat.as_ref(), Some(&args.stage.keyspace), args.show_keys)?;
        output.note(format_args!("drew {}", path.display()));
    }
    Ok(summary)
}

fn play(
    args: &Args,
    stage: &Stage,
    script: &Script,
    reshapes: &Reshapes,
    output: &Output,
) -> Outcome<Summary> {
    let threads = args
        .pace
        .threads
        .map_or_else(|| std::thread::available_parallelism().map_or(2, usize::from), usize::from);
    let topology = stage.store.topology();
    let shards: Vec<_> = topology.shards().map(|shard| (shard.id, shard.weight)).collect();
    let ids: Vec<ShardId> = shards.iter().map(|(id, _)| *id).collect();
    let partitions_before = stage.keyspace.placement().partition_count();
    let reshapes_before = reshapes.list().len();
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let run = Run {
        keyspace: &stage.keyspace,
        keys: &script.keys,
        shards: &ids,
        value_bytes: args.stage.value_bytes,
        alone: stage.alone,
        verify: !args.no_verify,
        begun: Instant::now(),
        end: match args.pace.seconds {
            Some(seconds) => End::After(Duration::from_secs_f64(seconds)),
            None => End::Passes(args.pace.repeat),
        },
        stop: &stop,
        done: &done,
    };
    let (worked, interrupted) = threads_work(args, &run, stage, script, threads, output)?;
    let (counts, timeline, nanos, ended) = sum(worked, ids.len());
    let wanted = args.interval.unwrap_or_else(|| (ended.as_secs_f64() / 20.0).min(1.0));
    let wanted = Duration::from_secs_f64(wanted);
    let weights: Vec<u32> = shards.iter().map(|(_, weight)| *weight).collect();
    let list = reshapes.list().into_iter().skip(reshapes_before);
    let list = list.map(|it| (it.ended.saturating_duration_since(run.begun), it));
    Ok(Summary {
        counts,
        nanos,
        seconds: ended.as_secs_f64(),
        threads,
        keys: script.keys.keys.len() as u64,
        preloaded: stage.preloaded,
        intervals: timeline.intervals(wanted, ended),
        max_over_mean_last: max_over_mean(&timeline.since(ended * 3 / 4), &weights),
        shards,
        reshapes: list.filter(|(at, _)| *at <= ended).collect(),
        partitions_before,
        partitions: stage.keyspace.placement().partition_count(),
        decisions: decisions(&stage.store),
        hot_cache: stage.store.hot_cache_stats(),
        interrupted,
    })
}

fn decisions(store: &Store) -> Vec<Decision> {
    store.rebalancer().explain(DECISIONS)
}

/// Runs the threads to their end, or until Ctrl-C; says whether it was that.
fn threads_work(
    args: &Args,
    run: &Run<'_>,
    stage: &Stage,
    script: &Script,
    threads: usize,
    output: &Output,
) -> Outcome<(Vec<Worked>, bool)> {
    let held = stage.held(&script.keys, run.value_bytes);
    let interrupt = Interrupt::catch(output);
    let bar = progress::run(!output.json());
    let (worked, interrupted) = std::thread::scope(|scope| {
        let parts = script.parts(threads, args.stage.seed).into_iter();
        let workers: Vec<_> = parts
            .map(|part| {
                // Each thread has its part of the rate.
                let share = part.pass() as f64 / script.pass() as f64;
                let rate = args.pace.rate.map(|rate| rate * share).filter(|rate| *rate > 0.0);
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
        while workers.iter().any(|worker| !worker.is_finished()) {
            if interrupt.is_asked() {
                run.stop.store(true, Ordering::Relaxed);
            }
            let done = run.done.load(Ordering::Relaxed);
            let rate = human::rate(done as f64 / run.begun.elapsed().as_secs_f64().max(1e-3));
            bar.set_message(format!("{} operations  {rate}", human::count(done)));
            std::thread::sleep(Duration::from_millis(20));
        }
        let join = |worker: std::thread::ScopedJoinHandle<'_, _>| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        let worked: annulus::Result<Vec<Worked>> = workers.into_iter().map(join).collect();
        (worked, interrupt.is_asked())
    });
    bar.finish_and_clear();
    Ok((worked?, interrupted))
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
            // Their bounds are alike, so that nothing is lost.
            Some(all) => all + thread.nanos,
            None => thread.nanos,
        });
    }
    (counts, timeline, nanos.unwrap_or_else(super::worker::histogram), ended)
}
