//! A shard on RocksDB: one instance, a column family for each partition, and the default column
//! family for bookkeeping.

mod batch;
mod config;
mod cursor;
mod damage;
mod database;
mod db;
mod engine;
mod error;
mod files;
mod handles;
mod import;
mod ingest;
mod manifest;
mod names;
mod open;
mod reads;
mod stats;
mod wal;
mod wal_format;

pub(crate) use config::{HARDWARE_CHECKSUMS, Resources};
pub(crate) use database::RocksDb;
pub(crate) use handles::LockGuard;
