//! A shard on SlateDB: one database in an object store, and a segment for each partition.
//!
//! The database has no log of its own: what is in its memory only is in the store's log, as with
//! RocksDB. `docs/object-store.md` has the argument.

mod batch;
mod compaction;
mod cursor;
mod database;
mod engine;
mod error;
mod expire;
mod guarded;
mod handles;
mod lists;
mod names;
mod place;
mod shared;
mod sizes;
#[cfg(test)]
mod tests;
mod threads;
#[cfg(test)]
mod unreliable;

#[cfg(test)]
use database::SlateDb;
pub(crate) use shared::Shared;
