//! Where the bytes of a column family are.

use super::db::Db;
use super::handles::ColumnFamily;
use crate::engine::Usage;
use crate::placement::KeyRange;
use rocksdb::Range;

/// Greater than any key that a store accepts, since their length is bounded.
const BEYOND_ALL_KEYS: &[u8] = &[0xff; 64];

/// Returns what a column family occupies. An overlay counts like a memtable: a key that is in files
/// too counts twice, and each deletion counts as that of a row in files.
pub(super) fn usage(db: &Db, family: &ColumnFamily) -> Result<Usage, rocksdb::Error> {
    let property = |name| {
        db.property_int_value_cf(family.handle(), name).map(|value: Option<u64>| value.unwrap_or(0))
    };
    let overlay = family.overlay().map(|overlay| overlay.usage()).unwrap_or_default();
    let keys = property("rocksdb.estimate-num-keys")? + overlay.values;
    Ok(Usage {
        keys_estimated: keys.saturating_sub(overlay.deletions),
        bytes_on_disk: property("rocksdb.live-sst-files-size")?,
        bytes_in_memory: property("rocksdb.size-all-mem-tables")? + overlay.bytes,
    })
}

/// Returns how many memtables of a column family take no more writes and are not in files.
pub(super) fn sealed_memtables(db: &Db, family: &ColumnFamily) -> Option<u64> {
    db.property_int_value_cf(family.handle(), "rocksdb.num-immutable-mem-table").ok()?
}

/// Returns true if files hold everything that had been written to a column family before the call.
///
/// IMPORTANT: first the memtable that takes writes. If it is empty, what was written before is in
/// others or in files; were the others asked first, it might join them in between.
pub(super) fn is_in_files(db: &Db, family: &ColumnFamily) -> bool {
    let rows = "rocksdb.num-entries-active-mem-table";
    let rows = db.property_int_value_cf(family.handle(), rows).ok().flatten();
    rows == Some(0) && sealed_memtables(db, family) == Some(0)
}

/// Returns about how many bytes of files hold the keys of a range. RocksDB counts in blocks; a
/// memtable counts nothing.
pub(super) fn bytes_in(db: &Db, family: &ColumnFamily, range: &KeyRange) -> u64 {
    let end = range.end.as_deref().unwrap_or(BEYOND_ALL_KEYS);
    let sizes = db.get_approximate_sizes_cf(family.handle(), &[Range::new(&range.start, end)]);
    sizes.first().copied().unwrap_or(0)
}

/// Returns the first and last keys of a column family's files, ascending.
pub(super) fn file_boundaries(db: &Db, family: &str) -> Result<Vec<Vec<u8>>, rocksdb::Error> {
    let files = db.live_files()?;
    let mine = files.into_iter().filter(|file| file.column_family_name == family);
    let mut keys: Vec<Vec<u8>> =
        mine.flat_map(|file| [file.start_key, file.end_key]).flatten().collect();
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
}
