//! The operations of one thread, drawn one by one. Pure: the same seed leads to the same operations
//! as long as the number of records is the same.

use crate::chooser::{Chooser, Sequential};
use crate::hot::HotRange;
use crate::workload::{Mix, SCAN_ROWS_MAX};
use fastrand::Rng;
use serde::Serialize;

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Reads a record.
    Read,
    /// Writes an existing record.
    Update,
    /// Writes a new record.
    Insert,
    /// Reads some records in key order.
    Scan,
    /// Reads a record, then writes it.
    ReadModifyWrite,
}

impl Kind {
    /// All kinds; each at its own position.
    pub const ALL: [Self; 5] =
        [Self::Read, Self::Update, Self::Insert, Self::Scan, Self::ReadModifyWrite];

    /// Returns its name, as used in results.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Update => "update",
            Self::Insert => "insert",
            Self::Scan => "scan",
            Self::ReadModifyWrite => "read_modify_write",
        }
    }
}

/// An operation. An insert's record is the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// What it does.
    pub kind: Kind,
    /// Which record it is for.
    pub record: u64,
    /// How many rows a scan reads.
    pub rows: usize,
    /// A random number, from which a written value is made.
    pub nonce: u64,
}

/// Draws the operations of one thread.
#[derive(Debug, Clone)]
pub struct Operations {
    /// Kind and the sum of the percentages up to it; only those in the mix.
    kinds: Vec<(u8, Kind)>,
    chooser: Chooser,
    random: Rng,
    hot: Option<HotRange>,
}

impl Operations {
    /// Creates the operations of a mix, for records of a chooser.
    #[must_use]
    pub fn new(mix: Mix, chooser: Chooser, seed: u64) -> Self {
        let Mix { read, update, insert, scan, read_modify_write } = mix;
        let parts = Kind::ALL.into_iter().zip([read, update, insert, scan, read_modify_write]);
        let mut sum = 0;
        let kinds = parts.filter(|(_, part)| *part > 0).map(|(kind, part)| {
            sum += part;
            (sum, kind)
        });
        Self { kinds: kinds.collect(), chooser, random: Rng::with_seed(seed), hot: None }
    }

    /// Returns the same, drawn from another seed.
    #[must_use]
    pub(crate) fn seeded(mut self, seed: u64) -> Self {
        self.random = Rng::with_seed(seed);
        self
    }

    /// Prepares them for thread `thread` of `threads` that share what a sequential chooser chooses.
    #[must_use]
    pub fn for_thread(mut self, thread: usize, threads: usize) -> Self {
        if let Chooser::Sequential(_) = self.chooser {
            self.chooser = Chooser::Sequential(Sequential::new(thread as u64, threads as u64));
        }
        self
    }

    /// Directs half of the operations to these records from now on.
    pub fn set_hot(&mut self, hot: HotRange) {
        self.hot = Some(hot);
    }

    /// Returns the next operation, given this many records.
    #[inline]
    pub fn next(&mut self, records: u64) -> Operation {
        let percent = self.random.u8(..100);
        let kind = self.kinds.iter().find(|(sum, _)| percent < *sum);
        let kind = kind.map_or(Kind::Read, |(_, kind)| *kind);
        let record = match kind {
            Kind::Insert => 0,
            _ => self.record(records),
        };
        let rows = match kind {
            Kind::Scan => self.random.usize(1..=SCAN_ROWS_MAX),
            _ => 0,
        };
        Operation { kind, record, rows, nonce: self.random.u64(..) }
    }

    #[inline]
    fn record(&mut self, records: u64) -> u64 {
        let hot = self.hot.as_ref().and_then(|hot| hot.choose(&mut self.random));
        hot.unwrap_or_else(|| self.chooser.choose(&mut self.random, records))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Keys;
    use crate::workload::Workload;

    #[test]
    fn the_kinds_come_as_often_as_the_mix_says() {
        for workload in Workload::ALL {
            let chooser = workload.distribution().chooser(1000);
            let mut operations = Operations::new(workload.mix(), chooser, 11);
            let mut counts = [0_u32; 5];
            let mut rows = 0;
            for _ in 0..100_000 {
                let operation = operations.next(1000);
                counts[operation.kind as usize] += 1;
                rows += operation.rows;
                assert!((operation.kind == Kind::Scan) == (1..=100).contains(&operation.rows));
            }
            let Mix { read, update, insert, scan, read_modify_write } = workload.mix();
            for (count, part) in counts.iter().zip([read, update, insert, scan, read_modify_write])
            {
                let expected = 1000.0 * f64::from(part);
                let deviation = (1000.0 * f64::from(part) * (1.0 - f64::from(part) / 100.0)).sqrt();
                let difference = (f64::from(*count) - expected).abs();
                assert!(difference <= 5.0 * deviation, "{workload}: {counts:?}");
            }
            if counts[3] > 0 {
                let mean = rows as f64 / f64::from(counts[3]);
                assert!((49.5..=51.5).contains(&mean), "{mean}");
            }
        }
    }

    #[test]
    fn a_seed_gives_the_same_operations_again() {
        let draw = |seed| {
            let chooser = Workload::E.distribution().chooser(500);
            let mut operations = Operations::new(Workload::E.mix(), chooser, seed);
            (0..1000).map(|_| operations.next(500)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn a_hot_range_takes_half_from_when_it_is_set() {
        let keys = Keys::default();
        let chooser = crate::Distribution::Uniform.chooser(10_000);
        let mut operations = Operations::new(Workload::C.mix(), chooser, 1);
        let hot = HotRange::new(keys, 10_000, 4);
        let mut random = Rng::with_seed(1);
        let records: std::collections::BTreeSet<u64> =
            (0..20_000).filter_map(|_| hot.choose(&mut random)).collect();
        let share = |operations: &mut Operations| {
            (0..10_000).filter(|_| records.contains(&operations.next(10_000).record)).count()
        };
        assert!(share(&mut operations) < 200);
        operations.set_hot(hot);
        assert!((4_800..=5_300).contains(&share(&mut operations)));
    }
}
