//! sled 1.0, of which there are alpha releases: a B+ tree whose leaves lie in a heap of files.

use super::common::{PERSIST_EVERY_MS, identity, second_version};
use ::sled_alpha::{Config, Db};
use annulus_workload::{Candidate, Description, Durability, Engine, Identity, Result, Setup};
use std::path::Path;

/// Rows of a leaf: its default.
const LEAF_FANOUT: usize = 1024;

/// Opens one database and uses its default tree.
#[derive(Debug)]
pub(crate) struct SledAlpha;

impl Candidate for SledAlpha {
    fn identity(&self) -> Identity {
        identity("sled-alpha")
    }

    fn open(&self, directory: &Path, setup: &Setup) -> Result<Box<dyn Engine>> {
        let cache_bytes = setup.cache_bytes + setup.write_buffer_bytes;
        let synced = setup.durability == Durability::Synced;
        let database = Config::new()
            .path(directory.join("sled"))
            .cache_capacity_bytes(cache_bytes)
            .flush_every_ms((!synced).then_some(PERSIST_EVERY_MS as usize))
            .open()?;
        Ok(Box::new(Open { database, synced, cache_bytes: cache_bytes as u64 }))
    }
}

struct Open {
    database: Db<LEAF_FANOUT>,
    synced: bool,
    cache_bytes: u64,
}

impl Engine for Open {
    fn describe(&self) -> Description {
        let durability = if self.synced {
            "flush() after each write: it has no log, so all leaves that have changed are written"
                .to_owned()
        } else {
            format!(
                "flush_every_ms({PERSIST_EVERY_MS}): weaker than handing each write to the \
                 operating system, for which sled has no setting; what is younger is lost if the \
                 process dies"
            )
        };
        let settings = [
            "one cache for reads and writes, of the size of the others' cache and write buffers \
             together",
            "leaves of 1024 rows, Zstd of level 3: its defaults",
        ];
        Description {
            version: second_version("sled"),
            durability,
            cache_bytes: self.cache_bytes,
            write_buffer_bytes: 0,
            settings: settings.map(String::from).into(),
        }
    }

    fn get(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<()> {
        if let Some(value) = self.database.get(key)? {
            found(&value);
        }
        Ok(())
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.database.insert(key, value)?;
        if self.synced {
            self.database.flush()?;
        }
        Ok(())
    }

    fn scan(&self, from: &[u8], rows: usize, row: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        for next in self.database.range(from..).take(rows) {
            let (key, value) = next?;
            row(&key, &value);
        }
        Ok(())
    }

    fn finish_load(&self) -> Result<()> {
        self.database.flush()?;
        Ok(())
    }

    fn finish_run(&self) -> Result<()> {
        self.finish_load()
    }
}
