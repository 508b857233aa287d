//! Charts with lines.

use super::html::figure;
use super::marks::{Mark, Px};
use super::scale::{Scale, short};
use maud::{Markup, html};
use std::fmt::Write as _;

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 50.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 40.0;

/// Room for the name of a band.
const BAND_LINE: f64 = 13.0;

/// With more points than this, shapes would cover the line.
const SHAPES_MAX: usize = 24;

/// A line.
#[derive(Debug, Clone)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) mark: Mark,
    pub(super) points: Vec<(f64, f64)>,
}

/// A moment or stretch on the horizontal axis with a name.
#[derive(Debug, Clone)]
pub(super) struct Band {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) name: String,
}

/// A chart.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    pub(super) title: String,
    /// What the axes show, with units.
    pub(super) x_title: &'static str,
    pub(super) y_title: &'static str,
    pub(super) x: Scale,
    pub(super) y: Scale,
    /// In place of round numbers on the horizontal axis.
    pub(super) x_ticks: Option<Vec<f64>>,
    pub(super) series: Vec<Series>,
    pub(super) bands: Vec<Band>,
}

impl Lines {
    /// Draws a figure with a caption and a legend.
    pub(super) fn draw(&self) -> Markup {
        let drawing = html! {
            (self.axes())
            (self.bands())
            @for series in &self.series { (self.line(series)) }
        };
        let legend = html! {
            @for series in &self.series { (series.mark.legend(&series.name)) }
        };
        let label = format!("{}: {} by {}", self.title, self.y_title, self.x_title);
        figure(&self.title, &label, (WIDTH, HEIGHT), &drawing, &legend)
    }

    fn at_x(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn at_y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.place(value) * (HEIGHT - self.top() - BOTTOM)
    }

    /// Returns the top of the lines: the names of bands are above them.
    fn top(&self) -> f64 {
        TOP + BAND_LINE * self.bands.len() as f64
    }

    fn axes(&self) -> Markup {
        let (right, base) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let middle = f64::midpoint(TOP, base);
        html! {
            @for tick in self.y.ticks() {
                @let y = self.at_y(tick);
                path class="grid" d={ "M" (LEFT) " " (Px(y)) "H" (right) } {}
                text x=(LEFT - 5.0) y=(Px(y + 4.0)) class="end" { (short(tick)) }
            }
            @for tick in self.x_ticks.clone().unwrap_or_else(|| self.x.ticks()) {
                @let x = Px(self.at_x(tick));
                path class="axis" d={ "M" (x) " " (base) "v4" } {}
                text x=(x) y=(base + 15.0) class="mid" { (short(tick)) }
            }
            path class="axis" d={ "M" (LEFT) " " (TOP) "V" (base) "H" (right) } {}
            text x=(f64::midpoint(LEFT, right)) y=(HEIGHT - 6.0) class="mid title" {
                (self.x_title)
            }
            text transform={ "translate(11 " (middle) ") rotate(-90)" } class="mid title" {
                (self.y_title)
            }
        }
    }

    fn bands(&self) -> Markup {
        let height = HEIGHT - BOTTOM - TOP;
        html! {
            @for (number, band) in self.bands.iter().enumerate() {
                @let (from, to) = (self.at_x(band.from), self.at_x(band.to));
                path class="start" d={ "M" (Px(from)) " " (TOP) "v" (height) } {}
                rect class="band" x=(Px(from)) y=(TOP) width=(Px((to - from).max(1.0)))
                    height=(height) {}
                // Names on one line would overlap.
                @let y = TOP + 8.0 + BAND_LINE * number as f64;
                @if from > WIDTH * 0.55 {
                    text x=(Px(from - 3.0)) y=(y) class="end" { (band.name) }
                } @else {
                    text x=(Px(from + 3.0)) y=(y) class="start" { (band.name) }
                }
            }
        }
    }

    fn line(&self, series: &Series) -> Markup {
        let places = series.points.iter().map(|(x, y)| (self.at_x(*x), self.at_y(*y)));
        let mut path = String::new();
        for (number, (x, y)) in places.clone().enumerate() {
            // Writing to a string cannot fail.
            let _ = write!(path, "{}{x:.1} {y:.1}", if number == 0 { 'M' } else { 'L' });
        }
        let every = series.points.len().div_ceil(SHAPES_MAX).max(1);
        html! {
            path d=(path) fill="none" stroke=(series.mark.colour()) stroke-width="2"
                stroke-dasharray=(series.mark.dashes()) {}
            @for ((x, y), (value_x, value_y)) in places.zip(&series.points).step_by(every) {
                @let title = format!("{}: {} at {}", series.name, short(*value_y), short(*value_x));
                (series.mark.titled(x, y, &title))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_within_and_names_are_escaped() {
        let lines = Lines {
            title: "a < b".into(),
            x_title: "x",
            y_title: "y",
            x: Scale::between(0.0, 10.0),
            y: Scale::from_zero([5.0, 7.0].into_iter()),
            x_ticks: None,
            series: vec![Series {
                name: "<s>".into(),
                mark: Mark(1),
                points: vec![(0.0, 5.0), (10.0, 700.0)],
            }],
            bands: vec![Band { from: 2.0, to: 3.0, name: "<band>".into() }],
        };
        let drawn = lines.draw().into_string();
        assert!(drawn.contains("a &lt; b") && drawn.contains("&lt;band&gt;"), "{drawn}");
        assert!(!drawn.contains("<s>"));
        // Points out of bounds are drawn at the bound.
        let top = TOP + BAND_LINE;
        assert!(drawn.contains(&format!("L{:.1} {top:.1}", WIDTH - RIGHT)), "{drawn}");
    }
}
