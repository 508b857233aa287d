//! Charts with a line for each candidate: bars, and dots on an axis. Each line has its name and its
//! figures, so that no colour is needed.

use super::html::figure;
use super::marks::{Mark, Px};
use super::scale::{Scale, short};
use maud::{Markup, html};

const WIDTH: f64 = 360.0;
const NAME: f64 = 104.0;
const VALUE: f64 = 52.0;
const LINE: f64 = 22.0;
const BAR: f64 = 13.0;
const BOTTOM: f64 = 34.0;

/// A bar with the minimum and the maximum of its figures.
#[derive(Debug, Clone)]
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

/// Draws a figure with a bar for each.
pub(super) fn bars(title: &str, unit: &str, bars: &[Bar]) -> Markup {
    let scale = Scale::from_zero(bars.iter().map(|bar| bar.most));
    let place = |value: f64| NAME + scale.place(value) * (WIDTH - NAME - VALUE);
    let drawing = html! {
        @for (number, bar) in bars.iter().enumerate() {
            @let top = number as f64 * LINE;
            @let (y, end) = (top + 5.0, place(bar.value.max(bar.most)));
            (name(&bar.name, top))
            rect x=(NAME) y=(y) width=(Px(place(bar.value) - NAME)) height=(BAR)
                fill=(Mark(number).colour()) {}
            (whisker(place(bar.least), end, y + BAR / 2.0))
            text x=(Px(end + 5.0)) y=(top + 15.0) { (short(bar.value)) }
        }
        (axis(scale, unit, bars.len(), WIDTH - VALUE))
    };
    framed(title, unit, bars.len(), &drawing, &html! {})
}

/// Draws the stretch from the minimum to the maximum.
fn whisker(left: f64, right: f64, middle: f64) -> Markup {
    let (left, right) = (Px(left), Px(right));
    html! {
        path class="axis"
            d={ "M" (left) " " (middle) "H" (right) "m0-3.5v7M" (left) " " (middle) "m0-3.5v7" } {}
    }
}

/// The dots of a line of [`dots`].
pub(super) struct Dots {
    pub(super) name: String,
    pub(super) values: Vec<f64>,
}

/// Draws a figure with some dots on a logarithmic axis for each line.
pub(super) fn dots(title: &str, unit: &str, kinds: &[&str], lines: &[Dots]) -> Markup {
    let scale = Scale::logarithmic(lines.iter().flat_map(|line| line.values.iter().copied()));
    let place = |value: f64| NAME + scale.place(value) * (WIDTH - NAME - 16.0);
    let drawing = html! {
        @for (number, line) in lines.iter().enumerate() {
            @let top = number as f64 * LINE;
            @let middle = top + 11.5;
            (name(&line.name, top))
            @let least = line.values.iter().copied().map(place).fold(f64::MAX, f64::min);
            @let most = line.values.iter().copied().map(place).fold(0.0, f64::max);
            @if least <= most {
                path class="grid" d={ "M" (Px(least)) " " (middle) "H" (Px(most)) } {}
            }
            @for (number, (value, kind)) in line.values.iter().zip(kinds).enumerate() {
                @let title = format!("{} {kind}: {}", line.name, short(*value));
                (Mark(number).titled(place(*value), middle, &title))
            }
        }
        (axis(scale, unit, lines.len(), WIDTH - 16.0))
    };
    let legend = html! {
        @for (number, kind) in kinds.iter().enumerate() { (Mark(number).legend(kind)) }
    };
    framed(title, unit, lines.len(), &drawing, &legend)
}

fn name(name: &str, top: f64) -> Markup {
    html! { text x=(NAME - 6.0) y=(top + 15.0) class="end" { (name) } }
}

fn axis(scale: Scale, unit: &str, lines: usize, right: f64) -> Markup {
    let base = lines as f64 * LINE + 2.0;
    html! {
        path class="axis" d={ "M" (NAME) " 0V" (base) "H" (right) } {}
        @for tick in scale.ticks() {
            @let x = Px(NAME + scale.place(tick) * (right - NAME));
            path class="axis" d={ "M" (x) " " (base) "v4" } {}
            text x=(x) y=(base + 15.0) class="mid" { (short(tick)) }
        }
        text x=(f64::midpoint(NAME, right)) y=(base + 29.0) class="mid title" { (unit) }
    }
}

fn framed(title: &str, unit: &str, lines: usize, drawing: &Markup, legend: &Markup) -> Markup {
    let size = (WIDTH, lines as f64 * LINE + BOTTOM);
    figure(title, &format!("{title}, {unit}"), size, drawing, legend)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_its_name_and_figure() {
        let bar = |name: &str, value| Bar { name: name.into(), value, least: value, most: value };
        let drawn = bars("Load", "ops/s", &[bar("<one>", 1500.0), bar("two", 750.0)]);
        let drawn = drawn.into_string();
        for text in ["&lt;one&gt;", "two", "1.5k", "750", "ops/s"] {
            assert!(drawn.contains(text), "{text}: {drawn}");
        }
        let line = Dots { name: "three".into(), values: vec![1.0, 20.0] };
        let drawn = dots("Latency", "µs", &["p50", "p99"], &[line]).into_string();
        for text in ["three", "p50", "p99", "three p99: 20"] {
            assert!(drawn.contains(text), "{text}: {drawn}");
        }
    }
}
