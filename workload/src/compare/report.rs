//! The report: from the outcomes of all rounds to results.

use super::contest::{Cell, Contestant, Turn};
use super::estimate::{Estimate, median};
use super::plan::Plan;
use super::spread::Spread;
use crate::engine::{CacheReads, Identity};
use crate::keys::KEY_BYTES;
use crate::operations::Kind;
use crate::record::{KindRecord, Ratio, RunRecord, UsageRecord};
use crate::runner::{Outcome, max_over_mean};
use crate::source::source_commit;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;

/// The results of a comparison.
#[derive(Debug, Clone)]
pub struct Report {
    /// One for each candidate and run; those of the loads first.
    pub records: Vec<RunRecord>,
    /// What was requested.
    pub plan: Plan,
    /// Whether it was ended early, and lacks what was not complete.
    pub stopped: bool,
}

impl Report {
    /// Returns the number of wrong reads over all runs: must be 0.
    #[must_use]
    pub fn wrong_reads(&self) -> u64 {
        self.records.iter().map(|record| record.wrong_reads).sum()
    }
}

pub(super) fn report(
    plan: &Plan,
    contestants: &[Contestant],
    cells: &[Cell],
    stopped: bool,
) -> Report {
    let commit = source_commit();
    let baseline = baseline(plan, contestants.iter().map(|contestant| &contestant.identity));
    let mut records = Vec::new();
    let run = |name: String, distribution, threads, rounds: &[Vec<&Turn>]| {
        let made = contestants.iter().enumerate().map(|(place, contestant)| {
            let of = |place: usize| -> Vec<&Turn> {
                rounds.iter().filter_map(|round| round.get(place).copied()).collect()
            };
            let ratio = contestants
                .get(baseline)
                .filter(|_| place != baseline)
                .and_then(|base| ratio(&base.identity, &of(place), &of(baseline)));
            let made = Made { plan, contestant, workload: &name, distribution, threads };
            Some(RunRecord { ratio, commit: commit.clone(), ..made.record(&of(place))? })
        });
        made.flatten().collect::<Vec<_>>()
    };
    let loads: Vec<&Turn> = contestants.iter().map(|contestant| &contestant.load).collect();
    records.extend(run("load".into(), "sequential", plan.threads_max(), &[loads]));
    for cell in cells {
        let rounds: Vec<Vec<&Turn>> =
            cell.rounds.iter().map(|round| round.iter().collect()).collect();
        let distribution = plan.distribution.unwrap_or(cell.workload.distribution()).name();
        let name = cell.workload.to_string().to_lowercase();
        records.extend(run(name, distribution, cell.threads, &rounds));
    }
    Report { records, plan: plan.clone(), stopped }
}

/// Returns the position of the candidate that the others are compared with.
fn baseline<'a>(plan: &Plan, mut identities: impl Iterator<Item = &'a Identity>) -> usize {
    let wanted = plan.baseline.as_deref().unwrap_or("rocksdb");
    identities.position(|identity| identity.engine == wanted).unwrap_or(0)
}

fn ops_per_s(outcome: &Outcome) -> f64 {
    outcome.operations as f64 / outcome.elapsed.as_secs_f64().max(1e-9)
}

fn processor_us(turn: &Turn) -> f64 {
    turn.usage.processor.as_secs_f64() * 1e6 / turn.operations().max(1) as f64
}

fn ratio(to: &Identity, mine: &[&Turn], base: &[&Turn]) -> Option<Ratio> {
    let of = |figure: &dyn Fn(&Turn) -> f64| {
        let ratios = mine.iter().zip(base).map(|(mine, base)| figure(mine) / figure(base));
        Estimate::of(ratios)
    };
    let estimate = of(&|turn| ops_per_s(&turn.outcome))?;
    let noise = (mine.len() > 1).then(|| estimate.holds_one());
    Some(Ratio { to: to.to_string(), estimate, noise, processor: of(&processor_us)? })
}

/// Returns what the turns have used.
fn usage(turns: &[&Turn], plan: &Plan) -> Option<UsageRecord> {
    let by_round: Vec<f64> = turns.iter().map(|turn| processor_us(turn)).collect();
    let sum = |bytes: &dyn Fn(&Turn) -> Option<u64>| turns.iter().map(|turn| bytes(turn)).sum();
    let operations: u64 = turns.iter().map(|turn| turn.operations()).sum();
    let written: Option<u64> = sum(&|turn| turn.usage.written_bytes);
    let read: Option<u64> = sum(&|turn| turn.usage.read_bytes);
    let an_operation = |bytes: u64| bytes as f64 / operations.max(1) as f64;
    // The warm-up does the same as what is measured.
    let row_bytes = (KEY_BYTES + plan.value_bytes.mean()) as f64;
    let put = writes(turns) * operations as f64 * row_bytes;
    Some(UsageRecord {
        processor_us: median(&mut by_round.clone())?,
        processor_us_by_round: by_round,
        written_bytes: written.map(an_operation),
        read_bytes: read.map(an_operation),
        write_amplification: written.filter(|_| put > 0.0).map(|bytes| bytes as f64 / put),
    })
}

