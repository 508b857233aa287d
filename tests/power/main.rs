//! A disk that loses what was not synced, processes that die, calls that fail, files that are
//! damaged: what must hold after each, and that these tests would notice if it did not.
//! `docs/reliability.md` says what is promised and how these tests work.
//!
//! `cargo test --release --features failpoints --test power`
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that fails panics"
)]

mod check;
#[path = "../store/churn.rs"]
#[allow(dead_code, reason = "the tests of the store use more of it")]
mod churn;
mod claims;
mod damage;
mod disk;
mod faults;
mod former;
mod full;
mod hangs;
mod images;
mod journal;
mod kills;
mod manifests;
mod mirror;
mod mutations;
mod notes;
mod past;
mod recorder;
mod script;
mod segments;
mod workload;
