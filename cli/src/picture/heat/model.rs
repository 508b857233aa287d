//! The content of a heat map, collected from what a store has recorded of its load.

use super::axis::Axis;
use crate::redact::Keys;
use annulus::ShardId;
use annulus::heat::{KeyspaceHistory, KeyspaceReport, ReshapeEvent};
use annulus::rebalancer::SavedHeat;
use annulus::topology::{ReshapeKind, SplitPoint};
use annulus_workload::human;
use std::time::{Duration, UNIX_EPOCH};

/// The heat maps of a store's keyspaces.
#[derive(Debug, PartialEq)]
pub(crate) struct HeatPicture {
    /// When the load was recorded, in UTC.
    pub(crate) written: String,
    pub(crate) maps: Vec<HeatMap>,
}

/// The heat map of a keyspace.
#[derive(Debug, PartialEq)]
pub(crate) struct HeatMap {
    pub(crate) name: String,
    /// `hash` or `range`.
    pub(crate) partitioning: String,
    /// When the first column begins, in milliseconds since the beginning of the record.
    pub(crate) first_ms: u64,
    pub(crate) column_ms: u64,
    pub(crate) rows: usize,
    /// A list of rows for each column, from the bottom up: operations a second.
    pub(crate) columns: Vec<Vec<f64>>,
    /// Where each row begins, from the bottom up.
    pub(crate) begins: Vec<String>,
    pub(crate) marks: Vec<Mark>,
    pub(crate) boundaries: Vec<Boundary>,
    /// The partitions as they are now: from where to where, and on which shard.
    pub(crate) partitions: Vec<(f64, f64, ShardId)>,
}

/// A reshape. Times and places are fractions of the map's width and height.
#[derive(Debug, PartialEq)]
pub(crate) struct Mark {
    pub(crate) at: f64,
    pub(crate) at_ms: u64,
    pub(crate) kind: ReshapeKind,
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) owners: Vec<ShardId>,
    /// Where the first target begins, and the targets meet.
    pub(crate) places: Vec<String>,
}

/// A boundary between partitions, for as long as it was there.
#[derive(Debug, PartialEq)]
pub(crate) struct Boundary {
    pub(crate) height: f64,
    pub(crate) from: f64,
    pub(crate) to: f64,
}

impl HeatPicture {
    /// Returns the maps of all keyspaces with a history, or of one.
    pub(crate) fn of(heat: &SavedHeat, keyspace: Option<&str>, keys: &Keys) -> Self {
        let state = heat.state.as_ref();
        let reports = state.into_iter().flat_map(|state| &state.report.keyspaces);
        let recorded = state.map(|state| &state.history);
        let maps = reports
            .filter(|report| keyspace.is_none_or(|name| report.name == name))
            .filter_map(|report| {
                let recorded = recorded?;
                let history = recorded.keyspaces.iter().find(|it| it.keyspace == report.id)?;
                let marks = recorded.reshapes.iter().filter(|mark| mark.keyspace == report.id);
                HeatMap::of(report, history, marks.collect(), recorded.interval, keys)
            })
            .collect();
        Self { written: human::date(heat.state_written_at.unwrap_or(UNIX_EPOCH)), maps }
    }
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Times as parts of a map's width.
struct Times {
    first_ms: u64,
    length_ms: f64,
}

impl Times {
    fn part(&self, at: Duration) -> f64 {
        (whole_ms(at).saturating_sub(self.first_ms) as f64 / self.length_ms).clamp(0.0, 1.0)
    }
}

impl HeatMap {
    fn of(
        report: &KeyspaceReport,
        history: &KeyspaceHistory,
        marks: Vec<&ReshapeEvent>,
        column: Duration,
        keys: &Keys,
    ) -> Option<Self> {
        let (first, last) = (history.intervals.first()?, history.intervals.last()?);
        let column_ms = whole_ms(column).max(1);
        let first_ms = whole_ms(first.at) / column_ms * column_ms;
        let number = (whole_ms(last.at) - first_ms) / column_ms + 1;
        let places = history.intervals.iter().flat_map(|interval| &interval.samples);
        let axis = Axis::of(report.partitioning == "hash", places.map(|place| &place.at));
        let mut columns = vec![vec![0.0; axis.rows()]; usize::try_from(number).ok()?];
        for interval in &history.intervals {
            let column = ((whole_ms(interval.at) - first_ms) / column_ms) as usize;
            let Some(column) = columns.get_mut(column) else { continue };
            for place in &interval.samples {
                if let Some(cell) = column.get_mut(axis.row(&place.at)) {
                    *cell += place.weight * 1e3 / column_ms as f64;
                }
            }
        }
        let times = Times { first_ms, length_ms: (number * column_ms) as f64 };
        let marks: Vec<&ReshapeEvent> =
            marks.into_iter().filter(|mark| whole_ms(mark.at) >= first_ms).collect();
        let begin = |row| axis.begin(row).map_or_else(String::new, |place| label(&place, keys));
        Some(Self {
            name: report.name.clone(),
            partitioning: report.partitioning.clone(),
            first_ms,
            column_ms,
            rows: axis.rows(),
            columns,
            begins: (0..axis.rows()).map(begin).collect(),
            boundaries: boundaries(report, &marks, &axis, &times),
            marks: marks.iter().map(|mark| Mark::of(mark, &axis, &times, keys)).collect(),
            partitions: partitions(report, &axis),
        })
    }

