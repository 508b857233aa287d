//! Decoding keys never panics, and accepts only what encoding returns; and encoded keys have the
//! order of the values.

#![no_main]

#[path = "../src/tuple.rs"]
mod tuple;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|ops: Vec<tuple::Op>| {
    tuple::run(ops);
});
