//! A shard on RocksDB: one instance, and a column family for each partition. The metadata: another
//! instance, with a log of its own.

mod batch;
mod config;
mod cursor;
mod damage;
mod database;
mod db;
mod engine;
mod error;
mod expire;
mod files;
mod handles;
mod import;
mod ingest;
mod listener;
mod manifest;
mod mending;
mod metadata_engine;
mod names;
mod open;
mod overlay;
mod overlay_cursor;
mod reads;
mod stats;
#[cfg(test)]
mod tests;
mod wal;
mod wal_format;

pub(crate) use config::{HARDWARE_CHECKSUMS, Resources};
pub(crate) use database::RocksDb;
pub(crate) use handles::LockGuard;
pub(crate) use metadata_engine::{MetadataBatch, MetadataEngine};
