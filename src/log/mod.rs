//! The commit log of a store: every write, in the order in which the store has made them.
//!
//! [`LogView`] shows the log of a store without opening the store, which another process may have
//! open: its [segments](LogSegment), its records, those that are still to come; and brings a copy
//! of the store to a [moment](RecoveryTarget) that the log has.
//!
//! ```no_run
//! use annulus::log::LogView;
//!
//! # fn main() -> annulus::Result<()> {
//! let log = LogView::open("/data/store")?;
//! let mut records = log.records(log.first())?;
//! while let Some(record) = records.next()? {
//!     println!("{}: {} operations", record.start(), record.operations().count());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! `docs/log.md` has the format, the protocol, and the arguments for both.

mod archive;
mod bell;
mod change;
mod choose;
mod closing;
mod companion;
mod conditional;
mod continuation;
mod copies;
mod copy_set;
#[cfg(feature = "failpoints")]
pub(crate) mod fuzzing;
mod group;
mod hold;
mod holds;
mod judge;
mod keeper;
mod loss;
mod mapping;
mod missing;
mod open;
mod opened;
mod operation;
mod options;
mod pieces;
mod pin;
mod pins;
mod position;
mod published;
mod reader;
mod record;
mod repair;
mod segment;
mod signal;
mod state;
mod sync;
mod sync_helper;
#[cfg(test)]
mod tests;
mod transfer;
mod view;
mod walk;
mod writer;

pub(crate) use archive::{ArchivedPart, LogFiles, last_of_archive, tidy_archive};
pub(crate) use change::changes;
pub use change::{Change, OldValue};
pub(crate) use continuation::Continuation;
pub use continuation::{LogRecovery, RecoveryTarget};
pub(crate) use copies::CopyState;
pub(crate) use copy_set::{CopyNumber, CopySet, RecordCopies};
pub(crate) use holds::HoldLimits;
pub use loss::LogLoss;
pub use missing::MissingChanges;
pub use operation::Operation;
pub(crate) use options::{CopyOptions, LogOptions};
pub use options::{LogAccess, LogDamage, LogMirror};
pub(crate) use pin::Pin;
pub use position::{ChangesFrom, Position};
pub(crate) use reader::Reader;
pub use reader::Record;
pub(crate) use record::Operations;
pub use repair::CopyRepair;
pub(crate) use transfer::{
    check_owner, copy_segments, copy_segments_as, is_segment, remove_segments,
};
pub use view::{LogCopy, LogReader, LogSegment, LogView, SegmentState};

pub use crate::expiry::ExpiringValue;

use crate::error::Result;
use parking_lot::Mutex;
use state::{Appended, Inner};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

/// The log of an open store.
///
/// Dropping it syncs nothing: what was appended is in the files, and the next opening reads it.
pub(crate) struct CommitLog {
    inner: Arc<Inner>,
    /// The keeper, and what helps syncing.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl CommitLog {
    /// Opens the log in a directory, which it creates if it is not there. Until
    /// [`finish_replay`](Self::finish_replay) nothing counts as applied.
    ///
    /// # Errors
    ///
    /// * `Damaged` if the log is damaged before its end, or has files of another store.
    /// * `Incompatible` if a later version wrote it.
    /// * `Io` if the system refuses.
    pub(crate) fn open(options: LogOptions) -> Result<Arc<Self>> {
        let inner = open::open(options)?;
        let mirrored = inner.copies.places().count() > 1;
        let helper = if mirrored { inner.sync_helper.start() } else { None };
        let threads = keeper::start(&inner).into_iter().chain(helper).collect();
        Ok(Arc::new(Self { inner, threads: Mutex::new(threads) }))
    }

