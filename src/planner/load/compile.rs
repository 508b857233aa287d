//! From pieces that have moved to the reshapes that move them.

use super::model::{Model, Piece, Purpose, Source};
use super::{Action, Cause};
use crate::planner::{Step, StepSplitPoint};
use crate::topology::ReshapeKind;
use std::collections::{BTreeMap, BTreeSet};

/// An action, and what it shifts between shards.
pub(super) struct Draft {
    pub(super) action: Action,
    pub(super) shifts: Vec<Shift>,
}

/// Load and bytes that change shard.
pub(super) struct Shift {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) load: f64,
    pub(super) bytes: f64,
}

impl Model<'_> {
    /// An action for each partition of which something has moved, in the order of the moves, so
    /// that each leaves the shards no worse than they were before. `times_before` says what each
    /// shard had before, of its share of load and of bytes.
    pub(super) fn compile(&self, times_before: &[[f64; 2]]) -> Vec<Draft> {
        let moved: Vec<usize> = self
            .moves
            .iter()
            .filter_map(|(index, _)| self.pieces.get(*index).map(|piece| piece.source))
            .collect();
        let wanted: BTreeSet<usize> = moved.iter().copied().collect();
        let mut pieces: BTreeMap<usize, Vec<&Piece>> = BTreeMap::new();
        let cut_off = self.pieces.iter().skip(self.sources.len());
        let first = wanted.iter().filter_map(|source| self.pieces.get(*source));
        for piece in first.chain(cut_off.filter(|piece| wanted.contains(&piece.source))) {
            pieces.entry(piece.source).or_default().push(piece);
        }
        let mut drafts = Vec::new();
        for index in moved {
            let Some(mut pieces) = pieces.remove(&index) else { continue };
            pieces.sort_by_key(|piece| (piece.from, piece.to));
            let Some(source) = self.sources.get(index) else { continue };
            drafts.extend(self.draft(source, &pieces, times_before));
        }
        drafts
    }

    fn draft(
        &self,
        source: &Source<'_>,
        pieces: &[&Piece],
        times_before: &[[f64; 2]],
    ) -> Option<Draft> {
        let (mut split_points, mut owners) = (Vec::new(), Vec::new());
        let mut last: Option<&Piece> = None;
        for piece in pieces {
            match last {
                Some(last) if last.owner == piece.owner => {}
                Some(last) => {
                    split_points.push(StepSplitPoint::At(self.boundary(last, piece)?));
                    owners.push(piece.owner);
                }
                None => owners.push(piece.owner),
            }
            last = Some(piece);
        }
        let goes: Vec<&&Piece> =
            pieces.iter().filter(|piece| piece.owner != source.owner).collect();
        if goes.is_empty() {
            return None;
        }
        let shift = |piece: &&&Piece| Shift {
            from: source.owner,
            to: piece.owner,
            load: piece.load,
            bytes: piece.bytes,
        };
        let shifts: Vec<Shift> = goes.iter().map(shift).collect();
        let moved_load: f64 = shifts.iter().map(|shift| shift.load).sum();
        let moved_bytes: f64 = shifts.iter().map(|shift| shift.bytes).sum();
        let purpose = goes.iter().map(|piece| piece.purpose).min()?;
        let donor = self.shards.get(source.owner)?;
        let kind = if split_points.is_empty() { ReshapeKind::Move } else { ReshapeKind::Split };
        let step = Step {
            keyspace: source.keyspace.id(),
            sources: vec![source.id],
            split_points,
            owners: owners.iter().filter_map(|it| Some(self.shards.get(*it)?.id)).collect(),
            kind,
            moved_bytes: (moved_bytes.round() as u64).min(source.bytes),
            bytes: source.bytes,
            reason: self.reason(source, &goes, [moved_load, moved_bytes], times_before)?,
        };
        let gain = if donor.fair_load > 0.0 { moved_load / donor.fair_load } else { 0.0 };
        let cause = match purpose {
            Purpose::Load => Cause::Load,
            Purpose::Bytes => Cause::Bytes,
        };
        Some(Draft { action: Action { step, cause, moved_load, gain }, shifts })
    }

    fn reason(
        &self,
        source: &Source<'_>,
        goes: &[&&Piece],
        [load, bytes]: [f64; 2],
        times_before: &[[f64; 2]],
    ) -> Option<String> {
        let shard = self.shards.get(source.owner)?.id;
        let [of_load, of_bytes] = times_before.get(source.owner)?;
        if goes.iter().all(|piece| piece.purpose == Purpose::Bytes) {
            let moved = crate::planner::format::human(bytes as u128);
            return Some(format!(
                "shard {shard} has {of_bytes:.2} times its share of the bytes; {moved} with \
                 {load:.1} operations a second go"
            ));
        }
        let all = source.load;
        let appended = source.profile.is_some_and(|profile| {
            goes.iter().any(|piece| piece.from == piece.to && piece.from == profile.place_count())
        });
        let which = match appended {
            true => ", where new keys are appended,",
            false => "",
        };
        Some(format!(
            "shard {shard} has {of_load:.2} times its share of the load; {load:.1} of the \
             partition's {all:.1} operations a second{which} go"
        ))
    }
}
