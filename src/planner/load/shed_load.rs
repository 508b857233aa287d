//! Load off the shards that have too much, with the fewest bytes.

use super::cut_pieces::EXCESS;
use super::model::{Model, Piece};
use super::receivers::{Rank, Receivers};
use super::refusal::{Reason, Subject};
use std::cmp::Reverse;

/// A whole piece goes in place of one that would have to be cut, if it has at least this part of
/// its load for its bytes.
const DENSITY_MIN: f64 = 0.8;

/// Nothing smaller is moved for its load, in fair shares of a shard.
const DUST: f64 = 0.001;

/// Nothing smaller is cut off, in fair shares of a shard.
const PART_MIN: f64 = 0.01;

/// How many whole pieces are looked at in place of one that would have to be cut.
const LOOKED_AT: usize = 64;

/// How many pieces of a shard it is said of why they stay.
pub(super) const EXPLAINED: usize = 4;

/// What became of a piece.
enum Fate {
    /// It is gone.
    Gone,
    /// Something was cut off it.
    Smaller,
    Stays(Reason),
}

/// Moves load between the shards of a group.
pub(super) struct Shed<'m, 'a> {
    model: &'m mut Model<'a>,
    receivers: Receivers,
    said: Vec<(Subject, Reason)>,
}

impl<'m, 'a> Shed<'m, 'a> {
    /// One round over all shards of a group that have too much. Returns whether anything moved, and
    /// what was refused.
    pub(super) fn round(
        model: &'m mut Model<'a>,
        group: usize,
        begun: bool,
    ) -> (bool, Vec<(Subject, Reason)>) {
        let members = model.members(group);
        let mut by_owner = model.pieces_by_owner();
        let targets = model.targets(&members, &by_owner);
        let receivers = Receivers::new(model, &members, targets);
        let mut shed = Self { model, receivers, said: Vec::new() };
        let mut donors: Vec<(Reverse<Rank>, usize)> = members
            .into_iter()
            .map(|it| (Reverse(Rank(shed.receivers.above(shed.model, it))), it))
            .collect();
        donors.sort_unstable();
        if !shed.begins(&donors, begun) {
            return (false, shed.said);
        }
        let (mark, mut gain) = (shed.model.moves.len(), 0.0_f64);
        for (_, donor) in &donors {
            let pieces = by_owner.get_mut(*donor).map(std::mem::take).unwrap_or_default();
            if shed.excess(*donor) > 0.0 {
                let before = shed.times(*donor);
                shed.relieve(*donor, pieces);
                gain = gain.max(before - shed.times(*donor));
            }
        }
        let wanted = shed.model.options.gain_min;
        if gain < wanted {
            shed.model.undo(mark);
            if gain > 0.0
                && let Some((_, worst)) = donors.first()
            {
                shed.say_of(*worst, Reason::LittleGain { gain, wanted });
            }
        }
        let moved = shed.model.moves.len() > mark;
        (moved, shed.said)
    }

    /// Whether the worst of the shards is bad enough.
    fn begins(&mut self, donors: &[(Reverse<Rank>, usize)], begun: bool) -> bool {
        let Some((Reverse(Rank(above)), worst)) = donors.first() else { return false };
        let shards = donors.iter().filter_map(|(_, it)| self.model.shards.get(*it));
        let load: f64 = shards.map(|shard| shard.load).sum();
        let (wanted, start) = (self.model.options.load_min, self.model.options.imbalance_start);
        let times = 1.0 + above;
        if load < wanted {
            if times > start {
                self.say_of(*worst, Reason::LittleLoad { load, wanted });
            }
            return false;
        }
        if !begun && times <= start {
            if times > self.model.options.imbalance_goal {
                self.say_of(*worst, Reason::Balanced { times, start });
            }
            return false;
        }
        true
    }

    fn times(&self, shard: usize) -> f64 {
        self.model.shards.get(shard).map_or(0.0, super::model::Shard::load_times)
    }

    fn fair(&self, shard: usize) -> f64 {
        self.model.shards.get(shard).map_or(0.0, |shard| shard.fair_load)
    }

    /// How much load a shard has to give, rounding errors aside.
    fn excess(&self, shard: usize) -> f64 {
        -self.receivers.room(self.model, shard) - 1e-9 * self.fair(shard)
    }

    fn say_of(&mut self, shard: usize, reason: Reason) {
        if let Some(shard) = self.model.shards.get(shard) {
            self.said.push((Subject::Shard(shard.id), reason));
        }
    }

