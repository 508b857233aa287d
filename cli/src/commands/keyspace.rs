//! `annulus keyspace`

use crate::argument;
use crate::exit::{Exit, Failure, Outcome};
use crate::open::{ReadArgs, StoreArgs};
use crate::output::Output;
use crate::rows::{RowsArgs, sample_keys};
use crate::table::Table;
use crate::time_to_live::TimeToLive;
use annulus::placement::{HashPart, RangeMap};
use annulus::topology::{KeyspaceSpec, Partitioning};
use annulus::{Keyspace, Store};
use annulus_workload::human;
use clap::{ArgGroup, Subcommand};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::path::PathBuf;

/// Create, list and drop keyspaces
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:
  annulus keyspace create users --hash -s /data/store
  annulus keyspace list -s /data/store
  annulus keyspace drop users -s /data/store"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(CreateArgs),
    List(ListArgs),
    Drop(DropArgs),
}

/// Create a keyspace
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("partitioning").required(true),
    after_help = "Examples:
  annulus keyspace create users --hash -s /data/store
  annulus keyspace create carts --hash --hashed up-to:/ -s /data/store
  annulus keyspace create sessions --hash --ttl 12h -s /data/store
  annulus keyspace create names --range --split-at h --split-at q -s /data/store
  annulus keyspace create names --range --split-like names.tsv --parts 8 -s /data/store"
)]
struct CreateArgs {
    #[command(flatten)]
    store: StoreArgs,

    /// Its name: 1 to 255 bytes, no control characters
    name: String,

    /// Partition by hash: even load whatever the keys; an ordered scan reads every partition
    #[arg(long, group = "partitioning")]
    hash: bool,

    /// Partition by range: an ordered scan reads only the partitions that it crosses
    #[arg(long, group = "partitioning")]
    range: bool,

    /// The part of the key that is hashed: `whole`, `prefix:BYTES`, `up-to:DELIMITER`, or `tag`
    /// for what is between `{` and `}`. Keys that share it stay together, in order
    #[arg(long, value_name = "PART", default_value = "whole", conflicts_with = "range")]
    hashed: HashPart,

    /// Arcs per shard; each is a column family [default: 4]
    #[arg(long, value_name = "N", conflicts_with = "range")]
    arcs: Option<u32>,

    /// A key at which a range begins; once for each, in order
    #[arg(long, value_name = "KEY", conflicts_with = "hash")]
    split_at: Vec<OsString>,

    /// The keys of --split-at are hexadecimal digits
    #[arg(long, requires = "split_at")]
    hex: bool,

    /// Find ranges of equal numbers of keys from a sample of this file's key column
    #[arg(long, value_name = "FILE", conflicts_with_all = ["hash", "split_at"])]
    split_like: Option<PathBuf>,

    /// Let rows expire: this long after they were put, like 30m or 7d (ms, s, m, h, d), unless the
    /// put says otherwise; or `by-put`, if only their put says it
    #[arg(long, value_name = "TIME")]
    ttl: Option<TimeToLive>,

    /// How many ranges to find [default: one for each shard]
    #[arg(long, value_name = "N", requires = "split_like")]
    parts: Option<usize>,

    #[command(flatten)]
    rows: RowsArgs,
}

/// List the keyspaces
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus keyspace list -s /data/store
  annulus keyspace list -s /data/store --json")]
struct ListArgs {
    #[command(flatten)]
    store: ReadArgs,
}

/// Drop a keyspace with all its keys
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus keyspace drop users -s /data/store")]
struct DropArgs {
    #[command(flatten)]
    store: StoreArgs,

    /// Its name
    name: String,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    match &args.command {
        Command::Create(args) => create(args, output)?,
        Command::List(args) => list(&args.store.open(output)?, output)?,
        Command::Drop(args) => {
            let store = args.store.open()?;
            store.drop_keyspace(&args.name)?;
            store.close()?;
            let name = &args.name;
            output.either(&json!({ "dropped": name }), format_args!("dropped keyspace {name}"))?;
        }
    }
    Ok(Exit::Fine)
}

