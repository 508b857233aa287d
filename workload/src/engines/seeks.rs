//! Counting how often RocksDB searches for where a scan begins.

use rocksdb::perf::{PerfContext, PerfMetric, PerfStatsLevel, set_perf_stats};

/// Runs something, and counts the seeks of cursors that this thread does during it, by RocksDB's
/// own counters: each cursor on a column family searches the memtable once when it seeks. What
/// other threads do for it is not counted.
pub fn count_seeks<T>(run: impl FnOnce() -> T) -> (T, u64) {
    set_perf_stats(PerfStatsLevel::EnableCount);
    let mut context = PerfContext::default();
    context.reset();
    let ran = run();
    let seeks = context.metric(PerfMetric::SeekOnMemtableCount);
    set_perf_stats(PerfStatsLevel::Disable);
    (ran, seeks)
}
