//! The first arcs of a ring.

use super::apportion::apportion;
use super::member::Members;
use super::segments::{self, Segment};
use super::{Member, Ring, check_arc_count};
use crate::error::{Error, Result};
use crate::placement::TokenFunction;

/// How many arcs a shard gets by default. Each arc is a RocksDB column family, which makes every
/// read a little slower and every scan more expensive, so few are better than many; with 4, a shard
/// that leaves can pass its tokens to 8 neighbours without a split. The balance does not depend on
/// the number: a shard owns exactly its share of the tokens.
pub const ARCS_PER_SHARD: u32 = 4;

impl Ring {
    /// Returns a builder of a ring, without shards.
    pub fn builder() -> RingBuilder {
        RingBuilder::default()
    }
}

/// Builds a [`Ring`]; see [`Ring::builder`].
#[derive(Debug, Clone)]
#[must_use]
pub struct RingBuilder {
    members: Vec<Member>,
    arcs_per_shard: u32,
    token_function: TokenFunction,
}

impl Default for RingBuilder {
    fn default() -> Self {
        Self {
            members: Vec::new(),
            arcs_per_shard: ARCS_PER_SHARD,
            token_function: TokenFunction::default(),
        }
    }
}

impl RingBuilder {
    /// Sets how many arcs each shard gets unless its [`Member`] says otherwise: at least 1, by
    /// default [`ARCS_PER_SHARD`]. The ring keeps the number for shards added later.
    pub fn arcs_per_shard(mut self, arcs: u32) -> Self {
        self.arcs_per_shard = arcs;
        self
    }

    /// Sets the function that turns keys into tokens; [`TokenFunction::default`] by default.
    pub fn token_function(mut self, function: TokenFunction) -> Self {
        self.token_function = function;
        self
    }

    /// Adds a shard.
    pub fn shard(mut self, member: Member) -> Self {
        self.members.push(member);
        self
    }

    /// Adds shards.
    pub fn shards(mut self, members: impl IntoIterator<Item = Member>) -> Self {
        self.members.extend(members);
        self
    }

    /// Places the arcs: those of one shard are of one size and spread evenly, with neighbours as
    /// different as possible, so that any shard can later leave to many others. The shards own
    /// the token space in exact proportion to their weights, to the token; the order in
    /// which they were added has no influence. O(arcs log arcs).
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if there is no shard, a shard is
    /// there twice, has weight 0 or 0 arcs, or there are more than
    /// [`ARCS_MAX`](super::ARCS_MAX) arcs in all.
    pub fn build(self) -> Result<Ring> {
        if self.arcs_per_shard == 0 {
            return Err(Error::invalid("0 arcs per shard: give at least 1"));
        }
        let members = Members::new(self.members)?;
        let arcs = |member: &Member| member.arcs.unwrap_or(self.arcs_per_shard) as usize;
        check_arc_count(members.iter().map(arcs).fold(0, usize::saturating_add))?;

        let segments = interleave(&members, self.arcs_per_shard);
        let (starts, owners) = segments::into_arcs(segments, &members);
        Ring::from_parts(members, self.token_function, self.arcs_per_shard, starts, owners)
    }
}

/// An arc before it has a position.
struct Unplaced {
    /// The middle of the arc's own part of the ring, if its shard's arcs were alone and even.
    middle: u64,
    /// Its position among arcs with the same middle.
    rank: usize,
    segment: Segment,
}

/// Returns the arcs in the order in which they lie on the ring.
fn interleave(members: &[Member], arcs_per_shard: u32) -> Vec<Segment> {
    let count = members.len();
    let targets = targets(members);
    let mut arcs = Vec::new();
    for (owner, (member, target)) in members.iter().zip(targets).enumerate() {
        let rounds = u128::from(member.arcs.unwrap_or(arcs_per_shard)).min(target).max(1);
        for round in 0..rounds {
            let len = target / rounds + u128::from(round < target % rounds);
            arcs.push(Unplaced {
                middle: (((2 * round + 1) << 63) / rounds) as u64,
                rank: williams(owner, round as usize, count),
                segment: Segment { owner, len },
            });
        }
    }
    arcs.sort_by_key(|arc| (arc.middle, arc.rank));
    arcs.into_iter().map(|arc| arc.segment).collect()
}

/// Returns how many tokens each member should own.
pub(super) fn targets(members: &[Member]) -> Vec<u128> {
    apportion(1 << 64, members.iter().map(|member| member.weight))
}

/// Returns the position of `item` in row `row` of a Latin square of `count` items in which
/// neighbours differ from row to row (Williams 1949: row `r` is r, r+1, r-1, r+2, r-2, … modulo
/// `count`). In plain rotation each shard would always follow the same one, and could leave only to
/// that.
fn williams(item: usize, row: usize, count: usize) -> usize {
    let step = (item + count - row % count) % count;
    if step == 0 {
        0
    } else if step <= count / 2 {
        2 * step - 1
    } else {
        2 * (count - step)
    }
}

#[cfg(test)]
mod tests {
    use super::williams;
    use std::collections::BTreeSet;

    #[test]
    fn every_row_is_a_permutation() {
        for count in 1..20 {
            for row in 0..2 * count {
                let places: BTreeSet<usize> =
                    (0..count).map(|item| williams(item, row, count)).collect();
                assert!(places.into_iter().eq(0..count), "{count} {row}");
            }
        }
    }
}
