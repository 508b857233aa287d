//! Charts with a line for each candidate: bars, and dots on an axis. Each line has its name and its
//! figures, so that no colour is needed.

use super::html::escape;
use super::marks::Mark;
use super::scale::{Scale, short};
use std::fmt::Write as _;

const WIDTH: f64 = 360.0;
const NAME: f64 = 104.0;
const VALUE: f64 = 52.0;
const LINE: f64 = 22.0;
const BAR: f64 = 13.0;
const BOTTOM: f64 = 34.0;

/// A bar with the least and the greatest of its figures.
#[derive(Debug, Clone)]
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

/// A figure with a bar for each.
pub(super) fn bars(title: &str, unit: &str, bars: &[Bar]) -> String {
    let scale = Scale::from_zero(bars.iter().map(|bar| bar.most));
    let place = |value: f64| NAME + scale.place(value) * (WIDTH - NAME - VALUE);
    let mut body = String::new();
    // Writing to a string cannot fail.
    for (number, bar) in bars.iter().enumerate() {
        let top = number as f64 * LINE;
        let (y, width, end) = (top + 5.0, place(bar.value) - NAME, place(bar.value.max(bar.most)));
        name(&mut body, &bar.name, top);
        let colour = Mark(number).colour();
        let _ = writeln!(
            body,
            "<rect x=\"{NAME}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>"
        );
        let (middle, left) = (y + BAR / 2.0, place(bar.least));
        let _ = writeln!(
            body,
            "<path class=\"axis\" d=\"M{left:.1} {middle}H{end:.1}m0-3.5v7M{left:.1} {middle}m0-3.5v7\"/>"
        );
        let (x, y) = (end + 5.0, top + 15.0);
        let _ = writeln!(body, "<text x=\"{x:.1}\" y=\"{y}\">{}</text>", short(bar.value));
    }
    axis(&mut body, scale, unit, bars.len(), WIDTH - VALUE);
    figure(title, &format!("{title}, {unit}"), &body, bars.len(), "")
}

/// What the dots of [`dots`] are.
pub(super) struct Dots {
    pub(super) name: String,
    pub(super) values: Vec<f64>,
}

/// A figure with some dots on a logarithmic axis for each line.
pub(super) fn dots(title: &str, unit: &str, kinds: &[&str], lines: &[Dots]) -> String {
    let scale = Scale::logarithmic(lines.iter().flat_map(|line| line.values.iter().copied()));
    let place = |value: f64| NAME + scale.place(value) * (WIDTH - NAME - 16.0);
    let mut body = String::new();
    for (number, line) in lines.iter().enumerate() {
        let top = number as f64 * LINE;
        let middle = top + 11.5;
        name(&mut body, &line.name, top);
        let places = || line.values.iter().map(|value| place(*value));
        let (left, right) = (places().fold(f64::MAX, f64::min), places().fold(0.0, f64::max));
        if left <= right {
            let _ = writeln!(body, "<path class=\"grid\" d=\"M{left:.1} {middle}H{right:.1}\"/>");
        }
        for ((kind, value), (x, what)) in line.values.iter().enumerate().zip(places().zip(kinds)) {
            let title = escape(&format!("{} {what}: {}", line.name, short(*value)));
            let shape = Mark(kind).shape(x, middle);
            let _ = writeln!(body, "<g><title>{title}</title>{shape}</g>");
        }
    }
    axis(&mut body, scale, unit, lines.len(), WIDTH - 16.0);
    let legend: String =
        kinds.iter().enumerate().map(|(number, kind)| Mark(number).legend(kind)).collect();
    figure(title, &format!("{title}, {unit}"), &body, lines.len(), &legend)
}

fn name(f: &mut String, name: &str, top: f64) {
    let (x, y) = (NAME - 6.0, top + 15.0);
    let _ = writeln!(f, "<text x=\"{x}\" y=\"{y}\" class=\"end\">{}</text>", escape(name));
}

fn axis(f: &mut String, scale: Scale, unit: &str, lines: usize, right: f64) {
    let base = lines as f64 * LINE + 2.0;
    let _ = writeln!(f, "<path class=\"axis\" d=\"M{NAME} 0V{base}H{right}\"/>");
    for tick in scale.ticks() {
        let x = NAME + scale.place(tick) * (right - NAME);
        let (y, text) = (base + 15.0, short(tick));
        let _ = writeln!(f, "<path class=\"axis\" d=\"M{x:.1} {base}v4\"/>");
        let _ = writeln!(f, "<text x=\"{x:.1}\" y=\"{y}\" class=\"mid\">{text}</text>");
    }
    let (x, y) = (f64::midpoint(NAME, right), base + 29.0);
    let _ = writeln!(f, "<text x=\"{x}\" y=\"{y}\" class=\"mid title\">{}</text>", escape(unit));
}

fn figure(title: &str, label: &str, body: &str, lines: usize, legend: &str) -> String {
    let height = lines as f64 * LINE + BOTTOM;
    let (title, label) = (escape(title), escape(label));
    format!(
        "<figure><figcaption>{title}</figcaption>\n<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{label}\">\n{body}</svg>\n<div class=\"legend\">{legend}</div></figure>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_its_name_and_figure() {
        let bar = |name: &str, value| Bar { name: name.into(), value, least: value, most: value };
        let drawn = bars("Load", "ops/s", &[bar("<one>", 1500.0), bar("two", 750.0)]);
        for text in ["&lt;one&gt;", "two", "1.5k", "750", "ops/s"] {
            assert!(drawn.contains(text), "{text}: {drawn}");
        }
        let line = Dots { name: "three".into(), values: vec![1.0, 20.0] };
        let drawn = dots("Latency", "µs", &["p50", "p99"], &[line]);
        for text in ["three", "p50", "p99", "three p99: 20"] {
            assert!(drawn.contains(text), "{text}: {drawn}");
        }
    }
}
