//! Who has too much and who too little.

use super::segments::Segment;

/// What each member owns and should own. A donor owns too much, a receiver too little; what one
/// passes to another is booked for both, so that no token moves twice.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    accounts: Vec<Account>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Account {
    pub(super) owned: u128,
    target: u128,
    pub(super) surplus: u128,
    pub(super) deficit: u128,
    pub(super) arcs: usize,
}

impl Ledger {
    /// `targets` has an entry for each member, and sums to what the segments sum to.
    pub(super) fn new(segments: &[Segment], targets: &[u128]) -> Self {
        let account = |&target| Account { target, ..Account::default() };
        let mut accounts: Vec<Account> = targets.iter().map(account).collect();
        for segment in segments {
            if let Some(account) = accounts.get_mut(segment.owner) {
                account.owned += segment.len;
                account.arcs += 1;
            }
        }
        for account in &mut accounts {
            account.surplus = account.owned.saturating_sub(account.target);
            account.deficit = account.target.saturating_sub(account.owned);
        }
        Self { accounts }
    }

    pub(super) fn account(&self, owner: usize) -> Account {
        self.accounts.get(owner).copied().unwrap_or_default()
    }

    pub(super) fn surplus(&self, owner: usize) -> u128 {
        self.account(owner).surplus
    }

    pub(super) fn deficit(&self, owner: usize) -> u128 {
        self.account(owner).deficit
    }

    pub(super) fn surpluses(&self) -> Vec<u128> {
        self.accounts.iter().map(|account| account.surplus).collect()
    }

    /// The receivers, the neediest first.
    pub(super) fn receivers(&self) -> Vec<usize> {
        let needy = |&owner: &usize| self.deficit(owner) > 0;
        let mut receivers: Vec<usize> = (0..self.accounts.len()).filter(needy).collect();
        receivers.sort_by_key(|&owner| std::cmp::Reverse(self.deficit(owner)));
        receivers
    }

    pub(super) fn donor_count(&self) -> usize {
        self.accounts.iter().filter(|account| account.surplus > 0).count()
    }

    /// How much of a donor's segment may be cut. Something stays, to be a neighbour to grow back
    /// into when the receiver leaves, and not so little that it is not worth a partition: an eighth,
    /// or less when the donor must give nearly all it has. Cutting this much from all of its
    /// segments gives at least its surplus.
    pub(super) fn room(&self, segment: Segment) -> u128 {
        let account = self.account(segment.owner);
        if account.surplus == 0 {
            return 0;
        }
        if account.target == 0 {
            return segment.len;
        }
        // The target is less than 2^64 here, and the length not more, so the product fits.
        let in_proportion = segment.len * account.target / account.owned.max(1);
        let keep = (segment.len / 8).min(in_proportion / 2).max(1);
        segment.len.saturating_sub(keep)
    }

    /// Books the passing of `most` tokens, or as many as one can give and the other take; returns
    /// how many.
    pub(super) fn pass(&mut self, from: usize, to: usize, most: u128) -> u128 {
        let tokens = self.surplus(from).min(self.deficit(to)).min(most);
        if let Some(from) = self.accounts.get_mut(from) {
            from.surplus -= tokens;
        }
        if let Some(to) = self.accounts.get_mut(to) {
            to.deficit -= tokens;
        }
        tokens
    }
}
