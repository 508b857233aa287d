//! SurrealKV: an LSM tree in Rust whose commits are asynchronous.
//!
//! Each thread waits for its own commits; the runtime that they need runs on as many threads as
//! there are processors, besides those that call.

use super::common::{identity, version};
use ::surrealkv::{Durability as Commit, LSMIterator, Mode, Tree, TreeBuilder};
use annulus_workload::{Candidate, Description, Durability, Engine, Identity, Result, Setup};
use std::path::Path;
use tokio::runtime::Runtime;

/// Opens one tree.
#[derive(Debug)]
pub(crate) struct SurrealKv;

impl Candidate for SurrealKv {
    fn identity(&self) -> Identity {
        identity("surrealkv")
    }

    fn open(&self, directory: &Path, setup: &Setup) -> Result<Box<dyn Engine>> {
        let runtime = Runtime::new()?;
        let tree = {
            // Its background work runs on the runtime in which it is opened.
            let _entered = runtime.enter();
            TreeBuilder::new()
                .with_path(directory.join("surrealkv"))
                .with_block_cache_capacity(setup.cache_bytes as u64)
                .with_max_memtable_size(setup.write_buffer_bytes)
                .build()?
        };
        Ok(Box::new(Open {
            runtime,
            tree,
            synced: setup.durability == Durability::Synced,
            cache_bytes: setup.cache_bytes as u64,
            write_buffer_bytes: setup.write_buffer_bytes as u64,
        }))
    }
}

struct Open {
    runtime: Runtime,
    tree: Tree,
    synced: bool,
    cache_bytes: u64,
    write_buffer_bytes: u64,
}

impl Engine for Open {
    fn describe(&self) -> Description {
        let durability = if self.synced {
            "Durability::Immediate: fsync with each commit"
        } else {
            "Durability::Eventual, its default: handed to the operating system with each commit"
        };
        let settings = [
            "each put is a transaction of one row, whose commit the thread waits for; each get and \
             each scan is a read transaction",
            "blocks of 64 KiB, a Bloom filter, no compression, no value log: its defaults",
            "the write buffer is that of one memtable; those that wait to be flushed come on top",
        ];
        Description {
            version: version("surrealkv"),
            durability: durability.into(),
            cache_bytes: self.cache_bytes,
            write_buffer_bytes: self.write_buffer_bytes,
            settings: settings.map(String::from).into(),
        }
    }

    fn get(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<()> {
        if let Some(value) = self.tree.begin_with_mode(Mode::ReadOnly)?.get(key)? {
            found(&value);
        }
        Ok(())
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut write = self.tree.begin_with_mode(Mode::WriteOnly)?;
        if self.synced {
            write.set_durability(Commit::Immediate);
        }
        write.set(key, value)?;
        Ok(self.runtime.block_on(write.commit())?)
    }

    fn scan(&self, from: &[u8], rows: usize, row: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let read = self.tree.begin_with_mode(Mode::ReadOnly)?;
        let mut cursor = read.scan(from..)?;
        cursor.seek_first()?;
        for _ in 0..rows {
            if !cursor.valid() {
                break;
            }
            row(cursor.key().user_key(), &cursor.value()?);
            cursor.next()?;
        }
        Ok(())
    }

    fn finish_load(&self) -> Result<()> {
        Ok(self.tree.flush_wal(true)?)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // What a failed close leaves is removed with the directory.
        let _ = self.runtime.block_on(self.tree.close());
    }
}
