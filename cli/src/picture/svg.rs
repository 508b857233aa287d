//! The map as a self-contained SVG file. Letters say everything that colours say.

use super::model::{KeyRange, KeyspaceMap, Part, Parts, Picture};
use crate::text;
use annulus::placement::TokenRange;
use annulus_workload::human;
use maud::{Markup, PreEscaped, html};
use std::f64::consts::TAU;

const WIDTH: f64 = 920.0;
const MARGIN: f64 = 30.0;

/// Outer and inner radius of a ring.
const OUTER: f64 = 170.0;
const INNER: f64 = 112.0;

/// Where the legend next to a ring begins.
const LEGEND_X: f64 = 420.0;
const LEGEND_LINE: f64 = 24.0;

/// Width of a character of a boundary's label.
const LABEL_CHARACTER: f64 = 6.8;
const LABEL_LINE: f64 = 15.0;
const LABEL_LINES: usize = 5;
const LABEL_CHARACTERS: usize = 26;

/// Height of a bar of ranges.
const BAR_HEIGHT: f64 = 44.0;

/// Fills on which black letters can be read, and which differ for most eyes.
const COLOURS: [&str; 10] = [
    "#56b4e9", "#e69f00", "#2fb89a", "#d58fb9", "#f0e442", "#8da0cb", "#fc8d62", "#a6d854",
    "#e5c494", "#b3b3b3",
];

const STYLE: &str = ".m{font-family:ui-monospace,'DejaVu Sans Mono',monospace;font-size:11px}\
    .t{font-size:17px;font-weight:600}.s{fill:#666}.n{text-anchor:end}.c{text-anchor:middle}\
    .p{stroke:#fff;stroke-width:1}";

/// A part of the drawing, and where it ends.
type Drawn = (Markup, f64);

/// Draws a map.
pub(crate) fn svg(picture: &Picture) -> String {
    let mut y = 50.0;
    let mut keyspaces = Vec::new();
    for keyspace in &picture.keyspaces {
        let (drawn, end) = drawn(picture, keyspace, y);
        keyspaces.push(drawn);
        y = end + 24.0;
    }
    let svg = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (WIDTH) " " (y) } width=(WIDTH)
            height=(y) font-family="system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="13"
            fill="#222" {
            style { (PreEscaped(STYLE)) }
            rect width="100%" height="100%" fill="#fff" {}
            text x=(MARGIN) y="34" class="s" {
                (picture.store.display()) ", epoch " (picture.epoch) ", " (picture.shards.len())
                " shards"
            }
            @for keyspace in &keyspaces { (keyspace) }
        }
    };
    // Characters that XML cannot contain, even escaped; only names and keys may have them.
    let forbidden = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    svg.into_string().replace(forbidden, "\u{fffd}")
}

/// Draws a keyspace: its name and its parts.
fn drawn(picture: &Picture, keyspace: &KeyspaceMap, y: f64) -> Drawn {
    let balance = match keyspace.max_over_mean {
        Some(ratio) => format!("max/mean {ratio:.3}"),
        None => "no keys".to_owned(),
    };
    let top = y + 44.0;
    let (parts, end) = match &keyspace.parts {
        Parts::Arcs(arcs) => ring(picture, keyspace, arcs, top),
        Parts::Ranges(ranges) => bar(picture, keyspace, ranges, top),
    };
    let drawn = html! {
        text x=(MARGIN) y=(y + 24.0) class="t" {
            (keyspace.name)
            tspan dx="12" font-size="13" font-weight="400" {
                "by " (keyspace.how) ", " (keyspace.partitions()) " " (kind(keyspace)) ", " (balance)
            }
        }
        (parts)
    };
    (drawn, end)
}

const fn kind(keyspace: &KeyspaceMap) -> &'static str {
    match keyspace.parts {
        Parts::Arcs(_) => "arcs",
        Parts::Ranges(_) => "ranges",
    }
}

fn ring(picture: &Picture, keyspace: &KeyspaceMap, arcs: &[Part<TokenRange>], y: f64) -> Drawn {
    let (x, middle) = (MARGIN + OUTER + 10.0, y + OUTER + 10.0);
    let lines = (keyspace.shares.len() + 1) as f64;
    let legend_y = (middle - lines * LEGEND_LINE / 2.0).max(y);
    let (legend, end) = legend(picture, keyspace, LEGEND_X, legend_y);
    let drawn = html! {
        @for part in arcs { (arc(picture, part, x, middle)) }
        path d={ "M" (x) " " (middle - OUTER) "v-9" } stroke="#222" {}
        @for (line, words) in [(-6.0, "tokens run clockwise"), (12.0, "from the mark at the top")] {
            text x=(x) y=(middle + line) class="c s" font-size="11" { (words) }
        }
        (legend)
    };
    (drawn, end.max(middle + OUTER + 10.0))
}

