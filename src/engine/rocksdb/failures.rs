//! Errors of a shard's database, with what failed and where.

use super::database::RocksDb;
use super::error::context;
use super::handles::ColumnFamily;
use crate::error::{Error, ErrorKind, Result};
use std::path::Path;
use std::sync::Arc;

impl RocksDb {
    /// Returns the error of an operation that a test makes fail.
    #[inline]
    pub(super) fn check_failpoint(&self, operation: &str) -> Result<()> {
        if crate::os::failpoint::fails_in(&self.directory, operation) {
            let place = self.directory.display();
            return Err(Error::new(
                ErrorKind::Io,
                format!("a {operation} in {place} failed, as a test asked"),
            ));
        }
        Ok(())
    }

    /// Adds to an error what failed and where; the text is made only if the operation fails.
    pub(super) fn failed(&self, doing: &'static str) -> impl FnOnce(rocksdb::Error) -> Error {
        move |error| context(format_args!("{doing} in {} failed", self.directory.display()))(error)
    }

    /// The same for a partition.
    pub(super) fn failed_in(
        &self,
        partition: &Arc<ColumnFamily>,
        doing: &'static str,
    ) -> impl FnOnce(rocksdb::Error) -> Error {
        move |error| {
            let name = self.name_of(partition);
            let of = name.map(|name| format!(" of partition {name}")).unwrap_or_default();
            let found = name.and_then(|name| self.damaged.get(&name));
            let found = found.map(|why| format!(" (damaged: {why})")).unwrap_or_default();
            let place = self.directory.display();
            context(format_args!("{doing}{of}{found} in {place} failed"))(error)
        }
    }

    /// The same for an error of the C interface.
    pub(super) fn describe(&self, doing: &str, error: Error) -> Error {
        describe(&self.directory, doing, error)
    }
}

/// Adds to an error of the C interface what failed and where.
pub(super) fn describe(directory: &Path, doing: &str, error: Error) -> Error {
    let message = format!("{doing} in {} failed", directory.display());
    Error::new(error.kind(), message).with_source(error)
}
