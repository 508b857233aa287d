//! Column families made through the C interface, and those that move between instances as files:
//! export by hard link, import by rename.
//!
//! The crate `rocksdb` has no safe call for export and import, and its call that creates a family
//! loses the handle where RocksDB made the family and then failed. So this file uses RocksDB's C
//! interface. Each object of that interface is owned by one value here, which destroys it once.

#![expect(unsafe_code, reason = "calls of the C interface, each with its argument")]

use super::db::Db;
use super::error::from_message;
use crate::error::{Error, ErrorKind, Result};
use librocksdb_sys as ffi;
use rocksdb::{AsColumnFamilyRef, AsRawPtr};
use std::ffi::{CStr, CString, c_char};
use std::path::Path;
use std::ptr::{NonNull, null_mut};

/// A column family that was created or imported here: the crate's own table of names does not have
/// it.
pub(super) struct MadeFamily(NonNull<ffi::rocksdb_column_family_handle_t>);

// SAFETY: RocksDB's column family handles may be used from, and destroyed on, any thread.
unsafe impl Send for MadeFamily {}
// SAFETY: as above; concurrent use of a handle is RocksDB's normal case.
unsafe impl Sync for MadeFamily {}

impl AsColumnFamilyRef for MadeFamily {
    fn inner(&self) -> *mut ffi::rocksdb_column_family_handle_t {
        self.0.as_ptr()
    }
}

impl Drop for MadeFamily {
    fn drop(&mut self) {
        // SAFETY: the handle came from this file, is destroyed only here, and its database is
        // still open: `ColumnFamily` drops the handle before the database it holds.
        unsafe { ffi::rocksdb_column_family_handle_destroy(self.0.as_ptr()) }
    }
}

/// Creates an empty column family.
///
/// RocksDB creates the family first and then writes a file of options. If only that fails, the
/// family is dropped again; what cannot be dropped is left behind in the database.
pub(super) fn create(db: &Db, options: &rocksdb::Options, name: &str) -> Result<MadeFamily> {
    let name = CString::new(name).map_err(|_| no_answer())?;
    let names = [name.as_ptr()];
    let (mut count, mut error) = (0, null_mut());
    // SAFETY: one name is passed, as a C string that lives through the call; `count` and `error`
    // are valid places. The call returns an array of `count` handles even if it fails; the array is
    // freed here, and its handles belong to this function from then on.
    let made = unsafe {
        let handles = ffi::rocksdb_create_column_families(
            raw(db),
            AsRawPtr::<ffi::rocksdb_options_t>::as_raw_ptr(options),
            1,
            names.as_ptr(),
            &raw mut count,
            &raw mut error,
        );
        let made = if count == 1 { NonNull::new(*handles) } else { None };
        ffi::rocksdb_create_column_families_destroy(handles);
        made.map(MadeFamily)
    };
    if let (Err(error), made) = (check(error), &made) {
        // The first error is the cause; the caller checks whether the family exists.
        let _ = made.as_ref().map(|made| drop_family(db, made));
        return Err(error);
    }
    made.ok_or_else(no_answer)
}

/// The files of an exported column family, and what RocksDB needs to know to import them.
pub(super) struct Export(NonNull<ffi::rocksdb_export_import_files_metadata_t>);

impl Drop for Export {
    fn drop(&mut self) {
        // SAFETY: the pointer came from an export and is destroyed only here.
        unsafe { ffi::rocksdb_export_import_files_metadata_destroy(self.0.as_ptr()) }
    }
}

/// Flushes a column family and links its files into a directory, which must not exist yet.
pub(super) fn export(db: &Db, family: &impl AsColumnFamilyRef, directory: &Path) -> Result<Export> {
    let directory = c_path(directory)?;
    let mut error = null_mut();
    // SAFETY: the database is open for as long as `db` is borrowed; `error` is a valid place for
    // the message, which `check` frees.
    let checkpoint = unsafe { ffi::rocksdb_checkpoint_object_create(raw(db), &raw mut error) };
    check(error)?;
    let mut error = null_mut();
    // SAFETY: `checkpoint` was just made, `family` is a family of this database that its owner
    // keeps alive, `directory` is a C string that lives through the call.
    let metadata = unsafe {
        ffi::rocksdb_checkpoint_export_column_family(
            checkpoint,
            family.inner(),
            directory.as_ptr(),
            &raw mut error,
        )
    };
    // SAFETY: `checkpoint` is not used after this.
    unsafe { ffi::rocksdb_checkpoint_object_destroy(checkpoint) };
    check(error)?;
    NonNull::new(metadata).map(Export).ok_or_else(no_answer)
}

