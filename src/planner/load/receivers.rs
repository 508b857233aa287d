//! Candidate receivers of a piece, ordered by their load relative to what they should have.

use super::model::{Model, Piece, Purpose};
use super::numbered::Numbered;
use super::refusal::Reason;
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// How many of the coolest shards are tried before a piece counts as too large.
const ASKED: usize = 8;

/// A number that can be sorted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rank(pub(super) f64);

impl Eq for Rank {}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// The shards of a group and the load that each should have.
pub(super) struct Receivers {
    targets: Numbered<f64>,
    by_rank: BTreeSet<(Rank, usize)>,
    /// Whether there are enough bytes for their balance to matter.
    bytes_matter: bool,
}

impl Receivers {
    pub(super) fn new(model: &Model<'_>, members: &[usize], targets: Numbered<f64>) -> Self {
        let bytes_matter = model.bytes_matter(members);
        let mut receivers = Self { targets, by_rank: BTreeSet::new(), bytes_matter };
        receivers.by_rank = members.iter().map(|it| (receivers.rank(model, *it), *it)).collect();
        receivers
    }

    pub(super) fn target(&self, shard: usize) -> f64 {
        self.targets[shard]
    }

    /// Returns how many fair shares a shard is above what it should have.
    pub(super) fn above(&self, model: &Model<'_>, shard: usize) -> f64 {
        self.rank(model, shard).0
    }

    fn rank(&self, model: &Model<'_>, number: usize) -> Rank {
        let shard = &model.shards[number];
        let above = (shard.load - self.target(number)) / shard.fair_load;
        // Without any load, nothing is above nothing.
        Rank(if above.is_nan() { 0.0 } else { above })
    }

    /// Returns how much load a shard may still get; negative if it has too much.
    pub(super) fn room(&self, model: &Model<'_>, number: usize) -> f64 {
        let shard = &model.shards[number];
        let band = (model.options.imbalance_goal - 1.0) * shard.fair_load;
        self.target(number) + band - shard.load
    }

    /// Moves a piece to another shard for its load.
    pub(super) fn give(&mut self, model: &mut Model<'_>, piece: usize, to: usize) {
        let from = model.pieces[piece].owner;
        for shard in [from, to] {
            self.by_rank.remove(&(self.rank(model, shard), shard));
        }
        model.move_piece(piece, to, Purpose::Load);
        for shard in [from, to] {
            self.by_rank.insert((self.rank(model, shard), shard));
        }
    }

    /// Returns the coolest shards, which could get another partition if it had no load.
    pub(super) fn coolest(&self, donor: usize) -> impl Iterator<Item = usize> {
        self.by_rank.iter().map(|(_, shard)| *shard).filter(move |it| *it != donor).take(ASKED)
    }

    /// Returns the coolest shard that can take a piece; one that gets too many bytes only if no
    /// other can.
    ///
    /// # Errors
    ///
    /// What prevents it at the coolest of them.
    pub(super) fn taker(&self, model: &Model<'_>, piece: &Piece) -> Result<usize, Reason> {
        let mut full = None;
        let mut reason = None;
        for shard in self.coolest(piece.owner) {
            match self.obstacle(model, piece, shard) {
                Some(obstacle) => reason = reason.or(Some(obstacle)),
                None if self.bytes_fit(model, piece, shard) => return Ok(shard),
                None => full = full.or(Some(shard)),
            }
        }
        // A shard that is alone in its group has no alternative.
        full.ok_or(reason.unwrap_or(Reason::NoRoom { load: piece.load, room: 0.0 }))
    }

    fn obstacle(&self, model: &Model<'_>, piece: &Piece, shard: usize) -> Option<Reason> {
        let room = self.room(model, shard).max(0.0);
        if piece.load > room {
            return Some(Reason::NoRoom { load: piece.load, room });
        }
        why_not_hold(model, piece, shard)
    }

    fn bytes_fit(&self, model: &Model<'_>, piece: &Piece, number: usize) -> bool {
        let shard = &model.shards[number];
        let most = shard.fair_bytes * model.options.bytes_imbalance_start;
        !self.bytes_matter || shard.bytes + piece.bytes <= most
    }
}

/// Returns what keeps a shard from holding a piece, whatever its load.
pub(super) fn why_not_hold(model: &Model<'_>, piece: &Piece, number: usize) -> Option<Reason> {
    let shard = &model.shards[number];
    let most = model.options.partitions_per_shard_max;
    if shard.partitions >= most {
        return Some(Reason::ManyPartitions { most });
    }
    let comes_home = model.source_of(piece).owner == number;
    (piece.bytes > shard.space && !comes_home)
        .then(|| Reason::NoSpace { bytes: piece.bytes as u64, free: shard.space.max(0.0) as u64 })
}
