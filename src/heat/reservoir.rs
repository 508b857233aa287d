//! Reservoirs: bounded samples of a stream, biased towards recent values.
//!
//! Weighted sampling without replacement (Efraimidis, Spirakis: Weighted random sampling with a
//! reservoir, 2006): each value draws a rank, exponentially distributed and divided by its
//! weight, and those with the least ranks stay. A weight that doubles with each half-life of the
//! time of arrival makes it forget (Cormode, Shkapenyuk, Srivastava, Xu: Forward Decay, 2009);
//! ranks are kept as logarithms, so nothing overflows.
//!
//! A value that was likely to be kept stands for little, one that was not for much: its sample
//! weight is its weight divided by the probability that it was kept, given the ranks of the others
//! (Cohen, Kaplan: Summarizing Data using Bottom-k Sketches, 2007). Sums of these weights over any
//! part of the stream are right on average.

use std::f64::consts::LN_2;

#[derive(Debug, Clone)]
pub(super) struct Reservoir<T> {
    capacity: usize,
    /// In order of arrival.
    items: Vec<Item<T>>,
    /// The least rank, as a logarithm, that was not kept.
    refused: f64,
    /// The greatest rank that is kept, when the reservoir is full.
    worst: f64,
}

#[derive(Debug, Clone)]
pub(super) struct Item<T> {
    pub(super) value: T,
    /// When it arrived, in half-lives.
    at: f64,
    weight: f64,
    ln_rank: f64,
    /// The value of `refused` in the reservoirs that it has been in before.
    refused: f64,
}

impl<T> Reservoir<T> {
    pub(super) fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self { capacity, items: Vec::new(), refused: f64::INFINITY, worst: f64::INFINITY }
    }

    /// Offers a value that arrives at `at`, in half-lives; always 0 for a reservoir that does not
    /// forget. `ln_draw` is the logarithm of an exponential number. `make` is called only for a
    /// value that is kept. O(1) when refused, otherwise O(capacity).
    pub(super) fn offer(&mut self, at: f64, weight: f64, ln_draw: f64, make: impl FnOnce() -> T) {
        let ln_rank = ln_draw - weight.ln() - at * LN_2;
        if ln_rank >= self.worst {
            self.refused = self.refused.min(ln_rank);
            return;
        }
        self.items.push(Item { value: make(), at, weight, ln_rank, refused: f64::INFINITY });
        self.shrink();
    }

    /// Drops the greatest ranks until there is room.
    fn shrink(&mut self) {
        while self.items.len() > self.capacity {
            let (index, worst, next) = self.two_worst();
            self.items.remove(index);
            self.refused = self.refused.min(worst);
            self.worst = next;
        }
        if self.items.len() == self.capacity && self.worst == f64::INFINITY {
            self.worst = self.two_worst().1;
        }
    }

    /// Returns the index of the greatest rank, that rank, and the next greatest.
    fn two_worst(&self) -> (usize, f64, f64) {
        let mut found = (0, f64::NEG_INFINITY, f64::NEG_INFINITY);
        for (index, item) in self.items.iter().enumerate() {
            if item.ln_rank > found.1 {
                found = (index, item.ln_rank, found.1);
            } else if item.ln_rank > found.2 {
                found.2 = item.ln_rank;
            }
        }
        found
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.items.len()
    }

    /// Returns when the last value that is kept arrived.
    pub(super) fn last_at(&self) -> f64 {
        self.items.last().map_or(0.0, |item| item.at)
    }

    /// Returns the values in order of arrival, with the weight that each stands for at `at`, in
    /// half-lives.
    pub(super) fn weighted(&self, at: f64) -> impl Iterator<Item = (&T, f64)> {
        self.items.iter().map(move |item| (&item.value, item.weight_at(at, self.refused)))
    }

    /// Returns this reservoir, and leaves an empty one.
    pub(super) fn take(&mut self) -> Self {
        let empty = Self::new(self.capacity);
        std::mem::replace(self, empty)
    }

    /// Returns all values, to be [absorbed](Self::absorb) elsewhere.
    pub(super) fn drain(self) -> impl Iterator<Item = Item<T>> {
        let refused = self.refused;
        self.items.into_iter().map(move |mut item| {
            item.refused = item.refused.min(refused);
            item
        })
    }

    /// Takes in values of other reservoirs, which keep their sample weights.
    pub(super) fn absorb(&mut self, items: impl IntoIterator<Item = Item<T>>) {
        // What was refused here was not refused there.
        let refused = std::mem::replace(&mut self.refused, f64::INFINITY);
        self.items.iter_mut().for_each(|item| item.refused = item.refused.min(refused));
        self.items.extend(items);
        self.items.sort_by(|one, other| one.at.total_cmp(&other.at));
        self.worst = f64::INFINITY;
        self.shrink();
    }
}

