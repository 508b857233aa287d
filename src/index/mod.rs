//! Secondary indexes: what they are, the form of their entries, and what a write changes in them.
//!
//! An [`Index`](crate::Index) finds the rows of a keyspace by something other than their keys. An
//! [`IndexSpec`] gives it a name, a version, and a function of key and value that returns the
//! *index keys* of the row: none, one or several. [`Keyspace::index`](crate::Keyspace::index)
//! declares it. From then on each write of the keyspace writes the index's entries in the same
//! commit, whatever call makes it: puts, deletes, swaps, updates, counters, ranges, batches,
//! transactions. A row whose index keys stay the same writes no entry.
//!
//! ```
//! use annulus::index::IndexSpec;
//! use annulus::{ErrorKind, Store, topology::KeyspaceSpec};
//!
//! # fn main() -> annulus::Result<()> {
//! # let directory = tempfile::tempdir().unwrap();
//! let store = Store::open(directory.path().join("store"))?;
//! let users = store.keyspace_or_create("users", KeyspaceSpec::hash())?;
//! // The value is the e-mail address.
//! let spec = IndexSpec::new("by_email", 1, |_key, value| [value.to_vec()]).unique();
//! let by_email = users.index(spec)?;
//! by_email.build()?;
//!
//! users.put("7", "ada@example.org")?;
//! users.put("3", "bob@example.org")?;
//! assert_eq!(by_email.keys("ada@example.org")?, [b"7"]);
//! let taken = users.put("9", "ada@example.org").unwrap_err();
//! assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
//!
//! // A keyspace by hash, in the order of the index.
//! let rows = by_email.rows("a".."c")?;
//! let keys: Vec<_> = rows.map(|row| row.map(|row| row.key)).collect::<Result<_, _>>()?;
//! assert_eq!(keys, [b"7", b"3"]);
//! # Ok(())
//! # }
//! ```
//!
//! # What the application has to do
//!
//! The function is code, so the store cannot keep it: after each opening the application declares
//! its indexes again, before it writes. The store remembers that they are there. A write of a
//! keyspace one of whose indexes was not declared since the opening is refused with
//! [`InvalidArgument`](crate::ErrorKind::InvalidArgument), which names it.
//!
//! A function must return the same for the same row. **When it changes, its version must change,
//! too**: the index is then built again. It is called while writers of the row wait: it must not
//! call the store. An index that is not ready, because it is new, or has another version, is built
//! by [`Index::build`](crate::Index::build), while the application reads and writes rows.

mod entry;
mod plan;
mod set;
mod spec;
mod violation;

pub(crate) use entry::{Form, MARKER, entry_range, parse_entry, parse_marker};
pub(crate) use plan::{EntryWrite, RowChange, plan};
pub(crate) use set::{DeclaredIndex, IndexesUsed, KeyspaceIndexes};
pub use spec::IndexSpec;
pub use violation::UniqueViolation;
