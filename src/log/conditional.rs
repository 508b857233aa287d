//! Appending a record only if no record since a position forbids it.

use super::Operation;
use super::reader::{Reader, Record};
use super::state::{Appended, Inner};
use crate::error::Result;
use crate::os::failpoint;

impl Inner {
    /// Appends one record, unless one that the reader has not passed is not admitted.
    ///
    /// IMPORTANT: the last records are looked at under the lock that appending takes. Whatever is
    /// before the new record was admitted, and nothing comes in between.
    pub(super) fn append_after<'a>(
        &self,
        operations: impl Iterator<Item = Operation<'a>> + Clone,
        reader: &mut Reader,
        mut admit: impl FnMut(&Record<'_>) -> Result<()>,
    ) -> Result<Appended> {
        // Most of them before others have to wait: what is left is what is appended meanwhile.
        reader.pass(&mut admit)?;
        let size = Self::size(operations.clone())?;
        let tail = self.tail.lock();
        while !failpoint::skip("check-last-records")
            && let Some(record) = reader.next_under_lock()?
        {
            admit(&record)?;
        }
        self.append_at(tail, operations, size)
    }
}
