//! The stores that Annulus is compared with, a file each.

mod fjall;
mod redb;
mod sled;
#[cfg(test)]
mod tests;

pub(crate) use self::fjall::Fjall;
pub(crate) use self::redb::Redb;
pub(crate) use self::sled::Sled;

use annulus_workload::{Identity, locked_version};

/// How often what is only in a store's memory goes to the disk, in stores that cannot hand each
/// write to the operating system. The default of sled.
const PERSIST_EVERY_MS: u64 = 500;

/// An engine of one piece.
fn identity(engine: &str) -> Identity {
    Identity { engine: engine.into(), partitioning: "none".into(), shards: 1 }
}

/// The version that this program was built with.
fn version(package: &str) -> String {
    let locked = locked_version(include_str!("../../Cargo.lock"), package);
    format!("{package} {}", locked.unwrap_or("of unknown version"))
}