    /// Opens the log without changing anything on disk. Appending to it fails.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub(crate) fn open_read_only(options: LogOptions) -> Result<Arc<Self>> {
        let inner = open::open_read_only(options)?;
        Ok(Arc::new(Self { inner, threads: Mutex::default() }))
    }

    /// Returns what the log had lost when it was opened.
    pub(crate) fn lost(&self) -> &[LogLoss] {
        &self.inner.lost
    }

    /// Returns what was wrong with one of two copies when the log was opened.
    pub(crate) fn repairs(&self) -> &[CopyRepair] {
        &self.inner.repairs
    }

    /// Returns the copies of the log, and which of them have failed.
    pub(crate) fn copies(&self) -> Vec<CopyState> {
        self.inner.copies.states()
    }

    /// Ends the mirror: from now on the first copy alone is the log.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if the mirror is the only copy that has everything; those of the record.
    pub(crate) fn end_mirror(&self) -> Result<()> {
        self.inner.copies.end_mirror()
    }

    /// Appends one record, which is then in the hands of the operating system.
    ///
    /// # Errors
    ///
    /// * `Io` if the disk is full, or if the log has failed: then [`check`](Self::check) fails,
    ///   too.
    /// * `Closed`, `ReadOnly`; `InvalidArgument` for a record of more than 2 GiB.
    ///
    /// After any of them nothing was appended, except that a log that has failed may have the
    /// record all the same at the next opening.
    pub(crate) fn append<'a>(
        &self,
        operations: impl Iterator<Item = Operation<'a>> + Clone,
    ) -> Result<InFlight<'_>> {
        let appended = self.inner.append(operations)?;
        Ok(InFlight { log: self, appended })
    }

    /// Appends one record if `admit` accepts every record that the reader has not passed, in their
    /// order; the reader passes them. No record comes between the last of them and the new one.
    ///
    /// `admit` is called under the lock of the log for the last few records, so it must be quick.
    ///
    /// # Errors
    ///
    /// The first of `admit`: nothing was appended. Those of [`append`](Self::append), and of
    /// [`Reader::next`].
    pub(crate) fn append_after<'a>(
        &self,
        operations: impl Iterator<Item = Operation<'a>> + Clone,
        reader: &mut Reader,
        admit: impl FnMut(&Record<'_>) -> Result<()>,
    ) -> Result<InFlight<'_>> {
        let appended = self.inner.append_after(operations, reader, admit)?;
        Ok(InFlight { log: self, appended })
    }

    /// Returns when everything that was appended before the call is on the disk.
    ///
    /// # Errors
    ///
    /// `Io` if the disk refuses. The log has failed then, for good.
    pub(crate) fn sync(&self) -> Result<()> {
        self.sync_to(self.end())
    }

    /// Returns when everything before a position is on the disk.
    ///
    /// # Errors
    ///
    /// As for [`sync`](Self::sync).
    pub(crate) fn sync_to(&self, position: Position) -> Result<()> {
        self.inner.sync_to(position.0)
    }

    /// Returns the error with which the log has failed, if it has.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub(crate) fn check(&self) -> Result<()> {
        self.inner.check()
    }

    /// Returns from where on records are kept.
    pub(crate) fn first(&self) -> Position {
        Position(self.inner.first.load(Ordering::Acquire))
    }

    /// Returns the position below which every record has been applied.
    pub(crate) fn applied(&self) -> Position {
        Position(self.inner.applied())
    }

    /// Returns where the next record begins.
    pub(crate) fn end(&self) -> Position {
        Position(self.inner.end.load(Ordering::Acquire))
    }

    /// Returns up to where the log is known to be on the disk. It may be before the end by
    /// records without operations, which the log appends itself.
    #[cfg(test)]
    pub(crate) fn synced(&self) -> Position {
        Position(self.inner.synced.load(Ordering::Acquire))
    }

    /// Says that what the opening found has been applied.
    pub(crate) fn finish_replay(&self) {
        self.inner.flight.lock().finish(0);
    }

    /// Keeps the log from [`applied`](Self::applied) on until the pin is dropped.
    pub(crate) fn pin(self: &Arc<Self>) -> Pin {
        self.inner.pin_applied()
    }

    /// Reads the log from a position on, at which a record must begin, or the end be.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if that is not so, or if the position is before [`first`](Self::first).
    pub(crate) fn read(self: &Arc<Self>, from: Position) -> Result<Reader> {
        self.inner.read(from.0)
    }

    /// Reads the log from a place on, also what was released and is still there. Keeps it from there
    /// on, up to `most` bytes before its end, and within the [limits](Self::retain).
    ///
    /// # Errors
    ///
    /// `Gone` if the log begins later; `InvalidArgument` if it ends before, or if no record begins
    /// there.
    pub(crate) fn read_changes(self: &Arc<Self>, from: ChangesFrom, most: u64) -> Result<Reader> {
        self.inner.read_held(from, most)
    }

    /// Returns where the oldest record begins that is there.
    pub(crate) fn begin(&self) -> Position {
        Position(self.inner.begin())
    }

    /// Keeps on disk what readers of changes hold, and what consumers need from a position on, within
    /// limits; what else was released is freed.
    pub(crate) fn retain(&self, needed: Option<Position>, limits: HoldLimits) {
        self.inner.retain(needed.map(|position| position.0), limits);
    }

    /// Returns true if files stay on disk only for readers of changes.
    pub(crate) fn is_held(&self) -> bool {
        self.inner.is_held()
    }

    /// Says that the records before a position are not needed any more. What is pinned, read or in
    /// flight stays all the same.
    pub(crate) fn release(&self, before: Position) {
        self.inner.release(before.0);
    }

    /// Returns the bytes of the log's files, in all copies, those that are ready for use included.
    pub(crate) fn bytes(&self) -> u64 {
        self.inner.bytes()
    }

    /// Returns the same for each copy that is written.
    pub(crate) fn bytes_of_copy(&self) -> u64 {
        self.inner.bytes_of_copy()
    }

    /// Syncs, and ends appending. What was released is not read by the next opening.
    ///
    /// # Errors
    ///
    /// As for [`sync`](Self::sync).
    pub(crate) fn close(&self) -> Result<()> {
        self.stop_threads();
        self.inner.close()
    }

    fn stop_threads(&self) {
        let threads = std::mem::take(&mut *self.threads.lock());
        if threads.is_empty() {
            return;
        }
        self.inner.keeper.stop();
        self.inner.sync_helper.stop();
        // They have no result; a panic of one was reported.
        threads.into_iter().for_each(|thread| drop(thread.join()));
    }
}

impl Drop for CommitLog {
    fn drop(&mut self) {
        self.stop_threads();
    }
}

impl fmt::Debug for CommitLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommitLog")
            .field("directory", &self.inner.copies.directory())
            .field("first", &self.first())
            .field("end", &self.end())
            .finish_non_exhaustive()
    }
}

/// A record that is in the log and not applied yet. Dropping it says that it is.
#[must_use = "dropping it says that the record has been applied"]
pub(crate) struct InFlight<'a> {
    log: &'a CommitLog,
    appended: Appended,
}

impl InFlight<'_> {
    /// Returns where it begins.
    pub(crate) fn start(&self) -> Position {
        Position(self.appended.start)
    }

    /// Returns where the next record begins.
    pub(crate) fn end(&self) -> Position {
        Position(self.appended.end)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.log.inner.flight.lock().finish(self.appended.number);
        self.log.inner.applied_bell.ring();
    }
}
