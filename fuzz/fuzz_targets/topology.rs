//! Any sequence of changes yields topologies that keep every invariant, whose epochs rise by one,
//! and whose records decode to the same value. What a reshape is said to need is what it needs, and
//! every step of a plan can be carried out.

#![no_main]

#[path = "../src/topology.rs"]
mod topology;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: topology::Input| {
    topology::run(input);
});
