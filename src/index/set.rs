//! The indexes of a keyspace that is open.

use super::entry::{Form, entry};
use super::spec::Function;
use super::{IndexSpec, UniqueViolation};
use crate::error::{Error, ErrorKind, Result};
use crate::id::KeyspaceId;
use crate::latch::Latch;
use crate::log::Position;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The indexes of a keyspace. Replaced as a whole, with the commit gate closed.
pub(crate) struct KeyspaceIndexes {
    pub(crate) declared: Vec<Arc<DeclaredIndex>>,
    /// The names of those that the application has not declared since the opening.
    pub(crate) undeclared: Vec<String>,
    /// Each writer owns the stripes of the rows that it writes: from before it reads what a row
    /// was, to after row and entries are written.
    pub(crate) rows: Latch,
}

/// The indexes with which the writes of a transaction were made, by keyspace.
pub(crate) type IndexesUsed = BTreeMap<KeyspaceId, Arc<KeyspaceIndexes>>;

/// An index whose function is known.
pub(crate) struct DeclaredIndex {
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) unique: bool,
    /// The name of the keyspace with the rows.
    pub(crate) keyspace: String,
    /// The keyspace with the entries.
    pub(crate) entries: KeyspaceId,
    function: Function,
    ready: AtomicBool,
    /// How often it was emptied: what was read across that is not all.
    emptied: AtomicU64,
    /// Where in the log it was emptied last: what it had before says nothing of this version.
    begins: AtomicU64,
    /// Held by a build.
    pub(crate) building: Mutex<()>,
    /// How many rows the build has passed that runs, or ran last.
    pub(crate) rows_passed: AtomicU64,
}

impl KeyspaceIndexes {
    pub(crate) fn new(declared: Vec<Arc<DeclaredIndex>>, undeclared: Vec<String>) -> Self {
        Self { declared, undeclared, rows: Latch::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.declared.is_empty() && self.undeclared.is_empty()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<DeclaredIndex>> {
        self.declared.iter().find(|index| index.name == name)
    }

    /// Checks that the functions of all indexes are known.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`, with the first that is not.
    pub(crate) fn check_declared(&self, keyspace: &str) -> Result<()> {
        let Some(name) = self.undeclared.first() else { return Ok(()) };
        Err(Error::invalid(format!(
            "keyspace `{keyspace}` has the index `{name}`, which was not declared since the store was \
             opened: nothing was written, since the index would not have it; declare it with \
             Keyspace::index, or drop it with Keyspace::drop_index"
        )))
    }
}

impl DeclaredIndex {
    pub(crate) fn new(spec: IndexSpec, keyspace: &str, entries: KeyspaceId) -> Self {
        let IndexSpec { name, version, unique, function, .. } = spec;
        Self {
            name,
            version,
            unique,
            keyspace: keyspace.to_owned(),
            entries,
            function,
            ready: AtomicBool::new(false),
            emptied: AtomicU64::new(0),
            begins: AtomicU64::new(0),
            building: Mutex::default(),
            rows_passed: AtomicU64::new(0),
        }
    }

    /// Returns true if it has all entries. Writers keep it so.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    pub(crate) fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Notes that it lacks entries, or is about to.
    pub(crate) fn set_incomplete(&self) {
        self.ready.store(false, Ordering::Release);
        self.emptied.fetch_add(1, Ordering::AcqRel);
    }

    /// Notes where in the log it was emptied. Writers are waiting.
    pub(crate) fn set_begin(&self, end: Position) {
        self.begins.store(end.0, Ordering::Release);
    }

    /// Returns true if it was emptied after a position: it had other entries there.
    pub(crate) fn begins_after(&self, position: Position) -> bool {
        self.begins.load(Ordering::Acquire) > position.0
    }

    /// Returns a number that is another one once it was emptied.
    pub(crate) fn times_emptied(&self) -> u64 {
        self.emptied.load(Ordering::Acquire)
    }

    /// Returns the error of a read of an index that is not complete.
    #[cold]
    pub(crate) fn not_ready(&self) -> Error {
        Error::new(
            ErrorKind::Busy,
            format!(
                "index `{}` of keyspace `{}` is not complete, or was not when the snapshot or the \
                 transaction began: build it with Index::build, and read it after that",
                self.name, self.keyspace
            ),
        )
    }

    /// Returns the index keys of a row, in order, each once.
    pub(crate) fn keys(&self, row: &[u8], value: &[u8]) -> Result<Vec<Vec<u8>>> {
        let mut keys = (self.function)(row, value)?;
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    pub(crate) fn entry(&self, index_key: &[u8], row: &[u8]) -> (Vec<u8>, Vec<u8>) {
        entry(self.unique, index_key, row)
    }

    /// Returns what its marker says, once it is complete.
    pub(crate) const fn form(&self) -> Form {
        Form { unique: self.unique, version: self.version }
    }

    /// Returns the error of a write whose entry has a longer key than the store's options allow.
    #[cold]
    pub(crate) fn too_long(&self, cause: Error) -> Error {
        let text = format!(
            "an entry of index `{}` of keyspace `{}` would be too long, since it has the index key \
             and, unless the index is unique, the key of the row; nothing was written: use shorter \
             index keys, as a hash or the beginning of what they are now",
            self.name, self.keyspace
        );
        Error::invalid(text).with_source(cause)
    }

    /// Returns the error of a call by a handle of it that does not count any more.
    #[cold]
    pub(crate) fn replaced(&self) -> Error {
        Error::new(
            ErrorKind::Aborted,
            format!(
                "index `{}` of keyspace `{}` was declared again, or dropped; use the handle that was \
                 returned last",
                self.name, self.keyspace
            ),
        )
    }

    pub(crate) fn violation(&self, index_key: &[u8], row: &[u8], taken_by: &[u8]) -> Error {
        let violation = UniqueViolation {
            keyspace: self.keyspace.clone(),
            index: self.name.clone(),
            index_key: index_key.to_vec(),
            key: row.to_vec(),
            taken_by: taken_by.to_vec(),
        };
        violation.into_error()
    }
}
