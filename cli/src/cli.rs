//! The command line as a whole. Each command's own arguments are defined with the command.

use crate::commands::{
    adopt_copy, backup, bench, changes, consumer, delete, demo, explain, export, get, heatmap, hot,
    init, keyspace, load, log, log_place, map, migrations, partition, plan, put, rebalance,
    recover, replay, report, scan, shard, stats, verify,
};
use crate::exit::{EXIT_CODES, Exit, Outcome};
use crate::output::Output;
use clap::{Parser, Subcommand};

/// Create, fill, read, reshape, draw and check Annulus stores.
///
/// A store is a directory of metadata and its shards, each a RocksDB instance, often on a disk of
/// its own. It holds keyspaces, whose keys are placed on the shards by hash or by range. Only one
/// process at a time can have a store open; commands that only read can do so with --read-only.
#[derive(Debug, Parser)]
// Its name is not taken from the first argument, which may be anything.
#[command(version, bin_name = "annulus", after_help = help(), arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Print JSON: one object, or one object per row for commands that stream rows. Errors become
    /// `{"error":{"kind":…,"message":…}}` on the standard error.
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(init::Args),
    Keyspace(keyspace::Args),
    Put(put::Args),
    Get(get::Args),
    Delete(delete::Args),
    Scan(scan::Args),
    Load(load::Args),
    Export(export::Args),
    Map(map::Args),
    Shard(shard::Args),
    Partition(partition::Args),
    Plan(plan::Args),
    Migrations(migrations::Args),
    Hot(hot::Args),
    Heatmap(heatmap::Args),
    Rebalance(rebalance::Args),
    Explain(explain::Args),
    Replay(replay::Args),
    Stats(stats::Args),
    Log(log::Args),
    LogPlace(log_place::Args),
    Changes(changes::Args),
    Consumer(consumer::Args),
    Recover(recover::Args),
    Backup(backup::Args),
    AdoptCopy(adopt_copy::Args),
    Verify(verify::Args),
    Demo(demo::Args),
    Bench(bench::Args),
    Report(report::Args),
}

impl Command {
    pub(crate) fn run(self, output: &mut Output) -> Outcome<Exit> {
        match self {
            Self::Init(args) => init::run(&args, output),
            Self::Keyspace(args) => keyspace::run(&args, output),
            Self::Put(args) => put::run(&args, output),
            Self::Get(args) => get::run(&args, output),
            Self::Delete(args) => delete::run(&args, output),
            Self::Scan(args) => scan::run(&args, output),
            Self::Load(args) => load::run(&args, output),
            Self::Export(args) => export::run(&args, output),
            Self::Map(args) => map::run(&args, output),
            Self::Shard(args) => shard::run(&args, output),
            Self::Partition(args) => partition::run(&args, output),
            Self::Plan(args) => plan::run(&args, output),
            Self::Migrations(args) => migrations::run(&args, output),
            Self::Hot(args) => hot::run(&args, output),
            Self::Heatmap(args) => heatmap::run(&args, output),
            Self::Rebalance(args) => rebalance::run(&args, output),
            Self::Explain(args) => explain::run(&args, output),
            Self::Replay(args) => replay::run(&args, output),
            Self::Stats(args) => stats::run(&args, output),
            Self::Log(args) => log::run(&args, output),
            Self::LogPlace(args) => log_place::run(&args, output),
            Self::Changes(args) => changes::run(&args, output),
            Self::Consumer(args) => consumer::run(&args, output),
            Self::Recover(args) => recover::run(&args, output),
            Self::Backup(args) => backup::run(&args, output),
            Self::AdoptCopy(args) => adopt_copy::run(&args, output),
            Self::Verify(args) => verify::run(&args, output),
            Self::Demo(args) => demo::run(&args, output),
            Self::Bench(args) => bench::run(&args, output),
            Self::Report(args) => report::run(&args, output),
        }
    }
}

fn help() -> String {
    format!(
        "Examples:
  annulus demo
  annulus init -s /data/store --shards 4
  annulus keyspace create users --hash -s /data/store
  annulus put users ada countess -s /data/store
  export ANNULUS_STORE=/data/store
  annulus get users ada
  annulus load users --from users.tsv
  annulus map
  annulus plan add-shard /disk4/annulus
  annulus shard add /disk4/annulus
  annulus hot
  annulus rebalance --dry-run

{EXIT_CODES}"
    )
}
