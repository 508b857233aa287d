//! Shedding load: off the shards that have too much, with the fewest bytes.

use super::cut_pieces::{EXCESS, isolate, split_off};
use super::model::{Model, Piece};
use super::receivers::{Rank, Receivers, why_not_hold};
use super::refusal::{EXPLAINED, Reason, Subject};
use super::targets::targets;
use crate::heat::Profile;
use std::cmp::Reverse;

/// A whole piece moves in place of one that would have to be split, if it has at least this
/// fraction of its load for its bytes.
const DENSITY_MIN: f64 = 0.8;

/// Nothing smaller moves for its load, in fair shares of a shard.
const DUST: f64 = 0.001;

/// Nothing smaller is split off, in fair shares of a shard.
const PART_MIN: f64 = 0.01;

/// How many whole pieces are considered in place of one that would have to be split.
const LOOKED_AT: usize = 64;

/// What became of a piece.
enum Fate {
    /// It is gone.
    Gone,
    /// A part of it is gone, or another piece in its place: it has to be considered again.
    Again,
    Stays(Reason),
}

/// Moves load between the shards of a group, if one has enough more than its share, or `begun` says
/// that one had in an earlier round. Returns whether anything moved, and what was refused.
pub(super) fn round(
    model: &mut Model<'_>,
    group: usize,
    begun: bool,
) -> (bool, Vec<(Subject, Reason)>) {
    let members = model.members(group);
    let mut by_owner = model.pieces_by_owner();
    let targets = targets(model, &members, &by_owner);
    let receivers = Receivers::new(model, &members, targets);
    let mut round = Round { model, receivers, refused: Vec::new() };
    let mut donors: Vec<(Reverse<Rank>, usize)> =
        members.into_iter().map(|it| (Reverse(Rank(round.above(it))), it)).collect();
    donors.sort_unstable();
    if !round.begins(&donors, begun) {
        return (false, round.refused);
    }
    let (count, mut gain) = (round.model.moves.len(), 0.0_f64);
    for (_, donor) in &donors {
        if round.excess(*donor) > 0.0 {
            let before = round.times(*donor);
            round.relieve(*donor, std::mem::take(&mut by_owner[*donor]));
            gain = gain.max(before - round.times(*donor));
        }
    }
    let wanted = round.model.options.gain_min;
    if gain < wanted {
        round.model.undo(count);
        if gain > 0.0
            && let Some((_, worst)) = donors.first()
        {
            round.refuse_shard(*worst, Reason::LittleGain { gain, wanted });
        }
    }
    (round.model.moves.len() > count, round.refused)
}

/// One round over the shards of a group.
struct Round<'m, 'a> {
    model: &'m mut Model<'a>,
    receivers: Receivers,
    refused: Vec<(Subject, Reason)>,
}

impl Round<'_, '_> {
    /// Returns true if the worst of the shards is bad enough.
    fn begins(&mut self, donors: &[(Reverse<Rank>, usize)], begun: bool) -> bool {
        // A group in which every shard is draining has no members.
        let Some((Reverse(Rank(above)), worst)) = donors.first() else { return false };
        let load: f64 = donors.iter().map(|(_, shard)| self.model.shards[*shard].load).sum();
        let (wanted, start) = (self.model.options.load_min, self.model.options.imbalance_start);
        let times = 1.0 + above;
        if load < wanted {
            if times > start {
                self.refuse_shard(*worst, Reason::LittleLoad { load, wanted });
            }
            return false;
        }
        if !begun && times <= start {
            if times > self.model.options.imbalance_goal {
                self.refuse_shard(*worst, Reason::Balanced { times, start });
            }
            return false;
        }
        true
    }

    fn above(&self, shard: usize) -> f64 {
        self.receivers.above(self.model, shard)
    }

    fn times(&self, shard: usize) -> f64 {
        self.model.shards[shard].load_times()
    }

    fn fair(&self, shard: usize) -> f64 {
        self.model.shards[shard].fair_load
    }

    /// Returns how much load a shard has to give up, rounding errors aside.
    fn excess(&self, shard: usize) -> f64 {
        -self.receivers.room(self.model, shard) - 1e-9 * self.fair(shard)
    }

