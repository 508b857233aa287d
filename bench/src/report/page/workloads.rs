//! Throughput and latencies, and how they compare with one plain RocksDB and with other stores.

use super::bars::{Bar, Dots, bars, dots};
use super::html::{charts, folded, list, paragraph, table};
use super::names::{distinct, letter, title};
use super::scale::short;
use crate::report::data::{Raw, Run};
use crate::report::verdict::{baseline, ratio, same, words};
use annulus_workload::human;
use maud::{Markup, html};

pub(super) fn workloads(raw: &Raw) -> Markup {
    let runs = &raw.workloads;
    let Some(first) = runs.first() else { return paragraph("Nothing was run.") };
    let said = paragraph(&format!(
        "YCSB's core workloads on {} records of {} bytes, {} threads.",
        human::count(loaded(runs)),
        first.value_bytes,
        first.threads,
    ));
    html! {
        (said)
        (list(&verdicts(runs)))
        (figures(runs))
        (figures_table(runs))
    }
}

/// Returns how many records there were before any was inserted.
fn loaded(runs: &[Run]) -> u64 {
    let runs = runs.iter().filter(|run| run.workload != "load");
    runs.map(|run| run.records).min().unwrap_or_default()
}

pub(super) fn peers(raw: &Raw) -> Markup {
    let runs = &raw.peers;
    if runs.is_empty() {
        return paragraph(
            "Not run. `annulus-peers --json > peers.json`, and then `annulus report --peers \
             peers.json`.",
        );
    }
    let settings = distinct(runs.iter().map(|run| (run.name(), said(run))));
    let settings: Vec<String> =
        settings.into_iter().map(|(name, said)| format!("{name}: {said}")).collect();
    let said = paragraph(
        "The same workloads, threads and memory, in turns within one run of `annulus-peers`. What \
         cannot be made equal is listed for each store.",
    );
    html! {
        (said)
        (folded("Settings of each store", &list(&settings)))
        (others(runs))
        (figures(runs))
        (figures_table(runs))
    }
}

/// Says where each store of Annulus is ahead of one plain RocksDB, and where it is behind.
fn verdicts(runs: &[Run]) -> Vec<String> {
    let of = |name: &String, verdict: &str| {
        let mine = runs.iter().filter(|run| run.name() == *name);
        let found = mine.filter_map(|run| {
            let found = run.ratio(baseline(runs, run)?)?;
            (words(found, run.rounds.len()) == verdict).then(|| letter(&run.workload))
        });
        found.collect::<Vec<_>>().join(", ")
    };
    let stores = runs.iter().filter(|run| run.engine == "annulus").map(Run::name);
    let said = distinct(stores).into_iter().map(|name| {
        let verdicts = ["ahead", "behind", "noise", "one round"].map(|verdict| {
            let workloads = of(&name, verdict);
            if workloads.is_empty() { String::new() } else { format!("; {verdict}: {workloads}") }
        });
        format!("{name} against one plain RocksDB{}.", verdicts.concat())
    });
    said.collect()
}

fn said(run: &Run) -> String {
    [&[run.version.clone(), run.durability.clone()], &run.settings[..]].concat().join("; ")
}

/// Compares each store of Annulus with each other store.
fn others(runs: &[Run]) -> Markup {
    let others =
        distinct(runs.iter().filter(|run| run.engine != "annulus").map(|run| run.engine.clone()));
    let mut rows = Vec::new();
    for mine in runs.iter().filter(|run| run.engine == "annulus") {
        let mut row = vec![format!("{}, {}", letter(&mine.workload), mine.name())];
        for other in &others {
            let other = runs.iter().find(|run| run.engine == *other && same(run, mine));
            let compared = other.and_then(|other| mine.ratio(other));
            row.push(compared.map_or("–".into(), |found| {
                format!("{} {}", ratio(found), words(found, mine.rounds.len()))
            }));
        }
        rows.push(row);
    }
    let mut heads = vec!["workload, store"];
    heads.extend(others.iter().map(String::as_str));
    table("Operations a second of Annulus in relation to each other store", &heads, &rows)
}

fn figures(runs: &[Run]) -> Markup {
    let (mut drawn, mut latencies) = (Vec::new(), Vec::new());
    for workload in distinct(runs.iter().map(|run| &run.workload)) {
        let of: Vec<&Run> = runs.iter().filter(|run| run.workload == *workload).collect();
        let bar = |run: &&Run| Bar {
            name: run.name(),
            value: run.spread.median,
            least: run.spread.min,
            most: run.spread.max,
        };
        let all: Vec<Bar> = of.iter().map(bar).collect();
        drawn.push(bars(&title(workload), "operations a second", &all));
        let line = |run: &&Run| Dots {
            name: run.name(),
            values: vec![run.p50_us, run.p99_us, run.p999_us],
        };
        let lines: Vec<Dots> = of.iter().map(line).collect();
        let head = format!("{}: latency", letter(workload));
        latencies.push(dots(&head, "microseconds", &["p50", "p99", "p99.9"], &lines));
    }
    html! {
        (charts(&drawn))
        h3 { "Latency" }
        (charts(&latencies))
    }
}

fn figures_table(runs: &[Run]) -> Markup {
    let heads = [
        "workload, candidate",
        "ops/s",
        "least … most",
        "p50 µs",
        "p99 µs",
        "p99.9 µs",
        "against RocksDB",
        "which is",
        "cpu µs",
        "against RocksDB’s",
        "written",
    ];
    let row = |run: &Run| {
        let base = baseline(runs, run).filter(|base| *base != run);
        let found = base.and_then(|base| run.ratio(base));
        vec![
            format!("{}, {}", letter(&run.workload), run.name()),
            human::count(run.spread.median.round() as u64),
            format!("{} … {}", short(run.spread.min), short(run.spread.max)),
            format!("{:.1}", run.p50_us),
            format!("{:.1}", run.p99_us),
            format!("{:.0}", run.p999_us),
            found.map_or("–".into(), ratio),
            found.map_or("", |found| words(found, run.rounds.len())).into(),
            run.usage.as_ref().map_or("–".into(), |usage| format!("{:.2}", usage.processor_us)),
            base.and_then(|base| run.processor_ratio(base)).map_or("–".into(), ratio),
            run.usage
                .as_ref()
                .and_then(|usage| usage.write_amplification)
                .map_or("–".into(), |times| format!("{times:.1} ×")),
        ]
    };
    let rows: Vec<Vec<String>> = runs.iter().map(row).collect();
    table("All figures", &heads, &rows)
}
