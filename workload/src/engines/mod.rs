//! Stores of Annulus and one plain RocksDB, for programs that compare with them.

mod args;
mod plain;
mod seeks;
mod sharded;
#[cfg(test)]
mod tests;

pub use args::StoreArgs;
pub use plain::Plain;
pub use seeks::count_seeks;
pub use sharded::{Partitioning, Sharded};

/// What both are built on: from the lock file of this workspace.
fn rocksdb_version() -> &'static str {
    let lock = include_str!("../../../Cargo.lock");
    let version = crate::locked_version(lock, "librocksdb-sys");
    // The crate's own version, a plus, and that of the library within.
    version.and_then(|version| version.split_once('+')).map_or("unknown", |(_, library)| library)
}
