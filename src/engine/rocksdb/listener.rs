//! What RocksDB reports while it works, and what is made of it: the log is synced before a flush
//! makes a file, flushes are noted, and damage that is known does not end background work.
//!
//! The crate `rocksdb` has no listeners, so this file uses RocksDB's C interface. A listener
//! belongs to the options from when it is added, and to databases that are opened with them.

#![expect(unsafe_code, reason = "callbacks of the C interface, each with its argument")]

use super::import::check;
use super::names::parse_family;
use crate::engine::flushes::Flushes;
use crate::error::{Error, ErrorKind, Result};
use crate::log::CommitLog;
use crate::os::failpoint;
use crate::topology::PartitionName;
use librocksdb_sys as ffi;
use rocksdb::{AsRawPtr, Options};
use std::ffi::{c_char, c_void};
use std::path::PathBuf;
use std::ptr::null_mut;
use std::sync::Arc;

/// Sees to it that no file holds what a power cut can take from the log, and notes flushes.
pub(super) struct FlushListener {
    pub(super) log: Arc<CommitLog>,
    pub(super) flushes: Arc<Flushes>,
    pub(super) directory: PathBuf,
}

impl FlushListener {
    /// Syncs the log up to its present end: the memtables that a flush takes were chosen before,
    /// and what they hold was in the log before it was in them.
    fn before_files(&self) -> Result<()> {
        if failpoint::fails_in(&self.directory, "log-before-files") {
            let place = self.directory.display();
            return Err(Error::new(
                ErrorKind::Io,
                format!("the sync of the log before a flush in {place} failed, as a test asked"),
            ));
        }
        if failpoint::skip("log-before-files") { Ok(()) } else { self.log.sync() }
    }
}

/// Makes a database that is opened with these options report its flushes.
pub(super) fn listen(options: &mut Options, listener: FlushListener) {
    let callbacks = Callbacks {
        state: Box::into_raw(Box::new(listener)).cast(),
        drop_state: drop_listener,
        flush_begins: on_flush_begin,
        flush_completed: on_flush_completed,
        background_error: ignore_error,
        memtable_sealed: on_memtable_sealed,
    };
    add(options, &callbacks);
}

/// Allows a database that is opened with these options to take writes after its background work has
/// met a damaged file, in opening files or in merging them. Other errors stop it as usual.
pub(super) fn bear_damage(options: &mut Options) {
    let callbacks = Callbacks {
        state: null_mut(),
        drop_state: ignore_end,
        flush_begins: ignore_flush,
        flush_completed: ignore_flush,
        background_error: on_background_error,
        memtable_sealed: ignore_memtable,
    };
    add(options, &callbacks);
}

type OnFlush =
    unsafe extern "C" fn(*mut c_void, *mut ffi::rocksdb_t, *const ffi::rocksdb_flushjobinfo_t);

/// A listener's state, and the callbacks that get it.
struct Callbacks {
    state: *mut c_void,
    drop_state: unsafe extern "C" fn(*mut c_void),
    flush_begins: OnFlush,
    flush_completed: OnFlush,
    background_error: unsafe extern "C" fn(*mut c_void, u32, *mut ffi::rocksdb_status_ptr_t),
    memtable_sealed: unsafe extern "C" fn(*mut c_void, *const ffi::rocksdb_memtableinfo_t),
}

fn add(options: &mut Options, callbacks: &Callbacks) {
    // SAFETY: each callback takes the state that was made for it, or none, and RocksDB calls it
    // with the arguments of its type; `drop_state` is called once, when the last database with this
    // listener is closed. The listener is made here, and belongs to the options from then on.
    unsafe {
        let listener = ffi::rocksdb_eventlistener_create(
            callbacks.state,
            Some(callbacks.drop_state),
            Some(callbacks.flush_begins),
            Some(callbacks.flush_completed),
            Some(ignore_compaction),
            Some(ignore_compaction),
            Some(ignore_part),
            Some(ignore_part),
            Some(ignore_ingestion),
            Some(callbacks.background_error),
            Some(ignore_stall),
            Some(callbacks.memtable_sealed),
        );
        let options = AsRawPtr::<ffi::rocksdb_options_t>::as_raw_ptr(options);
        ffi::rocksdb_options_add_eventlistener(options, listener);
    }
}

unsafe extern "C" fn drop_listener(state: *mut c_void) {
    // SAFETY: RocksDB calls this once, with the pointer that `listen` made of a box.
    drop(unsafe { Box::from_raw(state.cast::<FlushListener>()) });
}