/// Makes a column family of exported files, which are moved into the database.
///
/// IMPORTANT: an import that failed half way may leave the column family behind in the database.
pub(super) fn import(
    db: &Db,
    options: &rocksdb::Options,
    name: &str,
    export: &Export,
) -> Result<MadeFamily> {
    let name = CString::new(name).map_err(|_| no_answer())?;
    let mut error = null_mut();
    // SAFETY: the import options are made, used and destroyed here; database, options and export
    // are borrowed for the call, which copies what it keeps.
    let handle = unsafe {
        let import = ffi::rocksdb_import_column_family_options_create();
        ffi::rocksdb_import_column_family_options_set_move_files(import, 1);
        let handle = ffi::rocksdb_create_column_family_with_import(
            raw(db),
            AsRawPtr::<ffi::rocksdb_options_t>::as_raw_ptr(options),
            name.as_ptr(),
            import,
            export.0.as_ptr(),
            &raw mut error,
        );
        ffi::rocksdb_import_column_family_options_destroy(import);
        handle
    };
    check(error)?;
    NonNull::new(handle).map(MadeFamily).ok_or_else(no_answer)
}

/// Drops a column family by its handle, through which it stays readable until the handle is
/// dropped, too.
pub(super) fn drop_family(db: &Db, family: &impl AsColumnFamilyRef) -> Result<()> {
    let mut error = null_mut();
    // SAFETY: database and handle are open for the call, and belong together.
    unsafe { ffi::rocksdb_drop_column_family(raw(db), family.inner(), &raw mut error) };
    check(error)
}

/// Starts a flush of a column family without waiting for its end. Does nothing if RocksDB has
/// stopped writers: it is flushing then.
pub(super) fn begin_flush(db: &Db, family: &impl AsColumnFamilyRef) -> Result<()> {
    let mut error = null_mut();
    // SAFETY: the flush options are made, used and destroyed here; database and handle are open for
    // the call, and belong together.
    unsafe {
        let options = ffi::rocksdb_flushoptions_create();
        ffi::rocksdb_flushoptions_set_wait(options, 0);
        // Otherwise the call waits until the flush would not slow writers down.
        ffi::rocksdb_flushoptions_set_allow_write_stall(options, 1);
        ffi::rocksdb_flush_cf(raw(db), options, family.inner(), &raw mut error);
        ffi::rocksdb_flushoptions_destroy(options);
    }
    match check(error) {
        Err(error) if error.kind() == ErrorKind::Busy => Ok(()),
        begun => begun,
    }
}

/// Reads every block of every file, and compares it with its checksum. The error names the first
/// damaged file.
pub(super) fn verify_checksums(db: &Db) -> Result<()> {
    let mut error = null_mut();
    // SAFETY: the database is open for as long as `db` is borrowed.
    unsafe { ffi::rocksdb_verify_checksum(raw(db), &raw mut error) };
    check(error)
}

fn raw(db: &Db) -> *mut ffi::rocksdb_t {
    // SAFETY: the pointer is used only within a call that borrows `db`.
    unsafe { AsRawPtr::<ffi::rocksdb_t>::as_raw_ptr(db) }
}

/// Takes over and frees the message that a failed call has left.
pub(super) fn check(error: *mut c_char) -> Result<()> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: RocksDB leaves a C string that it allocated, and that the caller must free once.
    let message = unsafe {
        let message = CStr::from_ptr(error).to_string_lossy().into_owned();
        ffi::rocksdb_free(error.cast());
        message
    };
    Err(from_message(message))
}

fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_encoded_bytes())
        .map_err(|_| Error::invalid(format!("the path {} contains a zero byte", path.display())))
}

fn no_answer() -> Error {
    Error::new(ErrorKind::Internal, "RocksDB returned neither a result nor an error")
}
