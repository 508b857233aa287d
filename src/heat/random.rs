//! The random draws by which samples are chosen: reproducible, from a seed that is passed in.

use std::hash::{BuildHasherDefault, Hasher};

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns the logarithm of an exponentially distributed number with mean 1.
    pub(super) fn ln_exponential(&mut self) -> f64 {
        // In the middle of 2^53 equal steps: neither 0 nor 1, whose logarithms would be unusable.
        let uniform = ((self.next() >> 11) as f64 + 0.5) * (1.0 / (1_u64 << 53) as f64);
        (-uniform.ln()).ln()
    }
}

/// For maps whose keys are hashes, or numbers assigned in order.
pub(super) type Mixed = BuildHasherDefault<Mixer>;

/// Folds its input by a multiplication: not for keys that an attacker may choose.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        let mixed = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u128(&mut self, number: u128) {
        self.write_u64(number as u64 ^ (number >> 64) as u64);
    }
}
