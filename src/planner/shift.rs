//! Shifts amounts from some shards of a range keyspace to others, in whole partitions where
//! possible, and in pieces where they are worth it.

use super::format::human;
use super::plan::{Plan, Step, StepSplitPoint};
use crate::id::{PartitionId, ShardId};
use crate::topology::{KeyspaceLayout, PartitionInfo, ReshapeKind};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// A smaller piece is not worth a split, whatever the others have.
const PIECE_BYTES_MIN: u128 = 1 << 20;

/// How much for each shard.
pub(super) type Amounts = BTreeMap<ShardId, u128>;

/// A partition that may be moved away.
pub(super) struct Part {
    pub(super) id: PartitionId,
    pub(super) owner: ShardId,
    /// In bytes, or 1 when partitions are counted.
    pub(super) size: u128,
}

impl Part {
    pub(super) fn new(partition: &PartitionInfo, bytes: u64) -> Self {
        Self { id: partition.id, owner: partition.owner, size: bytes.into() }
    }
}

/// A part of a partition that is moved away.
struct Piece {
    to: ShardId,
    size: u128,
}

pub(super) struct Shift<'k> {
    keyspace: &'k KeyspaceLayout,
    parts: &'k [Part],
    /// By how much a shard may get more than it needs, or a partition be left with less, so that a
    /// whole partition moves and none is split into a large and a tiny piece.
    small: u128,
    by_count: bool,
    /// The shard that the plan is for.
    subject: ShardId,
    needs: Amounts,
    plan: Plan,
}

impl<'k> Shift<'k> {
    /// `parts` are the partitions of `keyspace`, in order.
    pub(super) fn new(
        keyspace: &'k KeyspaceLayout,
        parts: &'k [Part],
        small: u128,
        by_count: bool,
        subject: ShardId,
    ) -> Self {
        let (needs, plan) = (Amounts::new(), Plan::default());
        Self { keyspace, parts, small, by_count, subject, needs, plan }
    }

    /// Moves amounts from the shards that have too much, in proportion, to those that need it.
    pub(super) fn run(mut self, surplus: Amounts, needs: Amounts) -> Plan {
        let amount = surplus.values().sum::<u128>().min(needs.values().sum());
        self.needs = in_proportion(&needs, amount);
        let mut missing = 0;
        for ((donor, most), share) in surplus.iter().zip(in_proportion(&surplus, amount).values()) {
            let needed: u128 = self.needs.values().sum();
            // And what the shards before could not give up, as far as this one has it.
            let gives = (share + missing).min(*most).min(needed);
            let left = self.give(*donor, gives);
            missing = (share + missing).saturating_sub(gives) + left;
        }
        self.plan
    }

    /// Moves away `amount` of what a shard has, from the end of the key order; returns the part of
    /// the amount that is left.
    fn give(&mut self, donor: ShardId, mut amount: u128) -> u128 {
        let mut may_split = !self.by_count;
        for part in self.parts.iter().rev().filter(|part| part.owner == donor && part.size > 0) {
            let Some((to, need)) = self.neediest().filter(|_| amount > 0) else { break };
            if self.takes_whole(part.size, amount.min(need)) {
                self.receive(to, part.size);
                amount = amount.saturating_sub(part.size);
                self.add_step(part, vec![Piece { to, size: part.size }]);
            } else if may_split {
                let pieces = self.split_off(part, &mut amount);
                // If some of it stays, what is left of the amount is too small for a piece, and
                // only a whole partition can still fit.
                may_split = pieces.iter().map(|piece| piece.size).sum::<u128>() == part.size;
                if !pieces.is_empty() {
                    self.add_step(part, pieces);
                }
            }
        }
        amount
    }

    /// Returns true if `size` goes undivided when `wanted` should go: if it is no more, or so
    /// little more that it is nearer to `wanted` than nothing is.
    fn takes_whole(&self, size: u128, wanted: u128) -> bool {
        let excess = size.saturating_sub(wanted);
        excess == 0 || excess <= self.small && excess < wanted
    }

    /// Returns the shard that needs most, of equal ones the first; `None` if no shard needs
    /// anything.
    fn neediest(&self) -> Option<(ShardId, u128)> {
        let needs = self.needs.iter().map(|(shard, need)| (*shard, *need));
        needs.filter(|(_, need)| *need > 0).min_by_key(|(shard, need)| (Reverse(*need), *shard))
    }

    fn receive(&mut self, to: ShardId, size: u128) {
        self.needs.entry(to).and_modify(|need| *need = need.saturating_sub(size));
    }

    /// Returns pieces for the shards that need most, from the end of a partition.
    fn split_off(&mut self, part: &Part, amount: &mut u128) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut rest = part.size;
        while let Some((to, need)) = self.neediest().filter(|_| *amount > 0 && rest > 0) {
            let exact = need.min(*amount).min(rest);
            let size = if self.takes_whole(rest, exact) { rest } else { exact };
            let least = PIECE_BYTES_MIN.max(self.small);
            if size < least {
                self.note_small(part, size, least);
                break;
            }
            self.receive(to, size);
            *amount = amount.saturating_sub(size);
            rest -= size;
            pieces.push(Piece { to, size });
        }
        pieces
    }

    fn note_small(&mut self, part: &Part, size: u128, least: u128) {
        self.plan.notes.push(format!(
            "keyspace `{}`: {} more should leave shard {}, but partition {} of {} is not split for \
             less than {}",
            self.keyspace.name(),
            human(size),
            part.owner,
            part.id,
            human(part.size),
            human(least)
        ));
    }

    /// Adds a step in which `pieces` of a partition go, the last in key order first; the rest
    /// stays.
    fn add_step(&mut self, part: &Part, pieces: Vec<Piece>) {
        let moved = pieces.iter().map(|piece| piece.size).sum::<u128>().min(part.size);
        let mut left = part.size - moved;
        let mut owners = if left > 0 { vec![part.owner] } else { Vec::new() };
        let mut split_points = Vec::new();
        let mut permille_last = 0;
        for piece in pieces.iter().rev() {
            // Never 0 or 1000, and never twice the same, however small a part of a large partition
            // is: a piece then becomes slightly larger.
            let permille = (left * 1000 / part.size.max(1)).max(permille_last + 1);
            if owners.is_empty() {
                owners.push(piece.to);
            } else if permille < 1000 {
                split_points.push(StepSplitPoint::Bytes { permille: permille as u32 });
                owners.push(piece.to);
                permille_last = permille;
            }
            left += piece.size;
        }
        let bytes = |size: u128| if self.by_count { 0 } else { size as u64 };
        let kind = if split_points.is_empty() { ReshapeKind::Move } else { ReshapeKind::Split };
        self.plan.steps.push(Step {
            keyspace: self.keyspace.id(),
            sources: vec![part.id],
            split_points,
            owners,
            kind,
            moved_bytes: bytes(moved),
            bytes: bytes(part.size),
            reason: format!("to bring shard {} to its share", self.subject),
        });
    }
}

/// Divides `amount` in proportion to `parts`; no part of the result is more than its part.
fn in_proportion(parts: &Amounts, amount: u128) -> Amounts {
    let sum: u128 = parts.values().sum();
    let mut so_far = 0;
    let mut given = 0;
    parts
        .iter()
        .map(|(shard, part)| {
            so_far += part;
            // The sum of many 64-bit sizes has only a few more bits.
            let upto = amount.saturating_mul(so_far) / sum.max(1);
            let share = upto.saturating_sub(given);
            given = upto;
            (*shard, share)
        })
        .collect()
}
