//! Building indexes while the application reads and writes.
//!
//! Writers maintain the index already, so what a build has to do is to visit each row that there was
//! when it began: it owns some rows, reads them as they are by then, and writes the entries that
//! follow and are missing. A row that is written before that has its entries from its writer, one that
//! is written after that is changed by a writer who knows what it had.

use super::Index;
use super::declare::with_index;
use crate::engine::Durability;
use crate::error::Result;
use crate::index::MARKER;
use crate::os::failpoint;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

/// How many rows are owned at once. Their writers wait meanwhile, and so do those of other rows in the
/// same stripes.
const ROWS_AT_ONCE: usize = 32;

/// How far an index has been built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexProgress {
    /// True if it has all entries.
    pub ready: bool,
    /// How many rows the last build has passed; 0 if none has run since the index was declared.
    pub rows_passed: u64,
}

impl Index {
    /// Returns true if it has all entries, and can be read.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.declared.is_ready()
    }

    /// Returns how far it has been built. A build runs in the thread that calls it; others may ask
    /// meanwhile.
    #[must_use]
    pub fn progress(&self) -> IndexProgress {
        let rows_passed = self.declared.rows_passed.load(Ordering::Relaxed);
        IndexProgress { ready: self.is_ready(), rows_passed }
    }

    /// Adds all rows that the index lacks. Returns when it is complete, at once if it is already.
    /// Reads and writes of the keyspace continue meanwhile; writers of up to 32 rows at a time wait.
    ///
    /// Durable when it returns. Cost: a scan of the rows, and for each a read, a call of the function, and
    /// a look at each of its entries; what is missing is written, in one batch for up to 32 rows. If the
    /// process ends before that, the index begins empty when it is declared again.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](crate::ErrorKind::AlreadyExists) if the index is unique and two rows have the
    /// same index key: change one of them and build again;
    /// [`Aborted`](crate::ErrorKind::Aborted) if it was declared again or dropped meanwhile,
    /// [`Busy`](crate::ErrorKind::Busy) if it was [emptied](Self::rebuild) meanwhile; those of
    /// the index's function, and of [`Keyspace::put`](crate::Keyspace::put) and
    /// [`Keyspace::scan`](crate::Keyspace::scan);
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) in a
    /// [listener](crate::StoreBuilder::listener) of this store. What was added by then stays, and a
    /// later build goes through all rows again. A panic of the function ends the build in the same way.
    pub fn build(&self) -> Result<()> {
        self.rows.core().reshaper.registry.teller().refuse("build an index")?;
        let _alone = self.declared.building.lock();
        if self.is_ready() {
            return Ok(());
        }
        let passed = &self.declared.rows_passed;
        passed.store(0, Ordering::Relaxed);
        let times_emptied = self.declared.times_emptied();
        let mut scan = self.rows.scan(..)?;
        let mut keys = BTreeSet::new();
        loop {
            let row = scan.next_row()?.map(|(key, _)| key.to_vec());
            let ended = row.is_none();
            keys.extend(row);
            if keys.len() == ROWS_AT_ONCE || (ended && !keys.is_empty()) {
                self.add(&keys)?;
                passed.fetch_add(keys.len() as u64, Ordering::Relaxed);
                keys.clear();
            }
            if ended {
                break;
            }
        }
        self.complete(times_emptied)
    }

    /// Empties the index and builds it again: for one that [`verify`](Self::verify) has found to be
    /// damaged beyond [`repair`](Self::repair). Until it is complete, reads of it are refused.
    ///
    /// # Errors
    ///
    /// Those of [`build`](Self::build).
    pub fn rebuild(&self) -> Result<()> {
        {
            let catalog = &self.rows.core().catalog;
            self.rows.core().reshaper.registry.teller().refuse("build an index")?;
            let _declaring = catalog.declaring.lock();
            self.check_declared()?;
            let _stopped = catalog.stop_writers();
            let emptied = self.empty();
            if !failpoint::skip("index-again") {
                // IMPORTANT: and after it is no longer ready. A transaction that has planned with the
                // complete index is not committed with these: the entry that its row gives up may be
                // another row's by then.
                let present = self.rows.state().indexes();
                let again = with_index(present.as_deref(), &self.declared);
                catalog.show_indexes(self.rows.state(), again);
            }
            emptied?;
            failpoint::hit("index-emptied");
        }
        self.build()
    }

    fn add(&self, keys: &BTreeSet<Vec<u8>>) -> Result<()> {
        failpoint::hit("index-build");
        self.rows.core().writer(None, None).reindex(
            self.rows.state(),
            &self.declared,
            keys,
            &[],
            true,
        )?;
        Ok(())
    }

    /// Writes the marker: from now on the index counts as complete, also for the next opening. Not if
    /// it was emptied since the build began.
    fn complete(&self, times_emptied: u64) -> Result<()> {
        let catalog = &self.rows.core().catalog;
        let _declaring = catalog.declaring.lock();
        self.check_declared()?;
        if self.declared.times_emptied() != times_emptied {
            return Err(self.declared.not_ready());
        }
        failpoint::hit("index-built");
        self.entries.put_with(MARKER, self.declared.form().marker(), Durability::Synced)?;
        failpoint::hit("index-marked");
        self.declared.set_ready();
        Ok(())
    }
}
