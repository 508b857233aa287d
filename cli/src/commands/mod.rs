//! The commands, a file or a folder for each: its arguments, with help and examples, and its work.

pub(crate) mod adopt_copy;
pub(crate) mod backup;
pub(crate) mod bench;
pub(crate) mod changes;
pub(crate) mod consumer;
pub(crate) mod delete;
pub(crate) mod demo;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod get;
pub(crate) mod heatmap;
pub(crate) mod hot;
pub(crate) mod init;
pub(crate) mod keyspace;
pub(crate) mod load;
pub(crate) mod log;
pub(crate) mod log_place;
pub(crate) mod map;
pub(crate) mod migrations;
pub(crate) mod partition;
pub(crate) mod plan;
pub(crate) mod put;
pub(crate) mod rebalance;
pub(crate) mod recover;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod scan;
pub(crate) mod shard;
pub(crate) mod stats;
pub(crate) mod verify;

use annulus::Durability;

/// Returns the durability that `--synced` asks for.
const fn durability(synced: bool) -> Durability {
    if synced { Durability::Synced } else { Durability::Buffered }
}
