//! The store from outside: one binary, since each links RocksDB.
//!
//! `cargo test --release --features failpoints --test store`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that fails panics"
)]

mod adopt;
mod backup;
mod bank;
mod basic;
#[cfg(feature = "failpoints")]
mod behind;
mod changes;
mod churn;
mod commits;
mod conditional;
mod crash;
mod damage;
mod elle;
mod expiry;
mod heat;
mod hot_cache;
mod index;
#[cfg(feature = "failpoints")]
mod leftovers;
mod linear;
mod listener;
mod log_directory;
#[cfg(target_os = "linux")]
mod log_failure;
#[cfg(feature = "failpoints")]
mod log_mirror;
mod logs;
mod model;
mod paths;
mod pressure;
mod queue;
mod read_only;
mod refusals;
mod replay;
mod reshape;
mod reshape_crash;
mod reshape_faults;
mod time;
mod transaction_model;
mod transactions;
mod typed;
