//! The map as a self-contained SVG file. Letters say everything that colours say.

use super::model::{KeyRange, KeyspaceMap, Part, Parts, Picture};
use crate::text;
use annulus::placement::TokenRange;
use annulus_workload::human;
use std::f64::consts::TAU;
use std::fmt::{self, Write};

const WIDTH: f64 = 920.0;
const MARGIN: f64 = 30.0;

/// Outer and inner radius of a ring.
const OUTER: f64 = 170.0;
const INNER: f64 = 112.0;

/// Where the legend begins beside a ring.
const LEGEND_X: f64 = 420.0;
const LEGEND_LINE: f64 = 24.0;

/// Width of a character of a boundary's label.
const LABEL_CHARACTER: f64 = 6.8;
const LABEL_LINE: f64 = 15.0;
const LABEL_LINES: usize = 5;
const LABEL_CHARACTERS: usize = 26;

/// Fills on which black letters can be read, and which differ for most eyes.
const COLOURS: [&str; 10] = [
    "#56b4e9", "#e69f00", "#2fb89a", "#d58fb9", "#f0e442", "#8da0cb", "#fc8d62", "#a6d854",
    "#e5c494", "#b3b3b3",
];

/// Draws a map.
pub(crate) fn svg(picture: &Picture) -> String {
    let mut body = String::new();
    // Writing to a string cannot fail.
    let height = write_body(picture, &mut body).unwrap_or_default();
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="13" fill="#222">
<style>.m{{font-family:ui-monospace,'DejaVu Sans Mono',monospace;font-size:11px}}.t{{font-size:17px;font-weight:600}}.s{{fill:#666}}.n{{text-anchor:end}}.c{{text-anchor:middle}}.p{{stroke:#fff;stroke-width:1}}</style>
<rect width="100%" height="100%" fill="#fff"/>
{body}</svg>
"##
    )
}

/// Draws one thing below the other and gives the height of all.
fn write_body(picture: &Picture, f: &mut impl Write) -> Result<f64, fmt::Error> {
    let shards = picture.shards.len();
    let store = escape(&picture.store.display().to_string());
    let title = format!("{store}, epoch {}, {shards} shards", picture.epoch);
    writeln!(f, r#"<text x="{MARGIN}" y="34" class="s">{title}</text>"#)?;
    let mut y = 50.0;
    for keyspace in &picture.keyspaces {
        let kind = match keyspace.parts {
            Parts::Arcs(_) => "arcs",
            Parts::Ranges(_) => "ranges",
        };
        let balance = match keyspace.max_over_mean {
            Some(ratio) => format!("max/mean {ratio:.3}"),
            None => "no keys".to_owned(),
        };
        let (name, number) = (escape(&keyspace.name), keyspace.partitions());
        let how = escape(&keyspace.how);
        writeln!(
            f,
            r#"<text x="{MARGIN}" y="{}" class="t">{name}<tspan dx="12" font-size="13" font-weight="400">by {how}, {number} {kind}, {balance}</tspan></text>"#,
            y + 24.0
        )?;
        y += 44.0;
        y = match &keyspace.parts {
            Parts::Arcs(arcs) => write_ring(picture, keyspace, arcs, y, f)?,
            Parts::Ranges(ranges) => write_ranges(picture, keyspace, ranges, y, f)?,
        };
        y += 24.0;
    }
    Ok(y)
}

fn write_ring(
    picture: &Picture,
    keyspace: &KeyspaceMap,
    arcs: &[Part<TokenRange>],
    y: f64,
    f: &mut impl Write,
) -> Result<f64, fmt::Error> {
    let (x, middle) = (MARGIN + OUTER + 10.0, y + OUTER + 10.0);
    let turn = |token: u128| token as f64 / 2f64.powi(64);
    for arc in arcs {
        let start = u128::from(arc.span.start.0);
        let (from, to) = (turn(start), turn(start + arc.span.width()));
        let title = format!(
            "{}: tokens {}, about {} keys",
            shard_name(picture, arc.shard),
            arc.span,
            human::count(arc.keys)
        );
        let colour = colour(arc.shard);
        writeln!(
            f,
            r#"<path d="{}" class="p" fill="{colour}"><title>{}</title></path>"#,
            sector(x, middle, from, to),
            escape(&title)
        )?;
        // Narrow arcs have their letter near the rim, where there is most room; without one, the
        // titles tell.
        let room = (to - from) * TAU * (OUTER - 9.0);
        let (size, radius) =
            if room > 14.0 { (13.0, (OUTER + INNER) / 2.0) } else { (9.0, OUTER - 9.0) };
        if room > 7.0 {
            let (tx, ty) = at(x, middle, radius, f64::midpoint(from, to));
            let (sign, base) = (picture.sign(arc.shard), ty + size * 0.35);
            writeln!(
                f,
                r#"<text x="{tx:.1}" y="{base:.1}" font-size="{size}" class="c">{sign}</text>"#
            )?;
        }
    }
    let top = middle - OUTER;
    writeln!(f, r##"<path d="M{x} {}v-9" stroke="#222"/>"##, top)?;
    for (line, words) in [(-6.0, "tokens run clockwise"), (12.0, "from the mark at the top")] {
        let y = middle + line;
        writeln!(f, r#"<text x="{x}" y="{y}" class="c s" font-size="11">{words}</text>"#)?;
    }
    let lines = (keyspace.shares.len() + 1) as f64;
    let legend_y = (middle - lines * LEGEND_LINE / 2.0).max(y);
    let end = write_legend(picture, keyspace, LEGEND_X, legend_y, f)?;
    Ok(end.max(middle + OUTER + 10.0))
}

/// The part of a ring between two parts of a turn, clockwise from the top.
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

fn write_legend(
    picture: &Picture,
    keyspace: &KeyspaceMap,
    x: f64,
    mut y: f64,
    f: &mut impl Write,
) -> Result<f64, fmt::Error> {
    let columns = [x + 150.0, x + 215.0, x + 280.0, x + 360.0];
    let of = match keyspace.parts {
        Parts::Arcs(_) => "arcs",
        Parts::Ranges(_) => "ranges",
    };
    let cells = |y: f64, class: &str, cells: [&str; 4], f: &mut dyn Write| {
        columns.iter().zip(cells).try_for_each(|(x, cell)| {
            writeln!(f, r#"<text x="{x}" y="{y}" class="n{class}">{cell}</text>"#)
        })
    };
    y += 16.0;
    writeln!(f, r#"<text x="{}" y="{y}" class="s">shard</text>"#, x + 30.0)?;
    cells(y, " s", [of, "wanted", "owned", "keys"], f)?;
    let most = keyspace.shares.iter().map(|share| share.owned).fold(f64::MIN_POSITIVE, f64::max);
    let bar_x = x + 375.0;
    for (place, share) in keyspace.shares.iter().enumerate() {
        y += LEGEND_LINE;
        let (colour, sign) = (colour(place), picture.sign(place));
        let (top, name) = (y - 15.0, escape(&shard_name(picture, place)));
        let id = picture.shards.get(place).map(|shard| shard.info.id).unwrap_or_default();
        writeln!(
            f,
            r#"<rect x="{x}" y="{top}" width="22" height="19" rx="3" fill="{colour}"/><text x="{}" y="{y}" class="c">{sign}</text><text x="{}" y="{y}">{id}<title>{name}</title></text>"#,
            x + 11.0,
            x + 30.0
        )?;
        let numbers = [
            share.partitions.to_string(),
            human::percent(share.wanted),
            human::percent(share.owned),
            human::count(share.keys),
        ];
        cells(y, "", numbers.each_ref().map(String::as_str), f)?;
        let width = (WIDTH - MARGIN - bar_x) * share.owned / most;
        writeln!(
            f,
            r#"<rect x="{bar_x}" y="{}" width="{width:.1}" height="11" fill="{colour}"/>"#,
            y - 10.0
        )?;
    }
    Ok(y + 8.0)
}

/// A bar of ranges, as wide as they have keys, with the boundaries below.
fn write_ranges(
    picture: &Picture,
    keyspace: &KeyspaceMap,
    ranges: &[Part<KeyRange>],
    y: f64,
    f: &mut impl Write,
) -> Result<f64, fmt::Error> {
    const HEIGHT: f64 = 44.0;
    let mut boundaries = Vec::new();
    let mut x = MARGIN;
    for (range, width) in ranges.iter().zip(widths(ranges)) {
        let start = text::quoted(&range.span.start);
        let end = range.span.end.as_deref().map_or_else(String::new, text::quoted);
        let title = format!(
            "{}: {start}..{end}, about {} keys, {}",
            shard_name(picture, range.shard),
            human::count(range.keys),
            human::bytes(range.bytes)
        );
        let colour = colour(range.shard);
        writeln!(
            f,
            r#"<rect x="{x:.2}" y="{y}" width="{width:.2}" height="{HEIGHT}" class="p" fill="{colour}"><title>{}</title></rect>"#,
            escape(&title)
        )?;
        if width > 12.0 {
            let (middle, sign) = (x + width / 2.0, picture.sign(range.shard));
            let base = y + HEIGHT / 2.0 + 5.0;
            writeln!(f, r#"<text x="{middle:.1}" y="{base}" class="c">{sign}</text>"#)?;
        }
        if !range.span.start.is_empty() {
            boundaries.push((x, start));
        }
        x += width;
    }
    let lines = write_labels(&boundaries, y + HEIGHT, f)?;
    let below = y + HEIGHT + 20.0 + lines as f64 * LABEL_LINE;
    write_legend(picture, keyspace, MARGIN, below, f)
}

/// The width of each range: in proportion to its keys, but never too narrow to see.
fn widths(ranges: &[Part<KeyRange>]) -> impl Iterator<Item = f64> {
    let keys: u64 = ranges.iter().map(|range| range.keys).sum();
    let number = ranges.len() as f64;
    // Divided among all, whatever their keys: a tenth, or everything if there are no keys.
    let even = if keys == 0 { 1.0 } else { 0.1 };
    ranges.iter().map(move |range| {
        (WIDTH - 2.0 * MARGIN) * (even / number + (1.0 - even) * human::part(range.keys, keys))
    })
}

/// Labels below a bar, each with a tick down to it, so that none covers another or is crossed by
/// a tick. Those that find no room are left out. Gives how many lines they take.
fn write_labels(
    boundaries: &[(f64, String)],
    y: f64,
    f: &mut impl Write,
) -> Result<usize, fmt::Error> {
    // How far to the left each line is taken already, by a label or by the tick of a lower one.
    // From right to left, because a label stands to the right of its tick.
    let mut taken = [WIDTH - 5.0; LABEL_LINES];
    let mut lines = 0;
    for (x, label) in boundaries.iter().rev() {
        let to_the_edge = ((WIDTH - 10.0 - x) / LABEL_CHARACTER) as usize;
        let label = text::shorten(label, LABEL_CHARACTERS.min(to_the_edge));
        let end = x + 4.0 + label.chars().count() as f64 * LABEL_CHARACTER;
        let Some(line) = taken.iter().position(|taken| end < *taken) else { continue };
        taken.iter_mut().take(line + 1).for_each(|taken| *taken = *x);
        lines = lines.max(line + 1);
        let base = y + (line as f64 + 1.4) * LABEL_LINE;
        writeln!(
            f,
            r##"<path d="M{x:.2} {y}V{:.1}" stroke="#999"/><text x="{:.2}" y="{base:.1}" class="m">{}</text>"##,
            base + 1.0,
            x + 4.0,
            escape(&label)
        )?;
    }
    Ok(lines)
}

fn shard_name(picture: &Picture, shard: usize) -> String {
    picture.shards.get(shard).map_or_else(String::new, |shard| {
        format!("shard {} in {}", shard.info.id, shard.info.directory.display())
    })
}

fn colour(shard: usize) -> &'static str {
    COLOURS.get(shard % COLOURS.len()).copied().unwrap_or("#ccc")
}

/// Text as XML text. What XML cannot hold, even escaped, becomes the replacement character.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
