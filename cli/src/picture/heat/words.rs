//! Numbers, times and reshapes as a heat map's page shows them.

use super::model::Mark;
use annulus::topology::ReshapeKind;
use annulus_workload::human;

/// Returns a fraction of a whole, for CSS.
pub(super) fn percent(part: f64) -> String {
    format!("{:.3}%", part * 100.0)
}

/// Returns a time since the beginning of the record.
pub(super) fn time(ms: u64) -> String {
    match ms {
        ms if ms >= 7_200_000 => format!("{:.1} h", ms as f64 / 3.6e6),
        ms if ms >= 120_000 => format!("{:.1} min", ms as f64 / 6e4),
        ms => format!("{:.1} s", ms as f64 / 1e3),
    }
}

/// Returns operations a second.
pub(super) fn rate(per_second: f64) -> String {
    if per_second < 10.0 && per_second > 0.0 {
        format!("{per_second:.1}")
    } else {
        human::count(per_second.round() as u64)
    }
}

/// Returns a reshape as a letter.
pub(super) fn sign(mark: &Mark) -> String {
    match mark.kind {
        ReshapeKind::Split => "S".to_owned(),
        ReshapeKind::Merge => "M".to_owned(),
        ReshapeKind::Move => {
            mark.owners.first().map_or_else(|| "→".to_owned(), |owner| format!("→{owner}"))
        }
        _ => "?".to_owned(),
    }
}

/// Describes a reshape in words.
pub(super) fn told(mark: &Mark) -> String {
    let owners: Vec<String> = mark.owners.iter().map(ToString::to_string).collect();
    let (first, cuts) = mark.places.split_first().map_or(("", &[][..]), |(a, b)| (a, b));
    let shards = if owners.len() == 1 { "shard" } else { "shards" };
    let owners = owners.join(", ");
    match mark.kind {
        ReshapeKind::Split => format!("split at {}, to {shards} {owners}", cuts.join(", ")),
        kind => format!("{kind} of what begins at {first}, to {shards} {owners}"),
    }
}
