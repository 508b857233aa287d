//! `annulus stats`

use super::keyspace::how;
use crate::exit::{Exit, Outcome};
use crate::human;
use crate::open::StoreArgs;
use crate::output::Output;
use crate::table::Table;
use annulus::{KeyspaceStats, ShardStats, Store, StoreStats};

/// Show what the store occupies, by shard and by keyspace
///
/// Numbers of keys are estimates: keys that were overwritten or deleted count until compaction.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus stats -s /data/store
  annulus stats -s /data/store --json")]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    let store = args.store.open()?;
    let stats = store.stats()?;
    if output.json() {
        output.object(&stats)?;
        return Ok(Exit::Fine);
    }
    let place = store.path().display();
    output.line(format_args!("store {place}, epoch {}", stats.epoch))?;
    output.text(format_args!("\n{}", shards(&stats.shards)))?;
    if !stats.keyspaces.is_empty() {
        output.text(format_args!("\n{}", keyspaces(&store, &stats)))?;
    }
    Ok(Exit::Fine)
}

fn shards(shards: &[ShardStats]) -> Table {
    let mut table = Table::new(
        2,
        ["shard", "directory", "weight", "partitions", "keys (about)", "on disk", "in memory"],
    );
    for shard in shards {
        table.row([
            shard.id.to_string(),
            shard.directory.display().to_string(),
            shard.weight.to_string(),
            shard.partitions.to_string(),
            human::count(shard.keys_estimated),
            human::bytes(shard.bytes_on_disk),
            human::bytes(shard.bytes_in_memory),
        ]);
    }
    table
}

fn keyspaces(store: &Store, stats: &StoreStats) -> Table {
    let mut table = Table::new(
        2,
        ["keyspace", "partitioned by", "partitions", "keys (about)", "on disk", "in memory"],
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
        ]);
    }
    table
}
