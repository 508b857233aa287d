//! Throughput by numbers of threads and of shards.

use super::html::{charts, list, paragraph, table};
use super::lines::{Lines, Series};
use super::marks::Mark;
use super::names::{distinct, title};
use super::scale::{Scale, short};
use crate::report::data::{Raw, Run};
use crate::report::verdict::{baseline, ratio, stops_helping, words};
use annulus_workload::Spread;
use annulus_workload::human;
use maud::{Markup, html};

/// The number that a run is counted by.
type Count = fn(&Run) -> u32;

pub(super) fn threads(raw: &Raw) -> Markup {
    by(&raw.threads, "threads", |run| run.threads, Run::name)
}

pub(super) fn shards(raw: &Raw) -> Markup {
    let runs: Vec<Run> = raw.shards.iter().filter(|run| run.engine == "annulus").cloned().collect();
    let name = |run: &Run| format!("{} {}", run.engine, run.partitioning);
    let plain = raw.shards.iter().filter(|run| run.engine == "rocksdb");
    let plain: Vec<String> = plain
        .map(|run| {
            format!("{}: one plain RocksDB {}/s", title(&run.workload), short(run.spread.median))
        })
        .collect();
    html! {
        (by(&runs, "shards", |run| run.shards, name))
        (list(&plain))
        (against(&raw.shards))
    }
}

fn by(runs: &[Run], what: &'static str, count: Count, name: impl Fn(&Run) -> String) -> Markup {
    if runs.is_empty() {
        return paragraph("Nothing was run.");
    }
    let names = distinct(runs.iter().map(&name));
    let counts = distinct(runs.iter().map(|run| f64::from(count(run))));
    let (mut drawn, mut said, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for workload in distinct(runs.iter().map(|run| &run.workload)) {
        let mut series = Vec::new();
        for (number, name_of) in names.iter().enumerate() {
            let mine = |run: &&Run| run.workload == *workload && name(run) == *name_of;
            let figures: Vec<(u32, Spread)> =
                runs.iter().filter(mine).map(|run| (count(run), run.spread)).collect();
            rows.extend(figures.iter().map(|(count, figure)| {
                vec![
                    format!("{}, {name_of}, {what} {count}", workload.to_uppercase()),
                    human::count(figure.median.round() as u64),
                    format!("{} … {}", short(figure.min), short(figure.max)),
                ]
            }));
            if let Some(point) = stops_helping(&figures) {
                let most = figures.iter().map(|(count, _)| *count).max();
                let said_of = if most == Some(point) {
                    format!("the most {what} that were tried, {point}, are the best")
                } else {
                    format!("from {point} {what} on, more do not help")
                };
                said.push(format!("{}, {name_of}: {said_of}.", workload.to_uppercase()));
            }
            let points = figures.iter().map(|(count, f)| (f64::from(*count), f.median)).collect();
            series.push(Series { name: name_of.clone(), mark: Mark(number), points });
        }
        drawn.push(chart(workload, what, &counts, series));
    }
    let heads = ["workload, candidate", "ops/s", "least … most"];
    html! {
        (charts(&drawn))
        (list(&said))
        (table("Medians of the rounds", &heads, &rows))
    }
}

fn chart(workload: &str, what: &'static str, counts: &[f64], series: Vec<Series>) -> Markup {
    let values = series.iter().flat_map(|series| series.points.iter().map(|(_, y)| *y));
    let y = Scale::from_zero(values);
    let most = counts.iter().copied().fold(1.0, f64::max);
    let lines = Lines {
        title: title(workload),
        x_title: what,
        y_title: "operations a second",
        x: Scale::between(0.0, most * 1.03),
        y,
        x_ticks: Some(counts.to_vec()),
        series,
        bands: Vec::new(),
    };
    lines.draw()
}

/// Compares each number of shards with one plain RocksDB.
fn against(runs: &[Run]) -> Markup {
    let row = |run: &Run| {
        let found = run.ratio(baseline(runs, run)?)?;
        let name = format!("{}, {}", run.workload.to_uppercase(), run.name());
        Some(vec![name, ratio(found), words(found, run.rounds.len()).to_owned()])
    };
    let mine = runs.iter().filter(|run| run.engine == "annulus");
    let rows: Vec<Vec<String>> = mine.filter_map(row).collect();
    table("Against one plain RocksDB", &["workload, store", "ratio", "which is"], &rows)
}
