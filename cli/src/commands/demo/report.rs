//! The report of the demo.

use super::live::LiveSummary;
use crate::exit::Outcome;
use crate::json::PathJson;
use crate::output::Output;
use crate::picture::{Picture, Style, draw};
use crate::table::Table;
use annulus_workload::human;
use serde::Serialize;
use serde_json::json;
use std::path::PathBuf;

/// The results for a keyspace.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct KeyspaceSummary {
    pub(super) name: String,
    pub(super) partitions: usize,
    pub(super) wrong_reads: u64,
    pub(super) lost: u64,
    /// Rows that a scan returned differently, forward and in reverse.
    pub(super) wrong_scans: u64,
    pub(super) load_ops_per_s: f64,
    pub(super) read_ops_per_s: f64,
    pub(super) scan_rows_per_s: f64,
    pub(super) keys_by_shard: Vec<u64>,
    pub(super) max_over_mean: f64,
}

/// All results.
pub(super) struct Summary {
    pub(super) rows: u64,
    pub(super) seed: Option<u64>,
    pub(super) shards: u32,
    pub(super) threads: usize,
    pub(super) live: LiveSummary,
    /// The hash keyspace, then the range keyspace.
    pub(super) keyspaces: [KeyspaceSummary; 2],
    pub(super) problems: Vec<String>,
    pub(super) malformed: u64,
    pub(super) seconds: f64,
    pub(super) kept: Option<PathBuf>,
    pub(super) picture: Picture,
}

impl Summary {
    fn sum(&self, of: impl Fn(&KeyspaceSummary) -> u64) -> u64 {
        self.keyspaces.iter().map(of).sum()
    }

    /// Returns the rate over all keyspaces, one after the other.
    fn rate(&self, of: impl Fn(&KeyspaceSummary) -> f64) -> f64 {
        let seconds_a_row: f64 = self.keyspaces.iter().map(|keyspace| 1.0 / of(keyspace)).sum();
        self.keyspaces.len() as f64 / seconds_a_row
    }

    fn wrong_reads(&self) -> u64 {
        self.sum(|keyspace| keyspace.wrong_reads) + self.live.counts.differences.wrong
    }

    fn lost(&self) -> u64 {
        self.sum(|keyspace| keyspace.lost) + self.live.counts.differences.lost
    }

    fn wrong_scans(&self) -> u64 {
        self.sum(|keyspace| keyspace.wrong_scans) + self.live.counts.wrong_scans
    }

    /// Returns true if everything was as it should be.
    pub(super) fn is_fine(&self) -> bool {
        let wrong = self.wrong_reads() + self.lost() + self.wrong_scans() + self.malformed;
        wrong == 0 && self.problems.is_empty()
    }
}

pub(super) fn report(summary: &Summary, output: &mut Output) -> Outcome<()> {
    if output.json() { object(summary, output) } else { text(summary, output) }
}

fn object(summary: &Summary, output: &mut Output) -> Outcome<()> {
    let [hash, range] = &summary.keyspaces;
    let LiveSummary { counts, moved, stats, seconds } = &summary.live;
    output.object(&json!({
        "ok": summary.is_fine(),
        "rows": summary.rows,
        "seed": summary.seed,
        "shards": summary.shards,
        "threads": summary.threads,
        "wrong_reads": summary.wrong_reads(),
        "lost": summary.lost(),
        "wrong_scans": summary.wrong_scans(),
        "problems": summary.problems,
        "malformed": summary.malformed,
        "load_ops_per_s": summary.rate(|keyspace| keyspace.load_ops_per_s).round(),
        "read_ops_per_s": summary.rate(|keyspace| keyspace.read_ops_per_s).round(),
        "scan_rows_per_s": summary.rate(|keyspace| keyspace.scan_rows_per_s).round(),
        "max_over_mean": hash.max_over_mean,
        "max_over_mean_range": range.max_over_mean,
        "reshapes": stats.committed,
        "moved_bytes": moved.moved_bytes,
        "linked_bytes": stats.linked_bytes,
        "copied_bytes": stats.copied_bytes,
        "trimmed": stats.trimmed,
        "pause_ms_p50": human::ms(stats.pause_p50),
        "pause_ms_max": human::ms(stats.pause_max),
        "live": {
            "seconds": seconds,
            "reads": counts.reads,
            "writes": counts.writes,
            "scans": counts.scans,
            "slowest_read_ms": counts.slowest_read_ms,
            "slowest_write_ms": counts.slowest_write_ms,
        },
        "seconds": summary.seconds,
        "store": summary.kept.as_deref().map(PathJson),
        "keyspaces": summary.keyspaces,
    }))
}

