//! The handle of a transaction: its beginning, its state, its end.

mod indexed;
mod once;
mod read;
mod run;
mod scan;
mod write;

pub use once::Once;
pub use scan::TransactionScan;

use super::core::Core;
use super::keyspace::Keyspace;
use super::snapshot::Snapshot;
use crate::engine::Durability;
use crate::error::{Error, ErrorKind, Result};
use crate::id::KeyspaceId;
use crate::index::IndexesUsed;
use crate::log::Reader;
use crate::overload::Priority;
use crate::placement::KeyRange;
use crate::read::FirstExpiry;
use crate::transaction::{Footprint, Isolation, Pending, TransactionOptions};
use crate::write::{Claim, Since};
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// Reads and writes over any keyspaces and shards that take effect together, or not at all; begun
/// by [`Store::begin`](crate::Store::begin), or by [`Store::transact`](crate::Store::transact),
/// which runs it again after a conflict.
///
/// It reads everything as it was when it began, and its own writes on top of that. Nothing of what
/// it writes can be seen before [`commit`](Self::commit), which fails with
/// [`Conflict`](ErrorKind::Conflict) if other writes since then have changed what it relies on: see
/// [`Isolation`]. A transaction that writes nothing is always committed. Dropping one is a
/// [`rollback`](Self::rollback).
///
/// It takes no locks while it is open, so it makes no one wait. While it is open, the shards keep
/// what it reads, and the log what was written since: an open one should be ended soon.
///
/// ```
/// use annulus::{ErrorKind, Store, topology::KeyspaceSpec};
///
/// # fn main() -> annulus::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let store = Store::open(directory.path().join("store"))?;
/// let accounts = store.create_keyspace("accounts", KeyspaceSpec::hash())?;
/// accounts.add("alice", 100)?;
///
/// let transaction = store.begin()?;
/// transaction.add(&accounts, "alice", -30)?;
/// transaction.add(&accounts, "bob", 30)?;
/// assert!(!accounts.contains("bob")?);
/// transaction.commit()?;
/// assert!(accounts.contains("bob")?);
///
/// // Another write comes in between.
/// let transaction = store.begin()?;
/// transaction.add(&accounts, "alice", -30)?;
/// accounts.add("alice", 5)?;
/// let error = transaction.commit().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Conflict);
/// # Ok(())
/// # }
/// ```
pub struct Transaction {
    core: Arc<Core>,
    snapshot: Snapshot,
    options: TransactionOptions,
    deadline: Option<Instant>,
    priority: Priority,
    state: RefCell<State>,
}

/// What changes as a transaction goes on.
struct State {
    /// At the position of the snapshot. Keeps the log from there on.
    reader: Reader,
    reads: Footprint,
    pending: Pending,
    /// The ranges of scans that are open; `None` for those that were dropped, and have noted what
    /// they have seen.
    scans: Vec<Option<OpenScan>>,
    /// The indexes whose entries are among the writes.
    indexes: IndexesUsed,
}

/// A scan that is open.
struct OpenScan {
    keyspace: KeyspaceId,
    /// What it counts as if it is never dropped.
    range: KeyRange,
    expires: Option<FirstExpiry>,
}

impl Transaction {
    fn begin(
        core: &Arc<Core>,
        deadline: Option<Instant>,
        priority: Priority,
        options: TransactionOptions,
    ) -> Result<Self> {
        options.validate()?;
        core.catalog.check_open()?;
        // With the gate closed, the snapshot has the records before the end, and no others.
        let (snapshot, reader) = Snapshot::take_noting(core, deadline, |log| log.read(log.end()))?;
        let state = State {
            reader,
            reads: Footprint::default(),
            pending: Pending::default(),
            scans: Vec::new(),
            indexes: IndexesUsed::new(),
        };
        let state = RefCell::new(state);
        Ok(Self { core: Arc::clone(core), snapshot, options, deadline, priority, state })
    }

