//! `annulus stats`

use super::keyspace::how;
use super::log_place;
use crate::exit::{Exit, Outcome};
use crate::open::ReadArgs;
use crate::output::Output;
use crate::reshape::{Totals, totals};
use crate::table::Table;
use annulus::Store;
use annulus::report::{IndexState, IndexStats, KeyspaceStats, ShardStats, StoreStats};
use annulus_workload::human;
use serde::Serialize;

/// Show what the store occupies, by shard and by keyspace
///
/// Numbers of keys are estimates: keys that were overwritten or deleted count until compaction.
/// Entries of indexes are also among the keys of the keyspaces that have them, `annulus/index/…`.
/// The log holds what is not in files of all shards yet. Foreign bytes are those of partitions that
/// share files since a split or a move by links, until
/// they are trimmed. Of reshapes, the totals are over those that `annulus migrations` lists.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus stats -s /data/store
  annulus stats -s /data/store --json")]
pub(crate) struct Args {
    #[command(flatten)]
    store: ReadArgs,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    let store = args.store.open(output)?;
    let stats = store.stats()?;
    let history = totals(&store.reshape_history()?);
    if output.json() {
        #[derive(Serialize)]
        struct Object<'s> {
            #[serde(flatten)]
            stats: &'s StoreStats,
            reshape_history: Totals,
        }
        output.object(&Object { stats: &stats, reshape_history: history })?;
        return Ok(Exit::Fine);
    }
    let place = store.path().display();
    output.line(format_args!("store {place}, epoch {}", stats.epoch))?;
    if !stats.hardware_checksums {
        output.line("this build computes checksums in software, which slows writes: see README")?;
    }
    match &stats.log_copies[..] {
        [_] => output.line(format_args!("log: {}", human::bytes(stats.log_bytes)))?,
        copies => output.text(format_args!("\n{}", log_place::table(copies)))?,
    }
    output.text(format_args!("\n{}", shards(&stats.shards)))?;
    if !stats.keyspaces.is_empty() {
        output.text(format_args!("\n{}", keyspaces(&store, &stats)))?;
    }
    if stats.keyspaces.iter().any(|keyspace| !keyspace.indexes.is_empty()) {
        output.text(format_args!("\n{}", indexes(&stats.keyspaces)))?;
    }
    if history != Totals::default() {
        let Totals { committed, trimmed, rolled_back, pause_ms_max, .. } = history;
        output.line("")?;
        output.line(format_args!(
            "reshapes: {committed} committed, {trimmed} trims, {rolled_back} rolled back; {} \
             linked, {} copied; writes paused {} at most",
            human::bytes(history.linked_bytes),
            human::bytes(history.copied_bytes),
            human::milliseconds(pause_ms_max),
        ))?;
    }
    Ok(Exit::Fine)
}

/// Returns a table of shards.
pub(crate) fn shards(shards: &[ShardStats]) -> Table {
    let head = [
        "shard",
        "directory",
        "weight",
        "partitions",
        "keys (about)",
        "on disk",
        "in memory",
        "foreign",
        "state",
    ];
    let mut table = Table::new(2, head);
    for shard in shards {
        table.row([
            shard.id.to_string(),
            shard.directory.display().to_string(),
            shard.weight.to_string(),
            shard.partitions.to_string(),
            human::count(shard.keys_estimated),
            human::bytes(shard.bytes_on_disk),
            human::bytes(shard.bytes_in_memory),
            human::bytes(shard.foreign_bytes),
            state(shard),
        ]);
    }
    table
}

/// Returns in words what is unusual about a shard.
fn state(shard: &ShardStats) -> String {
    let behind = match shard.partitions_behind {
        0 => None,
        count => Some(format!("{count} behind the log")),
    };
    let draining = shard.draining.then(|| "being removed".to_owned());
    let full = shard.disk_full.then(|| "nearly full".to_owned());
    draining.into_iter().chain(full).chain(behind).collect::<Vec<_>>().join(", ")
}

fn keyspaces(store: &Store, stats: &StoreStats) -> Table {
    let mut table = Table::new(
        2,
        [
            "keyspace",
            "partitioned by",
            "partitions",
            "keys (about)",
            "on disk",
            "in memory",
            "foreign",
        ],
    );
    for keyspace in &stats.keyspaces {
        let KeyspaceStats { name, partitioning, partitions, .. } = keyspace;
        let how = store.keyspace(name).map_or_else(|_| (*partitioning).to_owned(), |k| how(&k));
        table.row([
            name.clone(),
            how,
            partitions.len().to_string(),
            human::count(partitions.iter().map(|partition| partition.keys_estimated).sum()),
            human::bytes(partitions.iter().map(|partition| partition.bytes_on_disk).sum()),
            human::bytes(partitions.iter().map(|partition| partition.bytes_in_memory).sum()),
            human::bytes(partitions.iter().map(|partition| partition.foreign_bytes).sum()),
        ]);
    }
    table
}

fn indexes(keyspaces: &[KeyspaceStats]) -> Table {
    let head = ["keyspace", "index", "entries (about)", "on disk", "in memory", "state"];
    let mut table = Table::new(2, head);
    for keyspace in keyspaces {
        for index in &keyspace.indexes {
            table.row([
                keyspace.name.clone(),
                index.name.clone(),
                human::count(index.entries_estimated),
                human::bytes(index.bytes_on_disk),
                human::bytes(index.bytes_in_memory),
                state_of_index(index),
            ]);
        }
    }
    table
}

/// Returns in words whether an index is complete, and what it is then.
fn state_of_index(index: &IndexStats) -> String {
    let state = match index.state {
        IndexState::Complete => "complete",
        IndexState::Building => "being built",
        IndexState::Incomplete => "incomplete",
        _ => "unknown",
    };
    let version = index.version.map(|version| format!("version {version}"));
    let unique = index.unique.filter(|unique| *unique).map(|_| "unique".to_owned());
    [Some(state.to_owned()), version, unique].into_iter().flatten().collect::<Vec<_>>().join(", ")
}