/// Returns which part of the operations writes.
fn writes(turns: &[&Turn]) -> f64 {
    let kinds = turns.iter().flat_map(|turn| &turn.outcome.kinds);
    let (mut writes, mut all) = (0, 0);
    for (kind, latencies) in kinds {
        all += latencies.len();
        writes += match kind {
            Kind::Update | Kind::Insert | Kind::ReadModifyWrite => latencies.len(),
            Kind::Read | Kind::Scan => 0,
        };
    }
    writes as f64 / all.max(1) as f64
}

fn micros(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64 / 1e3
}

struct Made<'a> {
    plan: &'a Plan,
    contestant: &'a Contestant,
    workload: &'a str,
    distribution: &'static str,
    threads: usize,
}

impl Made<'_> {
    /// Returns the record of a run; `None` if there is no complete round.
    fn record(&self, turns: &[&Turn]) -> Option<RunRecord> {
        let rounds: Vec<&Outcome> = turns.iter().map(|turn| &turn.outcome).collect();
        let rounds = &rounds[..];
        let Contestant { identity, description, disk_bytes, .. } = self.contestant;
        let (first, last) = (rounds.first()?, rounds.last()?);
        let median = |figure: &dyn Fn(&Outcome) -> f64| {
            Spread::of(rounds.iter().map(|outcome| figure(outcome))).map(|spread| spread.median)
        };
        let percentile = |quantile| median(&|outcome| micros(&outcome.latencies, quantile));
        let longest = rounds.iter().map(|outcome| outcome.latencies.max()).max()?;
        let sum = |figure: &dyn Fn(&Outcome) -> u64| rounds.iter().map(|o| figure(o)).sum::<u64>();
        let spread = Spread::of(rounds.iter().map(|outcome| ops_per_s(outcome)))?;
        let uneven = rounds.iter().filter_map(|outcome| max_over_mean(&outcome.shard_operations));
        let settings = std::iter::once(format!("durability: {}", description.durability));
        let timeline = rounds.iter().filter(|_| self.plan.timeline);
        Some(RunRecord {
            engine: identity.engine.clone(),
            partitioning: identity.partitioning.clone(),
            workload: self.workload.to_owned(),
            threads: self.threads,
            shards: identity.shards,
            ops_per_s: spread.median,
            p50_us: percentile(0.5)?,
            p99_us: percentile(0.99)?,
            p999_us: percentile(0.999)?,
            max_us: longest as f64 / 1e3,
            spread,
            rounds: rounds.iter().map(|outcome| ops_per_s(outcome)).collect(),
            ratio: None,
            usage: usage(turns, self.plan)?,
            kinds: kinds(rounds),
            operations: sum(&|outcome| outcome.operations) / rounds.len() as u64,
            seconds: median(&|outcome| outcome.elapsed.as_secs_f64())?,
            records: first.records.0,
            records_after: last.records.1,
            rows: sum(&|outcome| outcome.rows),
            wrong_reads: sum(&|outcome| outcome.wrong_reads),
            value_bytes: self.plan.value_bytes.to_string(),
            distribution: self.distribution,
            rate: self.plan.rate.filter(|_| self.workload != "load"),
            durability: self.plan.durability,
            cache_bytes: description.cache_bytes,
            write_buffer_bytes: description.write_buffer_bytes,
            disk_bytes: *disk_bytes,
            max_over_mean: Spread::of(uneven).map(|spread| spread.median),
            cache_hit_part: cache_reads(rounds).hit_part(),
            events: rounds.iter().filter_map(|outcome| outcome.event).collect(),
            hotspot_at: self.plan.hotspot_at.filter(|_| self.workload != "load"),
            seed: self.plan.seed,
            version: description.version.clone(),
            commit: None,
            settings: settings.chain(description.settings.iter().cloned()).collect(),
            timeline: timeline.map(|outcome| outcome.intervals.clone()).collect(),
        })
    }
}

fn cache_reads(rounds: &[&Outcome]) -> CacheReads {
    let reads = rounds.iter().filter_map(|outcome| outcome.cache_reads);
    reads.fold(CacheReads::default(), |all, one| CacheReads {
        hits: all.hits + one.hits,
        misses: all.misses + one.misses,
    })
}

fn kinds(rounds: &[&Outcome]) -> BTreeMap<&'static str, KindRecord> {
    let mut all: BTreeMap<&'static str, Histogram<u64>> = BTreeMap::new();
    for (kind, histogram) in rounds.iter().flat_map(|outcome| &outcome.kinds) {
        match all.get_mut(kind.name()) {
            // All have the same bounds, so it fits.
            Some(sum) => sum.add(histogram).unwrap_or_default(),
            None => drop(all.insert(kind.name(), histogram.clone())),
        }
    }
    let record = |histogram: &Histogram<u64>| KindRecord {
        operations: histogram.len(),
        p50_us: micros(histogram, 0.5),
        p99_us: micros(histogram, 0.99),
        p999_us: micros(histogram, 0.999),
        max_us: histogram.max() as f64 / 1e3,
    };
    all.iter().map(|(name, histogram)| (*name, record(histogram))).collect()
}
