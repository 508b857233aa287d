//! `annulus partition`

use crate::exit::{Exit, Outcome};
use crate::open::StoreArgs;
use crate::output::Output;
use crate::reshape::{Act, Merge, Move, Split};
use crate::table::Table;
use crate::text;
use annulus::ShardId;
use annulus::placement::PartitionRange;
use annulus::report::{KeyspaceStats, PartitionStats};
use annulus_workload::human;
use clap::Subcommand;
use serde_json::{Map, Value, json};

/// List, move, split and merge partitions
///
/// A partition is an arc of the ring of a hash keyspace, or a range of keys of a range keyspace.
/// Each change is atomic: before it and after it, and after a crash, every key is where routing
/// looks for it.
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:
  annulus partition list names -s /data/store
  annulus partition move 7 --to 3 -s /data/store
  annulus partition split 7 --middle -s /data/store
  annulus partition merge 8 9 -s /data/store"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(ListArgs),

    /// Move a partition to another shard
    #[command(after_help = "Examples:
  annulus partition move 7 --to 3 -s /data/store
  annulus partition move 7 --to 3 --transport copy --throttle 50MiB/s -s /data/store
  annulus partition move 7 --to 3 --check full --json -s /data/store")]
    Move(Act<Move>),

    /// Split a partition into two
    ///
    /// Both stay on their shard, unless --to names a shard for the right one. By links they share
    /// their files at first; the command waits until each has separate files (see --no-trim).
    #[command(after_help = "Examples:
  annulus partition split 7 --middle -s /data/store
  annulus partition split 7 --at mango --to 3 -s /data/store
  annulus partition split 2 --at-token 4000000000000000 -s /data/store
  annulus partition split 7 --middle --no-trim -s /data/store")]
    Split(Act<Split>),

    /// Merge two neighbouring partitions into one, by copying their rows
    #[command(after_help = "Examples:
  annulus partition merge 8 9 -s /data/store
  annulus partition merge 8 9 --to 1 -s /data/store")]
    Merge(Act<Merge>),
}

/// List the partitions
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus partition list -s /data/store
  annulus partition list names --shard 2 -s /data/store
  annulus partition list -s /data/store --json")]
struct ListArgs {
    #[command(flatten)]
    store: StoreArgs,

    /// Only those of these keyspaces
    keyspaces: Vec<String>,

    /// Only those on this shard
    #[arg(long, value_name = "SHARD")]
    shard: Option<ShardId>,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    match &args.command {
        Command::List(args) => list(args, output),
        Command::Move(act) => act.run(output),
        Command::Split(act) => act.run(output),
        Command::Merge(act) => act.run(output),
    }
}

fn list(args: &ListArgs, output: &mut Output) -> Outcome<Exit> {
    let store = args.store.open()?;
    // A keyspace that does not exist is an error, not an empty list.
    args.keyspaces.iter().try_for_each(|name| store.keyspace(name).map(drop))?;
    let stats = store.stats()?;
    let asked = |keyspace: &&KeyspaceStats| {
        args.keyspaces.is_empty() || args.keyspaces.contains(&keyspace.name)
    };
    let rows = stats.keyspaces.iter().filter(asked).flat_map(|keyspace| {
        let mine =
            |partition: &&PartitionStats| args.shard.is_none_or(|shard| partition.owner == shard);
        keyspace.partitions.iter().filter(mine).map(|partition| (keyspace.name.as_str(), partition))
    });
    if output.json() {
        let partitions: Vec<_> = rows.map(|(name, partition)| describe(name, partition)).collect();
        output.object(&json!({ "epoch": stats.epoch, "partitions": partitions }))?;
        return Ok(Exit::Fine);
    }
    let head = [
        "keyspace",
        "from",
        "to",
        "partition",
        "shard",
        "keys (about)",
        "on disk",
        "in memory",
        "foreign",
    ];
    let mut table = Table::new(3, head);
    for (keyspace, partition) in rows {
        let (from, to) = bounds(&partition.range);
        table.row([
            text::shorten(keyspace, 32).into_owned(),
            from,
            to,
            partition.id.to_string(),
            partition.owner.to_string(),
            human::count(partition.keys_estimated),
            human::bytes(partition.bytes_on_disk),
            human::bytes(partition.bytes_in_memory),
            human::bytes(partition.foreign_bytes),
        ]);
    }
    output.text(table)?;
    Ok(Exit::Fine)
}

/// Returns where a partition begins and ends, for people.
fn bounds(span: &PartitionRange) -> (String, String) {
    let end = "end".to_owned();
    match span {
        PartitionRange::Tokens(span) => {
            (span.start.to_string(), span.end.map_or(end, |token| token.to_string()))
        }
        PartitionRange::Keys(span) => {
            let quoted = |key: &[u8]| text::shorten(&text::quoted(key), 40).into_owned();
            (quoted(&span.start), span.end.as_deref().map_or(end, quoted))
        }
    }
}

fn describe(keyspace: &str, partition: &PartitionStats) -> Value {
    let mut object = Map::new();
    object.insert("partition".into(), json!(partition.id));
    object.insert("keyspace".into(), keyspace.into());
    object.insert("owner".into(), json!(partition.owner));
    match &partition.range {
        PartitionRange::Tokens(span) => {
            object.insert("start".into(), span.start.to_string().into());
            object.insert("end".into(), span.end.map(|token| token.to_string()).into());
        }
        PartitionRange::Keys(span) => {
            text::insert(&mut object, "start", &span.start, false);
            match &span.end {
                Some(end) => text::insert(&mut object, "end", end, false),
                None => drop(object.insert("end".into(), Value::Null)),
            }
        }
    }
    object.insert("keys_estimated".into(), partition.keys_estimated.into());
    object.insert("bytes_on_disk".into(), partition.bytes_on_disk.into());
    object.insert("bytes_in_memory".into(), partition.bytes_in_memory.into());
    object.insert("foreign_bytes".into(), partition.foreign_bytes.into());
    object.into()
}
