//! redb: a copy-on-write B+ tree with transactions, in one file.
//!
//! It has one writer at a time, and each write is a separate transaction here, as each put is
//! acknowledged separately. Its users batch what may be lost together; the workloads do not.

use super::common::{PERSIST_EVERY_MS, identity, version};
use ::redb::{Database, Durability as Commit, ReadableDatabase, ReadableTable, TableDefinition};
use annulus_workload::{Candidate, Description, Durability, Engine, Identity, Result, Setup};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");

/// Opens one database with one table.
#[derive(Debug)]
pub(crate) struct Redb;

impl Candidate for Redb {
    fn identity(&self) -> Identity {
        identity("redb")
    }

    fn open(&self, directory: &Path, setup: &Setup) -> Result<Box<dyn Engine>> {
        let cache_bytes = setup.cache_bytes + setup.write_buffer_bytes;
        let database =
            Database::builder().set_cache_size(cache_bytes).create(directory.join("redb"))?;
        let made = database.begin_write()?;
        made.open_table(ROWS)?;
        made.commit()?;
        Ok(Box::new(Open {
            database,
            cache_bytes: cache_bytes as u64,
            synced: setup.durability == Durability::Synced,
            opened: Instant::now(),
            persisted_ms: AtomicU64::new(0),
        }))
    }
}

struct Open {
    database: Database,
    cache_bytes: u64,
    synced: bool,
    opened: Instant,
    /// When a commit was last asked to persist, since the opening.
    persisted_ms: AtomicU64,
}

impl Open {
    /// Returns the durability of the next commit.
    fn commit(&self) -> Commit {
        if self.synced {
            return Commit::Immediate;
        }
        let now = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        let before = self.persisted_ms.load(Ordering::Relaxed);
        let due = now.saturating_sub(before) >= PERSIST_EVERY_MS;
        // Of several threads that find it due, one does it.
        let mine = due
            && self
                .persisted_ms
                .compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if mine { Commit::Immediate } else { Commit::None }
    }
}

impl Engine for Open {
    fn describe(&self) -> Description {
        let durability = if self.synced {
            "Durability::Immediate: fsync with each commit".to_owned()
        } else {
            format!(
                "Durability::None, and a commit of Durability::Immediate every {PERSIST_EVERY_MS} \
                 ms: weaker than handing each write to the operating system, for which redb has no \
                 setting; what is younger is lost if the process dies"
            )
        };
        let settings = [
            "each put is a write transaction, of which there is one at a time; each get and each \
             scan is a read transaction",
            "one cache for reads and writes, of the size of the others' cache and write buffers \
             together",
            "no compression: it has none",
        ];
        Description {
            version: version("redb"),
            durability,
            cache_bytes: self.cache_bytes,
            write_buffer_bytes: 0,
            settings: settings.map(String::from).into(),
        }
    }

    fn get(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<()> {
        let rows = self.database.begin_read()?.open_table(ROWS)?;
        if let Some(value) = ReadableTable::get(&rows, key)? {
            found(value.value());
        }
        Ok(())
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut write = self.database.begin_write()?;
        write.set_durability(self.commit())?;
        write.open_table(ROWS)?.insert(key, value)?;
        Ok(write.commit()?)
    }

    fn scan(&self, from: &[u8], rows: usize, row: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let table = self.database.begin_read()?.open_table(ROWS)?;
        for next in ReadableTable::range::<&[u8]>(&table, from..)?.take(rows) {
            let (key, value) = next?;
            row(key.value(), value.value());
        }
        Ok(())
    }

    fn finish_load(&self) -> Result<()> {
        // An empty commit takes those before it along.
        Ok(self.database.begin_write()?.commit()?)
    }

    fn finish_run(&self) -> Result<()> {
        self.finish_load()
    }
}