fn arc(picture: &Picture, arc: &Part<TokenRange>, x: f64, y: f64) -> Markup {
    let turn = |token: u128| token as f64 / 2f64.powi(64);
    let start = u128::from(arc.span.start.0);
    let (from, to) = (turn(start), turn(start + arc.span.width()));
    let (name, keys) = (shard_name(picture, arc.shard), human::count(arc.keys));
    // Narrow arcs have their letter near the rim, where there is most room; arcs without one have
    // only their title.
    let room = (to - from) * TAU * (OUTER - 9.0);
    let (size, radius) =
        if room > 14.0 { (13.0, (OUTER + INNER) / 2.0) } else { (9.0, OUTER - 9.0) };
    let (letter_x, letter_y) = at(x, y, radius, f64::midpoint(from, to));
    html! {
        path d=(sector(x, y, from, to)) class="p" fill=(colour(arc.shard)) {
            title { (name) ": tokens " (arc.span) ", about " (keys) " keys" }
        }
        @if room > 7.0 {
            text x=(format!("{letter_x:.1}")) y=(format!("{:.1}", letter_y + size * 0.35))
                font-size=(size) class="c" { (picture.sign(arc.shard)) }
        }
    }
}

/// Returns the part of a ring between two fractions of a turn, clockwise from the top.
fn sector(x: f64, y: f64, from: f64, to: f64) -> String {
    if to - from > 0.999_999 {
        // The ends of a whole turn are one point, between which SVG draws nothing.
        let half = from + 0.5;
        return format!("{} {}", sector(x, y, from, half), sector(x, y, half, to - 1e-9));
    }
    let large = u8::from(to - from > 0.5);
    let (ax, ay) = at(x, y, OUTER, from);
    let (bx, by) = at(x, y, OUTER, to);
    let (cx, cy) = at(x, y, INNER, to);
    let (dx, dy) = at(x, y, INNER, from);
    format!(
        "M{ax:.2} {ay:.2}A{OUTER} {OUTER} 0 {large} 1 {bx:.2} {by:.2}\
         L{cx:.2} {cy:.2}A{INNER} {INNER} 0 {large} 0 {dx:.2} {dy:.2}Z"
    )
}

fn at(x: f64, y: f64, radius: f64, turn: f64) -> (f64, f64) {
    let angle = turn * TAU;
    (x + radius * angle.sin(), y - radius * angle.cos())
}

/// Draws the shards of a keyspace in a table, with bars.
fn legend(picture: &Picture, keyspace: &KeyspaceMap, x: f64, y: f64) -> Drawn {
    let columns = [x + 150.0, x + 215.0, x + 280.0, x + 360.0];
    let head = y + 16.0;
    let most = keyspace.shares.iter().map(|share| share.owned).fold(f64::MIN_POSITIVE, f64::max);
    let bar_x = x + 375.0;
    let line = |place: usize| head + (place + 1) as f64 * LEGEND_LINE;
    let drawn = html! {
        text x=(x + 30.0) y=(head) class="s" { "shard" }
        @for (x, title) in columns.iter().zip([kind(keyspace), "wanted", "owned", "keys"]) {
            text x=(x) y=(head) class="n s" { (title) }
        }
        @for (place, share) in keyspace.shares.iter().enumerate() {
            @let (y, colour) = (line(place), colour(place));
            rect x=(x) y=(y - 15.0) width="22" height="19" rx="3" fill=(colour) {}
            text x=(x + 11.0) y=(y) class="c" { (picture.sign(place)) }
            text x=(x + 30.0) y=(y) {
                (picture.shards.get(place).map(|shard| shard.info.id).unwrap_or_default())
                title { (shard_name(picture, place)) }
            }
            @let numbers = [
                share.partitions.to_string(),
                human::percent(share.wanted),
                human::percent(share.owned),
                human::count(share.keys),
            ];
            @for (x, number) in columns.iter().zip(numbers) {
                text x=(x) y=(y) class="n" { (number) }
            }
            @let width = (WIDTH - MARGIN - bar_x) * share.owned / most;
            rect x=(bar_x) y=(y - 10.0) width=(format!("{width:.1}")) height="11"
                fill=(colour) {}
        }
    };
    (drawn, line(keyspace.shares.len()) - LEGEND_LINE + 8.0)
}

