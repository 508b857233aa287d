//! What the stores have in common here.

use annulus_workload::{Identity, locked_version};

/// How often data that is only in a store's memory goes to the disk, in stores that cannot hand
/// each write to the operating system. The default of sled.
pub(super) const PERSIST_EVERY_MS: u64 = 500;

/// Returns an engine of one piece.
pub(super) fn identity(engine: &str) -> Identity {
    Identity { engine: engine.into(), partitioning: "none".into(), shards: 1 }
}

/// Returns the version that this program was built with.
pub(super) fn version(package: &str) -> String {
    let locked = locked_version(include_str!("../../Cargo.lock"), package);
    format!("{package} {}", locked.unwrap_or("of unknown version"))
}
