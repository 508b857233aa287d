//! A store answers like a map for each keyspace, through closing, dropping and opening it again.

#![no_main]

#[path = "../src/store.rs"]
mod store;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|ops: Vec<store::Op>| {
    store::run(ops);
});
