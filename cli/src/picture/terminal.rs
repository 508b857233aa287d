//! The map as text: rings are round, each shard has a letter, and a colour where there are any.

use super::model::{KeyRange, KeyspaceMap, Part, Parts, Picture};
use crate::text;
use annulus::placement::TokenRange;
use annulus_workload::human;
use std::f64::consts::TAU;
use std::fmt::{self, Write};

/// The outer and inner radius of a ring, in lines. A line is as high as two columns are wide.
const OUTER: f64 = 8.5;
const INNER: f64 = 4.9;

/// How many lines a ring takes, and how many columns.
const RING_LINES: usize = 17;
const RING_COLUMNS: usize = 2 * RING_LINES + 1;

/// How many partitions are listed one by one.
const LISTED_MAX: usize = 256;

/// Colours of the 256-colour palette that differ for most eyes.
const COLOURS: [u8; 10] = [39, 208, 35, 199, 226, 141, 51, 203, 118, 250];

/// What the terminal can do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) width: usize,
    pub(crate) colour: bool,
    pub(crate) ascii: bool,
}

impl Style {
    /// Detects the style from the environment.
    pub(crate) fn detect(is_terminal: bool, ascii: bool) -> Self {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let columns = || set("COLUMNS").and_then(|columns| columns.parse().ok());
        let terminal = terminal_size::terminal_size().filter(|_| is_terminal);
        let width = terminal.map(|(width, _)| usize::from(width.0)).or_else(columns);
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
        // Without a locale it is more likely a container than an old terminal.
        let utf8 = locale.is_none_or(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        let dumb = set("TERM").is_some_and(|terminal| terminal == "dumb");
        Self {
            width: width.unwrap_or(100).clamp(40, 200),
            colour: is_terminal && !dumb && set("NO_COLOR").is_none(),
            ascii: ascii || !utf8,
        }
    }

    fn paint(self, shard: usize, text: &str) -> String {
        match COLOURS.get(shard % COLOURS.len()).filter(|_| self.colour) {
            Some(colour) => format!("\x1b[38;5;{colour}m{text}\x1b[0m"),
            None => text.to_owned(),
        }
    }

    /// Returns a bar for a fraction of `columns`, from 0 to 1.
    fn bar(self, part: f64, columns: usize) -> String {
        let eighths = (part.clamp(0.0, 1.0) * columns as f64 * 8.0).round() as usize;
        if self.ascii {
            return "#".repeat(eighths.div_ceil(8));
        }
        let last = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"].get(eighths % 8).copied();
        "█".repeat(eighths / 8) + last.unwrap_or_default()
    }

    const fn to(self) -> &'static str {
        if self.ascii { ".." } else { "…" }
    }
}

/// Draws a map.
pub(crate) fn draw(picture: &Picture, style: Style) -> String {
    let mut drawn = String::new();
    // Writing to a string cannot fail.
    let _ = write(picture, style, &mut drawn);
    drawn
}

fn write(picture: &Picture, style: Style, f: &mut impl Write) -> fmt::Result {
    let (place, shards) = (picture.store.display().to_string(), picture.shards.len());
    let place = text::plain_line(&place);
    writeln!(f, "store {place}, epoch {}, {shards} shards", picture.epoch)?;
    for keyspace in &picture.keyspaces {
        let kind = match keyspace.parts {
            Parts::Arcs(_) => "arcs",
            Parts::Ranges(_) => "ranges",
        };
        let [name, how] = [&keyspace.name, &keyspace.how].map(|said| text::plain_line(said));
        let number = keyspace.partitions();
        write!(f, "\nkeyspace {name}, by {how}, {number} {kind}")?;
        match keyspace.max_over_mean {
            Some(ratio) => writeln!(f, ", max/mean {ratio:.3}\n")?,
            None => writeln!(f, ", no keys\n")?,
        }
        match &keyspace.parts {
            Parts::Arcs(arcs) => write_ring(picture, keyspace, arcs, style, f)?,
            Parts::Ranges(ranges) => write_ranges(picture, keyspace, ranges, style, f)?,
        }
    }
    Ok(())
}

fn write_ring(
    picture: &Picture,
    keyspace: &KeyspaceMap,
    arcs: &[Part<TokenRange>],
    style: Style,
    f: &mut impl Write,
) -> fmt::Result {
    let ring = ring(picture, arcs, style);
    let room = style.width.saturating_sub(RING_COLUMNS + 5);
    if room >= 44 {
        let legend = legend(picture, keyspace, style, room);
        let above = ring.len().saturating_sub(legend.len()) / 2;
        let beside = std::iter::repeat_n(String::new(), above).chain(legend);
        let lines = ring.len().max(above + picture.shards.len() + 1);
        let ring = ring.into_iter().chain(std::iter::repeat(" ".repeat(RING_COLUMNS)));
        for (left, right) in ring.zip(beside.chain(std::iter::repeat(String::new()))).take(lines) {
            writeln!(f, "{}", format!("  {left}   {right}").trim_end())?;
        }
    } else {
        for line in ring.iter().chain(&legend(picture, keyspace, style, style.width - 2)) {
            writeln!(f, "  {}", line.trim_end())?;
        }
    }
    writeln!(f, "\n  arcs in order of tokens, clockwise from the top:")?;
    let listed: Vec<_> = arcs.iter().take(LISTED_MAX).collect();
    for line in listed.chunks(style.width - 2) {
        let signs = line.iter().map(|arc| style.paint(arc.shard, &sign(picture, arc.shard)));
        writeln!(f, "  {}", signs.collect::<String>())?;
    }
    more(arcs.len(), f)
}