    fn refuse_shard(&mut self, shard: usize, reason: Reason) {
        self.refused.push((Subject::Shard(self.model.shards[shard].id), reason));
    }

    /// Takes from a shard what it has in excess, the pieces with the most load for their bytes
    /// first.
    fn relieve(&mut self, donor: usize, mut pieces: Vec<usize>) {
        self.set_pinned_apart(donor, &mut pieces);
        let density = |number: &usize| density(&self.model.pieces[*number]);
        pieces.sort_by_cached_key(|number| (Reverse(Rank(density(number))), *number));
        let mut stay: Vec<(usize, Reason)> = Vec::new();
        let mut rest = pieces.as_slice();
        while let Some((number, behind)) = rest.split_first() {
            if self.excess(donor) <= 0.0 {
                return;
            }
            match self.give(donor, *number, behind) {
                Fate::Gone => rest = behind,
                Fate::Again => {}
                Fate::Stays(reason) => {
                    // Before anything is moved in its place.
                    if !(self.is_too_large(*number) && self.lump(donor, &[*number])) {
                        stay.push((*number, reason));
                    }
                    rest = behind;
                }
            }
        }
        while self.lump(donor, &pieces) {}
        if self.excess(donor) > 0.0 {
            self.refuse_largest(stay);
        }
    }

    /// Sets apart the place that a shard keeps because it cannot be divided and is all that the
    /// shard should have, so that everything around it can move.
    fn set_pinned_apart(&mut self, donor: usize, pieces: &mut Vec<usize>) {
        let target = self.receivers.target(donor);
        let is_pinned = |number: &usize| self.model.pieces[*number].atom >= target && target > 0.0;
        let Some(position) = pieces.iter().position(is_pinned) else { return };
        let pinned = pieces.swap_remove(position);
        pieces.extend(isolate(self.model, pinned));
    }

    /// Moves a piece away, whole or in part, or one of the `rest` in its place.
    fn give(&mut self, donor: usize, number: usize, rest: &[usize]) -> Fate {
        let (excess, fair) = (self.excess(donor), self.fair(donor));
        let piece = &self.model.pieces[number];
        if piece.owner != donor {
            return Fate::Gone;
        }
        if piece.load < DUST * fair {
            return Fate::Stays(Reason::LittleToCut { load: piece.load, wanted: DUST * fair });
        }
        let (room, divisible) = (excess * EXCESS, piece.divisible);
        let mut refusal = None;
        if piece.load <= room {
            match self.receivers.taker(self.model, piece) {
                Ok(taker) => {
                    self.receivers.give(self.model, number, taker);
                    return Fate::Gone;
                }
                Err(reason) => refusal = Some(reason),
            }
        } else if let Some((other, taker)) = self.find_instead(piece, [excess, room], rest) {
            self.receivers.give(self.model, other, taker);
            return Fate::Again;
        }
        if divisible {
            return self.give_part(donor, number).unwrap_or_else(Fate::Stays);
        }
        Fate::Stays(refusal.unwrap_or_else(|| self.why_whole(number)))
    }

    /// Returns a whole piece that fits as well and has hardly more bytes, and its receiver.
    fn find_instead(
        &self,
        piece: &Piece,
        [least, most]: [f64; 2],
        rest: &[usize],
    ) -> Option<(usize, usize)> {
        let enough = density(piece) * DENSITY_MIN;
        let others = rest.iter().map(|number| (*number, &self.model.pieces[*number]));
        others
            .take(LOOKED_AT)
            .take_while(|(_, other)| density(other) >= enough)
            .filter(|(_, other)| {
                other.owner == piece.owner && other.load >= least && other.load <= most
            })
            .find_map(|(number, other)| {
                Some((number, self.receivers.taker(self.model, other).ok()?))
            })
    }

