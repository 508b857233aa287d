//! How many retries there may be: a bucket of tokens that successes fill. Pure.

use std::sync::atomic::{AtomicU64, Ordering};

/// Tokens are counted in hundredths, so that a success can earn one percent of a token.
const TOKEN: u64 = 100;

/// Retries in proportion to successes: each retry takes a token, and each call that succeeds earns a
/// part of one. Over any time there are no more retries than the reserve and that part of the
/// successes.
///
/// ```
/// use annulus::retry::RetryBudget;
///
/// let budget = RetryBudget::new(2, 50);
/// assert!(budget.spend() && budget.spend() && !budget.spend());
/// budget.earn();
/// assert!(!budget.spend(), "half a token");
/// budget.earn();
/// assert!(budget.spend());
/// ```
#[derive(Debug)]
pub struct RetryBudget {
    /// In hundredths of a token.
    left: AtomicU64,
    most: u64,
    per_success: u64,
}

impl RetryBudget {
    /// Returns a budget with `reserve` tokens, the most that it ever has, of which each success earns
    /// `percent` hundredths of one.
    #[must_use]
    pub const fn new(reserve: u32, percent: u32) -> Self {
        let most = reserve as u64 * TOKEN;
        Self { left: AtomicU64::new(most), most, per_success: percent as u64 }
    }

    /// Notes that a call has succeeded, at whichever attempt.
    pub fn earn(&self) {
        let earn = |left: u64| (left < self.most).then(|| (left + self.per_success).min(self.most));
        // Where it is full, which is the usual case, nothing is written.
        let _ = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, earn);
    }

    /// Takes a token for a retry. Returns false if there is none: then the call is not to be made again.
    #[must_use]
    pub fn spend(&self) -> bool {
        let spend = |left: u64| left.checked_sub(TOKEN);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_ok()
    }

    /// Returns how many tokens there are.
    #[must_use]
    pub fn tokens(&self) -> u32 {
        u32::try_from(self.left.load(Ordering::Relaxed) / TOKEN).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// In every stretch of calls, retries are bounded by the reserve and the share of its
        /// successes; and a retry is refused only if less than a token is left.
        #[test]
        fn retries_are_a_share_of_successes(
            reserve in 0_u32..20,
            percent in 0_u32..150,
            calls in proptest::collection::vec(any::<bool>(), 0..400),
        ) {
            let budget = RetryBudget::new(reserve, percent);
            let whole = u64::from(reserve) * TOKEN;
            // The greatest excess of retries over what successes have earned, over all stretches that end
            // here; and what a bucket holds.
            let (mut excess, mut left) = (0_u64, whole);
            for succeeds in calls {
                if succeeds {
                    budget.earn();
                    excess = excess.saturating_sub(u64::from(percent));
                    left = (left + u64::from(percent)).min(whole);
                } else if budget.spend() {
                    excess += TOKEN;
                    prop_assert!(left >= TOKEN);
                    left -= TOKEN;
                } else {
                    prop_assert!(left < TOKEN);
                }
                prop_assert!(excess <= whole);
                prop_assert_eq!(u64::from(budget.tokens()), left / TOKEN);
            }
        }
    }
}
