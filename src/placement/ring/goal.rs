//! A ring in which some members keep what they have, and some give all of it away.

use super::Ring;
use super::apportion::apportion;
use crate::error::{Error, Result};
use crate::id::ShardId;

/// What a member should own in a goal; see [`Ring::toward`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Its share, by weight, of what the others do not keep.
    Share,
    /// As many tokens as it has.
    Keep,
    /// No token.
    Nothing,
}

impl Ring {
    /// Like [`balanced`](Self::balanced), with a goal for each member.
    ///
    /// # Errors
    ///
    /// Also `InvalidArgument` if there is something to own, and nobody to get a share of it.
    pub(crate) fn toward(&self, goal: impl Fn(ShardId) -> Goal) -> Result<Self> {
        let mut goals = Vec::new();
        let mut kept = 0;
        for share in self.shares() {
            let goal = goal(share.shard);
            let keeps = if goal == Goal::Keep { share.tokens } else { 0 };
            kept += keeps;
            goals.push((goal, keeps, share.weight));
        }
        let weights =
            goals.iter().filter(|(goal, ..)| *goal == Goal::Share).map(|(_, _, weight)| *weight);
        let rest = (1 << 64) - kept;
        if rest > 0 && weights.clone().next().is_none() {
            return Err(Error::invalid(
                "no other shard takes what this one has: add a shard, or stop draining one",
            ));
        }
        let mut shares = apportion(rest, weights).into_iter();
        let targets: Vec<u128> = goals
            .iter()
            .map(|(goal, keeps, _)| match goal {
                Goal::Share => shares.next().unwrap_or(0),
                Goal::Keep | Goal::Nothing => *keeps,
            })
            .collect();
        self.rebalance(&self.members, &targets, self.members.clone())
    }
}
