//! A recorded load.

use std::collections::BTreeMap;

/// The size of a value if a file does not say.
const VALUE_BYTES: u64 = 200;
/// The number of reads of a pass if there are weights and no order.
const READS_PER_PASS: usize = 100_000;
pub(crate) struct Operation {
    pub(crate) key: u32,
    pub(crate) write: bool,
}

pub(crate) struct Recording {
    /// The keys in order, with the bytes that each takes.
    pub(crate) keys: Vec<(Vec<u8>, u64)>,
    pub(crate) operations: Vec<Operation>,
    /// The sum of each key's weight and those before it, if a pass has to be drawn.
    pub(crate) weights: Option<Vec<f64>>,
}

impl Recording {
    /// Draws a pass of reads, by weight.
    pub(crate) fn draw(&mut self, random: &mut fastrand::Rng) {
        let Some(sums) = &self.weights else { return };
        let all = sums.last().copied().unwrap_or_default();
        self.operations.clear();
        self.operations.extend((0..READS_PER_PASS).map(|_| {
            let at = random.f64() * all;
            let key = sums.partition_point(|sum| *sum <= at).min(sums.len() - 1);
            Operation { key: key as u32, write: false }
        }));
    }
}

/// Parses a trace, or a list of weights; the first line is a heading.
pub(crate) fn read(text: &str) -> Recording {
    let weighted = text.lines().next().is_some_and(|line| line.contains('\t'));
    let mut sizes: BTreeMap<&str, (u64, f64)> = BTreeMap::new();
    let mut operations = Vec::new();
    for line in text.lines().skip(1) {
        let mut fields = line.split(if weighted { '\t' } else { ',' });
        let (first, second, third) = (fields.next(), fields.next(), fields.next());
        let (Some(first), Some(second)) = (first, second) else { continue };
        let third: Option<f64> = third.and_then(|field| field.parse().ok());
        let (key, size, weight) = match weighted {
            true => (first, VALUE_BYTES, third.unwrap_or(0.0)),
            false => (second, third.map_or(VALUE_BYTES, |size| size as u64), 0.0),
        };
        let known = sizes.entry(key).or_default();
        *known = (known.0.max(size + key.len() as u64), known.1 + weight);
        if !weighted {
            operations.push((key, first != "read"));
        }
    }
    let number: BTreeMap<&str, u32> =
        sizes.keys().enumerate().map(|(number, key)| (*key, number as u32)).collect();
    let mut sum = 0.0;
    let weights = sizes.values().map(|(_, weight)| {
        sum += weight;
        sum
    });
    Recording {
        weights: weighted.then(|| weights.collect()),
        operations: operations
            .into_iter()
            .map(|(key, write)| Operation { key: number[key], write })
            .collect(),
        keys: sizes.iter().map(|(key, (size, _))| (key.as_bytes().to_vec(), *size)).collect(),
    }
}
