//! What is done for all shards at the same time.

use crate::catalog::Catalog;
use crate::engine::ShardEngine;
use crate::error::{Error, ErrorKind, Result};
use crate::id::ShardId;
use crate::os::parallel;

/// Runs a job for every shard, in parallel, each to its end even if another fails. Returns the
/// first error.
pub(super) fn in_parallel(
    catalog: &Catalog,
    job: impl Fn((&ShardId, &ShardEngine)) -> Result<()> + Sync,
) -> Result<()> {
    let shards = catalog.shards();
    let shards: Vec<_> = shards.iter().map(|(id, shard)| (id, &**shard)).collect();
    let panicked = || Error::new(ErrorKind::Internal, "a shard's worker panicked");
    parallel::each(&shards, |shard| job(*shard))
        .into_iter()
        .map(|done| done.unwrap_or_else(|_| Err(panicked())))
        .fold(Ok(()), Result::and)
}
