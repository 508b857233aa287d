//! Bytes off the shards that have too many, with the least load.

use super::model::{Model, Piece, Purpose, Shard};
use super::receivers::{Rank, Receivers};
use super::refusal::{Reason, Subject};
use std::cmp::Reverse;

impl Model<'_> {
    /// One round over the shards of a group that have too many bytes: whole pieces, the coldest
    /// first, to whoever has the fewest for its weight. Returns whether anything moved, and what
    /// was refused.
    pub(super) fn shed_bytes(&mut self, group: usize) -> (bool, Vec<(Subject, Reason)>) {
        let members = self.members(group);
        let (start, goal) =
            (self.options.bytes_imbalance_start, self.options.bytes_imbalance_goal());
        let donors = self.by_bytes(&members);
        let worst = donors.last().map_or(0.0, |(Rank(times), _)| *times);
        if worst <= start || !self.bytes_matter(&members) {
            return (false, Vec::new());
        }
        let by_owner = self.pieces_by_owner();
        let targets = self.targets(&members, &by_owner);
        let load: f64 =
            members.iter().filter_map(|it| self.shards.get(*it)).map(|shard| shard.load).sum();
        let receivers =
            (load >= self.options.load_min).then(|| Receivers::new(self, &members, targets));
        let (mark, mut said) = (self.moves.len(), Vec::new());
        for (Rank(before), donor) in donors.into_iter().rev() {
            if before <= goal {
                break;
            }
            let pieces = by_owner.get(donor).map(Vec::as_slice).unwrap_or_default();
            self.shed_bytes_of(donor, pieces, &members, receivers.as_ref());
            let shard = self.shards.get(donor).filter(|it| it.bytes_times() > start);
            if let Some(shard) = shard {
                let times = shard.bytes_times();
                said.push((Subject::Shard(shard.id), Reason::NoBytesMove { times, start }));
            }
        }
        (self.moves.len() > mark, said)
    }

    fn by_bytes(&self, members: &[usize]) -> Vec<(Rank, usize)> {
        let rank = |index: &usize| Some((Rank(self.shards.get(*index)?.bytes_times()), *index));
        let mut ranks: Vec<(Rank, usize)> = members.iter().filter_map(rank).collect();
        ranks.sort_unstable();
        ranks
    }

    fn shed_bytes_of(
        &mut self,
        donor: usize,
        pieces: &[usize],
        members: &[usize],
        loads: Option<&Receivers>,
    ) {
        let goal = self.options.bytes_imbalance_goal();
        let mut coldest: Vec<usize> = pieces.to_vec();
        let rank = |index: &usize| {
            self.pieces.get(*index).map_or((Rank(0.0), Reverse(Rank(0.0))), |piece| {
                (Rank(piece.load / piece.bytes.max(1.0)), Reverse(Rank(piece.bytes)))
            })
        };
        coldest.sort_by_cached_key(|index| (rank(index), *index));
        let mut takers: std::collections::BTreeSet<(Rank, usize)> =
            self.by_bytes(members).into_iter().filter(|(_, it)| *it != donor).collect();
        for index in coldest {
            let Some((piece, shard)) = self.pieces.get(index).zip(self.shards.get(donor)) else {
                continue;
            };
            let excess = shard.bytes - goal * shard.fair_bytes;
            if excess <= 0.0 {
                return;
            }
            let before = shard.bytes_times();
            let least = self.options.gain_min * shard.fair_bytes / 16.0;
            if piece.bytes < least || piece.owner != donor {
                continue;
            }
            let fits = |it: &&(Rank, usize)| self.takes_bytes(piece, it.1, before, loads);
            let taker = takers.iter().take(8).find(fits).copied();
            let Some((rank, taker)) = taker else { continue };
            self.give(index, taker, Purpose::Bytes);
            takers.remove(&(rank, taker));
            let rank = self.shards.get(taker).map_or(0.0, Shard::bytes_times);
            takers.insert((Rank(rank), taker));
        }
    }

    /// Whether a shard takes a piece for its bytes: it ends within the goal, or at least better
    /// than the donor was; and its load stays in bounds.
    fn takes_bytes(
        &self,
        piece: &Piece,
        taker: usize,
        before: f64,
        loads: Option<&Receivers>,
    ) -> bool {
        let Some(shard) = self.shards.get(taker) else { return false };
        let after = (shard.bytes + piece.bytes) / shard.fair_bytes;
        let gain_min = self.options.gain_min;
        let room = loads.is_none_or(|loads| piece.load <= loads.room(self, taker));
        (after <= self.options.bytes_imbalance_goal() || after <= before - gain_min)
            && (piece.load <= 0.0 || room)
            && self.cannot_hold(piece, taker).is_none()
    }
}
