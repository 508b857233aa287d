//! Any sequence of changes leaves a ring that tiles the tokens, has the weights it was given,
//! and answers like a naive map of boundaries to owners.

#![no_main]

#[path = "../src/ring.rs"]
mod ring;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|ops: Vec<ring::Op>| {
    ring::run(ops);
});
