//! What every write passes through: the log, and then the shards.
//!
//! | the process dies | the next opening finds |
//! |---|---|
//! | before the append | nothing of the write |
//! | after the append | the record, and applies all of it: its write, or each of its batch |
//! | while it is applied | the same; what the shards have by then is applied once more |
//!
//! A power cut may take the record while it is not synced, and everything after it. No file has what
//! it takes: the log is synced before a shard makes one (`engine/`).
//!
//! An error of the append or of the sync leaves the shards as they are, and ends the log: the store
//! takes no more writes, and the next opening finds out whether the record is there. An error of a
//! shard concerns the partitions that the shard should have changed: they are
//! [behind](crate::catalog) until the record is applied after all ([`BringUp`](super::BringUp)), or
//! by the next opening.

use super::late::{Claim, begin};
use crate::cache::HotCache;
use crate::catalog::{Catalog, OpenPartition};
use crate::engine::{Durability, Engine as _};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{KeyspaceId, ShardId};
use crate::index::IndexesUsed;
use crate::log::{CommitLog, InFlight, Reader, Record};
use crate::os::failpoint;
use crate::sampling::Sampler;
use std::time::Instant;

/// What a write passes through.
#[derive(Clone, Copy)]
pub(crate) struct Writer<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) cache: Option<&'a HotCache>,
    pub(crate) sampler: &'a Sampler,
    /// Until when it waits for others. What is in the log by then is not given up.
    pub(crate) deadline: Option<Instant>,
    /// By which a caller may give the write up that waits for it on another thread.
    pub(crate) claim: Option<&'a Claim>,
}

/// A place in the log up to which a batch relies on what it was made from, and whether a record
/// since then leaves that as it is.
pub(crate) struct Since<'a> {
    pub(crate) reader: &'a mut Reader,
    pub(crate) admit: &'a dyn Fn(&Record<'_>) -> Result<()>,
    /// The indexes whose entries are in the batch.
    pub(crate) indexes: &'a IndexesUsed,
    /// Fails if a row has expired that it relies on.
    pub(crate) check_time: &'a dyn Fn() -> Result<()>,
}

/// Says whether a batch has to pass the commit gate itself, or its caller has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    ToPass,
    Passed,
}

impl Writer<'_> {
    /// Refuses a put to a partition if the disks that it needs have less room than the reserve. What the
    /// store keeps for itself, such as the positions of consumers, may use the reserve: it is small, and
    /// the log is kept until it is written.
    ///
    /// # Errors
    ///
    /// `DiskFull`.
    #[inline]
    pub(super) fn check_room(&self, partition: &OpenPartition, keyspace: KeyspaceId) -> Result<()> {
        let room = partition.shard.room();
        let leave_out = || failpoint::skip("disk-reserve");
        if !room.is_low() || self.catalog.own_keyspaces.contains(keyspace) || leave_out() {
            return Ok(());
        }
        room.check()
    }

    /// Appends one record to the log by `append`, syncs it if that is asked for, and then calls
    /// `apply`, which applies it to the shards. The caller owns the stripes of all keys until this
    /// returns.
    ///
    /// # Errors
    ///
    /// Those of the log, and of `append`: nothing was applied. Those of `apply`.
    #[inline]
    pub(super) fn log_and_apply<'a>(
        &'a self,
        append: impl FnOnce(&'a CommitLog) -> Result<InFlight<'a>>,
        durability: Durability,
        apply: impl FnOnce(&InFlight<'_>) -> Result<()>,
    ) -> Result<()> {
        begin(self.claim)?;
        failpoint::hit("write-before-log");
        let in_flight = append(&self.catalog.log)?;
        failpoint::hit("write-after-log");
        if durability == Durability::Synced && !failpoint::skip("sync-write") {
            // Before anything is applied: no reader sees what a power cut may take back.
            self.catalog.log.sync_to(in_flight.end())?;
            failpoint::hit("write-after-sync");
        }
        let applying = Applying { catalog: self.catalog, in_flight: Some(in_flight) };
        applying.by(apply)
    }
}

/// A record that is being applied.
struct Applying<'a> {
    catalog: &'a Catalog,
    in_flight: Option<InFlight<'a>>,
}

impl Applying<'_> {
    #[inline]
    fn by(mut self, apply: impl FnOnce(&InFlight<'_>) -> Result<()>) -> Result<()> {
        let applied = self.in_flight.as_ref().map_or(Ok(()), apply);
        // It has been applied from here on, except to partitions that are behind.
        drop(self.in_flight.take());
        if applied.is_err() {
            self.catalog.note_behind();
        }
        applied
    }
}

/// If a panic ends the work half way, the record stays in flight, so that the log keeps it for the
/// next opening, and the store takes no more writes.
impl Drop for Applying<'_> {
    fn drop(&mut self) {
        if let Some(in_flight) = self.in_flight.take() {
            self.catalog.mark_in_doubt("a thread panicked while it applied a write");
            std::mem::forget(in_flight);
        }
    }
}

/// Returns the error of a write that a shard did not take, and that is in the log.
#[cold]
pub(super) fn not_applied(shard: ShardId, cause: Error) -> Error {
    Error::new(
        ErrorKind::InDoubt,
        format!(
            "the write is in the log, but shard {shard} could not take it; it will be there when \
             the shard takes writes again, or the store is opened again, and until then what it \
             concerns on this shard can be neither read nor written"
        ),
    )
    .with_source(cause)
}