/// Returns the lines of a round ring, each [`RING_COLUMNS`] wide.
fn ring(picture: &Picture, arcs: &[Part<TokenRange>], style: Style) -> Vec<String> {
    let middle = (RING_LINES / 2) as f64;
    let cell = |line: usize, column: usize| {
        let (x, y) = ((column as f64 / 2.0) - middle, line as f64 - middle);
        let radius = x.hypot(y);
        if !(INNER..OUTER).contains(&radius) {
            return " ".to_owned();
        }
        let turn = x.atan2(-y).rem_euclid(TAU) / TAU;
        let token = (turn * 2f64.powi(64)) as u64;
        let index = arcs.partition_point(|arc| arc.span.start.0 <= token).saturating_sub(1);
        let shard = arcs.get(index).map_or(usize::MAX, |arc| arc.shard);
        style.paint(shard, &sign(picture, shard))
    };
    (0..RING_LINES)
        .map(|line| (0..RING_COLUMNS).map(|column| cell(line, column)).collect())
        .collect()
}

fn sign(picture: &Picture, shard: usize) -> String {
    picture.sign(shard).to_string()
}

/// Returns a line for each shard: what it should have, what it has, and a bar.
fn legend(picture: &Picture, keyspace: &KeyspaceMap, style: Style, width: usize) -> Vec<String> {
    let of = match keyspace.parts {
        Parts::Arcs(_) => "arcs",
        Parts::Ranges(_) => "ranges",
    };
    let head = format!("{:<9} {of:>6} {:>7} {:>7} {:>12}", "  shard", "wanted", "owned", "keys");
    let most = keyspace.shares.iter().map(|share| share.owned).fold(0.0, f64::max);
    let room = width.saturating_sub(head.len() + 2).min(30);
    let line = |(place, share): (usize, &super::model::Share)| {
        let id = picture.shards.get(place).map(|shard| shard.info.id).unwrap_or_default();
        let sign = style.paint(place, &sign(picture, place));
        let bar = if most > 0.0 { style.bar(share.owned / most, room) } else { String::new() };
        format!(
            "{sign} {:<7} {:>6} {:>7} {:>7} {:>12}  {}",
            id.to_string(),
            share.partitions,
            human::percent(share.wanted),
            human::percent(share.owned),
            human::count(share.keys),
            style.paint(place, &bar),
        )
    };
    std::iter::once(head).chain(keyspace.shares.iter().enumerate().map(line)).collect()
}

fn write_ranges(
    picture: &Picture,
    keyspace: &KeyspaceMap,
    ranges: &[Part<KeyRange>],
    style: Style,
    f: &mut impl Write,
) -> fmt::Result {
    for line in legend(picture, keyspace, style, style.width - 2) {
        writeln!(f, "  {}", line.trim_end())?;
    }
    let quoted = |key: &[u8]| text::shorten(&text::quoted(key), 32).into_owned();
    let column = |names: &dyn Fn(&Part<KeyRange>) -> String| {
        ranges.iter().take(LISTED_MAX).map(|range| names(range).chars().count()).max().unwrap_or(0)
    };
    let start = |range: &Part<KeyRange>| quoted(&range.span.start);
    let end = |range: &Part<KeyRange>| range.span.end.as_deref().map_or(String::new(), quoted);
    let (starts, ends) = (column(&start), column(&end));
    let most = ranges.iter().map(|range| range.keys).max().unwrap_or(0);
    let room = style.width.saturating_sub(starts + ends + 37).min(30);
    writeln!(f)?;
    for range in ranges.iter().take(LISTED_MAX) {
        let bar = style.bar(human::part(range.keys, most), room);
        let line = format!(
            "  {} {:<starts$} {} {:<ends$} {:>12} keys {:>10}  {}",
            style.paint(range.shard, &sign(picture, range.shard)),
            start(range),
            style.to(),
            end(range),
            human::count(range.keys),
            human::bytes(range.bytes),
            style.paint(range.shard, &bar),
        );
        writeln!(f, "{}", line.trim_end())?;
    }
    more(ranges.len(), f)
}

fn more(parts: usize, f: &mut impl Write) -> fmt::Result {
    match parts.checked_sub(LISTED_MAX) {
        None | Some(0) => Ok(()),
        Some(more) => writeln!(f, "  and {more} more; --json lists all"),
    }
}
