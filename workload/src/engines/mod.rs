//! Stores of Annulus and one plain RocksDB, for programs that compare with them.

mod args;
mod plain;
mod seeks;
mod sharded;
#[cfg(test)]
mod tests;
mod version;

pub use args::StoreArgs;
pub use plain::Plain;
pub use seeks::count_seeks;
pub use sharded::{Partitioning, Sharded};
