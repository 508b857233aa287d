//! The result of a replay, for people and for machines.

use super::run::Summary;
use super::timeline::Interval;
use crate::exit::Outcome;
use crate::human;
use crate::output::Output;
use crate::table::Table;
use crate::text;
use annulus::topology::ReshapeKind;
use serde_json::{Value, json};

/// The most intervals of the table; more are left out evenly.
const ROWS_MAX: usize = 24;

/// The last decisions that are printed.
const DECISIONS: usize = 6;

impl Summary {
    fn operations(&self) -> u64 {
        self.nanos.len()
    }

    fn ops_per_s(&self) -> f64 {
        self.operations() as f64 / self.seconds.max(1e-9)
    }

    fn micros(&self, quantile: f64) -> f64 {
        self.nanos.value_at_quantile(quantile) as f64 / 1e3
    }

    fn max_over_mean_first(&self) -> f64 {
        let mut intervals = self.intervals.iter();
        let first = intervals.find(|interval| interval.per_shard.iter().any(|count| *count > 0));
        first.map_or(1.0, |first| self.max_over_mean(first))
    }

    fn kinds(&self, kind: ReshapeKind) -> usize {
        self.reshapes.iter().filter(|(_, reshape)| reshape.kind == kind).count()
    }

    /// For how long nothing was reshaped at the end.
    fn quiet_seconds(&self) -> f64 {
        let last = self.reshapes.iter().map(|(at, _)| at.as_secs_f64()).fold(0.0, f64::max);
        self.seconds - last
    }
}

pub(super) fn report(summary: &Summary, output: &mut Output) -> Outcome<()> {
    if output.json() {
        return output.object(&object(summary));
    }
    output.text(format_args!("{}\n", table(summary)))?;
    let Summary { counts, seconds, threads, .. } = summary;
    let (operations, rate) = (human::count(summary.operations()), human::rate(summary.ops_per_s()));
    output.line(format_args!(
        "{operations} operations in {seconds:.2} s, {rate}, {threads} threads"
    ))?;
    output.line(format_args!(
        "{} reads, {} writes, {} deletes, {} scans; {} of the reads found nothing",
        human::count(counts.reads),
        human::count(counts.writes),
        human::count(counts.deletes),
        human::count(counts.scans),
        human::count(counts.absent),
    ))?;
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|quantile| micros(summary.micros(quantile)));
    output.line(format_args!("latency: p50 {p50}, p99 {p99}, p99.9 {p999}"))?;
    output.line(format_args!(
        "max/mean of the shards: {:.2} at first, {:.2} in the last quarter",
        summary.max_over_mean_first(),
        summary.max_over_mean_last
    ))?;
    let [splits, moves, merges] =
        [ReshapeKind::Split, ReshapeKind::Move, ReshapeKind::Merge].map(|kind| summary.kinds(kind));
    output.line(format_args!(
        "reshapes: {} (split {splits}, move {moves}, merge {merges}), none in the last {:.0} s; \
         partitions: {}, before {}",
        summary.reshapes.len(),
        summary.quiet_seconds(),
        summary.partitions,
        summary.partitions_before
    ))?;
    if let Some(cache) = &summary.hot_cache {
        let part = human::percent(human::part(cache.hits, cache.hits + cache.misses));
        let (keys, bytes) = (human::count(cache.keys), human::bytes(cache.bytes));
        output
            .line(format_args!("cache of hot keys: {part} of the reads; {keys} keys, {bytes}"))?;
    }
    for decision in summary.decisions.iter().rev().take(DECISIONS).rev() {
        output.line(format_args!("{decision}"))?;
    }
    if counts.unchecked > 0 {
        let unchecked = human::count(counts.unchecked);
        output.note(format_args!(
            "note: {unchecked} reads were of what was there before, and could not be checked"
        ));
    }
    if summary.interrupted {
        output.note("note: interrupted; these are the figures so far");
    }
    output.line(format_args!("wrong reads: {}", human::count(counts.wrong)))
}

/// Microseconds, or milliseconds from one on.
fn micros(micros: f64) -> String {
    if micros < 1e3 { format!("{micros:.1} µs") } else { human::milliseconds(micros / 1e3) }
}