    fn say(&mut self, piece: usize, reason: Reason) {
        let source = self.model.pieces.get(piece).and_then(|piece| self.model.source(piece));
        if let Some(source) = source {
            self.said.push((Subject::Partition(source.id), reason));
        }
    }

    /// Takes from a shard what it has too much, the most load for its bytes first.
    fn relieve(&mut self, donor: usize, mut pieces: Vec<usize>) {
        let start = self.model.options.imbalance_start;
        self.set_apart(donor, &mut pieces);
        let density = |index: &usize| self.model.pieces.get(*index).map_or(0.0, density);
        pieces.sort_by_cached_key(|index| (Reverse(Rank(density(index))), *index));
        let mut stay: Vec<(usize, Reason)> = Vec::new();
        let mut next = 0;
        while let Some((index, rest)) = pieces.get(next..).and_then(<[usize]>::split_first) {
            if self.excess(donor) <= 0.0 {
                return;
            }
            match self.place(donor, *index, rest) {
                Fate::Gone => next += 1,
                Fate::Smaller => {}
                Fate::Stays(reason) => {
                    // Before anything is moved in its place.
                    if !(self.is_too_large(*index) && self.lump(donor, &[*index], start)) {
                        stay.push((*index, reason));
                    }
                    next += 1;
                }
            }
        }
        while self.receivers.above(self.model, donor) > start - 1.0 && self.better(donor, &pieces) {
        }
        if self.excess(donor) > 0.0 {
            self.say_what_stays(stay);
        }
    }

    /// What a shard keeps because it cannot be divided and is more than a fair share is left alone.
    fn set_apart(&mut self, donor: usize, pieces: &mut Vec<usize>) {
        let target = self.receivers.target(donor);
        let is_it = |index: &usize| {
            self.model.pieces.get(*index).is_some_and(|piece| piece.atom >= target && target > 0.0)
        };
        let Some(position) = pieces.iter().position(is_it) else { return };
        let pinned = pieces.swap_remove(position);
        pieces.extend(self.model.isolate(pinned));
    }

    /// Gives a piece away, whole or in part, or one of the `rest` in its place.
    fn place(&mut self, donor: usize, index: usize, rest: &[usize]) -> Fate {
        let (excess, fair) = (self.excess(donor), self.fair(donor));
        let Some(piece) = self.model.pieces.get(index) else { return Fate::Gone };
        if piece.owner != donor {
            return Fate::Gone;
        }
        let room = excess * EXCESS;
        if piece.load < DUST * fair {
            return Fate::Stays(Reason::LittleToCut { load: piece.load, wanted: DUST * fair });
        }
        let (mut refusal, divisible) = (None, piece.divisible);
        if piece.load <= room {
            match self.receivers.taker(self.model, piece) {
                Ok(taker) => {
                    self.receivers.give(self.model, index, taker);
                    return Fate::Gone;
                }
                Err(reason) => refusal = Some(reason),
            }
        } else if let Some((other, taker)) = self.instead(piece, [excess, room], rest) {
            self.receivers.give(self.model, other, taker);
            return Fate::Smaller;
        }
        if divisible {
            return self.cut_off(donor, index).unwrap_or_else(Fate::Stays);
        }
        Fate::Stays(refusal.unwrap_or_else(|| self.why_whole(index)))
    }

    /// A whole piece that fits as well and has hardly more bytes.
    fn instead(
        &self,
        piece: &Piece,
        [least, most]: [f64; 2],
        rest: &[usize],
    ) -> Option<(usize, usize)> {
        let enough = density(piece) * DENSITY_MIN;
        let others = rest.iter().take(LOOKED_AT).filter_map(|index| {
            let other = self.model.pieces.get(*index)?;
            Some((*index, other))
        });
        others
            .take_while(|(_, other)| density(other) >= enough)
            .filter(|(_, other)| {
                other.owner == piece.owner && other.load >= least && other.load <= most
            })
            .find_map(|(index, other)| Some((index, self.receivers.taker(self.model, other).ok()?)))
    }

