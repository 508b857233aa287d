//! The options of a read, in RocksDB's terms.

use super::handles::Snapshot;
use crate::engine::Read;
use rocksdb::{ReadOptions, ReadTier};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Runs a read with the options it asks for. The usual cases, the present state or a snapshot
/// without a limit, use options that were made once.
#[inline]
pub(super) fn with_options<T>(
    present: &ReadOptions,
    read: Read<'_, Arc<Snapshot>>,
    run: impl FnOnce(&ReadOptions) -> T,
) -> T {
    match read {
        Read { at: None, deadline: None, bypass_cache: false, .. } => run(present),
        Read { at: Some(snapshot), deadline: None, bypass_cache: false, .. } => {
            run(snapshot.reads())
        }
        _ => {
            let mut options = limits(read);
            if let Some(snapshot) = read.at {
                snapshot.apply_to(&mut options);
            }
            run(&options)
        }
    }
}

/// Returns new options with a read's deadline and its use of cache and files.
pub(super) fn limits(read: Read<'_, Arc<Snapshot>>) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_readahead_size(read.read_ahead.unwrap_or(0));
    options.fill_cache(!read.bypass_cache);
    if let Some(micros) = read.deadline.and_then(unix_micros) {
        options.set_deadline(micros);
    }
    options
}

/// Returns new options that read no file. What is not in memory is an error then, which
/// [`is_not_in_memory`](super::error::is_not_in_memory) tells from others.
///
/// IMPORTANT: for single keys. In a read of several, RocksDB does not report each key that it has
/// left out.
pub(super) fn memory_only() -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_read_tier(ReadTier::BlockCache);
    options
}

/// Converts a deadline to RocksDB's form: microseconds since the Unix epoch, in 63 bits. A deadline
/// that has passed becomes the earliest one that is not zero, since zero means none; one beyond the
/// 63 bits becomes none.
fn unix_micros(deadline: Instant) -> Option<u64> {
    let left = deadline.saturating_duration_since(Instant::now());
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let micros = i64::try_from(since_epoch.checked_add(left)?.as_micros()).ok()?;
    u64::try_from(micros.max(1)).ok()
}
