//! The version of RocksDB.

/// Returns the version that both engines are built on, from the lock file of this workspace.
pub(super) fn rocksdb_version() -> &'static str {
    let lock = include_str!("../../../Cargo.lock");
    let version = crate::locked_version(lock, "librocksdb-sys");
    // The crate's own version, a plus, and that of the library inside.
    version.and_then(|version| version.split_once('+')).map_or("unknown", |(_, library)| library)
}
