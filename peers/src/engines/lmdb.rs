//! LMDB, by `heed`: a copy-on-write B+ tree in one memory-mapped file.
//!
//! Like redb, it has one writer at a time, and each put is a write transaction here.

use super::common::{identity, version};
use ::heed::types::Bytes;
use ::heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, WithoutTls};
use annulus_workload::{Candidate, Description, Durability, Engine, Identity, Result, Setup};
use std::path::Path;

/// The most that the file may grow to. Only addresses are reserved.
const MAP_BYTES: usize = 64 << 30;

/// Opens one environment and uses its unnamed database.
#[derive(Debug)]
pub(crate) struct Lmdb;

impl Candidate for Lmdb {
    fn identity(&self) -> Identity {
        identity("lmdb")
    }

    fn open(&self, directory: &Path, setup: &Setup) -> Result<Box<dyn Engine>> {
        let synced = setup.durability == Durability::Synced;
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(MAP_BYTES);
        let environment = open(&mut options, directory, synced)?;
        let made = environment.create_databases_and_commit(
            environment.write_txn()?,
            |databases, write| {
                let rows = databases.create_database::<Bytes, Bytes>(write, None)?;
                Ok::<_, ::heed::Error>(CommitOrAbort::<_, ()>::Commit(rows))
            },
        )?;
        let rows = made.commit().ok_or("the database of LMDB was not made")?;
        Ok(Box::new(Open { environment, rows, synced }))
    }
}

#[expect(unsafe_code, reason = "what heed asks its caller to promise")]
fn open(
    options: &mut EnvOpenOptions<WithoutTls>,
    directory: &Path,
    synced: bool,
) -> ::heed::Result<Env<WithoutTls>> {
    if !synced {
        // SAFETY: what the flags permit is a database that is damaged by a power cut; a run does
        // not outlive one.
        unsafe { options.flags(EnvFlags::NO_SYNC | EnvFlags::NO_META_SYNC) };
    }
    // SAFETY: the directory was made for this run, so nothing else opens, changes or truncates the
    // mapped file.
    unsafe { options.open(directory) }
}

struct Open {
    environment: Env<WithoutTls>,
    rows: Database<'static, Bytes, Bytes>,
    synced: bool,
}

impl Engine for Open {
    fn describe(&self) -> Description {
        let durability = if self.synced {
            "fdatasync with each commit: its default"
        } else {
            "MDB_NOSYNC and MDB_NOMETASYNC: each commit is handed to the operating system; after a \
             power cut the whole file may be unreadable, where the others lose their newest writes"
        };
        let settings = [
            "each put is a write transaction, of which there is one at a time; each get and each \
             scan is a read transaction",
            "no cache of its own: reads are of the mapped file, so all of the page cache is its \
             cache, which no setting bounds",
            "no compression: it has none",
        ];
        Description {
            version: version("heed"),
            durability: durability.into(),
            cache_bytes: 0,
            write_buffer_bytes: 0,
            settings: settings.map(String::from).into(),
        }
    }

    fn get(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<()> {
        let read = self.environment.read_txn()?;
        if let Some(value) = self.rows.get(&read, key)? {
            found(value);
        }
        Ok(())
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut write = self.environment.write_txn()?;
        self.rows.put(&mut write, key, value)?;
        Ok(write.commit()?)
    }

    fn scan(&self, from: &[u8], rows: usize, row: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let read = self.environment.read_txn()?;
        for next in self.rows.range(&read, &(from..))?.take(rows) {
            let (key, value) = next?;
            row(key, value);
        }
        Ok(())
    }

    fn finish_load(&self) -> Result<()> {
        Ok(self.environment.force_sync()?)
    }

    fn finish_run(&self) -> Result<()> {
        self.finish_load()
    }
}
