//! The parts of a heat map's page.

use super::model::{HeatMap, Mark};
use super::words::{percent, rate, sign, time, told};
use maud::{Markup, html};
use std::fmt::Write as _;

/// Colours from cold to hot. Each is darker than the one before, so that they can be told apart in
/// grey, too.
const RAMP: [&str; 8] =
    ["#fdf1cf", "#fbdc9a", "#f8bd66", "#f0953f", "#dd6a2c", "#b94328", "#862a2f", "#4a1633"];

/// Boundaries beyond this number are not drawn: they would hide the load.
const BOUNDARIES_MAX: usize = 400;

/// Marks beyond this number have no letter on the map; the table has all of them.
const LETTERS_MAX: usize = 80;

/// Returns how hot a cell is: 0 for nothing, otherwise from 1 to 8. Levels grow with the square, so
/// that what is warm can be seen next to what is hot.
fn level(load: f64, most: f64) -> usize {
    if load <= 0.0 || most <= 0.0 {
        return 0;
    }
    ((load / most).sqrt() * RAMP.len() as f64).ceil().clamp(1.0, RAMP.len() as f64) as usize
}

/// Explains colours and letters.
pub(super) fn legend(map: &HeatMap) -> Markup {
    let most = map.most();
    let limit = |index: usize| most * ((index + 1) as f64 / RAMP.len() as f64).powi(2);
    let signs = [("S", "split"), ("→2", "move to shard 2"), ("M", "merge"), ("—", "boundary")];
    html! {
        div class="legend" {
            span { b style="background:#fff" {} "none" }
            @for (index, colour) in RAMP.iter().enumerate() {
                span { b style={ "background:" (colour) } {} "to " (rate(limit(index))) "/s" }
            }
            @for (sign, meaning) in signs { span { i { (sign) } (meaning) } }
        }
    }
}

/// Draws the load of all keys over time, as a line.
pub(super) fn load(map: &HeatMap) -> Markup {
    let sums: Vec<f64> = map.columns.iter().map(|column| column.iter().sum()).collect();
    let most = sums.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let mut path = "M0 100".to_owned();
    for (column, sum) in (1..).zip(&sums) {
        // Writing to a string cannot fail.
        let _ = write!(path, "V{:.1}H{column}", 100.0 - 96.0 * sum / most);
    }
    html! {
        svg viewBox={ "0 0 " (sums.len()) " 100" } preserveAspectRatio="none" {
            title { "up to " (rate(most)) " operations/s" }
            path fill="#c9d6e6" d={ (path) "V100Z" } {}
        }
    }
}

/// Draws the cells, a path for each colour, with boundaries and reshapes as lines.
pub(super) fn cells(map: &HeatMap) -> Markup {
    let (width, height, most) = (map.columns.len(), map.rows, map.most());
    let (x, y) = (|part: f64| part * width as f64, |part: f64| (1.0 - part) * height as f64);
    let mut paths = [const { String::new() }; RAMP.len()];
    for (x, column) in map.columns.iter().enumerate() {
        for (row, load) in column.iter().enumerate() {
            let colour = level(*load, most).checked_sub(1);
            if let Some(path) = colour.and_then(|colour| paths.get_mut(colour)) {
                let _ = write!(path, "M{x} {}h1v1h-1z", height - 1 - row);
            }
        }
    }
    let (mut boundaries, mut reshapes) = (String::new(), String::new());
    for it in map.boundaries.iter().take(BOUNDARIES_MAX) {
        let _ = write!(boundaries, "M{:.3} {:.3}H{:.3}", x(it.from), y(it.height), x(it.to));
    }
    for it in &map.marks {
        let _ = write!(reshapes, "M{:.3} {:.3}V{:.3}", x(it.at), y(it.from), y(it.to));
    }
    html! {
        svg viewBox={ "0 0 " (width) " " (height) } preserveAspectRatio="none"
            shape-rendering="crispEdges" role="img"
            aria-label="heat map; the tables below have its numbers" {
            @for (colour, path) in RAMP.iter().zip(&paths).filter(|(_, path)| !path.is_empty()) {
                path fill=(colour) d=(path) {}
            }
            path fill="none" vector-effect="non-scaling-stroke" stroke="#0b3d91"
                stroke-opacity=".45" d=(boundaries) {}
            path fill="none" vector-effect="non-scaling-stroke" stroke="#0b3d91"
                stroke-width="1.5" d=(reshapes) {}
        }
    }
}

/// Draws a letter for each reshape, in the middle of what it touched.
pub(super) fn marks(map: &HeatMap) -> Markup {
    let place = |mark: &Mark| {
        let bottom = percent(f64::midpoint(mark.from, mark.to));
        format!("left:{};bottom:{bottom}", percent(mark.at))
    };
    let tip = |mark: &Mark| format!("{}\n{}", time(mark.at_ms), told(mark));
    html! {
        @for mark in map.marks.iter().take(LETTERS_MAX) {
            i style=(place(mark)) data-tip=(tip(mark)) { (sign(mark)) }
        }
    }
}

/// Draws which shard owns what now.
pub(super) fn owners(map: &HeatMap) -> Markup {
    html! {
        @for (from, to, owner) in &map.partitions {
            div style={ "bottom:" (percent(*from)) ";height:" (percent(to - from)) }
                title={ "shard " (owner) } {
                @if to - from > 0.025 { (owner) }
            }
        }
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
