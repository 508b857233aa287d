//! A hot spot that appears in the middle of a run: neighbouring keys, not neighbouring records.

use crate::keys::Keys;
use crate::random::mix;
use fastrand::Rng;
use std::sync::Arc;

/// The fraction of the keys that is hot: one of this many equal parts.
const PARTS: u64 = 100;

/// The records whose keys are a contiguous part of all keys.
#[derive(Debug, Clone)]
pub struct HotRange {
    records: Arc<[u64]>,
}

impl HotRange {
    /// Selects about 1 % of the first `records`: those with the keys from a place on that the seed
    /// decides. Linear in the number of records.
    #[must_use]
    pub fn new(keys: Keys, records: u64, seed: u64) -> Self {
        // Any place of the lower 98 %, so that there are enough keys after it.
        let place = mix(seed) % 98;
        let span = (keys.numbers(records) / PARTS).max(1);
        let from = place * span;
        let inside = |record: &u64| {
            let number = keys.number(*record);
            number >= from && number - from < span
        };
        let mut hot: Vec<u64> = (0..records).filter(inside).collect();
        if hot.is_empty() {
            // Too few records for 1 % of the keys to contain one: take the next one.
            let after = (0..records).filter(|record| keys.number(*record) >= from);
            hot.extend(after.min_by_key(|record| keys.number(*record)).or(Some(0)));
        }
        Self { records: hot.into() }
    }

    /// Returns one of its records with probability 1/2, otherwise `None`.
    #[inline]
    pub fn choose(&self, random: &mut Rng) -> Option<u64> {
        if random.bool() {
            return None;
        }
        self.records.get(random.usize(..self.records.len().max(1))).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KeyOrder;

    #[test]
    fn it_is_one_percent_of_neighbouring_keys() {
        for order in [KeyOrder::Hashed, KeyOrder::Ordered] {
            let keys = Keys::new(order);
            for seed in 0..20 {
                let hot = HotRange::new(keys, 50_000, seed);
                let number = hot.records.len();
                assert!((400..=600).contains(&number), "{order:?}: {number}");
                let numbers = || hot.records.iter().map(|record| keys.number(*record));
                let (least, most) = (numbers().min().unwrap(), numbers().max().unwrap());
                let between = (0..50_000).map(|record| keys.number(record));
                assert_eq!(between.filter(|n| (least..=most).contains(n)).count(), number);
            }
            assert_eq!(HotRange::new(keys, 3, 1).records.len(), 1);
        }
    }

    #[test]
    fn it_gets_half_of_the_operations() {
        let hot = HotRange::new(Keys::default(), 10_000, 1);
        let mut random = Rng::with_seed(1);
        let hits = (0..10_000).filter(|_| hot.choose(&mut random).is_some()).count();
        assert!((4_800..=5_200).contains(&hits), "{hits}");
    }
}
