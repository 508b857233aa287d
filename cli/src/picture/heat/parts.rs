//! The parts of a heat map's page.

use super::model::{HeatMap, Mark};
use super::page::{percent, time};
use crate::picture::svg::escape;
use annulus::topology::ReshapeKind;
use annulus_workload::human;
use std::fmt::{self, Write};

/// Colours from cold to hot. Each is darker than the one before, so that they can be told apart in
/// grey, too.
const RAMP: [&str; 8] =
    ["#fdf1cf", "#fbdc9a", "#f8bd66", "#f0953f", "#dd6a2c", "#b94328", "#862a2f", "#4a1633"];

/// Boundaries beyond this are not drawn: they would hide the load.
const BOUNDARIES_MAX: usize = 400;

/// Marks beyond this have no letter on the map; the table has all of them.
const LETTERS_MAX: usize = 80;

/// How many bands of time and of keys the table of numbers has.
const TIME_BANDS: usize = 12;
const KEY_BANDS: usize = 8;

/// How hot a cell is: 0 for nothing, else from 1 to 8. Levels grow with the square, so that what
/// is warm can be seen beside what is hot.
fn level(load: f64, most: f64) -> usize {
    if load <= 0.0 || most <= 0.0 {
        return 0;
    }
    ((load / most).sqrt() * RAMP.len() as f64).ceil().clamp(1.0, RAMP.len() as f64) as usize
}

