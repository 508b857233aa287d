//! Expired rows, which compactions remove.
//!
//! A filter sees the newest version of each row that a compaction reads. What it removes becomes a
//! deletion with the same place in the order of writes: it hides older versions in lower levels,
//! and goes away where there can be none. So no older version comes back.
//!
//! Filters do not heed the engine's snapshots. What protects those who read from one is the
//! [horizon](crate::expiry::Horizon): a compaction asks for it once, when it begins, and leaves
//! what expires later.

use crate::expiry::{Counts, Expiring, ExpiringValue, Moment};
use crate::os::failpoint;
use rocksdb::compaction_filter::{CompactionFilter, Decision};
use rocksdb::compaction_filter_factory::{CompactionFilterContext, CompactionFilterFactory};
use std::ffi::CStr;
use std::sync::Arc;
use std::time::Duration;

/// The age at which a file is compacted though nothing else asks for it: a part of the lifetime of
/// its rows, within bounds. Each file is rewritten once in such a time, which is the pace at which
/// the space of expired rows comes back where nothing is written.
const PERIOD_PART: u32 = 2;
const PERIOD_MIN: Duration = Duration::from_secs(3600);
const PERIOD_MAX: Duration = Duration::from_secs(7 * 86_400);
/// That of rows whose lifetime is not known.
const PERIOD_USUAL: Duration = Duration::from_secs(86_400);

const NAME: &CStr = c"annulus.expired";

/// Sets up the removal of expired rows in a family.
pub(super) fn remove_expired(options: &mut rocksdb::Options, expiring: &Arc<Expiring>) {
    let period = expiring
        .time_to_live()
        .default_lifetime()
        .map_or(PERIOD_USUAL, |lifetime| (lifetime / PERIOD_PART).clamp(PERIOD_MIN, PERIOD_MAX));
    options.set_periodic_compaction_seconds(period.as_secs());
    options.set_compaction_filter_factory(Filters(Arc::clone(expiring)));
}

/// Makes a filter for each compaction.
struct Filters(Arc<Expiring>);

impl CompactionFilterFactory for Filters {
    type Filter = Filter;

    fn create(&mut self, _: CompactionFilterContext) -> Filter {
        failpoint::hit("expiry-begin");
        let expiring = Arc::clone(&self.0);
        let (before, now) = expiring.reclaimable();
        Filter { before, now, expiring, counts: Counts::default() }
    }

    fn name(&self) -> &CStr {
        NAME
    }
}

/// The filter of one compaction. IMPORTANT: a panic here would end the process.
struct Filter {
    before: Moment,
    now: Moment,
    expiring: Arc<Expiring>,
    counts: Counts,
}

impl CompactionFilter for Filter {
    fn filter(&mut self, _level: u32, key: &[u8], value: &[u8]) -> Decision {
        let row = ExpiringValue::new(value);
        if !row.has_expired(self.before) {
            self.counts.rows_held += u64::from(row.has_expired(self.now));
            return Decision::Keep;
        }
        self.counts.rows_reclaimed += 1;
        self.counts.bytes_reclaimed += (key.len() + value.len()) as u64;
        Decision::Remove
    }

    fn name(&self) -> &CStr {
        NAME
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        if self.counts.rows_reclaimed > 0 {
            // Before the engine lists the new files.
            failpoint::hit("expiry-removed");
        }
        self.expiring.count(self.counts);
    }
}
