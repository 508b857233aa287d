//! Quotas: which members own too much, and which too little.

use super::segments::Segment;

/// What each member owns and should own. A donor owns too much, a receiver too little; a transfer
/// counts for both, so that no token moves twice.
#[derive(Debug, Clone)]
pub(super) struct Quotas {
    members: Vec<Quota>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Quota {
    pub(super) owned: u128,
    target: u128,
    pub(super) surplus: u128,
    pub(super) deficit: u128,
    pub(super) arcs: usize,
}

impl Quotas {
    /// Returns the quotas. `targets` has an entry for each member, and sums to what the segments
    /// sum to.
    pub(super) fn new(segments: &[Segment], targets: &[u128]) -> Self {
        let quota = |&target| Quota { target, ..Quota::default() };
        let mut quotas = Self { members: targets.iter().map(quota).collect() };
        for segment in segments {
            let quota = quotas.quota_mut(segment.owner);
            quota.owned += segment.len;
            quota.arcs += 1;
        }
        for quota in &mut quotas.members {
            quota.surplus = quota.owned.saturating_sub(quota.target);
            quota.deficit = quota.target.saturating_sub(quota.owned);
        }
        quotas
    }

    /// Returns the quota of a member.
    #[expect(clippy::indexing_slicing, reason = "owners are indices of members")]
    pub(super) fn quota(&self, owner: usize) -> Quota {
        self.members[owner]
    }

    #[expect(clippy::indexing_slicing, reason = "owners are indices of members")]
    fn quota_mut(&mut self, owner: usize) -> &mut Quota {
        &mut self.members[owner]
    }

    pub(super) fn surplus(&self, owner: usize) -> u128 {
        self.quota(owner).surplus
    }

    pub(super) fn deficit(&self, owner: usize) -> u128 {
        self.quota(owner).deficit
    }

    pub(super) fn surpluses(&self) -> Vec<u128> {
        self.members.iter().map(|quota| quota.surplus).collect()
    }

    /// Returns the receivers, the one that lacks most first.
    pub(super) fn receivers(&self) -> Vec<usize> {
        let is_receiver = |&owner: &usize| self.deficit(owner) > 0;
        let mut receivers: Vec<usize> = (0..self.members.len()).filter(is_receiver).collect();
        receivers.sort_by_key(|&owner| std::cmp::Reverse(self.deficit(owner)));
        receivers
    }

    pub(super) fn donor_count(&self) -> usize {
        self.members.iter().filter(|quota| quota.surplus > 0).count()
    }

    /// Returns how much of a donor's segment may be taken. Something stays, to be a neighbour to
    /// grow back into when the receiver leaves, and not so little that it is not worth a partition:
    /// an eighth, or less when the donor must give nearly all it has. Taking this much from all of
    /// its segments yields at least its surplus.
    pub(super) fn room(&self, segment: Segment) -> u128 {
        let quota = self.quota(segment.owner);
        if quota.surplus == 0 {
            return 0;
        }
        if quota.target == 0 {
            return segment.len;
        }
        // The target is less than 2^64 here, and the length not more, so the product fits.
        let in_proportion = segment.len * quota.target / quota.owned.max(1);
        let keep = (segment.len / 8).min(in_proportion / 2).max(1);
        segment.len.saturating_sub(keep)
    }

    /// Transfers `most` tokens, or as many as one can give and the other take; returns how many.
    pub(super) fn transfer(&mut self, from: usize, to: usize, most: u128) -> u128 {
        let tokens = self.surplus(from).min(self.deficit(to)).min(most);
        self.quota_mut(from).surplus -= tokens;
        self.quota_mut(to).deficit -= tokens;
        tokens
    }
}
