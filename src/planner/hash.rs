//! Plans for hash keyspaces: from the present ring to the ring as it should be.

use super::builder::PlanBuilder;
use super::plan::{Step, StepSplitPoint};
use super::sizes::share_of;
use crate::error::Result;
use crate::id::ShardId;
use crate::placement::{Ring, RingArc, Target, Token, TokenRange};
use crate::topology::{KeyspaceLayout, ReshapeKind, SplitPoint};

/// A part of an arc that has one owner in the target ring.
struct Piece {
    range: TokenRange,
    owner: ShardId,
}

/// Plans the steps after which every member has its share.
pub(super) fn balance(
    builder: &mut PlanBuilder<'_>,
    keyspace: &KeyspaceLayout,
    ring: &Ring,
    subject: ShardId,
) -> Result<()> {
    let wanted = |shard| if builder.is_draining(shard) { Target::Keep } else { Target::Share };
    let target = ring.with_targets(wanted)?;
    add_steps(builder, keyspace, ring, &target, &format!("to bring shard {subject} to its share"));
    Ok(())
}

/// Plans the steps that move what a member has to the others.
pub(super) fn empty(
    builder: &mut PlanBuilder<'_>,
    keyspace: &KeyspaceLayout,
    ring: &Ring,
    leaving: ShardId,
) -> Result<()> {
    let wanted = |shard| match shard {
        _ if shard == leaving => Target::Nothing,
        _ if builder.is_draining(shard) => Target::Keep,
        _ => Target::Share,
    };
    let target = ring.with_targets(wanted)?;
    add_steps(builder, keyspace, ring, &target, &format!("to empty shard {leaving}"));
    Ok(())
}

/// Adds a step for each arc that has other owners in the target ring.
fn add_steps(
    builder: &mut PlanBuilder<'_>,
    keyspace: &KeyspaceLayout,
    ring: &Ring,
    target: &Ring,
    reason: &str,
) {
    let mut created = 0;
    for (arc, partition) in ring.arcs().zip(keyspace.partitions()) {
        let pieces = pieces(arc, target);
        if pieces.iter().all(|piece| piece.owner == arc.owner) {
            continue;
        }
        let bytes = builder.bytes(&partition);
        let mut moved_bytes = 0;
        for piece in pieces.iter().filter(|piece| piece.owner != arc.owner) {
            let share = share_of(bytes, piece.range.width(), arc.range.width());
            builder.loads.shift(arc.owner, piece.owner, share);
            moved_bytes += share;
        }
        let start = |piece: &Piece| StepSplitPoint::At(SplitPoint::Token(piece.range.start));
        let kind = if pieces.len() == 1 { ReshapeKind::Move } else { ReshapeKind::Split };
        created += pieces.len() - 1;
        builder.add(Step {
            keyspace: keyspace.id(),
            sources: vec![partition.id],
            split_points: pieces.iter().skip(1).map(start).collect(),
            owners: pieces.iter().map(|piece| piece.owner).collect(),
            kind,
            moved_bytes,
            bytes,
            reason: reason.to_owned(),
        });
    }
    note_neighbours(builder, keyspace, ring.len() + created, target.len(), created);
}

/// Notes that splits leave more partitions than the target ring has arcs: where a boundary should
/// shift, a piece now adjoins its new owner's arc, and could be merged with it in a later plan.
fn note_neighbours(
    builder: &mut PlanBuilder<'_>,
    keyspace: &KeyspaceLayout,
    partitions: usize,
    wanted: usize,
    created: usize,
) {
    if created > 0 && partitions > wanted {
        builder.note(format!(
            "keyspace `{}` will have {partitions} partitions; merging neighbours of one shard \
             could make them {wanted}",
            keyspace.name(),
        ));
    }
}

/// Divides the arc by owners in the target ring; adjacent parts of one owner are one piece.
fn pieces(arc: RingArc, target: &Ring) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let first = target.arc_of(arc.range.start);
    let is_inside = |start: Token| arc.range.end.is_none_or(|end| start < end);
    let arcs = (first..target.len()).map_while(|index| target.arc(index));
    for part in arcs.take_while(|part| is_inside(part.range.start)) {
        let start = part.range.start.max(arc.range.start);
        let ends_inside = part.range.end.filter(|end| is_inside(*end));
        let range = TokenRange::new(start, ends_inside.or(arc.range.end));
        match pieces.last_mut() {
            Some(last) if last.owner == part.owner => last.range.end = range.end,
            _ => pieces.push(Piece { range, owner: part.owner }),
        }
    }
    pieces
}
