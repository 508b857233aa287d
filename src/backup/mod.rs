//! Backups of a store, made while it is written, in a repository that shares files between them.
//!
//! [`Store::backup`](crate::Store::backup) makes one; a [`Repository`] lists them, checks them, removes
//! old ones, and restores a store from one, or from a moment after it.
//!
//! ```
//! use annulus::backup::{Repository, RestoreOptions};
//! use annulus::{Store, topology::KeyspaceSpec};
//!
//! # fn main() -> annulus::Result<()> {
//! # let directory = tempfile::tempdir().unwrap();
//! # let (path, backups) = (directory.path().join("store"), directory.path().join("backups"));
//! # let restored = directory.path().join("restored");
//! let store = Store::open(path)?;
//! let users = store.keyspace_or_create("users", KeyspaceSpec::hash())?;
//! users.put("ada", "countess")?;
//! let backup = store.backup(&backups)?;
//! users.delete("ada")?;
//!
//! let repository = Repository::open(&backups)?;
//! assert!(repository.verify()?.is_sound());
//! repository.restore(&restored, RestoreOptions::new().backup(backup.number))?;
//! let restored = Store::open(restored)?;
//! assert_eq!(restored.keyspace("users")?.get("ada")?.as_deref(), Some(&b"countess"[..]));
//! # Ok(())
//! # }
//! ```
//!
//! `docs/backup.md` has what is in a repository, what is there after each step, and why a backup is one
//! moment of the store.

mod collect;
mod create;
mod cut;
mod files;
mod manifest;
mod meter;
mod options;
mod repository;
mod restore;
mod verify;

pub use collect::Pruned;
pub use manifest::Backup;
pub use meter::BackupProgress;
pub use options::{BackupOptions, RestoreOptions};
pub use repository::Repository;
pub use restore::Restored;
pub use verify::BackupVerification;

pub(crate) use create::{Source, create};
