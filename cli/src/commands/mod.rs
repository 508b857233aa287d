//! The commands, a file or a folder for each: its arguments, with help and examples, and its work.

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

use crate::exit::{Failure, Outcome};
use crate::text;
use annulus::{Durability, KeyspaceId};
use std::collections::BTreeMap;

/// Returns the durability that `--synced` asks for.
const fn durability(synced: bool) -> Durability {
    if synced { Durability::Synced } else { Durability::Buffered }
}

/// Returns the number of a keyspace, by its name; of one that is gone, by its number.
fn keyspace_number(names: &BTreeMap<KeyspaceId, String>, name: &str) -> Outcome<KeyspaceId> {
    let named = names.iter().find(|(_, it)| *it == name).map(|(number, _)| *number);
    let number = || name.parse().ok().map(KeyspaceId).filter(|it| !names.contains_key(it));
    named.or_else(number).ok_or_else(|| {
        Failure::not_found(format!("there is no keyspace `{}`", text::escape(name.as_bytes())))
    })
}
