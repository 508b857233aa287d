//! The encoding of keys: its order, its reading back, its fixed format.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

mod order;
mod refusals;
mod vectors;
