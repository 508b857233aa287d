//! Rings in which some members keep what they own, and some give all of it away.

use super::Ring;
use super::apportion::apportion;
use crate::error::{Error, Result};
use crate::id::ShardId;

/// What a member should own; see [`Ring::with_targets`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// Its share, by weight, of what the others do not keep.
    Share,
    /// As many tokens as it has.
    Keep,
    /// No token.
    Nothing,
}

impl Ring {
    /// Returns a ring like [`balanced`](Self::balanced), with a target for each member.
    ///
    /// # Errors
    ///
    /// Also `InvalidArgument` if there is something to own, and no member to get a share of it.
    pub(crate) fn with_targets(&self, target: impl Fn(ShardId) -> Target) -> Result<Self> {
        let mut wanted = Vec::new();
        let mut kept = 0;
        for share in self.shares() {
            let target = target(share.shard);
            let tokens = if target == Target::Keep { share.tokens } else { 0 };
            kept += tokens;
            wanted.push((target, tokens, share.weight));
        }
        let weights = wanted
            .iter()
            .filter(|(target, ..)| *target == Target::Share)
            .map(|(_, _, weight)| *weight);
        let rest = (1 << 64) - kept;
        if rest > 0 && weights.clone().next().is_none() {
            return Err(Error::invalid(
                "no other shard takes what this one has: add a shard, or stop draining one",
            ));
        }
        let mut shares = apportion(rest, weights).into_iter();
        let targets = wanted.iter().map(|(target, tokens, _)| match target {
            Target::Share => shares.next(),
            Target::Keep | Target::Nothing => Some(*tokens),
        });
        let targets: Option<Vec<u128>> = targets.collect();
        let Some(targets) = targets else { unreachable!("each weight has a part") };
        self.rebalance(&self.members, &targets, self.members.clone())
    }
}
