//! Splitting pieces, as precisely as their profiles allow.

use super::build::is_known;
use super::model::{Model, Piece, Source};
use super::refusal::Reason;
use crate::heat::Profile;
use crate::heat::split_position::next;
use crate::placement::{PartitionRange, Token};
use crate::topology::SplitPoint;

/// How much more than wanted may be split off, so that what stays is not slightly too much.
pub(super) const EXCESS: f64 = 1.1;

/// A place at which a piece can be split, and what lies on the side that moves.
struct Candidate {
    place: usize,
    load: f64,
    /// Whether the first part moves.
    first: bool,
    scans_cut: f64,
}

/// Splits a piece with about `wanted` load, at least `least` and never more than `most`, off the
/// front or the end of another one, and returns its number. It has the same owner for now.
///
/// # Errors
///
/// The reason why there is no such place.
pub(super) fn split_off(
    model: &mut Model<'_>,
    number: usize,
    wanted: f64,
    [least, most]: [f64; 2],
) -> Result<usize, Reason> {
    let limit = most.min(wanted * EXCESS);
    let piece = &model.pieces[number];
    let candidates = model.source_of(piece).profile.into_iter().flat_map(|profile| {
        [front(profile, piece, wanted, limit), end(profile, piece, wanted, limit)]
    });
    let fits = |it: &Candidate| it.load >= least && it.load <= limit;
    let rank = |it: &Candidate| (it.load - wanted).abs() / wanted + it.scans_cut;
    let best = candidates.flatten().filter(fits).min_by(|a, b| rank(a).total_cmp(&rank(b)));
    let scans_cut_max = model.options.split.scans_cut_max;
    match best {
        Some(it) if it.scans_cut <= scans_cut_max => Ok(divide(model, number, it.place, it.first)),
        Some(it) => Err(Reason::CutsScans { scans_cut: it.scans_cut, most: scans_cut_max }),
        None => Err(Reason::NoRoom { load: piece.load, room: limit }),
    }
}

/// Divides a piece before a place; returns the number of the new piece, which is the first or the
/// last part.
fn divide(model: &mut Model<'_>, number: usize, place: usize, first: bool) -> usize {
    let whole = model.pieces[number].clone();
    let [left, right] = [[whole.from, place], [place, whole.to]].map(|it| part(model, &whole, it));
    let (stays, goes) = if first { (right, left) } else { (left, right) };
    model.shards[whole.owner].partitions += 1;
    model.pieces[number] = stays;
    model.pieces.push(goes)
}

/// Returns the part of a piece that has the given places.
fn part(model: &Model<'_>, whole: &Piece, [from, to]: [usize; 2]) -> Piece {
    let source = model.source_of(whole);
    let Some(profile) = source.profile else {
        unreachable!("a piece is divided at a place of its profile");
    };
    let before = |place| profile.share_before_place(place);
    let per_share = per_share(profile, whole);
    let heaviest = (from..to).map(|place| before(place + 1) - before(place)).fold(0.0, f64::max);
    let load = (before(to) - before(from)) * per_share;
    let known = is_known(model.options, profile, [from, to], load);
    Piece {
        from,
        to,
        load,
        bytes: whole.bytes * bytes_share(source, profile, whole, [from, to]),
        atom: if known { heaviest * per_share } else { load },
        divisible: to - from > 1,
        ..whole.clone()
    }
}

/// Returns the share of the bytes that some places of a piece have: by tokens, which are spread
/// evenly; in a range keyspace by sampled places, since nothing else is known.
fn bytes_share(
    source: &Source<'_>,
    profile: &Profile,
    whole: &Piece,
    [from, to]: [usize; 2],
) -> f64 {
    let places = (to - from) as f64 / (whole.to - whole.from).max(1) as f64;
    let PartitionRange::Tokens(range) = source.range() else { return places };
    let token = |place: usize| match profile.place(place) {
        Some(SplitPoint::Token(Token(token))) if place > 0 => *token as f64,
        _ if place == 0 => range.start.0 as f64,
        _ => range.start.0 as f64 + range.width() as f64,
    };
    (token(to) - token(from)) / (token(whole.to) - token(whole.from)).max(1.0)
}

/// Splits a piece so that its heaviest place is alone; returns the numbers of the pieces on its
/// sides.
pub(super) fn isolate(model: &mut Model<'_>, number: usize) -> Vec<usize> {
    let mut sides = Vec::new();
    let piece = &model.pieces[number];
    if !piece.divisible || piece.atom >= piece.load {
        return sides;
    }
    let (from, to) = (piece.from, piece.to);
    let weight = |profile: &Profile, place: usize| {
        profile.share_before_place(place + 1) - profile.share_before_place(place)
    };
    let heaviest = model.source_of(piece).profile.and_then(|profile| {
        (from..to).max_by(|a, b| weight(profile, *a).total_cmp(&weight(profile, *b)))
    });
    let Some(place) = heaviest else {
        unreachable!("what is divisible has places in a profile");
    };
    if place > from {
        sides.push(divide(model, number, place, true));
    }
    if place + 1 < to {
        sides.push(divide(model, number, place + 1, false));
    }
    model.pieces[number].alone = true;
    sides
}

/// Returns where a piece begins that is not the first of its source; `before` is the one before it.
pub(super) fn boundary(model: &Model<'_>, before: &Piece, piece: &Piece) -> SplitPoint {
    let profile = model.source_of(piece).profile;
    let place = |index: usize| profile.and_then(|profile| profile.place(index));
    let first = place(piece.from).filter(|_| !before.alone).cloned();
    // After a place that is alone, and after all samples.
    let behind_last = || piece.from.checked_sub(1).and_then(place).and_then(next);
    first.or_else(behind_last).unwrap_or_else(|| unreachable!("pieces meet at places of a profile"))
}

/// Returns a part of a piece, taken from its front.
fn front(profile: &Profile, piece: &Piece, wanted: f64, limit: f64) -> Option<Candidate> {
    let start = profile.share_before_place(piece.from);
    let per_share = per_share(profile, piece);
    let load = |place: usize| (profile.share_before_place(place) - start) * per_share;
    let enough = profile.place_at_share(start + wanted / per_share);
    let place = if load(enough) > limit { enough.checked_sub(1)? } else { enough };
    candidate(profile, piece, place, load(place), true)
}

/// Returns a part of a piece, taken from its end.
fn end(profile: &Profile, piece: &Piece, wanted: f64, limit: f64) -> Option<Candidate> {
    let end = profile.share_before_place(piece.to);
    let per_share = per_share(profile, piece);
    let load = |place: usize| (end - profile.share_before_place(place)) * per_share;
    let behind = profile.place_at_share(end - wanted / per_share);
    let enough = if load(behind) < wanted { behind.checked_sub(1)? } else { behind };
    let place = if load(enough) > limit { enough + 1 } else { enough };
    candidate(profile, piece, place, load(place), false)
}

/// Returns the candidate at a place, if that lies inside the piece.
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

/// Returns the load of a piece by the share that its places have of the samples.
fn per_share(profile: &Profile, piece: &Piece) -> f64 {
    let share = profile.share_before_place(piece.to) - profile.share_before_place(piece.from);
    if share > 0.0 { piece.load / share } else { 0.0 }
}
