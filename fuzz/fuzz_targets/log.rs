//! Arbitrary bytes are taken as a segment of the commit log and as its records, without a panic and
//! without allocating much more than their length; what decodes is encoded again as it was.

#![no_main]

#[path = "../src/log.rs"]
mod log;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    log::run(bytes);
});
