//! Charts of shards that are added, of scans, and of moves.

use super::html::{charts, paragraph, table};
use super::lines::{Lines, Series};
use super::marks::Mark;
use super::names::distinct;
use super::scale::{Scale, short};
use crate::report::data::{Growth, Raw};
use annulus_workload::human;
use maud::{Markup, html};

pub(super) fn growth(raw: &Raw) -> Markup {
    let said = paragraph(
        "A store of one shard receives more, one at a time, with the same keys throughout. Balance \
         is the number of keys of the fullest shard relative to the mean: 1 is even. Movement is \
         the fraction of the keys that change shard; for even shares, at least 1/n must, where n \
         counts the new one.",
    );
    let kinds = distinct(raw.growth.iter().map(|growth| growth.partitioning.clone()));
    let series = |value: fn(&Growth) -> f64, from: u32| -> Vec<Series> {
        let of = |(number, kind): (usize, &String)| Series {
            name: kind.clone(),
            mark: Mark(number),
            points: raw
                .growth
                .iter()
                .filter(|growth| growth.partitioning == *kind && growth.shards >= from)
                .map(|growth| (f64::from(growth.shards), value(growth)))
                .collect(),
        };
        kinds.iter().enumerate().map(of).collect()
    };
    let most = raw.growth.iter().map(|growth| growth.shards).max().unwrap_or(2);
    let chart = |title: &str, y_title, series: Vec<Series>| {
        let values = series.iter().flat_map(|series| series.points.iter().map(|(_, y)| *y));
        let y = Scale::from_zero(values);
        let x = Scale::between(1.0, f64::from(most));
        let ticks = (1..=most).map(f64::from).collect();
        let title = title.to_owned();
        let bands = Vec::new();
        Lines { title, x_title: "shards", y_title, x, y, x_ticks: Some(ticks), series, bands }
            .draw()
    };
    let mut moved = series(|growth| growth.moved * 100.0, 2);
    moved.push(Series {
        name: "the least for even shares".into(),
        mark: Mark(kinds.len() + 1),
        points: (2..=most).map(|n| (f64::from(n), 100.0 / f64::from(n))).collect(),
    });
    let drawn = [
        chart("Balance", "fullest shard / mean", series(|growth| growth.max_over_mean, 1)),
        chart("Movement", "% of the keys that moved", moved),
    ];
    let row = |growth: &Growth| {
        vec![
            format!("{}, shards {}", growth.partitioning, growth.shards),
            format!("{:.3}", growth.max_over_mean),
            human::percent(growth.moved),
            if growth.shards > 1 {
                human::percent(1.0 / f64::from(growth.shards))
            } else {
                "–".into()
            },
            growth.reshapes.to_string(),
            format!("{:.0}", growth.ms),
        ]
    };
    let heads = ["store", "fullest / mean", "moved", "for even shares", "reshapes", "ms"];
    let rows: Vec<Vec<String>> = raw.growth.iter().map(row).collect();
    html! {
        (said)
        (charts(&drawn))
        (table("After each shard", &heads, &rows))
    }
}

pub(super) fn scans(raw: &Raw) -> Markup {
    let said = paragraph(
        "One thread, 100-byte values, everything in the cache. A scan of a hash keyspace reads \
         every arc, as the next key may be in any; one of a range keyspace reads the ranges that it \
         crosses. Each partition that is read takes a seek.",
    );
    let names = distinct(raw.scans.iter().map(|scans| scans.name.clone()));
    let series = names.iter().enumerate().map(|(number, name)| Series {
        name: name.clone(),
        mark: Mark(number),
        points: raw
            .scans
            .iter()
            .filter(|scans| scans.name == *name)
            .map(|scans| (scans.rows as f64, scans.us.median))
            .collect(),
    });
    let chart = Lines {
        title: "Cost of a scan".into(),
        x_title: "rows",
        y_title: "microseconds",
        x: Scale::logarithmic(raw.scans.iter().map(|scans| scans.rows as f64)),
        y: Scale::logarithmic(raw.scans.iter().map(|scans| scans.us.median)),
        x_ticks: None,
        series: series.collect(),
        bands: Vec::new(),
    };
    let rows: Vec<Vec<String>> = raw
        .scans
        .iter()
        .map(|scans| {
            vec![
                format!("{}, rows {}", scans.name, human::count(scans.rows)),
                format!("{:.1}", scans.us.median),
                format!("{} … {}", short(scans.us.min), short(scans.us.max)),
                format!("{:.2}", scans.us.median / scans.rows as f64),
                format!("{:.1}", scans.seeks),
            ]
        })
        .collect();
    let heads = ["candidate, length", "µs", "least … most", "µs a row", "seeks"];
    html! {
        (said)
        (charts(&[chart.draw()]))
        (table("Microseconds of one scan", &heads, &rows))
    }
}

pub(super) fn moves(raw: &Raw) -> Markup {
    let said = paragraph(
        "A partition moves from one shard to another on the same disk, idle, rows that do not \
         compress, checked as by default. A link costs some syncs and a little for each file; a \
         copy reads and writes every byte.",
    );
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let series = distinct(raw.moves.iter().map(|moves| moves.transport.clone()));
    let series = series.iter().enumerate().map(|(number, transport)| Series {
        name: transport.clone(),
        mark: Mark(number),
        points: raw
            .moves
            .iter()
            .filter(|moves| moves.transport == *transport)
            .map(|moves| (mebibytes(moves.bytes), moves.ms.median))
            .collect(),
    });
    let chart = Lines {
        title: "Cost of a move".into(),
        x_title: "MiB",
        y_title: "milliseconds",
        x: Scale::logarithmic(raw.moves.iter().map(|moves| mebibytes(moves.bytes))),
        y: Scale::logarithmic(raw.moves.iter().map(|moves| moves.ms.median)),
        x_ticks: None,
        series: series.collect(),
        bands: Vec::new(),
    };
    let rows: Vec<Vec<String>> = raw
        .moves
        .iter()
        .map(|moves| {
            vec![
                format!("{}, {}", moves.transport, human::bytes(moves.bytes)),
                format!("{:.1}", moves.ms.median),
                format!("{:.1} … {:.1}", moves.ms.min, moves.ms.max),
                format!("{:.2}", moves.pause_ms),
            ]
        })
        .collect();
    let heads = ["transport, size", "ms", "least … most", "writes paused, ms"];
    html! {
        (said)
        (charts(&[chart.draw()]))
        (table("Moves of one partition", &heads, &rows))
    }
}