/// Where the load fell, over time.
fn table(summary: &Summary) -> Table {
    let head = ["second", "load of the shards", "ops/s", "max/mean", "partitions", "reshapes"];
    let mut table = Table::new(2, head);
    let step = summary.intervals.len().div_ceil(ROWS_MAX).max(1);
    for intervals in summary.intervals.chunks(step) {
        let Some(interval) = join(intervals) else { continue };
        let (reshapes, partitions) = summary.reshapes_in(&interval);
        let operations: u64 = interval.per_shard.iter().sum();
        table.row([
            format!("{:.1}", interval.at.as_secs_f64()),
            bars(&interval.per_shard),
            human::count((operations as f64 / interval.length.as_secs_f64()).round() as u64),
            format!("{:.2}", summary.max_over_mean(&interval)),
            partitions.to_string(),
            reshapes.to_string(),
        ]);
    }
    table
}

/// One interval instead of several that follow each other.
fn join(intervals: &[Interval]) -> Option<Interval> {
    let (first, others) = intervals.split_first()?;
    Some(others.iter().fold(first.clone(), |mut all, other| {
        all.length += other.length;
        all.per_shard.iter_mut().zip(&other.per_shard).for_each(|(sum, more)| *sum += more);
        all
    }))
}

/// A bar a shard, and the shares as numbers.
fn bars(per_shard: &[u64]) -> String {
    const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let total: u64 = per_shard.iter().sum();
    let most = per_shard.iter().copied().max().unwrap_or(0);
    let bar = |count: &u64| {
        let height = (human::part(*count, most) * 8.0).ceil() as usize;
        BARS.get(height).copied().unwrap_or(' ')
    };
    let bars: String = per_shard.iter().map(bar).collect();
    let shares: Vec<String> =
        per_shard.iter().map(|n| format!("{:3.0}%", human::part(*n, total) * 100.0)).collect();
    text::shorten(&format!("[{bars}] {}", shares.join(" ")), 60).into_owned()
}

fn object(summary: &Summary) -> Value {
    let Summary { counts, .. } = summary;
    let mut object = json!({
        "operations": summary.operations(),
        "seconds": summary.seconds,
        "ops_per_s": summary.ops_per_s(),
        "p50_us": summary.micros(0.5),
        "p90_us": summary.micros(0.9),
        "p99_us": summary.micros(0.99),
        "p999_us": summary.micros(0.999),
        "max_us": summary.nanos.max() as f64 / 1e3,
        "max_over_mean_first": summary.max_over_mean_first(),
        "max_over_mean_last": summary.max_over_mean_last,
        "wrong_reads": counts.wrong,
        "unchecked_reads": counts.unchecked,
        "absent_reads": counts.absent,
        "reads": counts.reads,
        "writes": counts.writes,
        "deletes": counts.deletes,
        "scans": counts.scans,
        "reshapes": summary.reshapes.len(),
        "splits": summary.kinds(ReshapeKind::Split),
        "moves": summary.kinds(ReshapeKind::Move),
        "merges": summary.kinds(ReshapeKind::Merge),
        "quiet_seconds": summary.quiet_seconds(),
        "partitions_before": summary.partitions_before,
        "partitions": summary.partitions,
        "threads": summary.threads,
        "keys": summary.keys,
        "preloaded": summary.preloaded.map(|it| json!({ "keys": it.keys, "seconds": it.seconds })),
        "shards": summary.shards.iter().map(|(id, _)| id).collect::<Vec<_>>(),
        "hot_cache": summary.hot_cache,
        "interrupted": summary.interrupted,
    });
    // In parts: the macro has its limits.
    if let Some(object) = object.as_object_mut() {
        let intervals: Vec<_> = summary.intervals.iter().map(|it| interval(summary, it)).collect();
        object.insert("intervals".into(), intervals.into());
        object.insert("decisions".into(), json!(summary.decisions));
    }
    object
}

fn interval(summary: &Summary, interval: &Interval) -> Value {
    let (reshapes, partitions) = summary.reshapes_in(interval);
    json!({
        "at": interval.at.as_secs_f64(),
        "seconds": interval.length.as_secs_f64(),
        "ops": interval.per_shard.iter().sum::<u64>(),
        "per_shard": interval.per_shard,
        "max_over_mean": summary.max_over_mean(interval),
        "partitions": partitions,
        "reshapes": reshapes,
    })
}
