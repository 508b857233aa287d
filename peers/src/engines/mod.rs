//! The stores that Annulus is compared with, one file for each.

mod common;
mod fjall;
mod lmdb;
mod redb;
mod sled;
mod sled_alpha;
mod surrealkv;
#[cfg(test)]
mod tests;

pub(crate) use self::fjall::Fjall;
pub(crate) use self::lmdb::Lmdb;
pub(crate) use self::redb::Redb;
pub(crate) use self::sled::Sled;
pub(crate) use self::sled_alpha::SledAlpha;
pub(crate) use self::surrealkv::SurrealKv;
