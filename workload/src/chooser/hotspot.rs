//! Hot spots: some of the records get most of the operations. With h = hot·n records of them hot,
//! P(r) = operations/h for r < h, and (1 − operations)/(n − h) for the others.

use fastrand::Rng;

/// Chooses among the first records with a given probability, otherwise among the others.
#[derive(Debug, Clone, Copy)]
pub struct Hotspot {
    hot: f64,
    operations: f64,
}

impl Hotspot {
    /// Creates a chooser with this fraction of the records hot, which get this fraction of the
    /// operations; both between 0 and 1.
    #[must_use]
    pub const fn new(hot: f64, operations: f64) -> Self {
        Self { hot, operations }
    }

    /// Returns a record below `records`.
    #[inline]
    pub fn choose(self, random: &mut Rng, records: u64) -> u64 {
        let records = records.max(1);
        let hot = ((records as f64 * self.hot) as u64).clamp(1, records);
        if hot == records || random.f64() < self.operations {
            random.u64(..hot)
        } else {
            random.u64(hot..records)
        }
    }
}
