//! The health of a store: whether it takes writes, and if not, why.

use crate::error::{Error, ErrorKind, Result};
use std::fmt::Display;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

/// The state of a store. Only an open one takes writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Condition {
    Open = 0,
    InDoubt = 1,
    Closed = 2,
    /// For as long as it is open.
    ReadOnly = 3,
    /// A path of the store names something other than what was opened.
    Displaced = 4,
}

/// The condition of a store.
pub(super) struct Health {
    condition: AtomicU8,
    /// Why it is in doubt, or displaced.
    cause: OnceLock<Box<str>>,
}

impl Health {
    pub(super) fn new(read_only: bool) -> Self {
        let condition = if read_only { Condition::ReadOnly } else { Condition::Open };
        Self { condition: AtomicU8::new(condition as u8), cause: OnceLock::new() }
    }

    fn is(&self, condition: Condition) -> bool {
        self.condition.load(Ordering::Acquire) == condition as u8
    }

    #[inline]
    pub(super) fn takes_writes(&self) -> bool {
        self.is(Condition::Open)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is(Condition::Closed)
    }

    /// Marks the store closed. Returns true if it was not closed before.
    pub(super) fn close(&self) -> bool {
        self.condition.swap(Condition::Closed as u8, Ordering::AcqRel) != Condition::Closed as u8
    }

    pub(super) fn mark_in_doubt(&self, cause: impl Display) {
        self.end_writes(Condition::InDoubt, cause);
    }

    pub(super) fn mark_displaced(&self, cause: impl Display) {
        self.end_writes(Condition::Displaced, cause);
    }

    fn end_writes(&self, condition: Condition, cause: impl Display) {
        self.cause.get_or_init(|| format!("{cause:#}").into());
        let (open, ended) = (Condition::Open as u8, condition as u8);
        // A closing store stays so.
        let _ = self.condition.compare_exchange(open, ended, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Returns the error of a write that the store refuses.
    #[cold]
    pub(super) fn refusal(&self, store: &Path) -> Error {
        if self.is_closed() {
            return closed();
        }
        if self.is(Condition::ReadOnly) {
            return Error::new(
                ErrorKind::ReadOnly,
                format!(
                    "the store {} is opened read-only; open it for writing to change it",
                    store.display()
                ),
            );
        }
        let cause = self.cause.get().map_or("not known", |cause| cause);
        if self.is(Condition::Displaced) {
            return Error::new(ErrorKind::Io, format!("the store takes no writes: {cause}"));
        }
        Error::new(
            ErrorKind::InDoubt,
            format!(
                "an earlier change of the topology may or may not be on disk, so the store takes no \
                 writes; open it again, which finds out (what came first: {cause})"
            ),
        )
    }

    pub(super) fn check_open(&self) -> Result<()> {
        if self.is_closed() { Err(closed()) } else { Ok(()) }
    }
}

/// Returns the error of every call after the store was closed.
#[cold]
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the store is closed; open it again")
}
