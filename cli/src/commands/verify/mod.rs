//! `annulus verify`

mod salvage;

use super::migrations::recovered;
use crate::exit::{Exit, Outcome};
use crate::open::ReadArgs;
use crate::output::Output;
use crate::table::Table;
use annulus::report::{CopyRepair, RecoveryReport, RolledBack, Verification};
use annulus::{LogDamage, ShardId, Store};
use annulus_workload::human;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// Check the whole store
///
/// Reads every row, and the checksum of every block on disk, and checks that the partitions of each
/// keyspace tile its whole space, that each is owned by one shard that exists, that each key is in
/// the partition that routing names, and that keys are in order. Ends with 1 if there is a problem.
/// Foreign keys are not one: partitions that were split by links share files until they are
/// trimmed. Also shows what this opening of the store repaired, because a process was killed:
/// leftovers that it removed, reshapes that it rolled back; and what logs had lost. It continues
/// after damage: each damaged partition is named with a file, and of the files that no row needs,
/// the first of each shard.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus verify -s /data/store
  annulus verify -s /data/store --json
  annulus verify --read-only -s /mnt/broken/store
  annulus verify --read-only --drop-damaged-log -s /data/store
  annulus verify --salvage /data/saved -s /mnt/broken/store")]
pub(crate) struct Args {
    #[command(flatten)]
    store: ReadArgs,

    /// The last resort, if a damaged log keeps the store from being opened and there is no copy:
    /// keep what was written before the damage, and drop for good what was written after it, in all
    /// keyspaces, synced writes too. Without such damage it drops nothing. With --read-only it shows
    /// what would be lost, and changes nothing
    #[arg(long)]
    drop_damaged_log: bool,

    /// Copy every row that can be read to a new store in this directory, with the same keyspaces and as many
    /// shards, and count what cannot be: damaged parts, and shards that are missing. The store that is
    /// read stays as it is. Indexes are not copied: the application builds them when it declares them.
    /// Instead of the checks; ends with 5 if anything was left out
    #[arg(long, value_name = "DIR")]
    salvage: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    let mut options = args.store.memory().options();
    if args.drop_damaged_log {
        options.log_damage = LogDamage::DropRest;
    }
    if let Some(to) = &args.salvage {
        let store = args.store.open_for_salvage(options.clone(), output)?;
        return salvage::run(&store, to, options, output);
    }
    let store = args.store.open_with(options, output)?;
    let started = Instant::now();
    let report = store.verify()?;
    let seconds = started.elapsed().as_secs_f64();
    if output.json() {
        #[derive(Serialize)]
        struct Object<'r> {
            sound: bool,
            seconds: f64,
            #[serde(flatten)]
            report: &'r Verification,
            rolled_back: &'r [RolledBack],
            draining: &'r [ShardId],
            log_copies: &'r [CopyRepair],
        }
        let RecoveryReport { rolled_back, draining, log_copies, .. } = store.recovery();
        let sound = report.is_sound();
        output.object(&Object {
            sound,
            seconds,
            report: &report,
            rolled_back,
            draining,
            log_copies,
        })?;
    } else {
        print(&store, &report, seconds, output)?;
    }
    Ok(Exit::fine_if(report.is_sound()))
}

fn print(store: &Store, report: &Verification, seconds: f64, output: &mut Output) -> Outcome<()> {
    output.line("checked: partitions tile each keyspace and have one owner; keys are where")?;
    output.line("routing looks for them, in order; checksums of all data")?;
    if !report.keyspaces.is_empty() {
        let head =
            ["keyspace", "keys by shard", "partitions", "keys", "bytes", "foreign", "misplaced"];
        let mut table = Table::new(2, head);
        for keyspace in &report.keyspaces {
            let by_shard = keyspace.keys_by_shard.iter();
            let by_shard =
                by_shard.map(|(shard, keys)| format!("{shard}: {}", human::count(*keys)));
            table.row([
                keyspace.name.clone(),
                by_shard.collect::<Vec<_>>().join("  "),
                keyspace.partitions.to_string(),
                human::count(keyspace.keys),
                human::bytes(keyspace.bytes),
                human::count(keyspace.foreign),
                human::count(keyspace.misplaced),
            ]);
        }
        output.text(format_args!("\n{table}\n"))?;
    }
    for orphan in &store.recovery().orphans {
        output.line(format_args!("repaired by this opening: removed {orphan}"))?;
    }
    for copy in &store.recovery().log_copies {
        output.line(format_args!("found by this opening: {copy}"))?;
    }
    for lost in &report.lost {
        output.line(format_args!("lost by the logs: {lost}"))?;
    }
    recovered(store, output)?;
    for problem in &report.problems {
        output.line(format_args!("problem: {problem}"))?;
    }
    match report.problems.len() {
        0 => output.line(format_args!("no problems, {seconds:.2} s")),
        problems => output.line(format_args!("{problems} problems, {seconds:.2} s")),
    }
}
