//! Hash keyspaces: from the ring as it is to the ring as it should be.

use super::{Planner, Step, StepSplitPoint, share_of};
use crate::error::Result;
use crate::id::ShardId;
use crate::placement::{Goal, Ring, RingArc, Token, TokenRange};
use crate::topology::{KeyspaceLayout, ReshapeKind, SplitPoint};

/// A part of an arc that has one owner in the goal.
struct Piece {
    range: TokenRange,
    owner: ShardId,
}

impl Planner<'_> {
    /// Gives every member its share.
    pub(super) fn balance_ring(
        &mut self,
        keyspace: &KeyspaceLayout,
        ring: &Ring,
        subject: ShardId,
    ) -> Result<()> {
        let goal = |shard| if self.is_draining(shard) { Goal::Keep } else { Goal::Share };
        let goal = ring.toward(goal)?;
        self.ring_steps(keyspace, ring, &goal, &format!("shard {subject} is to own its share"));
        Ok(())
    }

    /// Gives what a member has to the others.
    pub(super) fn empty_ring(
        &mut self,
        keyspace: &KeyspaceLayout,
        ring: &Ring,
        leaves: ShardId,
    ) -> Result<()> {
        let goal = |shard| match shard {
            _ if shard == leaves => Goal::Nothing,
            _ if self.is_draining(shard) => Goal::Keep,
            _ => Goal::Share,
        };
        let goal = ring.toward(goal)?;
        self.ring_steps(keyspace, ring, &goal, &format!("shard {leaves} is to own nothing"));
        Ok(())
    }

    /// A step for each arc that has other owners in the goal.
    fn ring_steps(&mut self, keyspace: &KeyspaceLayout, ring: &Ring, goal: &Ring, reason: &str) {
        let mut created = 0;
        for (arc, partition) in ring.arcs().zip(keyspace.partitions()) {
            let pieces = pieces(arc, goal);
            if pieces.iter().all(|piece| piece.owner == arc.owner) {
                continue;
            }
            let bytes = self.bytes(&partition);
            let mut moved_bytes = 0;
            for piece in pieces.iter().filter(|piece| piece.owner != arc.owner) {
                let share = share_of(bytes, piece.range.width(), arc.range.width());
                self.loads.shift(arc.owner, piece.owner, share);
                moved_bytes += share;
            }
            let cut = |piece: &Piece| StepSplitPoint::At(SplitPoint::Token(piece.range.start));
            let kind = if pieces.len() == 1 { ReshapeKind::Move } else { ReshapeKind::Split };
            created += pieces.len() - 1;
            self.plan.steps.push(Step {
                keyspace: keyspace.id(),
                sources: vec![partition.id],
                split_points: pieces.iter().skip(1).map(cut).collect(),
                owners: pieces.iter().map(|piece| piece.owner).collect(),
                kind,
                moved_bytes,
                bytes,
                reason: reason.to_owned(),
            });
        }
        self.note_neighbours(keyspace, ring, goal, created);
    }

    /// Splits leave more partitions than the goal has arcs: where a boundary should shift, a piece
    /// now lies beside its new owner's arc. It could be merged with that, in a later plan.
    fn note_neighbours(
        &mut self,
        keyspace: &KeyspaceLayout,
        ring: &Ring,
        goal: &Ring,
        created: usize,
    ) {
        let partitions = ring.len() + created;
        let surplus = partitions.saturating_sub(goal.len());
        if created > 0 && surplus > 0 {
            self.plan.notes.push(format!(
                "keyspace `{}` will have {partitions} partitions; merging neighbours of one shard \
                 could make them {}",
                keyspace.name(),
                goal.len()
            ));
        }
    }
}

/// The arc divided by owners in the goal; what adjoins and has one owner is one piece.
fn pieces(arc: RingArc, goal: &Ring) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let first = goal.arc_of(arc.range.start);
    let is_inside = |start: Token| arc.range.end.is_none_or(|end| start < end);
    let arcs = (first..goal.len()).map_while(|index| goal.arc(index));
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
