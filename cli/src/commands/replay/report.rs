//! The result of a replay, for people and for machines.

use crate::exit::Outcome;
use crate::output::Output;
use crate::table::Table;
use crate::text;
use annulus::topology::ReshapeKind;
use annulus_bench::replay::{Interval, Summary};
use annulus_workload::human;

/// The maximum number of intervals in the table; if there are more, they are thinned evenly.
const ROWS_MAX: usize = 24;

/// How many of the last decisions are printed.
const DECISIONS: usize = 6;

pub(super) fn report(summary: &Summary, output: &mut Output) -> Outcome<()> {
    if output.json() {
        return output.object(&summary.json());
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

/// Formats microseconds, or milliseconds from one on.
fn micros(micros: f64) -> String {
    if micros < 1e3 { format!("{micros:.1} µs") } else { human::milliseconds(micros / 1e3) }
}

/// Returns a table of where the load fell, over time.
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

/// Joins consecutive intervals into one.
fn join(intervals: &[Interval]) -> Option<Interval> {
    let (first, others) = intervals.split_first()?;
    Some(others.iter().fold(first.clone(), |mut all, other| {
        all.length += other.length;
        all.per_shard.iter_mut().zip(&other.per_shard).for_each(|(sum, more)| *sum += more);
        all
    }))
}

/// Returns a bar per shard, and the shares as numbers.
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
