//! `annulus log-place`

use crate::exit::{Exit, Outcome};
use crate::open::StoreArgs;
use crate::output::Output;
use crate::table::Table;
use annulus::report::{CopyRepair, LogCopyStats};
use annulus::{CreateMode, LogMirror};
use annulus_workload::human;
use serde::Serialize;
use std::path::PathBuf;

/// Move the log of a store, or add, exchange or remove its mirror
///
/// The log is then in a directory of its own, often on another disk, which its syncs do not share with
/// flushes and compactions. A mirror is a second copy: everything is in both, and either suffices to
/// open the store with all of it. The store remembers both. Opens the store and closes it; shows where
/// the copies are, and what was wrong with one. Ends with 1 if one of them is not written.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus log-place -s /data/store --directory /nvme2/log
  annulus log-place -s /data/store --mirror /nvme3/log
  annulus log-place -s /data/store --no-mirror
  annulus log-place -s /data/store")]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,

    /// Where the log is to be. It must be missing or empty, and its parent must exist. A relative DIR
    /// is taken from the store's directory
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,

    /// Where its mirror is to be, on another disk than the log. If there is one elsewhere, it is removed
    #[arg(long, value_name = "DIR", conflicts_with = "no_mirror")]
    mirror: Option<PathBuf>,

    /// Remove the mirror
    #[arg(long)]
    no_mirror: bool,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    let mut options = args.store.memory.options();
    options.log_directory.clone_from(&args.directory);
    if let Some(mirror) = &args.mirror {
        options.log_mirror = LogMirror::at(mirror);
    } else if args.no_mirror {
        options.log_mirror = LogMirror::None;
    }
    let store = args.store.builder().options(options).create(CreateMode::Never).open()?;
    let (copies, repairs) = (store.stats()?.log_copies, store.recovery().log_copies.clone());
    store.close()?;
    if output.json() {
        #[derive(Serialize)]
        struct Object<'a> {
            copies: &'a [LogCopyStats],
            repaired: &'a [CopyRepair],
        }
        output.object(&Object { copies: &copies, repaired: &repairs })?;
    } else {
        output.text(table(&copies))?;
        for repair in &repairs {
            output.line(format_args!("found by this opening: {repair}"))?;
        }
    }
    Ok(Exit::fine_if(copies.iter().all(|copy| copy.failure.is_none())))
}

/// Returns a table of the copies of a log.
pub(crate) fn table(copies: &[LogCopyStats]) -> Table {
    let mut table = Table::new(1, ["log", "bytes", "state"]);
    for LogCopyStats { directory, bytes, failure, .. } in copies {
        let state = failure.as_ref().map_or("written".to_owned(), |why| format!("FAILED: {why}"));
        table.row([directory.display().to_string(), human::bytes(*bytes), state]);
    }
    table
}