/// What colours and letters mean.
pub(super) fn legend(map: &HeatMap, f: &mut impl Write) -> fmt::Result {
    let most = map.most();
    write!(f, r#"<div class="legend"><span><b style="background:#fff"></b>none</span>"#)?;
    for (index, colour) in RAMP.iter().enumerate() {
        let limit = most * ((index + 1) as f64 / RAMP.len() as f64).powi(2);
        let limit = rate(limit);
        write!(f, r#"<span><b style="background:{colour}"></b>to {limit}/s</span>"#)?;
    }
    for (sign, meaning) in
        [("S", "split"), ("→2", "move to shard 2"), ("M", "merge"), ("—", "boundary")]
    {
        write!(f, "<span><i>{sign}</i>{meaning}</span>")?;
    }
    writeln!(f, "</div>")
}

/// The load of all keys over time, as a line.
pub(super) fn load(map: &HeatMap, f: &mut impl Write) -> fmt::Result {
    let sums: Vec<f64> = map.columns.iter().map(|column| column.iter().sum()).collect();
    let most = sums.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let number = sums.len();
    write!(
        f,
        r##"<svg viewBox="0 0 {number} 100" preserveAspectRatio="none"><title>up to {} operations/s</title><path fill="#c9d6e6" d="M0 100"##,
        rate(most)
    )?;
    for (column, sum) in sums.iter().enumerate() {
        let height = 100.0 - 96.0 * sum / most;
        write!(f, "V{height:.1}H{}", column + 1)?;
    }
    writeln!(f, r#"V100Z"/></svg>"#)
}

/// The cells: one path a colour.
pub(super) fn cells(map: &HeatMap, f: &mut impl Write) -> fmt::Result {
    let (width, height, most) = (map.columns.len(), map.rows, map.most());
    writeln!(
        f,
        r#"<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none" shape-rendering="crispEdges" role="img" aria-label="heat map; the tables below have its numbers">"#
    )?;
    for (index, colour) in RAMP.iter().enumerate() {
        let mut path = String::new();
        for (x, column) in map.columns.iter().enumerate() {
            for (row, load) in column.iter().enumerate() {
                if level(*load, most) == index + 1 {
                    write!(path, "M{x} {}h1v1h-1z", height - 1 - row)?;
                }
            }
        }
        if !path.is_empty() {
            writeln!(f, r#"<path fill="{colour}" d="{path}"/>"#)?;
        }
    }
    let (x, y) = (|part: f64| part * width as f64, |part: f64| (1.0 - part) * height as f64);
    let line = r#"fill="none" vector-effect="non-scaling-stroke""#;
    let mut boundaries = String::new();
    for it in map.boundaries.iter().take(BOUNDARIES_MAX) {
        write!(boundaries, "M{:.3} {:.3}H{:.3}", x(it.from), y(it.height), x(it.to))?;
    }
    writeln!(f, r##"<path {line} stroke="#0b3d91" stroke-opacity=".45" d="{boundaries}"/>"##)?;
    let mut reshapes = String::new();
    for it in &map.marks {
        write!(reshapes, "M{:.3} {:.3}V{:.3}", x(it.at), y(it.from), y(it.to))?;
    }
    writeln!(f, r##"<path {line} stroke="#0b3d91" stroke-width="1.5" d="{reshapes}"/>"##)?;
    writeln!(f, "</svg>")
}

/// A letter for each reshape, in the middle of what it touched.
pub(super) fn marks(map: &HeatMap, f: &mut impl Write) -> fmt::Result {
    for mark in map.marks.iter().take(LETTERS_MAX) {
        let (left, bottom) = (percent(mark.at), percent(f64::midpoint(mark.from, mark.to)));
        let (sign, at, told) = (sign(mark), time(mark.at_ms), escape(&told(mark)));
        writeln!(
            f,
            r#"<i style="left:{left};bottom:{bottom}" data-tip="{at}&#10;{told}">{sign}</i>"#
        )?;
    }
    Ok(())
}

fn sign(mark: &Mark) -> String {
    match mark.kind {
        ReshapeKind::Split => "S".to_owned(),
        ReshapeKind::Merge => "M".to_owned(),
        ReshapeKind::Move => {
            mark.owners.first().map_or_else(|| "→".to_owned(), |owner| format!("→{owner}"))
        }
    }
}

/// A reshape in words.
fn told(mark: &Mark) -> String {
    let owners: Vec<String> = mark.owners.iter().map(ToString::to_string).collect();
    let (first, cuts) = mark.places.split_first().map_or(("", &[][..]), |(a, b)| (a, b));
    let shards = if owners.len() == 1 { "shard" } else { "shards" };
    let owners = owners.join(", ");
    match mark.kind {
        ReshapeKind::Split => format!("split at {}, to {shards} {owners}", cuts.join(", ")),
        kind => format!("{kind} of what begins at {first}, to {shards} {owners}"),
    }
}

/// Who has what now.
pub(super) fn owners(map: &HeatMap, f: &mut impl Write) -> fmt::Result {
    for (from, to, owner) in &map.partitions {
        let (bottom, height) = (percent(*from), percent(to - from));
        let shown = if to - from > 0.025 { owner.to_string() } else { String::new() };
        let title = format!("shard {owner}");
        writeln!(
            f,
            r#"<div style="bottom:{bottom};height:{height}" title="{title}">{shown}</div>"#
        )?;
    }
    Ok(())
}

/// The map in numbers, in broader bands.
pub(super) fn numbers(map: &HeatMap, f: &mut impl Write) -> fmt::Result {
    let rows = map.rows.div_ceil(KEY_BANDS).max(1);
    let columns = map.columns.len().div_ceil(TIME_BANDS).max(1);
    writeln!(f, r#"<details><summary>The same in numbers</summary><div class="scroll"><table>"#)?;
    write!(f, r#"<tr><th class="l">operations/s, from</th>"#)?;
    for column in (0..map.columns.len()).step_by(columns) {
        write!(f, "<th>{}</th>", time(map.first_ms + column as u64 * map.column_ms))?;
    }
    writeln!(f, "</tr>")?;
    let bands: Vec<usize> = (0..map.rows).step_by(rows).collect();
    for row in bands.into_iter().rev() {
        let begin = map.begins.get(row).map_or("", String::as_str);
        write!(f, r#"<tr><td class="l k">{}</td>"#, escape(begin))?;
        for band in map.columns.chunks(columns) {
            let cells = band.iter().flat_map(|column| column.iter().skip(row).take(rows));
            write!(f, "<td>{}</td>", rate(cells.sum::<f64>() / band.len() as f64))?;
        }
        writeln!(f, "</tr>")?;
    }
    writeln!(f, "</table></div></details>")
}

/// All reshapes, in words.
pub(super) fn reshapes(map: &HeatMap, f: &mut impl Write) -> fmt::Result {
    if map.marks.is_empty() {
        return writeln!(f, "<p>No reshapes.</p>");
    }
    let number = map.marks.len();
    writeln!(f, "<details><summary>Reshapes ({number})</summary>")?;
    writeln!(f, r#"<div class="scroll"><table><tr><th>at</th><th class="l">what</th></tr>"#)?;
    for mark in &map.marks {
        let (at, told) = (time(mark.at_ms), escape(&told(mark)));
        writeln!(f, r#"<tr><td>{at}</td><td class="l w">{told}</td></tr>"#)?;
    }
    writeln!(f, "</table></div></details>")
}

fn rate(per_second: f64) -> String {
    if per_second < 10.0 && per_second > 0.0 {
        format!("{per_second:.1}")
    } else {
        human::count(per_second.round() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_follow_the_legend() {
        let limits = (1..=8).map(|n| 800.0 * (f64::from(n) / 8.0).powi(2));
        for (index, limit) in limits.enumerate() {
            assert_eq!(level(limit - 1e-9, 800.0), index + 1);
            assert_eq!(level(limit + 1.0, 800.0), (index + 2).min(8));
        }
        assert_eq!((level(0.0, 800.0), level(1e-9, 800.0), level(0.0, 0.0)), (0, 1, 0));
    }

    /// Darker by relative luminance, so that the ramp reads in grey.
    #[test]
    fn the_ramp_gets_darker() {
        let luminance = |colour: &str| -> f64 {
            let part = |at: usize| {
                let digits = colour.get(at..at + 2).unwrap_or_default();
                f64::from(u8::from_str_radix(digits, 16).unwrap_or_default()) / 255.0
            };
            0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
        };
        let mut before = 1.0;
        for colour in RAMP {
            let now = luminance(colour);
            assert!(now < before - 0.05, "{colour}: {now} after {before}");
            before = now;
        }
    }
}
