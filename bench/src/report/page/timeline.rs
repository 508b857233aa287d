//! Runs over time.

use super::html::{charts, paragraph, table};
use super::lines::{Band, Lines, Series};
use super::marks::Mark;
use super::names::title;
use super::scale::{Scale, short};
use crate::report::data::{Interval, Raw, Run};
use annulus_workload::Spread;
use maud::{Markup, html};

pub(super) fn timelines(raw: &Raw) -> Markup {
    let said = paragraph(
        "One run of each partitioning, as fast as possible. First a shard is added while the \
         workload runs. Later a hot spot appears: half of all operations fall on a hundredth of \
         the keys, all neighbours. Balance is the operations of the busiest shard in relation \
         to the mean. Hashing spreads neighbouring keys; a range keyspace has them on one shard, \
         until it is split there.",
    );
    html! {
        (said)
        @for run in &raw.timelines { (timeline(run)) }
    }
}

fn timeline(run: &Run) -> Markup {
    let Some(intervals) = run.timeline.first() else { return html! {} };
    let intervals = whole(intervals);
    let end = intervals.last().map_or(1.0, |last| last.from_s + last.seconds);
    let hot = run.hotspot_at.map(|percent| end * f64::from(percent) / 100.0);
    let mut bands: Vec<Band> = run
        .events
        .iter()
        .map(|event| Band { from: event.began_s, to: event.ended_s, name: words(&event.event) })
        .collect();
    bands.extend(hot.map(|hot| Band { from: hot, to: hot, name: "hot spot".into() }));
    let chart = |title: String, y_title, value: fn(&Interval) -> Option<f64>, number| {
        let middle = |one: &Interval| one.from_s + one.seconds / 2.0;
        let points: Vec<(f64, f64)> =
            intervals.iter().filter_map(|one| Some((middle(one), value(one)?))).collect();
        let y = Scale::from_zero(points.iter().map(|(_, y)| *y));
        let series = vec![Series { name: run.name(), mark: Mark(number), points }];
        let (x, bands) = (Scale::between(0.0, end), bands.clone());
        Lines { title, x_title: "seconds", y_title, x, y, x_ticks: None, series, bands }.draw()
    };
    let name = run.name();
    let drawn = [
        chart(format!("{name}: rate"), "operations a second", |one| Some(one.ops_per_s), 0),
        chart(format!("{name}: p99"), "microseconds", |one| Some(one.p99_us), 1),
        chart(format!("{name}: balance"), "busiest shard / mean", |one| one.max_over_mean, 2),
    ];
    html! {
        (charts(&drawn))
        (phases(run, &intervals, hot.unwrap_or(end), end))
    }
}

/// Returns the intervals without a short rest at the end, in which too little happened for a
/// figure.
fn whole(intervals: &[Interval]) -> Vec<Interval> {
    let usual = intervals.first().map_or(0.0, |first| first.seconds);
    intervals.iter().filter(|one| one.seconds >= usual / 2.0).cloned().collect()
}

fn words(event: &str) -> String {
    match event {
        "add_shard" => "shard added".to_owned(),
        "move" => "partition moved".to_owned(),
        other => other.to_owned(),
    }
}

/// Returns what the charts show, by phase of the run.
fn phases(run: &Run, intervals: &[Interval], hot: f64, end: f64) -> Markup {
    let began = run.events.first().map_or(hot, |event| event.began_s);
    let ended = run.events.first().map_or(hot, |event| event.ended_s.min(hot));
    let phases = [
        ("before", 0.0, began),
        ("while the shard is added", began, ended),
        ("after it", ended, hot),
        ("with the hot spot", hot, end),
    ];
    let row = |(name, from, to): (&str, f64, f64)| {
        let within = |one: &&Interval| one.from_s < to && one.from_s + one.seconds > from;
        let of = |value: fn(&Interval) -> Option<f64>| {
            Spread::of(intervals.iter().filter(within).filter_map(value))
        };
        let shown = |figure: Option<Spread>, digits: usize| {
            figure.map_or("–".into(), |figure| format!("{:.digits$}", figure.median))
        };
        vec![
            name.to_owned(),
            format!("{from:.1} … {to:.1}"),
            of(|one| Some(one.ops_per_s)).map_or("–".into(), |rate| short(rate.median)),
            shown(of(|one| Some(one.p99_us)), 1),
            shown(of(|one| one.max_over_mean), 2),
        ]
    };
    let rows: Vec<Vec<String>> =
        phases.into_iter().filter(|(_, from, to)| from < to).map(row).collect();
    let caption = format!("{}, {}: medians of the intervals", run.name(), title(&run.workload));
    table(&caption, &["when", "seconds", "ops/s", "p99 µs", "busiest / mean"], &rows)
}
