//! The stores that Annulus is compared with, one file for each.

mod common;
mod fjall;
mod redb;
mod sled;
#[cfg(test)]
mod tests;

pub(crate) use self::fjall::Fjall;
pub(crate) use self::redb::Redb;
pub(crate) use self::sled::Sled;