fn text(summary: &Summary, output: &mut Output) -> Outcome<()> {
    let style = Style::detect(output.is_terminal(), false);
    output.drawing(&draw(&summary.picture, style))?;
    output.line("")?;
    let head =
        ["keyspace", "keys by shard", "max/mean", "loads", "reads", "scanned", "wrong", "lost"];
    let mut table = Table::new(2, head);
    for keyspace in &summary.keyspaces {
        let keys = keyspace.keys_by_shard.iter().map(|keys| human::count(*keys));
        table.row([
            keyspace.name.clone(),
            keys.collect::<Vec<_>>().join("  "),
            format!("{:.4}", keyspace.max_over_mean),
            human::rate(keyspace.load_ops_per_s),
            human::rate(keyspace.read_ops_per_s),
            human::rate(keyspace.scan_rows_per_s),
            human::count(keyspace.wrong_reads + keyspace.wrong_scans),
            human::count(keyspace.lost),
        ]);
    }
    output.text(format_args!("{table}\n"))?;
    live(&summary.live, output)?;
    for problem in &summary.problems {
        output.line(format_args!("problem: {problem}"))?;
    }
    if let Some(kept) = &summary.kept {
        output.line(format_args!("the store is kept in {}", kept.display()))?;
    }
    let rows = human::count(summary.rows);
    let verdict = if summary.is_fine() {
        format!("fine: {rows} rows in two keyspaces on {} shards, every read right", summary.shards)
    } else {
        let wrong = human::count(summary.wrong_reads() + summary.wrong_scans());
        let lost = human::count(summary.lost());
        let problems = summary.problems.len() as u64 + summary.malformed;
        format!("NOT fine: {wrong} wrong, {lost} lost, {problems} problems among {rows} rows")
    };
    output.line(format_args!("{verdict} ({:.1} s)", summary.seconds))
}

/// Prints what happened under load.
fn live(live: &LiveSummary, output: &mut Output) -> Outcome<()> {
    let LiveSummary { counts, moved, stats, seconds } = live;
    output.line(format_args!(
        "under load for {seconds:.1} s: a shard added, one removed, one evened out, partitions \
         split and merged"
    ))?;
    let [reads, writes, scans] = [counts.reads, counts.writes, counts.scans].map(human::count);
    let slowest = [counts.slowest_read_ms, counts.slowest_write_ms].map(human::milliseconds);
    output.line(format_args!(
        "  {reads} reads, {writes} writes, {scans} scans; the slowest read or scan {}, write {}",
        slowest[0], slowest[1]
    ))?;
    let [moved, linked, copied] =
        [moved.moved_bytes, stats.linked_bytes, stats.copied_bytes].map(human::bytes);
    output.line(format_args!(
        "  {} reshapes, {} trims: {linked} linked, {copied} copied, {moved} of it to other shards",
        stats.committed, stats.trimmed
    ))?;
    let pauses = [stats.pause_p50, stats.pause_max].map(human::brief);
    output.line(format_args!(
        "  writes to a partition paused {} (median), {} at most",
        pauses[0], pauses[1]
    ))?;
    output.line("")
}