    /// Commits: all that was written takes effect, or nothing. After a crash of the process or a
    /// power cut it is there whole or not at all, at either durability.
    ///
    /// Cost: that of a [batch](crate::Store::write), and of reading what was written to the store
    /// since the transaction began, which is in the memory of the system. Never waits for other
    /// transactions that are open. Returns at once if nothing was written.
    ///
    /// # Errors
    ///
    /// [`Conflict`](ErrorKind::Conflict) if other writes have changed what the transaction relies
    /// on: nothing was written; run it again. Otherwise those of
    /// [`Store::write`](crate::Store::write).
    pub fn commit(self) -> Result<()> {
        let durability = self.options.durability.unwrap_or(self.core.options.durability);
        match self.deadline {
            Some(deadline) if durability == Durability::Synced => {
                let (core, claim) = (Arc::clone(&self.core), Arc::new(Claim::default()));
                let mine = Arc::clone(&claim);
                core.write_by(deadline, &claim, move || {
                    self.commit_in_time(durability, Some(&mine))
                })
            }
            _ => self.commit_in_time(durability, None),
        }
    }

    fn commit_in_time(self, durability: Durability, claim: Option<&Claim>) -> Result<()> {
        let Self { core, snapshot, options, deadline, priority, state } = self;
        let State { mut reader, mut reads, pending, scans, indexes } = state.into_inner();
        if pending.is_empty() {
            return Ok(());
        }
        // Reads stay valid without their snapshot; the shards need not keep it.
        drop(snapshot);
        match options.isolation {
            Isolation::Snapshot => pending.add_to(&mut reads),
            Isolation::Serializable => {
                // Scans that were never dropped.
                let open = scans.into_iter().flatten();
                for OpenScan { keyspace, range, expires } in open {
                    reads.add_range(keyspace, &range);
                    reads.add_expiry(expires.map(|first| first.get()));
                }
            }
        }
        let batch = pending.into_batch(core.catalog.home.id);
        // Most of it before anything is locked.
        let admit = |record: &crate::log::Record<'_>| reads.admit(record);
        reader.pass(admit)?;
        // Without the time of day where no row expires.
        let check_time = || match reads.may_expire() {
            true => reads.check_time(core.catalog.home.horizon.now()),
            false => Ok(()),
        };
        let _permits = core.admit_batch(&batch, priority, deadline)?;
        let since = Since {
            reader: &mut reader,
            admit: &admit,
            check_time: &check_time,
            indexes: &indexes,
        };
        core.writer(deadline, claim).commit_since(
            &**core.catalog.keyspaces(),
            batch,
            durability,
            since,
        )
    }

    pub(crate) const fn isolation(&self) -> Isolation {
        self.options.isolation
    }

    /// Ends the transaction without a trace, as dropping it does.
    pub fn rollback(self) {
        drop(self);
    }

    /// Returns an error, of kind [`Aborted`](ErrorKind::Aborted), for the closure of
    /// [`Store::transact`](crate::Store::transact) to end with: nothing is written then, and
    /// `transact` returns it.
    #[must_use = "the transaction is ended by returning the error"]
    pub fn abort(&self, reason: impl Into<String>) -> Error {
        Error::new(ErrorKind::Aborted, reason)
    }

    fn check_store(&self, keyspace: &Keyspace) -> Result<()> {
        if keyspace.store_id() == self.core.catalog.home.id {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "keyspace `{}` is of another store than the transaction; begin one for each",
            keyspace.name()
        )))
    }

    fn check_bytes(&self, state: &State) -> Result<()> {
        let (bytes, most) = (state.reads.bytes() + state.pending.bytes(), self.options.bytes_max);
        if bytes <= most {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "the transaction remembers {bytes} bytes of what it has read and written, more than the \
             {most} that its option bytes_max allows; do it in parts, or allow more"
        )))
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.borrow();
        f.debug_struct("Transaction")
            .field("position", &state.reader.position())
            .field("read_bytes", &state.reads.bytes())
            .field("written_bytes", &state.pending.bytes())
            .finish_non_exhaustive()
    }
}
