//! Arbitrary bytes are decoded as metadata without a panic and without allocating much more than
//! their length; what decodes keeps every invariant.

#![no_main]

#[path = "../src/metadata.rs"]
mod metadata;

use annulus::topology::decode_topology;
use libfuzzer_sys::fuzz_target;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Notes the largest allocation.
struct Watched;

static LARGEST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above; what was allocated came from the system.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

fn decode(record: &[u8]) {
    LARGEST.store(0, Ordering::Relaxed);
    let decoded = decode_topology(record);
    let largest = LARGEST.load(Ordering::Relaxed);
    assert!(largest <= (2 << 20) + 256 * record.len(), "{largest} bytes for {}", record.len());
    if let Ok(topology) = decoded {
        metadata::check(&topology);
    }
}

fuzz_target!(|bytes: &[u8]| {
    for (_, record) in metadata::records(bytes) {
        decode(&record);
    }
});
