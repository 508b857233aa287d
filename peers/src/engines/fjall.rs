//! fjall: an LSM tree in Rust, the nearest relative of RocksDB here.

use super::common::{identity, version};
use ::fjall::config::{BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry};
use ::fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use annulus_workload::{Candidate, Description, Durability, Engine, Identity, Result, Setup};
use std::path::Path;

/// How many write buffers the journals may hold: more than wait to be flushed at any time.
const JOURNALS_OF_WRITE_BUFFERS: u64 = 4;

/// The default of fjall, and more than the minimum that it accepts.
const JOURNAL_BYTES_MIN: u64 = 512 << 20;

/// Opens one database with one keyspace.
#[derive(Debug)]
pub(crate) struct Fjall;

impl Candidate for Fjall {
    fn identity(&self) -> Identity {
        identity("fjall")
    }

    fn open(&self, directory: &Path, setup: &Setup) -> Result<Box<dyn Engine>> {
        let write_buffer_bytes = setup.write_buffer_bytes as u64;
        let database = Database::builder(directory)
            .cache_size(setup.cache_bytes as u64)
            .max_journaling_size(
                (write_buffer_bytes * JOURNALS_OF_WRITE_BUFFERS).max(JOURNAL_BYTES_MIN),
            )
            .open()?;
        // RocksDB's ten bits a key, on every level.
        let filter = FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(10.0));
        let rows = database.keyspace("rows", || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(write_buffer_bytes)
                .filter_policy(FilterPolicy::all(filter))
        })?;
        let synced = setup.durability == Durability::Synced;
        Ok(Box::new(Open { database, rows, synced, write_buffer_bytes }))
    }
}

struct Open {
    database: Database,
    rows: Keyspace,
    synced: bool,
    write_buffer_bytes: u64,
}

impl Engine for Open {
    fn describe(&self) -> Description {
        let durability = if self.synced {
            "Database::persist(SyncData) after each write: fdatasync of the journal"
        } else {
            "handed to the operating system with each write: the journal's default"
        };
        let settings = [
            "one keyspace; LZ4 below the first level, none on it: its defaults; RocksDB has Zstd on \
             the last",
            "Bloom filters of 10 bits a key on all levels, blocks of 4 KiB, as RocksDB has",
            "the write buffer is that of one memtable; those that wait to be flushed come on top",
            "worker threads: as many as processors, at most 4: its default",
        ];
        Description {
            version: version("fjall"),
            durability: durability.into(),
            cache_bytes: self.database.cache_capacity(),
            write_buffer_bytes: self.write_buffer_bytes,
            settings: settings.map(String::from).into(),
        }
    }

    fn get(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<()> {
        if let Some(value) = self.rows.get(key)? {
            found(&value);
        }
        Ok(())
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.rows.insert(key, value)?;
        if self.synced {
            self.database.persist(PersistMode::SyncData)?;
        }
        Ok(())
    }

    fn scan(&self, from: &[u8], rows: usize, row: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        for next in self.rows.range(from..).take(rows) {
            let (key, value) = next.into_inner()?;
            row(&key, &value);
        }
        Ok(())
    }

    fn finish_load(&self) -> Result<()> {
        // There is no public call that flushes; this is the one that its own tests use.
        Ok(self.rows.rotate_memtable_and_wait()?)
    }
}
