//! Cutting pieces off pieces, as exactly as their profiles know.

use super::model::{Model, Piece, Source};
use super::refusal::Reason;
use crate::heat::Profile;
use crate::heat::split_position::next;
use crate::placement::{PartitionRange, Token};
use crate::topology::SplitPoint;

/// How much more than wanted may be cut off, so that what stays is not a hair too much.
pub(super) const EXCESS: f64 = 1.1;

/// A place at which a piece can be cut, and what lies on the side that goes.
struct Candidate {
    place: usize,
    load: f64,
    first: bool,
    scans_cut: f64,
}

impl<'a> Model<'a> {
    /// Cuts a piece with about `wanted` load, at least `least` and never more than `most`, off the
    /// front or the end of another one, and returns its number. It has the same owner for now.
    pub(super) fn cut(
        &mut self,
        index: usize,
        wanted: f64,
        [least, most]: [f64; 2],
    ) -> Result<usize, Reason> {
        let limit = most.min(wanted * EXCESS);
        let found = self.pieces.get(index).and_then(|piece| {
            let profile = self.source(piece)?.profile?;
            let candidates =
                [front(profile, piece, wanted, limit), end(profile, piece, wanted, limit)];
            let fits = |it: &Candidate| it.load >= least && it.load <= limit;
            let candidates = candidates.into_iter().flatten().filter(fits);
            candidates.min_by(|one, two| {
                let off = |it: &Candidate| (it.load - wanted).abs() / wanted;
                let rank = |it: &Candidate| off(it) + it.scans_cut;
                rank(one).total_cmp(&rank(two))
            })
        });
        let most = self.options.split.scans_cut_max;
        match found {
            Some(it) if it.scans_cut <= most => Ok(self.divide(index, it.place, it.first)),
            Some(it) => Err(Reason::CutsScans { scans_cut: it.scans_cut, most }),
            None => {
                let load = self.pieces.get(index).map_or(0.0, |piece| piece.load);
                Err(Reason::NoRoom { load, room: limit })
            }
        }
    }

    /// Divides a piece before a place; returns the number of the new piece, which is the first or
    /// the last part.
    fn divide(&mut self, index: usize, place: usize, first: bool) -> usize {
        let new = self.pieces.len();
        let Some(old) = self.pieces.get(index).cloned() else { return new };
        let Some(source) = self.source(&old) else { return new };
        let ranges = [[old.from, place], [place, old.to]];
        let [left, right] = ranges.map(|range| self.part(source, &old, range));
        let (stays, goes) = if first { (right, left) } else { (left, right) };
        if let Some(shard) = self.shards.get_mut(old.owner) {
            shard.partitions += 1;
        }
        self.pieces.get_mut(index).into_iter().for_each(|piece| *piece = stays.clone());
        self.pieces.push(goes);
        new
    }

    fn part(&self, source: &Source<'_>, whole: &Piece, [from, to]: [usize; 2]) -> Piece {
        let Some(profile) = source.profile else { return whole.clone() };
        let before = |place| profile.share_before_place(place);
        let per_share = per_share(profile, whole);
        let heaviest =
            (from..to).map(|place| before(place + 1) - before(place)).fold(0.0, f64::max);
        let load = (before(to) - before(from)) * per_share;
        let known = self.is_known(profile, [from, to], load);
        Piece {
            from,
            to,
            load,
            bytes: whole.bytes * self.bytes_share(source, profile, whole, [from, to]),
            atom: if known { heaviest * per_share } else { load },
            divisible: to - from > 1,
            ..whole.clone()
        }
    }

    /// By tokens, which are spread evenly; in a range keyspace by sampled places, since nothing
    /// else is known.
    fn bytes_share(
        &self,
        source: &Source<'_>,
        profile: &Profile,
        whole: &Piece,
        [from, to]: [usize; 2],
    ) -> f64 {
        let places = (to - from) as f64 / (whole.to - whole.from).max(1) as f64;
        let Some(PartitionRange::Tokens(range)) = self.range(source) else { return places };
        let token = |place: usize| match profile.place(place) {
            Some(SplitPoint::Token(Token(token))) if place > 0 => *token as f64,
            _ if place == 0 => range.start.0 as f64,
            _ => range.start.0 as f64 + range.width() as f64,
        };
        (token(to) - token(from)) / (token(whole.to) - token(whole.from)).max(1.0)
    }

    /// Leaves the heaviest place of a piece alone; returns the numbers of what lay on its sides.
    pub(super) fn isolate(&mut self, index: usize) -> Vec<usize> {
        let mut sides = Vec::new();
        let Some(piece) = self.pieces.get(index).filter(|it| it.divisible && it.atom < it.load)
        else {
            return sides;
        };
        let Some(profile) = self.source(piece).and_then(|source| source.profile) else {
            return sides;
        };
        let weight = |place: &usize| {
            profile.share_before_place(place + 1) - profile.share_before_place(*place)
        };
        let heaviest = (piece.from..piece.to).max_by(|a, b| weight(a).total_cmp(&weight(b)));
        let (from, to) = (piece.from, piece.to);
        let Some(place) = heaviest else { return sides };
        if place > from {
            sides.push(self.divide(index, place, true));
        }
        if place + 1 < to {
            sides.push(self.divide(index, place + 1, false));
        }
        self.pieces.get_mut(index).into_iter().for_each(|piece| piece.alone = true);
        sides
    }

    /// Where a piece begins that is not the first of its source; `before` is the one before it.
    pub(super) fn boundary(&self, before: &Piece, piece: &Piece) -> Option<SplitPoint> {
        let profile = self.source(piece)?.profile?;
        let last = || piece.from.checked_sub(1).and_then(|last| profile.place(last)).and_then(next);
        match profile.place(piece.from) {
            Some(place) if !before.alone => Some(place.clone()),
            _ => last(),
        }
    }
}

/// A part of a piece, from its front.
fn front(profile: &Profile, piece: &Piece, wanted: f64, limit: f64) -> Option<Candidate> {
    let start = profile.share_before_place(piece.from);
    let per_share = per_share(profile, piece);
    let load = |place: usize| (profile.share_before_place(place) - start) * per_share;
    let enough = profile.place_at_share(start + wanted / per_share);
    let place = if load(enough) > limit { enough.checked_sub(1)? } else { enough };
    candidate(profile, piece, place, load(place), true)
}

/// A part of a piece, from its end.
fn end(profile: &Profile, piece: &Piece, wanted: f64, limit: f64) -> Option<Candidate> {
    let end = profile.share_before_place(piece.to);
    let per_share = per_share(profile, piece);
    let load = |place: usize| (end - profile.share_before_place(place)) * per_share;
    let behind = profile.place_at_share(end - wanted / per_share);
    let enough = if load(behind) < wanted { behind.checked_sub(1)? } else { behind };
    let place = if load(enough) > limit { enough + 1 } else { enough };
    candidate(profile, piece, place, load(place), false)
}

fn candidate(
    profile: &Profile,
    piece: &Piece,
    place: usize,
    load: f64,
    first: bool,
) -> Option<Candidate> {
    let at = profile.place(place).filter(|_| place > piece.from && place < piece.to)?;
    Some(Candidate { place, load, first, scans_cut: profile.scans_cut(at) })
}

/// The load of a piece by the share that its places have of the samples.
fn per_share(profile: &Profile, piece: &Piece) -> f64 {
    let share = profile.share_before_place(piece.to) - profile.share_before_place(piece.from);
    if share > 0.0 { piece.load / share } else { 0.0 }
}
