//! Uniform choice: P(r) = 1/n.

use fastrand::Rng;

/// Chooses every record with the same probability.
#[derive(Debug, Clone, Copy, Default)]
pub struct Uniform;

impl Uniform {
    /// Returns a record below `records`.
    #[inline]
    pub fn choose(self, random: &mut Rng, records: u64) -> u64 {
        random.u64(..records.max(1))
    }
}