    /// Splits off the excess of the shard, or as much of it as the coolest shard takes.
    fn give_part(&mut self, donor: usize, number: usize) -> Result<Fate, Reason> {
        let least = PART_MIN * self.fair(donor);
        let room = self.most_room(donor);
        let wanted = self.excess(donor).max(least).min(room);
        if wanted < least {
            return Err(Reason::NoRoom { load: self.model.pieces[number].load, room });
        }
        let part = split_off(self.model, number, wanted, [least, room])?;
        let taker = self.receivers.taker(self.model, &self.model.pieces[part])?;
        self.receivers.give(self.model, part, taker);
        Ok(Fate::Again)
    }

    /// Returns the most room that one of the coolest shards has that may get another partition.
    fn most_room(&self, donor: usize) -> f64 {
        let most = self.model.options.partitions_per_shard_max;
        self.receivers
            .coolest(donor)
            .filter(|shard| self.model.shards[*shard].partitions < most)
            .map(|shard| self.receivers.room(self.model, shard))
            .fold(0.0, f64::max)
    }

    /// Returns true if a piece cannot be divided and is more than any shard should have.
    fn is_too_large(&self, number: usize) -> bool {
        let piece = &self.model.pieces[number];
        let most = self
            .receivers
            .coolest(piece.owner)
            .map(|shard| self.receivers.room(self.model, shard) + self.model.shards[shard].load);
        !piece.divisible && piece.load > most.fold(0.0, f64::max)
    }

    /// Moves a whole piece to a shard where it does not fit, if that is [still
    /// better](Self::best_lump) and the shard has so much that something should be done.
    fn lump(&mut self, donor: usize, pieces: &[usize]) -> bool {
        if self.above(donor) <= self.model.options.imbalance_start - 1.0 {
            return false;
        }
        let Some((number, taker)) = self.best_lump(donor, pieces) else { return false };
        self.receivers.give(self.model, number, taker);
        true
    }

    /// Returns the one whole piece whose move lowers the worse of two shards most, if it lowers it
    /// enough, and its receiver. The receiver may get too much, but always less than this shard
    /// had.
    fn best_lump(&self, donor: usize, pieces: &[usize]) -> Option<(usize, usize)> {
        let gain_min = self.model.options.gain_min;
        let least = gain_min * self.fair(donor);
        let before = self.times(donor);
        let mut best: Option<(Rank, usize, usize)> = None;
        for number in pieces {
            let piece = &self.model.pieces[*number];
            if piece.owner != donor || piece.load < least {
                continue;
            }
            for taker in self.receivers.coolest(donor) {
                let shard = &self.model.shards[taker];
                let theirs = (shard.load + piece.load) / shard.fair_load;
                let worse = theirs.max(before - piece.load / self.fair(donor));
                let found = (Rank(worse), *number, taker);
                let is_better = best.is_none_or(|best| found < best) && worse <= before - gain_min;
                if is_better && why_not_hold(self.model, piece, taker).is_none() {
                    best = Some(found);
                }
            }
        }
        best.map(|(_, number, taker)| (number, taker))
    }

    /// Returns why a piece can only move whole.
    fn why_whole(&self, number: usize) -> Reason {
        let options = &self.model.options.split;
        let piece = &self.model.pieces[number];
        if piece.load < options.load_min {
            return Reason::LittleToCut { load: piece.load, wanted: options.load_min };
        }
        let samples = self.model.source_of(piece).profile.map_or(0.0, Profile::effective);
        Reason::NoProfile { samples, wanted: options.samples_min }
    }

    /// Records why the largest of the pieces that stay on a shard with too much do so.
    fn refuse_largest(&mut self, mut stay: Vec<(usize, Reason)>) {
        let load = |number: usize| self.model.pieces[number].load;
        stay.sort_by_cached_key(|(number, _)| (Reverse(Rank(load(*number))), *number));
        for (number, reason) in stay.into_iter().take(EXPLAINED) {
            let source = self.model.source_of(&self.model.pieces[number]);
            self.refused.push((Subject::Partition(source.id), reason));
        }
    }
}

/// Returns the load by bytes: what relieves a shard for the fewest bytes comes first. A piece
/// without load comes last, even if it has no bytes, either.
fn density(piece: &Piece) -> f64 {
    if piece.load > 0.0 { piece.load / piece.bytes.max(1.0) } else { 0.0 }
}
