//! The files of a shard, linked into a directory of their own, so that they stay as they are while
//! they are copied.

use super::database::RocksDb;
use super::handles::OpenDb;
use super::ingest::Scratch;
use crate::error::Result;
use rocksdb::checkpoint::Checkpoint;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Linked files, which are removed when this is dropped. The shard stays open until then: the next
/// opening empties the directory that they are in.
pub(crate) struct LinkedFiles {
    scratch: Scratch,
    _db: Arc<OpenDb>,
}

impl LinkedFiles {
    pub(crate) fn directory(&self) -> &Path {
        self.scratch.path()
    }
}

/// Links the files of a database, and copies its manifest up to where it is now. What is in memory
/// only is in none of them.
pub(super) fn link(shard: &RocksDb) -> Result<LinkedFiles> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let name = format!("backup-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let scratch = Scratch::claim_named(&shard.scratch, &name)?;
    shard.check_failpoint("link")?;
    // With any size but 0 nothing is flushed first.
    Checkpoint::new(&*shard.db)
        .and_then(|checkpoint| checkpoint.create_checkpoint_with_log_size(scratch.path(), u64::MAX))
        .map_err(shard.failed("linking files"))?;
    Ok(LinkedFiles { scratch, _db: Arc::clone(&shard.db) })
}
