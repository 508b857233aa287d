//! Space-Saving (Metwally, Agrawal, El Abbadi: Efficient Computation of Frequent and Top-k
//! Elements in Data Streams, 2005), with weights.
//!
//! There are crates for this. `heavykeeper` is maintained and fast, but HeavyKeeper bounds no
//! single count, and whether a key is hot is decided here from bounds; the others count in whole
//! numbers, or search all counters for the least one.

use super::random::Mixed;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// Counts the heaviest keys of a stream with a fixed number of counters.
///
/// With `k` counters and a total weight of `N`: the weight of each counted key lies between
/// `count - error` and `count`, `error` is at most `N / k`, and every key with more than `N / k`
/// is counted. Keys are told apart by a seeded 128-bit hash.
///
/// An observation is amortised O(log k), and O(1) when its key is counted already. Memory: `k`
/// keys and about 140 bytes for each.
#[derive(Debug, Clone)]
pub(super) struct SpaceSaving {
    capacity: usize,
    seed: u64,
    total: f64,
    squares: f64,
    entries: Vec<Entry>,
    index: HashMap<u128, u32, Mixed>,
    /// A lower bound of each entry's count, as bits, which order like the numbers because none is
    /// negative. Counts only grow, so the least bound that is exact is the least count: a counted
    /// key costs nothing here, and each bound that is found too low is paid for by an increment
    /// that cost nothing.
    bounds: BinaryHeap<Reverse<(u64, u32)>>,
}

#[derive(Debug, Clone)]
struct Entry {
    key: Vec<u8>,
    hash: u128,
    count: f64,
    error: f64,
}

impl SpaceSaving {
    /// Creates an instance with room for `capacity` keys, at least one.
    pub(super) fn new(capacity: usize, seed: u64) -> Self {
        Self {
            capacity: capacity.max(1),
            seed,
            total: 0.0,
            squares: 0.0,
            entries: Vec::new(),
            index: HashMap::default(),
            bounds: BinaryHeap::new(),
        }
    }

    /// Counts an observation of a key. A weight that is not positive and finite is ignored.
    pub(super) fn observe(&mut self, key: &[u8], weight: f64) {
        if !self.pass(weight) {
            return;
        }
        let hash = xxh3_128_with_seed(key, self.seed);
        if let Some(entry) = self.index.get(&hash).and_then(|at| self.entries.get_mut(*at as usize))
        {
            entry.count += weight;
        } else if self.entries.len() < self.capacity {
            self.insert(Entry { key: key.to_vec(), hash, count: weight, error: 0.0 });
        } else {
            self.replace(key, hash, weight);
        }
    }

    /// Counts an observation for the total only. Returns false for a weight that is ignored.
    pub(super) fn pass(&mut self, weight: f64) -> bool {
        let counts = weight > 0.0 && weight.is_finite();
        if counts {
            self.total += weight;
            self.squares += weight * weight;
        }
        counts
    }

    fn insert(&mut self, entry: Entry) {
        let at = self.entries.len() as u32;
        self.index.insert(entry.hash, at);
        self.bounds.push(Reverse((entry.count.to_bits(), at)));
        self.entries.push(entry);
    }

    /// Reassigns the least counter to another key.
    #[expect(clippy::indexing_slicing, reason = "there is a bound for each entry")]
    fn replace(&mut self, key: &[u8], hash: u128, weight: f64) {
        while let Some(mut least) = self.bounds.peek_mut() {
            let Reverse((bound, at)) = *least;
            let entry = &mut self.entries[at as usize];
            if bound == entry.count.to_bits() {
                self.index.remove(&entry.hash);
                self.index.insert(hash, at);
                entry.key.clear();
                entry.key.extend_from_slice(key);
                (entry.hash, entry.error) = (hash, entry.count);
                entry.count += weight;
                *least = Reverse((entry.count.to_bits(), at));
                return;
            }
            *least = Reverse((entry.count.to_bits(), at));
        }
    }

    /// Returns the weight of all observations.
    pub(super) fn total(&self) -> f64 {
        self.total
    }

    /// Returns the sum of the squares of all weights.
    pub(super) fn squares(&self) -> f64 {
        self.squares
    }

    /// Returns an upper bound of the weight of a key that is not counted. O(k).
    pub(super) fn unseen_max(&self) -> f64 {
        if self.entries.len() < self.capacity {
            return 0.0;
        }
        let least = self.entries.iter().map(|entry| entry.count).min_by(f64::total_cmp);
        least.unwrap_or(0.0)
    }

    /// Returns each counted key with its count and its error, in no order.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], f64, f64)> {
        self.entries.iter().map(|entry| (&*entry.key, entry.count, entry.error))
    }

    /// Returns the count and the error of a key that is counted. O(key length).
    pub(super) fn get(&self, key: &[u8]) -> Option<(f64, f64)> {
        let at = *self.index.get(&xxh3_128_with_seed(key, self.seed))?;
        self.entries.get(at as usize).map(|entry| (entry.count, entry.error))
    }

    /// Forgets everything, and keeps the memory.
    pub(super) fn clear(&mut self) {
        (self.total, self.squares) = (0.0, 0.0);
        self.entries.clear();
        self.index.clear();
        self.bounds.clear();
    }

    /// Takes over counts from elsewhere: the heaviest first, each key once.
    pub(super) fn restore<'k>(
        &mut self,
        counts: impl Iterator<Item = (&'k [u8], f64, f64)>,
        total: f64,
        squares: f64,
    ) {
        self.clear();
        (self.total, self.squares) = (total, squares);
        for (key, count, error) in counts.take(self.capacity) {
            let hash = xxh3_128_with_seed(key, self.seed);
            if count > 0.0 && count.is_finite() && !self.index.contains_key(&hash) {
                self.insert(Entry { key: key.to_vec(), hash, count, error });
            }
        }
    }
}
