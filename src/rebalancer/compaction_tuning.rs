//! Compaction tuning: which partitions keep few files.
//!
//! A scan reads in each file above the last level, so each costs it as much as some rows; merging
//! them more often costs writes. Which matters more depends on what is done with a partition, and
//! that is known.

use crate::catalog::OpenPartition;
use crate::engine::Engine as _;
use crate::heat::Amounts;
use crate::topology::PartitionName;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How often this is decided, and the maximum number of partitions changed each time: a change
/// writes and syncs a file with the options of all partitions of a shard.
pub(super) const EVERY: Duration = Duration::from_secs(2);
pub(super) const CHANGES_MAX: usize = 4;

/// Rows read by scans for each write, above which few files are worth their price.
const ROWS_PER_WRITE: f64 = 8.0;

/// The same for a partition that already has few files: less, so that it does not oscillate.
const ROWS_PER_WRITE_TO_STAY: f64 = 2.0;

/// Fewer rows a second are not worth a change.
const ROWS_MIN: f64 = 100.0;

/// Partitions set to keep few files. A new one, and each after an opening, keeps as many as by
/// default.
#[derive(Default)]
pub(super) struct CompactionTuning {
    pub(super) tuned: BTreeSet<PartitionName>,
    pub(super) decided: Option<Instant>,
}

/// Returns true if a partition should keep few files, judging by the last seconds: what was written
/// a minute ago says nothing about the scans that came since.
fn wants_few(rates: &Amounts, has_few: bool) -> bool {
    if has_few {
        return rates.rows >= rates.writes * ROWS_PER_WRITE_TO_STAY;
    }
    rates.rows >= ROWS_MIN && rates.rows >= rates.writes * ROWS_PER_WRITE
}

impl CompactionTuning {
    /// Returns true if anything was changed.
    pub(super) fn decide(&mut self, partition: &OpenPartition, rates: &Amounts) -> bool {
        let has_few = self.tuned.contains(&partition.name);
        let few = wants_few(rates, has_few);
        if few == has_few {
            return false;
        }
        let changed = partition.shard.set_few_first_level_files(&partition.handle, few);
        if few {
            // Also after an error, which may leave the option changed: it is then reset until that
            // succeeds.
            self.tuned.insert(partition.name);
        } else if changed.is_ok() {
            self.tuned.remove(&partition.name);
        }
        if let Err(error) = changed {
            tracing::debug!(error = format_args!("{error:#}"), "cannot change how files are kept");
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scans_are_worth_few_files_and_writes_are_not() {
        let rates = |rows, writes| Amounts { rows, writes, ..Amounts::default() };
        assert!(wants_few(&rates(5000.0, 0.0), false));
        assert!(wants_few(&rates(5000.0, 600.0), false));
        assert!(!wants_few(&rates(5000.0, 700.0), false), "too many writes");
        assert!(wants_few(&rates(5000.0, 700.0), true), "not enough writes to change it back");
        assert!(!wants_few(&rates(5000.0, 3000.0), true));
        assert!(!wants_few(&rates(50.0, 0.0), false), "too little to matter");
        assert!(wants_few(&rates(0.0, 0.0), true), "an idle partition stays as it is");
        assert!(!wants_few(&rates(0.0, 0.0), false));
    }
}