fn create(args: &CreateArgs, output: &mut Output) -> Outcome<()> {
    let store = args.store.open()?;
    let spec: KeyspaceSpec = if args.hash {
        let spec = KeyspaceSpec::hash().hashed(args.hashed);
        let spec = match args.arcs {
            Some(arcs) => spec.arcs_per_shard(arcs),
            None => spec,
        };
        match args.ttl {
            None => spec.into(),
            Some(TimeToLive::After(time)) => spec.time_to_live(time).into(),
            Some(TimeToLive::ByPut) => spec.time_to_live_by_put().into(),
        }
    } else {
        let spec = KeyspaceSpec::range().split_at(split_points(args, &store)?);
        match args.ttl {
            None => spec.into(),
            Some(TimeToLive::After(time)) => spec.time_to_live(time).into(),
            Some(TimeToLive::ByPut) => spec.time_to_live_by_put().into(),
        }
    };
    let keyspace = store.create_keyspace(&args.name, spec)?;
    store.close()?;
    let (how, partitions) = (how(&keyspace), keyspace.placement().partition_count());
    let text = format!("created keyspace {}: {how}, {partitions} partitions", keyspace.name());
    output.either(&describe(&keyspace), text)
}

fn split_points(args: &CreateArgs, store: &Store) -> Outcome<Vec<Vec<u8>>> {
    let Some(path) = &args.split_like else {
        return args.split_at.iter().map(|key| argument::parse(key, args.hex)).collect();
    };
    let samples = sample_keys(path, &args.rows)?;
    if samples.is_empty() {
        let path = path.display();
        return Err(Failure::usage(format!("{path} has no rows to find split points from")));
    }
    let parts = args.parts.unwrap_or_else(|| store.topology().shards().len());
    Ok(RangeMap::split_points(&samples, parts))
}

fn list(store: &Store, output: &mut Output) -> Outcome<()> {
    let keyspaces = store.keyspaces();
    if output.json() {
        let keyspaces: Vec<_> = keyspaces.iter().map(describe).collect();
        return output.object(&json!({ "keyspaces": keyspaces }));
    }
    if keyspaces.is_empty() {
        output.note("no keyspaces; `annulus keyspace create` makes one");
        return Ok(());
    }
    let mut table = Table::new(2, ["keyspace", "partitioned by", "partitions", "keys (about)"]);
    for keyspace in &keyspaces {
        table.row([
            keyspace.name().to_owned(),
            how(keyspace),
            keyspace.placement().partition_count().to_string(),
            human::count(keyspace.count_estimated()?),
        ]);
    }
    output.text(table)
}

/// Describes how a keyspace is partitioned, and how long its rows live.
pub(crate) fn how(keyspace: &Keyspace) -> String {
    let how = match keyspace.placement().partitioning() {
        Partitioning::Hash { hashed: HashPart::Whole, .. } => "hash".into(),
        Partitioning::Hash { hashed, .. } => format!("hash of {hashed}"),
        other => other.as_str().into(),
    };
    match keyspace.time_to_live() {
        Some(time_to_live) => format!("{how}, {time_to_live}"),
        None => how,
    }
}

fn describe(keyspace: &Keyspace) -> Value {
    let placement = keyspace.placement();
    let hashed = match placement.partitioning() {
        Partitioning::Hash { hashed, .. } => Some(hashed.to_string()),
        _ => None,
    };
    let mut described = json!({
        "name": keyspace.name(),
        "partitioning": placement.partitioning().as_str(),
        "partitions": placement.partition_count(),
        "hashed": hashed,
    });
    if let (Some(time_to_live), Some(object)) = (keyspace.time_to_live(), described.as_object_mut())
    {
        let default_ms = time_to_live.default_lifetime().map(|time| time.as_millis() as u64);
        object.insert("time_to_live".into(), json!({ "default_ms": default_ms }));
    }
    described
}
