//! Zipf's law: the record of rank r, from 0, has P(r) = 1 / ((r + 1)^θ · ζ(n)), with
//! ζ(n) = Σ 1/i^θ for i = 1 … n and θ = 0.99.
//!
//! Drawn as YCSB does, by Jim Gray, Prakash Sundaresan, Susanne Englert, Ken Baclawski, Peter J.
//! Weinberger, "Quickly Generating Billion-Record Synthetic Databases", SIGMOD 1994. With u uniform
//! in [0, 1): rank 0 if u·ζ(n) < 1, rank 1 if u·ζ(n) < 1 + 0.5^θ, otherwise
//! ⌊n · (η·u − η + 1)^α⌋ with α = 1/(1 − θ), η = (1 − (2/n)^(1−θ)) / (1 − ζ(2)/ζ(n)). The first two
//! ranks have exactly Zipf's probabilities, the others have about theirs.

use fastrand::Rng;

/// The exponent of all YCSB core workloads.
const THETA: f64 = 0.99;

/// This many terms of ζ are added one by one; the others are an integral with corrections, whose
/// error is then below the rounding.
const TERMS: u64 = 1000;

/// Chooses ranks by Zipf's law.
#[derive(Debug, Clone)]
pub struct Zipfian {
    items: u64,
    zeta: f64,
    eta: f64,
}

impl Zipfian {
    /// Creates a chooser among this many items, at least one.
    #[must_use]
    pub fn new(items: u64) -> Self {
        let items = items.max(1);
        let zeta = zeta(items);
        Self { items, zeta, eta: eta(items, zeta) }
    }

    /// Raises the number of items. Linear in the increase.
    #[inline]
    pub fn grow(&mut self, items: u64) {
        if items > self.items {
            self.zeta += (self.items + 1..=items).map(term).sum::<f64>();
            self.items = items;
            self.eta = eta(items, self.zeta);
        }
    }

    /// Returns a rank below the number of items; 0 is the most popular.
    #[inline]
    pub fn choose(&self, random: &mut Rng) -> u64 {
        let u = random.f64();
        let place = u * self.zeta;
        if place < 1.0 || self.items == 1 {
            return 0;
        }
        if place < 1.0 + 0.5_f64.powf(THETA) || self.items == 2 {
            return 1;
        }
        let part = self.eta.mul_add(u, 1.0 - self.eta).powf(1.0 / (1.0 - THETA));
        // Rounding may reach the number of items.
        ((self.items as f64 * part) as u64).min(self.items - 1)
    }

    /// Returns how many items there are.
    #[must_use]
    pub const fn items(&self) -> u64 {
        self.items
    }

    /// Returns the probability of a rank by Zipf's law.
    #[must_use]
    pub fn probability(&self, rank: u64) -> f64 {
        term(rank + 1) / self.zeta
    }

    /// Returns the probability, by Gray's formula, that a rank is below this one, which is at least
    /// 2.
    #[cfg(test)]
    pub(super) fn below(&self, rank: u64) -> f64 {
        let part = (rank as f64 / self.items as f64).powf(1.0 - THETA);
        (part - 1.0 + self.eta) / self.eta
    }
}

fn term(item: u64) -> f64 {
    (item as f64).powf(-THETA)
}

/// Returns ζ(items), by the Euler–Maclaurin formula beyond the first terms.
fn zeta(items: u64) -> f64 {
    let head: f64 = (1..=items.min(TERMS)).map(term).sum();
    if items <= TERMS {
        return head;
    }
    let (from, to) = (TERMS as f64, items as f64);
    let integral = (to.powf(1.0 - THETA) - from.powf(1.0 - THETA)) / (1.0 - THETA);
    let ends = (to.powf(-THETA) - from.powf(-THETA)) / 2.0;
    let slopes = THETA * (from.powf(-THETA - 1.0) - to.powf(-THETA - 1.0)) / 12.0;
    head + integral + ends + slopes
}

fn eta(items: u64, zeta: f64) -> f64 {
    if items <= 2 {
        return 1.0;
    }
    (1.0 - (2.0 / items as f64).powf(1.0 - THETA)) / (1.0 - (1.0 + term(2)) / zeta)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeta_is_the_sum() {
        for items in [1, 2, 999, 1000, 1001, 5000, 200_000] {
            let sum: f64 = (1..=items).map(term).sum();
            assert!((zeta(items) / sum - 1.0).abs() < 1e-12, "{items}");
        }
        // The constant that YCSB has in its code for ten thousand million items.
        assert!((zeta(10_000_000_000) - 26.469_028_201_783_02).abs() < 1e-6);
    }

    #[test]
    fn growing_is_like_beginning_with_more() {
        let mut grown = Zipfian::new(900);
        (901..=1500).for_each(|items| grown.grow(items));
        let whole = Zipfian::new(1500);
        assert!((grown.zeta - whole.zeta).abs() < 1e-9 && (grown.eta - whole.eta).abs() < 1e-9);
        grown.grow(3);
        assert_eq!(grown.items(), 1500);
    }
}