/// Called on a flush thread after the memtables are chosen, with no lock held.
///
/// IMPORTANT: if the log cannot be synced, the file must not be installed. The callback cannot
/// fail, so it announces a shutdown of the database's background work: RocksDB asks for that
/// between the writing of a table and its installation (`FlushJob::Run`), ends the flush with
/// `ShutdownInProgress`, and keeps the memtables. A shutdown is never taken back, so no later flush
/// installs a file either, and none begins. Where a shutdown was announced before, this is not
/// called, and the flush ends the same way. The log has failed, so the store takes no more writes,
/// and what is in memory is replayed by the next opening.
unsafe extern "C" fn on_flush_begin(
    state: *mut c_void,
    db: *mut ffi::rocksdb_t,
    _: *const ffi::rocksdb_flushjobinfo_t,
) {
    // SAFETY: the state is that of `listen`, which lives until `drop_listener`.
    let listener = unsafe { &*state.cast::<FlushListener>() };
    let Err(error) = listener.before_files() else { return };
    tracing::error!(
        error = format_args!("{error:#}"),
        directory = %listener.directory.display(),
        "flushes nothing any more, since the log cannot be synced"
    );
    // SAFETY: RocksDB lends the database for the call. It does not wait, and since the options
    // forbid flushes at a shutdown, it starts none.
    unsafe { ffi::rocksdb_cancel_all_background_work(db, 0) };
}

unsafe extern "C" fn on_flush_completed(
    state: *mut c_void,
    _: *mut ffi::rocksdb_t,
    info: *const ffi::rocksdb_flushjobinfo_t,
) {
    // SAFETY: the state is that of `listen`; RocksDB lends the information for the call.
    let (listener, name, last) = unsafe {
        let mut bytes = 0;
        let name = ffi::rocksdb_flushjobinfo_cf_name(info, &raw mut bytes);
        let last = ffi::rocksdb_flushjobinfo_largest_seqno(info);
        (&*state.cast::<FlushListener>(), partition(name, bytes), last)
    };
    if let Some(name) = name {
        listener.flushes.install(name, last);
    }
}

/// Called by the writer, or the caller of a flush, that has replaced a memtable; other writers wait.
unsafe extern "C" fn on_memtable_sealed(
    state: *mut c_void,
    info: *const ffi::rocksdb_memtableinfo_t,
) {
    // SAFETY: the state is that of `listen`; RocksDB lends the information for the call.
    let (listener, name, first) = unsafe {
        let mut bytes = 0;
        let name = ffi::rocksdb_memtableinfo_cf_name(info, &raw mut bytes);
        let first = ffi::rocksdb_memtableinfo_first_seqno(info);
        (&*state.cast::<FlushListener>(), partition(name, bytes), first)
    };
    if let Some(name) = name {
        listener.flushes.seal(name, first, || listener.log.applied());
    }
}

/// Returns the partition whose family has this name.
///
/// # Safety
///
/// There must be that many bytes.
unsafe fn partition(name: *const c_char, bytes: usize) -> Option<PartitionName> {
    // SAFETY: as the caller promises.
    let name = unsafe { std::slice::from_raw_parts(name.cast::<u8>(), bytes) };
    parse_family(std::str::from_utf8(name).ok()?)
}

/// RocksDB's numbers of reasons.
const COMPACTION: u32 = 1;
const OPENING_OF_FILES: u32 = 7;

unsafe extern "C" fn on_background_error(
    _: *mut c_void,
    reason: u32,
    status: *mut ffi::rocksdb_status_ptr_t,
) {
    let mut error = null_mut();
    // SAFETY: RocksDB lends the status for the call; `check` frees the message.
    unsafe { ffi::rocksdb_status_ptr_get_error(status, &raw mut error) };
    let Err(error) = check(error) else { return };
    // IMPORTANT: every error of the opening of files, not damage alone. RocksDB takes one of the
    // operating system (a file is missing) for something that it recovers from, starts nothing that
    // would, and then waits forever for that to end when the database is closed. A read that needs
    // the file meets the error itself.
    let is_borne = match reason {
        OPENING_OF_FILES => true,
        COMPACTION => error.kind() == ErrorKind::Damaged,
        _ => false,
    };
    if is_borne {
        // SAFETY: as above.
        unsafe { ffi::rocksdb_reset_status(status) };
    }
}

// RocksDB calls all of a listener's callbacks, so each must exist.
unsafe extern "C" fn ignore_end(_: *mut c_void) {}
unsafe extern "C" fn ignore_flush(
    _: *mut c_void,
    _: *mut ffi::rocksdb_t,
    _: *const ffi::rocksdb_flushjobinfo_t,
) {
}
unsafe extern "C" fn ignore_compaction(
    _: *mut c_void,
    _: *mut ffi::rocksdb_t,
    _: *const ffi::rocksdb_compactionjobinfo_t,
) {
}
unsafe extern "C" fn ignore_part(_: *mut c_void, _: *const ffi::rocksdb_subcompactionjobinfo_t) {}
unsafe extern "C" fn ignore_ingestion(
    _: *mut c_void,
    _: *mut ffi::rocksdb_t,
    _: *const ffi::rocksdb_externalfileingestioninfo_t,
) {
}
unsafe extern "C" fn ignore_error(_: *mut c_void, _: u32, _: *mut ffi::rocksdb_status_ptr_t) {}
unsafe extern "C" fn ignore_stall(_: *mut c_void, _: *const ffi::rocksdb_writestallinfo_t) {}
unsafe extern "C" fn ignore_memtable(_: *mut c_void, _: *const ffi::rocksdb_memtableinfo_t) {}
