//! Marks that distinguish series: by shape, by dashes, and by colour last.

use maud::{Markup, html};
use std::fmt;

/// Colours that differ for most eyes, on white and on black.
const COLOURS: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#b5518f", "#8a6d00", "#3a9bd9", "#7a7a7a", "#a0522d"];

const DASHES: [&str; 4] = ["", "6 3", "2 3", "8 3 2 3"];

/// How the series with a number is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark(pub(super) usize);

impl Mark {
    pub(super) fn colour(self) -> &'static str {
        COLOURS.get(self.0 % COLOURS.len()).copied().unwrap_or("#000")
    }

    pub(super) fn dashes(self) -> &'static str {
        DASHES.get(self.0 % DASHES.len()).copied().unwrap_or_default()
    }

    /// Returns its shape around a point.
    pub(super) fn shape(self, x: f64, y: f64) -> Markup {
        let (colour, x, y) = (self.colour(), Px(x), Px(y));
        let path = match self.0 % 8 {
            0 => return html! { circle cx=(x) cy=(y) r="4" fill=(colour) {} },
            1 => "m-3.6-3.6h7.2v7.2h-7.2z",
            2 => "m0-4.6l4.4 8h-8.8z",
            3 => "m0-5l4.4 5l-4.4 5l-4.4-5z",
            4 => "m0 4.6l4.4-8h-8.8z",
            5 => "m-4-4l8 8m0-8l-8 8",
            6 => "m-4.6 0h9.2m-4.6-4.6v9.2",
            _ => "m-4.6-2h9.2v4h-9.2z",
        };
        let stroke = if matches!(self.0 % 8, 5 | 6) { "2" } else { "0" };
        html! {
            path d={ "M" (x) " " (y) (path) } fill=(colour) stroke=(colour) stroke-width=(stroke) {}
        }
    }

    /// Returns its shape around a point, with the words that appear when it is pointed at.
    pub(super) fn titled(self, x: f64, y: f64, title: &str) -> Markup {
        html! { g { title { (title) } (self.shape(x, y)) } }
    }

    /// Returns its line in a legend.
    pub(super) fn legend(self, name: &str) -> Markup {
        let (colour, dashes) = (self.colour(), self.dashes());
        html! {
            span {
                svg class="key" viewBox="0 0 30 16" aria-hidden="true" {
                    path d="M1 8h28" stroke=(colour) stroke-width="2" stroke-dasharray=(dashes) {}
                    (self.shape(15.0, 8.0))
                }
                (name)
            }
            " "
        }
    }
}

/// A length in a drawing, to a tenth of a unit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Px(pub(super) f64);

impl fmt::Display for Px {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1}", self.0)
    }
}
