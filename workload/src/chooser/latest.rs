//! The newest records are the most popular: with n records, the record n − 1 − r has the
//! probability of rank r by Zipf's law over n.

use super::Zipfian;
use fastrand::Rng;

/// Chooses records by their age.
#[derive(Debug, Clone)]
pub struct Latest {
    ages: Zipfian,
}

impl Latest {
    /// Creates a chooser among this many records at first.
    #[must_use]
    pub fn new(records: u64) -> Self {
        Self { ages: Zipfian::new(records) }
    }

    /// Returns a record below `records`, which never decreases.
    #[inline]
    pub fn choose(&mut self, random: &mut Rng, records: u64) -> u64 {
        self.ages.grow(records);
        records.saturating_sub(1 + self.ages.choose(random))
    }
}
