//! The feed of changes: every write of a store, in the order of its log, for applications.
//!
//! A [`Changes`] returns what was committed, a [`Commit`] for each write, batch or swap: from
//! [now](ChangesFrom::Now) on, from a position, or from the oldest change that is kept. The log is
//! one for the whole store, so moves, splits, merges and shards that come and go neither reorder nor
//! repeat anything. [`Store::changes`](crate::Store::changes) begins one,
//! [`Store::consumer`](crate::Store::consumer) one whose position is stored, and
//! [`Store::watch`](crate::Store::watch) one that would rather miss changes than hold back files.
//!
//! ```
//! use annulus::changes::Change;
//! use annulus::{Store, topology::KeyspaceSpec};
//! use std::time::Duration;
//!
//! # fn main() -> annulus::Result<()> {
//! # let directory = tempfile::tempdir().unwrap();
//! let store = Store::open(directory.path().join("store"))?;
//! let users = store.create_keyspace("users", KeyspaceSpec::hash())?;
//! let mut changes = store.changes().keyspace(&users).open()?;
//! users.put("ada", "countess")?;
//! let commit = changes.next_timeout(Duration::from_secs(10))?.expect("a commit");
//! for change in commit.changes() {
//!     if let Change::Put { key, value, .. } = change {
//!         assert_eq!((key, value), (&b"ada"[..], &b"countess"[..]));
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! `docs/changes.md` has the guarantees and the arguments for them.

mod commit;
mod filter;
mod pace;
mod reader;
mod watch;

pub use crate::log::{Change, ChangesFrom, MissingChanges, OldValue};
pub use commit::Commit;
pub(crate) use filter::{Filter, OwnKeyspaces};
pub(crate) use reader::Settings;
pub use reader::{Changes, Wakeup};
pub use watch::{Watch, Watched};