    /// Cuts off what the shard has too much, or as much of it as the coolest shard takes.
    fn cut_off(&mut self, donor: usize, index: usize) -> Result<Fate, Reason> {
        let least = PART_MIN * self.fair(donor);
        let load = self.model.pieces.get(index).map_or(0.0, |piece| piece.load);
        let room = self.roomiest(donor);
        let wanted = self.excess(donor).max(least).min(room);
        if wanted < least {
            return Err(Reason::NoRoom { load, room });
        }
        let part = self.model.cut(index, wanted, [least, room])?;
        let piece = self.model.pieces.get(part);
        match piece.map(|piece| self.receivers.taker(self.model, piece)) {
            Some(Ok(taker)) => {
                self.receivers.give(self.model, part, taker);
                Ok(Fate::Smaller)
            }
            Some(Err(reason)) => Err(reason),
            None => Err(Reason::NoRoom { load, room }),
        }
    }

    /// The most room that one of the coolest shards has that may get another partition.
    fn roomiest(&self, donor: usize) -> f64 {
        let most = self.model.options.partitions_per_shard_max;
        self.receivers
            .coolest(donor)
            .filter(|it| self.model.shards.get(*it).is_some_and(|it| it.partitions < most))
            .map(|it| self.receivers.room(self.model, it))
            .fold(0.0, f64::max)
    }

    /// Whether a piece cannot be divided and is more than any shard should have.
    fn is_too_large(&self, index: usize) -> bool {
        let Some(piece) = self.model.pieces.get(index) else { return false };
        let most = self.receivers.coolest(piece.owner).map(|it| {
            let load = self.model.shards.get(it).map_or(0.0, |shard| shard.load);
            self.receivers.room(self.model, it) + load
        });
        !piece.divisible && piece.load > most.fold(0.0, f64::max)
    }

    /// Moves a whole piece to where it does not fit, if that is still [better](Self::better) and
    /// the shard has so much that something should be done.
    fn lump(&mut self, donor: usize, pieces: &[usize], start: f64) -> bool {
        self.receivers.above(self.model, donor) > start - 1.0 && self.better(donor, pieces)
    }

    /// Where nothing fits: the one whole piece whose move lowers the worse of two shards most, if
    /// it is worth it. The other shard may get too much, but always less than this one had.
    fn better(&mut self, donor: usize, pieces: &[usize]) -> bool {
        let gain_min = self.model.options.gain_min;
        let least = gain_min * self.fair(donor);
        let before = self.times(donor);
        let mut best: Option<(Rank, usize, usize)> = None;
        for index in pieces {
            let piece = self.model.pieces.get(*index);
            let Some(piece) = piece.filter(|it| it.owner == donor && it.load >= least) else {
                continue;
            };
            for taker in self.receivers.coolest(donor) {
                let Some(shard) = self.model.shards.get(taker) else { continue };
                let theirs = (shard.load + piece.load) / shard.fair_load;
                let worse = theirs.max(before - piece.load / self.fair(donor));
                let found = (Rank(worse), *index, taker);
                let better = best.is_none_or(|best| found < best) && worse <= before - gain_min;
                if better && self.model.cannot_hold(piece, taker).is_none() {
                    best = Some(found);
                }
            }
        }
        let Some((_, index, taker)) = best else { return false };
        self.receivers.give(self.model, index, taker);
        true
    }

    /// Why a piece can only go whole.
    fn why_whole(&self, index: usize) -> Reason {
        let options = &self.model.options.split;
        let piece = self.model.pieces.get(index);
        let load = piece.map_or(0.0, |piece| piece.load);
        if load < options.load_min {
            return Reason::LittleToCut { load, wanted: options.load_min };
        }
        let profile = piece.and_then(|piece| self.model.source(piece)?.profile);
        let samples = profile.map_or(0.0, crate::heat::Profile::effective);
        Reason::NoProfile { samples, wanted: options.samples_min }
    }

    /// Why the largest of what stays on a shard with too much does so.
    fn say_what_stays(&mut self, mut stay: Vec<(usize, Reason)>) {
        let load = |index: usize| self.model.pieces.get(index).map_or(0.0, |piece| piece.load);
        stay.sort_by_cached_key(|(index, _)| (Reverse(Rank(load(*index))), *index));
        for (index, reason) in stay.into_iter().take(EXPLAINED) {
            self.say(index, reason);
        }
    }
}

/// Load by bytes: what relieves a shard for the fewest bytes comes first. What has no load comes
/// last, even if it has no bytes either.
fn density(piece: &Piece) -> f64 {
    if piece.load > 0.0 { piece.load / piece.bytes.max(1.0) } else { 0.0 }
}
