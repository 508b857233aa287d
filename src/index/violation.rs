//! Two rows that want one key of a unique index.

use crate::error::{Error, ErrorKind};
use std::fmt;

/// The cause of an error of kind [`AlreadyExists`](ErrorKind::AlreadyExists) of a write: a unique
/// index has another row with the same index key. It is the error's
/// [`source`](std::error::Error::source).
///
/// ```
/// use annulus::index::{IndexSpec, UniqueViolation};
/// # use annulus::{Store, topology::KeyspaceSpec};
/// use std::error::Error;
///
/// # fn main() -> annulus::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let store = Store::open(directory.path().join("store"))?;
/// # let users = store.create_keyspace("users", KeyspaceSpec::hash())?;
/// let spec = IndexSpec::new("by_email", 1, |_key, value| [value.to_vec()]).unique();
/// users.index(spec)?.build()?;
/// users.put("7", "ada@example.org")?;
/// let error = users.put("9", "ada@example.org").unwrap_err();
/// let cause = error.source().and_then(|cause| cause.downcast_ref::<UniqueViolation>());
/// assert_eq!(cause.map(|cause| (&*cause.index, &*cause.key)), Some(("by_email", &b"9"[..])));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UniqueViolation {
    /// The name of the keyspace.
    pub keyspace: String,
    /// The name of the index.
    pub index: String,
    /// The index key that both rows have.
    pub index_key: Vec<u8>,
    /// The key of the row that was to be written, or that was met second.
    pub key: Vec<u8>,
    /// The key of the row that has the index key.
    pub taken_by: Vec<u8>,
}

impl fmt::Display for UniqueViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "row \"{}\" cannot have the index key \"{}\": row \"{}\" has it",
            self.key.escape_ascii(),
            self.index_key.escape_ascii(),
            self.taken_by.escape_ascii()
        )
    }
}

impl std::error::Error for UniqueViolation {}

impl UniqueViolation {
    #[cold]
    pub(crate) fn into_error(self) -> Error {
        let text = format!(
            "the unique index `{}` of keyspace `{}` has another row with the same index key, \"{}\"; \
             nothing was written",
            self.index,
            self.keyspace,
            self.index_key.escape_ascii()
        );
        Error::new(ErrorKind::AlreadyExists, text).with_source(self)
    }
}
