//! The numbers of the copies of a log, and sets of them.

use crate::disk::IoWatch;
use crate::error::Result;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

/// Which copy of the log a file is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CopyNumber(pub(super) u8);

impl CopyNumber {
    pub(crate) const FIRST: Self = Self(0);
    pub(crate) const MIRROR: Self = Self(1);
    pub(crate) const ALL: [Self; 2] = [Self::FIRST, Self::MIRROR];
}

impl fmt::Display for CopyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::FIRST { "the first copy" } else { "the mirror" })
    }
}

/// A set of copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CopySet(u8);

impl CopySet {
    pub(crate) const EMPTY: Self = Self(0);
    pub(crate) const FIRST: Self = Self(1);

    /// Returns the set with these bits, of which bit n stands for copy n; none for others.
    pub(crate) const fn from_bits(bits: u8) -> Option<Self> {
        if bits < 4 { Some(Self(bits)) } else { None }
    }

    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    pub(crate) const fn has(self, copy: CopyNumber) -> bool {
        self.0 & (1 << copy.0) != 0
    }

    pub(crate) const fn with(self, copy: CopyNumber) -> Self {
        Self(self.0 | 1 << copy.0)
    }

    pub(crate) const fn without(self, copy: CopyNumber) -> Self {
        Self(self.0 & !(1 << copy.0))
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The copies that are written, as threads share it.
#[derive(Debug)]
pub(super) struct Current {
    set: AtomicU8,
    /// Count syncs that take long, of each copy; none if that is not asked for.
    first_watch: OnceLock<Arc<IoWatch>>,
    mirror_watch: OnceLock<Arc<IoWatch>>,
}

impl Current {
    pub(super) fn new(set: CopySet) -> Arc<Self> {
        Arc::new(Self {
            set: AtomicU8::new(set.bits()),
            first_watch: OnceLock::new(),
            mirror_watch: OnceLock::new(),
        })
    }

    pub(super) fn set(&self) -> CopySet {
        CopySet(self.set.load(Ordering::Acquire))
    }

    pub(super) fn has(&self, copy: CopyNumber) -> bool {
        self.set().has(copy)
    }

    pub(super) fn change(&self, set: CopySet) {
        self.set.store(set.bits(), Ordering::Release);
    }

    /// Has the syncs of a copy counted that take long. The first call decides, for good.
    pub(super) fn watch(&self, copy: CopyNumber, watch: &Arc<IoWatch>) {
        let _ = self.watch_of(copy).set(Arc::clone(watch));
    }

    /// Makes a call that syncs a copy.
    pub(super) fn sync<T>(&self, copy: CopyNumber, sync: impl FnOnce() -> T) -> T {
        match self.watch_of(copy).get() {
            None => sync(),
            Some(watch) => watch.sync(sync),
        }
    }

    fn watch_of(&self, copy: CopyNumber) -> &OnceLock<Arc<IoWatch>> {
        if copy == CopyNumber::FIRST { &self.first_watch } else { &self.mirror_watch }
    }
}

/// Records durably which copies have everything that is in the log.
pub(crate) type RecordCopies = Arc<dyn Fn(CopySet) -> Result<()> + Send + Sync>;
