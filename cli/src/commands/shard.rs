//! `annulus shard`

use super::forget::{self, ForgetArgs};
use super::stats;
use crate::exit::{Exit, Outcome};
use crate::open::StoreArgs;
use crate::output::Output;
use crate::reshape::{Act, AddShard, RemoveShard, Reweigh};
use clap::Subcommand;
use serde_json::json;

/// List, add, remove and reweigh shards, or give up one that is lost
///
/// Works on a store with data in it: partitions move to their new shards, each by
/// one atomic step. An application does the same while it reads and writes, with `Store::add_shard`
/// and the like.
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:
  annulus shard list -s /data/store
  annulus shard add /disk4/annulus -s /data/store
  annulus shard remove 0 -s /data/store
  annulus shard reweight 2 3 -s /data/store"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(ListArgs),

    /// Add a shard and move its share of every keyspace to it
    ///
    /// Of a hash keyspace it gets exactly its share of the tokens, of a range keyspace about its
    /// share of the bytes. After Ctrl-C the shard keeps what it has by then.
    #[command(after_help = "Examples:
  annulus plan add-shard /disk4/annulus -s /data/store
  annulus shard add /disk4/annulus -s /data/store
  annulus shard add /disk4/annulus --weight 2 --zone rack-1 -s /data/store
  annulus shard add /disk4/annulus --throttle 50MiB/s --check full -s /data/store")]
    Add(Act<AddShard>),

    /// Move everything off a shard and take it out of the store
    ///
    /// Its files are removed, its directory stays. Ctrl-C keeps the shard, with the partitions that
    /// it still has. If the process is killed, the shard stays in the store and receives nothing
    /// new: the same command continues.
    #[command(after_help = "Examples:
  annulus plan remove-shard 0 -s /data/store
  annulus shard remove 0 -s /data/store
  annulus shard remove 0 --throttle 50MiB/s -s /data/store --json")]
    Remove(Act<RemoveShard>),

    Forget(ForgetArgs),

    /// Change the weight of a shard and move the difference to it or from it
    ///
    /// With its present weight, it receives what it lacks: after Ctrl-C, for example.
    #[command(after_help = "Examples:
  annulus plan reweight 2 3 -s /data/store
  annulus shard reweight 2 3 -s /data/store")]
    Reweight(Act<Reweigh>),
}

/// List the shards
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus shard list -s /data/store
  annulus shard list -s /data/store --json")]
struct ListArgs {
    #[command(flatten)]
    store: StoreArgs,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    match &args.command {
        Command::List(args) => list(args, output),
        Command::Add(act) => act.run(output),
        Command::Remove(act) => act.run(output),
        Command::Forget(args) => forget::run(args, output),
        Command::Reweight(act) => act.run(output),
    }
}

fn list(args: &ListArgs, output: &mut Output) -> Outcome<Exit> {
    let stats = args.store.open()?.stats()?;
    if output.json() {
        output.object(&json!({ "epoch": stats.epoch, "shards": stats.shards }))?;
    } else {
        output.text(stats::shards(&stats.shards))?;
    }
    Ok(Exit::Fine)
}
