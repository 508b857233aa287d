//! Who takes something, the coolest first.

use super::model::{Model, Piece, Purpose};
use super::refusal::Reason;
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// How many of the coolest shards are asked before a piece counts as too large.
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
    targets: Vec<f64>,
    by_rank: BTreeSet<(Rank, usize)>,
    /// Whether there are enough bytes for their balance to matter.
    bytes_matter: bool,
}

impl Receivers {
    pub(super) fn new(model: &Model<'_>, members: &[usize], targets: Vec<f64>) -> Self {
        let bytes_matter = model.bytes_matter(members);
        let mut receivers = Self { targets, by_rank: BTreeSet::new(), bytes_matter };
        receivers.by_rank = members.iter().map(|it| (receivers.rank(model, *it), *it)).collect();
        receivers
    }

    pub(super) fn target(&self, shard: usize) -> f64 {
        self.targets.get(shard).copied().unwrap_or(0.0)
    }

    /// How many fair shares a shard is above what it should have.
    pub(super) fn above(&self, model: &Model<'_>, shard: usize) -> f64 {
        self.rank(model, shard).0
    }

    fn rank(&self, model: &Model<'_>, shard: usize) -> Rank {
        let target = self.target(shard);
        let above = model.shards.get(shard).map(|it| (it.load - target) / it.fair_load);
        Rank(above.filter(|above| !above.is_nan()).unwrap_or(0.0))
    }

    /// How much load a shard may still get; negative if it has too much.
    pub(super) fn room(&self, model: &Model<'_>, shard: usize) -> f64 {
        let Some(it) = model.shards.get(shard) else { return 0.0 };
        let band = (model.options.imbalance_goal - 1.0) * it.fair_load;
        self.target(shard) + band - it.load
    }

    /// Books a piece to another shard.
    pub(super) fn give(&mut self, model: &mut Model<'_>, piece: usize, to: usize) {
        let Some(from) = model.pieces.get(piece).map(|piece| piece.owner) else { return };
        for shard in [from, to] {
            self.by_rank.remove(&(self.rank(model, shard), shard));
        }
        model.give(piece, to, Purpose::Load);
        for shard in [from, to] {
            self.by_rank.insert((self.rank(model, shard), shard));
        }
    }

    /// The coolest shards that could get another partition, but for its load.
    pub(super) fn coolest(&self, donor: usize) -> impl Iterator<Item = usize> {
        self.by_rank.iter().map(|(_, shard)| *shard).filter(move |it| *it != donor).take(ASKED)
    }

    /// The coolest shard that can take a piece; one that gets too many bytes only if no other can.
    ///
    /// # Errors
    ///
    /// What stands in the way at the coolest of them.
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
        full.ok_or(reason.unwrap_or(Reason::NoRoom { load: piece.load, room: 0.0 }))
    }

    fn obstacle(&self, model: &Model<'_>, piece: &Piece, shard: usize) -> Option<Reason> {
        let room = self.room(model, shard).max(0.0);
        if piece.load > room {
            return Some(Reason::NoRoom { load: piece.load, room });
        }
        model.cannot_hold(piece, shard)
    }

    fn bytes_fit(&self, model: &Model<'_>, piece: &Piece, shard: usize) -> bool {
        let Some(it) = model.shards.get(shard) else { return false };
        let most = it.fair_bytes * model.options.bytes_imbalance_start;
        !self.bytes_matter || it.bytes + piece.bytes <= most
    }
}

impl Model<'_> {
    /// What keeps a shard from holding a piece, whatever its load.
    pub(super) fn cannot_hold(&self, piece: &Piece, shard: usize) -> Option<Reason> {
        let shard = self.shards.get(shard)?;
        let most = self.options.partitions_per_shard_max;
        if shard.partitions >= most {
            return Some(Reason::ManyPartitions { most });
        }
        let comes_home = self
            .source(piece)
            .is_some_and(|it| self.shards.get(it.owner).is_some_and(|owner| owner.id == shard.id));
        (piece.bytes > shard.space && !comes_home).then(|| Reason::NoSpace {
            bytes: piece.bytes as u64,
            free: shard.space.max(0.0) as u64,
        })
    }

    pub(super) fn bytes_matter(&self, members: &[usize]) -> bool {
        let bytes: f64 =
            members.iter().filter_map(|it| self.shards.get(*it)).map(|it| it.bytes).sum();
        bytes >= self.options.bytes_min as f64 * members.len() as f64 && bytes > 0.0
    }
}
