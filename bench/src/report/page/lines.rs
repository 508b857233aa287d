//! Charts with lines.

use super::html::escape;
use super::marks::Mark;
use super::scale::{Scale, short};
use std::fmt::Write as _;

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 50.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 40.0;

/// Room for the name of a band.
const BAND_LINE: f64 = 13.0;

/// More points than this, and shapes would cover the line.
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
    /// Instead of round numbers on the horizontal axis.
    pub(super) x_ticks: Option<Vec<f64>>,
    pub(super) series: Vec<Series>,
    pub(super) bands: Vec<Band>,
}

impl Lines {
    /// A figure with a caption and a legend.
    pub(super) fn draw(&self) -> String {
        let mut body = String::new();
        self.axes(&mut body);
        self.bands(&mut body);
        for series in &self.series {
            self.line(series, &mut body);
        }
        let label = escape(&format!("{}: {} by {}", self.title, self.y_title, self.x_title));
        let legend: String =
            self.series.iter().map(|series| series.mark.legend(&series.name)).collect();
        format!(
            "<figure><figcaption>{}</figcaption>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{label}\">\n{body}</svg>\n<div class=\"legend\">{legend}</div></figure>\n",
            escape(&self.title)
        )
    }

    fn at_x(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn at_y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.place(value) * (HEIGHT - self.top() - BOTTOM)
    }

    /// The names of bands stand above the lines.
    fn top(&self) -> f64 {
        TOP + BAND_LINE * self.bands.len() as f64
    }

    // Writing to a string cannot fail.
    fn axes(&self, f: &mut String) {
        let (right, base) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for tick in self.y.ticks() {
            let (y, text) = (self.at_y(tick), short(tick));
            let _ = writeln!(f, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>");
            let (x, y) = (LEFT - 5.0, y + 4.0);
            let _ = writeln!(f, "<text x=\"{x}\" y=\"{y:.1}\" class=\"end\">{text}</text>");
        }
        let ticks = self.x_ticks.clone().unwrap_or_else(|| self.x.ticks());
        for tick in ticks {
            let (x, y, text) = (self.at_x(tick), base + 15.0, short(tick));
            let _ = writeln!(f, "<path class=\"axis\" d=\"M{x:.1} {base}v4\"/>");
            let _ = writeln!(f, "<text x=\"{x:.1}\" y=\"{y}\" class=\"mid\">{text}</text>");
        }
        let _ = writeln!(f, "<path class=\"axis\" d=\"M{LEFT} {TOP}V{base}H{right}\"/>");
        let (x, y) = (f64::midpoint(LEFT, right), HEIGHT - 6.0);
        let _ = writeln!(
            f,
            "<text x=\"{x}\" y=\"{y}\" class=\"mid title\">{}</text>",
            escape(self.x_title)
        );
        let y = f64::midpoint(TOP, base);
        let _ = writeln!(
            f,
            "<text transform=\"translate(11 {y}) rotate(-90)\" class=\"mid title\">{}</text>",
            escape(self.y_title)
        );
    }

    fn bands(&self, f: &mut String) {
        for (number, band) in self.bands.iter().enumerate() {
            let (from, to) = (self.at_x(band.from), self.at_x(band.to));
            let (width, height) = ((to - from).max(1.0), HEIGHT - BOTTOM - TOP);
            let _ = writeln!(
                f,
                "<path class=\"start\" d=\"M{from:.1} {TOP}v{height}\"/><rect class=\"band\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{height}\"/>"
            );
            // Names beside each other would overlap.
            let y = TOP + 8.0 + BAND_LINE * number as f64;
            let (x, class) =
                if from > WIDTH * 0.55 { (from - 3.0, "end") } else { (from + 3.0, "start") };
            let name = escape(&band.name);
            let _ = writeln!(f, "<text x=\"{x:.1}\" y=\"{y}\" class=\"{class}\">{name}</text>");
        }
    }

    fn line(&self, series: &Series, f: &mut String) {
        let places = series.points.iter().map(|(x, y)| (self.at_x(*x), self.at_y(*y)));
        let mut path = String::new();
        for (number, (x, y)) in places.clone().enumerate() {
            let _ = write!(path, "{}{x:.1} {y:.1}", if number == 0 { 'M' } else { 'L' });
        }
        let (colour, dashes) = (series.mark.colour(), series.mark.dashes());
        let _ = writeln!(
            f,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"/>"
        );
        let every = series.points.len().div_ceil(SHAPES_MAX).max(1);
        for ((x, y), (value_x, value_y)) in places.zip(&series.points).step_by(every) {
            let title =
                escape(&format!("{}: {} at {}", series.name, short(*value_y), short(*value_x)));
            let shape = series.mark.shape(x, y);
            let _ = writeln!(f, "<g><title>{title}</title>{shape}</g>");
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
        let drawn = lines.draw();
        assert!(drawn.contains("a &lt; b") && drawn.contains("&lt;band&gt;"), "{drawn}");
        assert!(!drawn.contains("<s>"));
        // What is out of bounds is at the bound.
        let top = TOP + BAND_LINE;
        assert!(drawn.contains(&format!("L{:.1} {top:.1}", WIDTH - RIGHT)), "{drawn}");
    }
}
