//! A range map answers like a sorted set of boundaries, after any insertions and removals.

#![no_main]

#[path = "../src/range_map.rs"]
mod range_map;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|ops: Vec<range_map::Op>| {
    range_map::run(ops);
});
