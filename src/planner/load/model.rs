//! The store as the planner sees it: shards, and pieces of partitions that change owner.
//!
//! Shards, sources and pieces are known by their numbers: the order in which they were added. None
//! is ever removed.

use super::numbered::Numbered;
use super::options::RebalanceOptions;
use crate::heat::Profile;
use crate::id::{PartitionId, ShardId};
use crate::placement::PartitionRange;
use crate::topology::KeyspaceLayout;
use std::collections::BTreeMap;
use std::time::Duration;

/// A shard, with what it has if all moves so far are carried out.
pub(super) struct Shard {
    pub(super) id: ShardId,
    pub(super) weight: f64,
    /// Which zone's balance it takes part in.
    pub(super) group: usize,
    pub(super) draining: bool,
    pub(super) load: f64,
    /// The part of the load that cannot move in this plan.
    pub(super) fixed_load: f64,
    pub(super) bytes: f64,
    pub(super) partitions: u32,
    /// How many more bytes it can take.
    pub(super) space: f64,
    /// What its weight asks for.
    pub(super) fair_load: f64,
    pub(super) fair_bytes: f64,
}

impl Shard {
    /// Returns its load as a multiple of its fair share.
    pub(super) fn load_times(&self) -> f64 {
        times(self.load, self.fair_load)
    }

    /// Returns its bytes as a multiple of its fair share.
    pub(super) fn bytes_times(&self) -> f64 {
        times(self.bytes, self.fair_bytes)
    }
}

/// Returns an amount as a multiple of `fair`; 1 if there is nothing at all.
fn times(amount: f64, fair: f64) -> f64 {
    if fair > 0.0 { amount / fair } else { 1.0 }
}

/// A partition as it is.
pub(super) struct Source<'a> {
    pub(super) keyspace: &'a KeyspaceLayout,
    /// Its index in the keyspace.
    pub(super) index: usize,
    pub(super) id: PartitionId,
    pub(super) owner: usize,
    pub(super) load: f64,
    pub(super) load_max: f64,
    pub(super) bytes: u64,
    pub(super) profile: Option<&'a Profile>,
    pub(super) state: State,
}

impl Source<'_> {
    pub(super) fn is_free(&self) -> bool {
        self.state == State::Free
    }

    pub(super) fn range(&self) -> PartitionRange {
        self.keyspace.range(self.index)
    }
}

/// Whether a partition may be touched.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Free,
    CoolsDown { rested: Duration },
    InFlight,
}

/// A part of a partition that has one owner: the places `from..to` of its profile, and what lies
/// between them and the next piece. Without a profile there is one piece, without places.
#[derive(Clone)]
pub(super) struct Piece {
    pub(super) source: usize,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) owner: usize,
    pub(super) load: f64,
    pub(super) bytes: f64,
    /// The load of its heaviest part that cannot be divided; all of it, if its samples would be too
    /// few to split it once it is a partition.
    pub(super) atom: f64,
    /// Whether it can be split now, with the samples of the whole partition.
    pub(super) divisible: bool,
    /// It is a single place, and ends right after it.
    pub(super) alone: bool,
    pub(super) purpose: Purpose,
}

/// What a piece was moved for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    Load,
    Bytes,
}

/// Shards, partitions and pieces, and the moves so far.
pub(super) struct Model<'a> {
    pub(super) options: &'a RebalanceOptions,
    pub(super) shards: Numbered<Shard>,
    pub(super) numbers: BTreeMap<ShardId, usize>,
    pub(super) groups: usize,
    pub(super) sources: Numbered<Source<'a>>,
    /// The first piece of each source has its number; those that are split off follow.
    pub(super) pieces: Numbered<Piece>,
    /// The pieces in the order in which they moved, and their owners before.
    pub(super) moves: Vec<(usize, usize)>,
}

impl<'a> Model<'a> {
    /// Returns the number of a shard of the topology.
    #[expect(clippy::indexing_slicing, reason = "the model has all shards of its topology")]
    pub(super) fn number_of(&self, id: ShardId) -> usize {
        self.numbers[&id]
    }

    /// Returns the partition that a piece is a part of.
    pub(super) fn source_of(&self, piece: &Piece) -> &Source<'a> {
        &self.sources[piece.source]
    }

    /// Returns the shards of a group that take part in its balance.
    pub(super) fn members(&self, group: usize) -> Vec<usize> {
        let members = self.shards.iter().enumerate();
        members
            .filter(|(_, shard)| shard.group == group && !shard.draining)
            .map(|(number, _)| number)
            .collect()
    }

    /// Returns the load of the shards of a group that take part in its balance.
    pub(super) fn group_load(&self, group: usize) -> f64 {
        self.members(group).into_iter().map(|shard| self.shards[shard].load).sum()
    }

    /// Returns the pieces that may move, by owner.
    pub(super) fn pieces_by_owner(&self) -> Numbered<Vec<usize>> {
        let mut by_owner: Numbered<Vec<usize>> = self.shards.iter().map(|_| Vec::new()).collect();
        for (number, piece) in self.pieces.iter().enumerate() {
            if self.source_of(piece).is_free() {
                by_owner[piece.owner].push(number);
            }
        }
        by_owner
    }

    /// Returns true if shards have enough bytes for their balance to matter.
    pub(super) fn bytes_matter(&self, members: &[usize]) -> bool {
        let bytes: f64 = members.iter().map(|shard| self.shards[*shard].bytes).sum();
        bytes >= self.options.bytes_min as f64 * members.len() as f64 && bytes > 0.0
    }

    /// Moves a piece to another shard.
    pub(super) fn move_piece(&mut self, number: usize, to: usize, purpose: Purpose) {
        let piece = &mut self.pieces[number];
        piece.purpose = purpose;
        let from = piece.owner;
        self.moves.push((number, from));
        self.set_owner(number, to);
    }

    /// Undoes all moves after the first `count`.
    pub(super) fn undo(&mut self, count: usize) {
        while self.moves.len() > count
            && let Some((number, owner)) = self.moves.pop()
        {
            self.set_owner(number, owner);
        }
    }

    fn set_owner(&mut self, number: usize, to: usize) {
        let piece = &mut self.pieces[number];
        let from = std::mem::replace(&mut piece.owner, to);
        let (load, bytes, source) = (piece.load, piece.bytes, piece.source);
        let home = self.sources[source].owner;
        // What is to leave a shard is still there when other pieces arrive.
        let arriving = |shard: usize| if home == shard { 0.0 } else { bytes };
        let shard = &mut self.shards[from];
        shard.load = (shard.load - load).max(0.0);
        shard.bytes = (shard.bytes - bytes).max(0.0);
        shard.space += arriving(from);
        shard.partitions = shard.partitions.saturating_sub(1);
        let shard = &mut self.shards[to];
        shard.load += load;
        shard.bytes += bytes;
        shard.space -= arriving(to);
        shard.partitions += 1;
    }
}
