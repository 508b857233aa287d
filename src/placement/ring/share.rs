//! Shares: how evenly the token space is divided.

use super::Ring;
use crate::id::ShardId;
use serde::{Deserialize, Serialize};

/// What one shard owns of a ring; see [`Ring::shares`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Share {
    /// The shard.
    pub shard: ShardId,
    /// Its weight.
    pub weight: u32,
    /// How many arcs it owns.
    pub arcs: usize,
    /// How many of the 2^64 tokens it owns.
    pub tokens: u128,
    /// The part of the token space that it owns, from 0 to 1.
    pub share: f64,
    /// The part of the token space that its weight asks for, from 0 to 1.
    pub wanted: f64,
}

const TOKENS: f64 = 18_446_744_073_709_551_616.0;

impl Ring {
    /// Returns what each member owns, in order of ids. O(arcs log members).
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "there is a share for each member")]
    pub fn shares(&self) -> Vec<Share> {
        let total: f64 = self.members().iter().map(|member| f64::from(member.weight)).sum();
        let mut shares: Vec<Share> = self
            .members()
            .iter()
            .map(|member| Share {
                shard: member.id,
                weight: member.weight,
                arcs: 0,
                tokens: 0,
                share: 0.0,
                wanted: f64::from(member.weight) / total,
            })
            .collect();
        for arc in self.arcs() {
            let share = &mut shares[self.members.index_of_owner(arc.owner)];
            share.arcs += 1;
            share.tokens += arc.range.width();
        }
        for share in &mut shares {
            share.share = share.tokens as f64 / TOKENS;
        }
        shares
    }

    /// Returns the largest share in relation to what its weight asks for: 1 is perfect balance, 2
    /// is a shard with twice what it should have. A ring that was only built, grown and shrunk is
    /// at 1 to a few parts in 10^15. O(arcs log members).
    #[must_use]
    pub fn max_over_mean(&self) -> f64 {
        let ratio = |share: Share| share.share / share.wanted;
        self.shares().into_iter().map(ratio).fold(0.0, f64::max)
    }
}