/// Draws a bar of ranges, as wide as they have keys, with the boundaries below.
fn bar(picture: &Picture, keyspace: &KeyspaceMap, ranges: &[Part<KeyRange>], y: f64) -> Drawn {
    let (mut boundaries, mut drawn) = (Vec::new(), Vec::new());
    let mut x = MARGIN;
    for (part, width) in ranges.iter().zip(widths(ranges)) {
        let start = text::quoted(&part.span.start);
        drawn.push(range(picture, part, &start, (x, y, width)));
        if !part.span.start.is_empty() {
            boundaries.push((x, start));
        }
        x += width;
    }
    let (labels, lines) = labels(&boundaries, y + BAR_HEIGHT);
    let below = y + BAR_HEIGHT + 20.0 + lines as f64 * LABEL_LINE;
    let (legend, end) = legend(picture, keyspace, MARGIN, below);
    let drawn = html! {
        @for range in &drawn { (range) }
        (labels)
        (legend)
    };
    (drawn, end)
}

fn range(
    picture: &Picture,
    range: &Part<KeyRange>,
    start: &str,
    (x, y, width): (f64, f64, f64),
) -> Markup {
    let end = range.span.end.as_deref().map_or_else(String::new, text::quoted);
    let (keys, bytes) = (human::count(range.keys), human::bytes(range.bytes));
    html! {
        rect x=(format!("{x:.2}")) y=(y) width=(format!("{width:.2}")) height=(BAR_HEIGHT)
            class="p" fill=(colour(range.shard)) {
            title {
                (shard_name(picture, range.shard)) ": " (start) ".." (end) ", about " (keys)
                " keys, " (bytes)
            }
        }
        @if width > 12.0 {
            text x=(format!("{:.1}", x + width / 2.0)) y=(y + BAR_HEIGHT / 2.0 + 5.0) class="c" {
                (picture.sign(range.shard))
            }
        }
    }
}

/// Returns the width of each range: in proportion to its keys, but never too narrow to see.
fn widths(ranges: &[Part<KeyRange>]) -> impl Iterator<Item = f64> {
    let keys: u64 = ranges.iter().map(|range| range.keys).sum();
    let number = ranges.len() as f64;
    // Divided among all, whatever their keys: a tenth of the width, or all of it if there are no
    // keys.
    let even = if keys == 0 { 1.0 } else { 0.1 };
    ranges.iter().map(move |range| {
        (WIDTH - 2.0 * MARGIN) * (even / number + (1.0 - even) * human::part(range.keys, keys))
    })
}

/// Draws labels below a bar, each with a tick down to it, so that none covers another or is crossed
/// by a tick. Those for which there is no room are left out. Returns them, and how many lines they
/// take.
fn labels(boundaries: &[(f64, String)], y: f64) -> (Markup, usize) {
    // How far to the left each line is taken already, by a label or by the tick of a lower one.
    // From right to left, because a label stands to the right of its tick.
    let mut taken = [WIDTH - 5.0; LABEL_LINES];
    let mut placed = Vec::new();
    for (x, label) in boundaries.iter().rev() {
        let to_the_edge = ((WIDTH - 10.0 - x) / LABEL_CHARACTER) as usize;
        let label = text::shorten(label, LABEL_CHARACTERS.min(to_the_edge));
        let end = x + 4.0 + label.chars().count() as f64 * LABEL_CHARACTER;
        let Some(line) = taken.iter().position(|taken| end < *taken) else { continue };
        taken.iter_mut().take(line + 1).for_each(|taken| *taken = *x);
        placed.push((*x, line, label));
    }
    let lines = placed.iter().map(|(_, line, _)| line + 1).max().unwrap_or(0);
    let drawn = html! {
        @for (x, line, label) in &placed {
            @let base = y + (*line as f64 + 1.4) * LABEL_LINE;
            path d=(format!("M{x:.2} {y}V{:.1}", base + 1.0)) stroke="#999" {}
            text x=(format!("{:.2}", x + 4.0)) y=(format!("{base:.1}")) class="m" { (label) }
        }
    };
    (drawn, lines)
}

fn shard_name(picture: &Picture, shard: usize) -> String {
    picture.shards.get(shard).map_or_else(String::new, |shard| {
        format!("shard {} in {}", shard.info.id, shard.info.directory.display())
    })
}

fn colour(shard: usize) -> &'static str {
    COLOURS.get(shard % COLOURS.len()).copied().unwrap_or("#ccc")
}