impl<T> Item<T> {
    pub(super) fn weight_at(&self, at: f64, refused: f64) -> f64 {
        let weight = self.weight * (self.at - at).exp2();
        let refused = refused.min(self.refused);
        if refused == f64::INFINITY {
            return weight;
        }
        // The probability that a rank of this weight is below the one that was refused.
        let expected = (refused + self.weight.ln() + self.at * LN_2).exp();
        let chance = -(-expected).exp_m1();
        if chance > 0.0 { weight / chance } else { weight }
    }

    /// Returns the same time, weight and rank for another value.
    pub(super) fn with<U>(&self, value: U) -> Item<U> {
        let Self { at, weight, ln_rank, refused, .. } = *self;
        Item { value, at, weight, ln_rank, refused }
    }

    /// Returns a value as it was kept elsewhere: with its sample weight, and certain to be kept.
    pub(super) fn restored(value: T, at: f64, sample_weight: f64, ln_draw: f64) -> Self {
        let ln_rank = ln_draw - sample_weight.ln() - at * LN_2;
        Self { value, at, weight: sample_weight, ln_rank, refused: f64::INFINITY }
    }
}

#[cfg(test)]
mod tests {
    use super::super::random::Random;
    use super::*;

    fn filled(count: u32, capacity: usize, at: impl Fn(u32) -> f64) -> Reservoir<u32> {
        let mut random = Random::new(11);
        let mut reservoir = Reservoir::new(capacity);
        for n in 0..count {
            // Every tenth weighs ten.
            let weight = if n % 10 == 0 { 10.0 } else { 1.0 };
            reservoir.offer(at(n), weight, random.ln_exponential(), || n);
        }
        reservoir
    }

    #[test]
    fn sample_weights_add_up_to_the_stream_and_to_parts_of_it() {
        let reservoir = filled(100_000, 1_000, |_| 0.0);
        assert_eq!(reservoir.len(), 1_000);
        let total: f64 = reservoir.weighted(0.0).map(|(_, sample_weight)| sample_weight).sum();
        assert!((total / 190_000.0 - 1.0).abs() < 0.1, "{total}");
        let heavy = reservoir
            .weighted(0.0)
            .filter(|(n, _)| *n % 10 == 0)
            .map(|(_, sample_weight)| sample_weight);
        let heavy: f64 = heavy.sum();
        assert!((heavy / 100_000.0 - 1.0).abs() < 0.15, "{heavy}");
    }

    #[test]
    fn forgets_by_half_lives_and_keeps_the_order() {
        // 1,000 a half-life, over 100 of them.
        let reservoir = filled(100_000, 500, |n| f64::from(n) / 1_000.0);
        let values: Vec<u32> = reservoir.weighted(0.0).map(|(n, _)| *n).collect();
        assert!(values.is_sorted());
        let share = |from: u32, to: u32| {
            values.iter().filter(|n| (from..to).contains(n)).count() as f64 / values.len() as f64
        };
        assert!((share(99_000, 100_000) - 0.5).abs() < 0.1);
        assert!((share(98_000, 99_000) - 0.25).abs() < 0.1);
        assert!(share(0, 80_000) == 0.0);
        let sample_weight: f64 =
            reservoir.weighted(100.0).map(|(_, sample_weight)| sample_weight).sum();
        // 1.9 of weight each, of which decay leaves 1,000 / ln 2.
        assert!((sample_weight / (1_900.0 / LN_2) - 1.0).abs() < 0.15, "{sample_weight}");
    }

    #[test]
    fn absorbing_keeps_the_worth() {
        let (mut one, other) = (filled(50_000, 400, |_| 0.0), filled(5_000, 400, |_| 0.0));
        one.absorb(other.drain());
        assert_eq!(one.len(), 400);
        let total: f64 = one.weighted(0.0).map(|(_, sample_weight)| sample_weight).sum();
        assert!((total / (1.9 * 55_000.0) - 1.0).abs() < 0.2, "{total}");
    }
}
