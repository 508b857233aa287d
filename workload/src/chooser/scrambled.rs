//! Zipf's law with the popular records scattered among the others.
//!
//! YCSB draws one of 10^10 ranks and takes its hash modulo the number of records. That folds ranks
//! onto each other: the most popular of a million records gets 3.8 % of the operations instead of
//! the 6.5 % of Zipf's law, and how much depends on collisions. Here the ranks of exactly the
//! records that there are go through a permutation, so each probability of [`Zipfian`] is that of
//! one record.

use super::Zipfian;
use fastrand::Rng;

/// Chooses records by Zipf's law, the popular ones anywhere.
#[derive(Debug, Clone)]
pub struct Scrambled {
    ranks: Zipfian,
    /// One less than a power of two, at least the number of items.
    mask: u64,
    shift: u32,
}

impl Scrambled {
    /// Creates a chooser among this many items, at least one.
    #[must_use]
    pub fn new(items: u64) -> Self {
        let ranks = Zipfian::new(items);
        let bits = (u64::BITS - (ranks.items() - 1).leading_zeros()).max(2);
        Self { ranks, mask: u64::MAX >> (u64::BITS - bits), shift: bits.div_ceil(2) }
    }

    /// Returns a record below the number of items.
    #[inline]
    pub fn choose(&self, random: &mut Rng) -> u64 {
        self.record(self.ranks.choose(random))
    }

    /// Returns the record of a rank: a permutation of the items.
    #[must_use]
    #[inline]
    pub fn record(&self, rank: u64) -> u64 {
        let mut record = self.scatter(rank);
        // A permutation of a power of two, walked until it comes back below the number of items,
        // is one of the items.
        while record >= self.ranks.items() {
            record = self.scatter(record);
        }
        record
    }

    /// Returns the image of a number under a permutation of the numbers up to the mask: each step
    /// can be undone.
    #[inline]
    const fn scatter(&self, number: u64) -> u64 {
        let mut x = number.wrapping_add(0x9e37_79b9_7f4a_7c15) & self.mask;
        x ^= x >> self.shift;
        x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9) & self.mask;
        x ^= x >> self.shift;
        x = x.wrapping_mul(0x94d0_49bb_1331_11eb) & self.mask;
        x ^ (x >> self.shift)
    }
}
