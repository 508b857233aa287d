//! The results in a form for people.

use crate::compare::{Estimate, Plan, Report};
use crate::record::{Ratio, RunRecord};
use crate::runner::Length;
use std::fmt;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", asked(&self.plan))?;
        let mut candidates: Vec<String> = Vec::new();
        for record in &self.records {
            let name = name(record);
            if candidates.contains(&name) {
                continue;
            }
            writeln!(f, "{name}: {}", record.version)?;
            for setting in &record.settings {
                writeln!(f, "    {setting}")?;
            }
            candidates.push(name);
        }
        let width = candidates.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let same = |one: &RunRecord, other: &RunRecord| {
            (&one.workload, one.threads) == (&other.workload, other.threads)
        };
        for records in self.records.chunk_by(same) {
            section(f, records, width)?;
        }
        if self.stopped {
            writeln!(f, "\nended early: what was not complete is left out")?;
        }
        match self.wrong_reads() {
            0 => writeln!(f, "\nno wrong read"),
            wrong => writeln!(f, "\n{wrong} WRONG READS"),
        }
    }
}

fn name(record: &RunRecord) -> String {
    crate::Identity {
        engine: record.engine.clone(),
        partitioning: record.partitioning.clone(),
        shards: record.shards,
    }
    .to_string()
}

fn asked(plan: &Plan) -> String {
    let length = match plan.length {
        Length::Operations(operations) => format!("{operations} operations"),
        Length::Time(time) => format!("{} s", time.as_secs_f64()),
    };
    let rate = plan.rate.map_or_else(
        || "as fast as possible".to_owned(),
        |rate| format!("at {rate} operations a second, latencies from when each should have begun"),
    );
    let s = if plan.rounds == 1 { "" } else { "s" };
    format!(
        "{} records of {} bytes, about half of which a compressor saves; {} round{s} of {length}, \
         {rate}; {} cache, {} write buffers; seed {}",
        plan.records,
        plan.value_bytes,
        plan.rounds,
        size(plan.cache_bytes),
        size(plan.write_buffer_bytes),
        plan.seed,
    )
}

fn size(bytes: usize) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn section(f: &mut fmt::Formatter<'_>, records: &[RunRecord], width: usize) -> fmt::Result {
    let Some(first) = records.first() else { return Ok(()) };
    let s = if first.threads == 1 { "" } else { "s" };
    let grown = if first.records_after > first.records && first.workload != "load" {
        format!("; {} records become {}", first.records, first.records_after)
    } else {
        String::new()
    };
    writeln!(
        f,
        "\n{}, {}, {} thread{s}{grown}",
        first.workload.to_uppercase(),
        first.distribution,
        first.threads
    )?;
    writeln!(
        f,
        "  {:<width$} {:>9}  {:<19} {:>8} {:>8} {:>8} {:>9} {:>7} {:>6}  ratio, 95 % interval",
        "", "ops/s", "least … most", "p50 µs", "p99 µs", "p99.9 µs", "max µs", "cpu µs", "w. amp"
    )?;
    for record in records {
        let spread = format!("{:.0} … {:.0}", record.spread.min, record.spread.max);
        writeln!(
            f,
            "  {:<width$} {:>9.0}  {spread:<19} {:>8.1} {:>8.1} {:>8.1} {:>9.0} {:>7.2} {:>6}  {}",
            name(record),
            record.ops_per_s,
            record.p50_us,
            record.p99_us,
            record.p999_us,
            record.max_us,
            record.usage.processor_us,
            record.usage.write_amplification.map_or("–".into(), |it| format!("{it:.1}")),
            ratio(record.ratio.as_ref()),
        )?;
    }
    details(f, records)
}

/// Prints what only some runs have.
fn details(f: &mut fmt::Formatter<'_>, records: &[RunRecord]) -> fmt::Result {
    for record in records {
        if let Some(part) = record.cache_hit_part {
            writeln!(
                f,
                "  {}: the cache of hot keys answered {:.0} %",
                name(record),
                part * 100.0
            )?;
        }
        for event in &record.events {
            writeln!(
                f,
                "  {}: {} from {:.2} s to {:.2} s",
                name(record),
                event.event,
                event.began_s,
                event.ended_s
            )?;
        }
        if record.wrong_reads > 0 {
            writeln!(f, "  {}: {} WRONG READS", name(record), record.wrong_reads)?;
        }
    }
    Ok(())
}

fn ratio(ratio: Option<&Ratio>) -> String {
    let Some(ratio) = ratio else { return "1 (the baseline)".into() };
    let Ratio { estimate, noise, processor, .. } = ratio;
    let note = match noise {
        Some(true) => " noise",
        Some(false) => "",
        None => return format!("{:.2} (one round)", estimate.median),
    };
    format!("{}{note}; of cpu {}", with_interval(estimate), with_interval(processor))
}

fn with_interval(Estimate { median, low, high }: &Estimate) -> String {
    format!("{median:.2} [{low:.2} … {high:.2}]")
}