    /// Returns the maximum number of operations a second in one cell.
    pub(crate) fn most(&self) -> f64 {
        self.columns.iter().flatten().copied().fold(0.0, f64::max)
    }
}

impl Mark {
    fn of(mark: &ReshapeEvent, axis: &Axis, times: &Times, keys: &Keys) -> Self {
        let spans = mark.targets.iter().map(|(span, _)| span);
        let ends: Vec<(f64, f64)> = spans.clone().map(|span| axis.span(span)).collect();
        Self {
            at: times.part(mark.at),
            at_ms: whole_ms(mark.at),
            kind: mark.kind,
            from: ends.iter().map(|(from, _)| *from).fold(1.0, f64::min),
            to: ends.iter().map(|(_, to)| *to).fold(0.0, f64::max),
            owners: mark.targets.iter().map(|(_, owner)| *owner).collect(),
            places: spans.map(|span| label(&start(span), keys)).collect(),
        }
    }
}

/// Returns the boundaries between partitions: those that splits made, until a merge removed them,
/// and those that were always there.
fn boundaries(
    report: &KeyspaceReport,
    marks: &[&ReshapeEvent],
    axis: &Axis,
    times: &Times,
) -> Vec<Boundary> {
    let mut open: Vec<(SplitPoint, f64)> = Vec::new();
    let mut closed = Vec::new();
    for mark in marks {
        let at = times.part(mark.at);
        for (place, _) in &mark.targets {
            let begin = start(place);
            let (from, to) = axis.span(place);
            // What lies inside a target is no longer a boundary.
            open.retain(|(cut, since)| {
                let height = axis.height(cut);
                let inside = *cut != begin && (from..to).contains(&height) && height > from;
                if inside {
                    closed.push(Boundary { height, from: *since, to: at });
                }
                !inside
            });
        }
        for (span, _) in mark.targets.iter().skip(1) {
            let cut = start(span);
            if !open.iter().any(|(other, _)| *other == cut) {
                open.push((cut, at));
            }
        }
    }
    for cut in report.partitions.iter().map(|partition| start(&partition.range)) {
        if !open.iter().any(|(other, _)| *other == cut) {
            open.push((cut, 0.0));
        }
    }
    let open = open.iter().map(|(cut, since)| (axis.height(cut), *since));
    closed.extend(open.map(|(height, from)| Boundary { height, from, to: 1.0 }));
    closed.retain(|boundary| boundary.height > 0.0);
    closed
}

fn partitions(report: &KeyspaceReport, axis: &Axis) -> Vec<(f64, f64, ShardId)> {
    let partitions = report.partitions.iter();
    partitions
        .map(|partition| {
            let (from, to) = axis.span(&partition.range);
            (from, to, partition.owner)
        })
        .collect()
}

fn start(span: &annulus::placement::PartitionRange) -> SplitPoint {
    match span {
        annulus::placement::PartitionRange::Tokens(span) => SplitPoint::Token(span.start),
        annulus::placement::PartitionRange::Keys(span) => SplitPoint::Key(span.start.clone()),
    }
}

fn label(place: &SplitPoint, keys: &Keys) -> String {
    match place {
        SplitPoint::Token(token) => token.to_string(),
        SplitPoint::Key(key) => keys.text(key),
    }
}
