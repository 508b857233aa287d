//! What the stores have in common here.

use annulus_workload::{Identity, locked_version};

/// How often data that is only in a store's memory goes to the disk, in stores that cannot hand
/// each write to the operating system. The default of sled.
pub(super) const PERSIST_EVERY_MS: u64 = 500;

/// Returns an engine of one piece.
pub(super) fn identity(engine: &str) -> Identity {
    Identity { engine: engine.into(), partitioning: "none".into(), shards: 1 }
}

/// Returns the version that this program was built with; the first of several.
pub(super) fn version(package: &str) -> String {
    version_in(include_str!("../../Cargo.lock"), package)
}

/// Returns the second of two versions that this program was built with.
pub(super) fn second_version(package: &str) -> String {
    let name = format!("name = \"{package}\"");
    let after_first = include_str!("../../Cargo.lock").split_once(&name);
    version_in(after_first.map_or("", |(_, rest)| rest), package)
}

fn version_in(lock: &str, package: &str) -> String {
    format!("{package} {}", locked_version(lock, package).unwrap_or("of unknown version"))
}
