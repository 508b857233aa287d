//! Compilation: from pieces that have moved to the reshapes that move them.

use super::cut_pieces::boundary;
use super::model::{Model, Piece, Purpose};
use super::numbered::Numbered;
use super::plan::{Action, Cause};
use crate::planner::format::human;
use crate::planner::plan::{Step, StepSplitPoint};
use crate::topology::ReshapeKind;
use std::collections::{BTreeMap, BTreeSet};

/// An action, and what it transfers between shards.
pub(super) struct PlannedAction {
    pub(super) action: Action,
    pub(super) transfers: Vec<Transfer>,
}

/// Load and bytes that change shard.
pub(super) struct Transfer {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) load: f64,
    pub(super) bytes: f64,
}

/// Returns an action for each partition of which something has moved, in the order of the moves, so
/// that each leaves the shards no worse than before. `times_before` is what each shard had before,
/// as a multiple of its share of load and of bytes.
pub(super) fn actions(model: &Model<'_>, times_before: &Numbered<[f64; 2]>) -> Vec<PlannedAction> {
    let source = |(piece, _): &(usize, usize)| model.pieces[*piece].source;
    let moved: Vec<usize> = model.moves.iter().map(source).collect();
    let mut pieces: BTreeMap<usize, Vec<&Piece>> = BTreeMap::new();
    let changed: BTreeSet<usize> = moved.iter().copied().collect();
    let first = changed.iter().map(|source| &model.pieces[*source]);
    let split_off = model.pieces.iter().skip(model.sources.len());
    for piece in first.chain(split_off.filter(|piece| changed.contains(&piece.source))) {
        pieces.entry(piece.source).or_default().push(piece);
    }
    let mut actions = Vec::new();
    for source in moved {
        // A partition with several moved pieces is compiled with the first of them.
        let Some(mut pieces) = pieces.remove(&source) else { continue };
        pieces.sort_by_key(|piece| (piece.from, piece.to));
        actions.extend(compile(model, source, &pieces, times_before[model.sources[source].owner]));
    }
    actions
}

/// Returns the action for the pieces of a partition; `None` if all have been moved back.
fn compile(
    model: &Model<'_>,
    number: usize,
    pieces: &[&Piece],
    times_before: [f64; 2],
) -> Option<PlannedAction> {
    let source = &model.sources[number];
    let (mut split_points, mut owners) = (Vec::new(), Vec::new());
    let mut last: Option<&Piece> = None;
    for piece in pieces {
        match last {
            Some(last) if last.owner == piece.owner => {}
            Some(last) => {
                split_points.push(StepSplitPoint::At(boundary(model, last, piece)));
                owners.push(model.shards[piece.owner].id);
            }
            None => owners.push(model.shards[piece.owner].id),
        }
        last = Some(piece);
    }
    let leaving: Vec<&Piece> =
        pieces.iter().copied().filter(|piece| piece.owner != source.owner).collect();
    let purpose = leaving.iter().map(|piece| piece.purpose).min()?;
    let transfer = |piece: &&Piece| Transfer {
        from: source.owner,
        to: piece.owner,
        load: piece.load,
        bytes: piece.bytes,
    };
    let transfers: Vec<Transfer> = leaving.iter().map(transfer).collect();
    let moved_load: f64 = transfers.iter().map(|transfer| transfer.load).sum();
    let moved_bytes: f64 = transfers.iter().map(|transfer| transfer.bytes).sum();
    let donor = &model.shards[source.owner];
    let kind = if split_points.is_empty() { ReshapeKind::Move } else { ReshapeKind::Split };
    let step = Step {
        keyspace: source.keyspace.id(),
        sources: vec![source.id],
        split_points,
        owners,
        kind,
        moved_bytes: (moved_bytes.round() as u64).min(source.bytes),
        bytes: source.bytes,
        reason: reason(model, number, &leaving, [moved_load, moved_bytes], times_before),
    };
    let gain = if donor.fair_load > 0.0 { moved_load / donor.fair_load } else { 0.0 };
    let cause = match purpose {
        Purpose::Load => Cause::Load,
        Purpose::Bytes => Cause::Bytes,
    };
    Some(PlannedAction { action: Action { step, cause, moved_load, gain }, transfers })
}

/// Returns why pieces of a partition leave its shard.
fn reason(
    model: &Model<'_>,
    number: usize,
    leaving: &[&Piece],
    [load, bytes]: [f64; 2],
    [of_load, of_bytes]: [f64; 2],
) -> String {
    let source = &model.sources[number];
    let shard = model.shards[source.owner].id;
    if leaving.iter().all(|piece| piece.purpose == Purpose::Bytes) {
        let moved = human(bytes as u128);
        return format!(
            "shard {shard} has {of_bytes:.2} times its share of the bytes; {moved} with {load:.1} \
             operations a second go"
        );
    }
    let all = source.load;
    let appended = source.profile.is_some_and(|profile| {
        leaving.iter().any(|piece| piece.from == piece.to && piece.from == profile.place_count())
    });
    let which = if appended { ", where new keys are appended," } else { "" };
    format!(
        "shard {shard} has {of_load:.2} times its share of the load; {load:.1} of the partition's \
         {all:.1} operations a second{which} go"
    )
}
