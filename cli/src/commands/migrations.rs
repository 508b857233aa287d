//! `annulus migrations`

use crate::exit::{Exit, Outcome};
use crate::open::ReadArgs;
use crate::output::Output;
use crate::reshape::{happened, table, totals};
use annulus::Store;
use annulus::reshape::Outcome as Reshape;
use annulus_workload::human;
use serde_json::json;

/// List the reshapes of the store, the newest last
///
/// Moves, splits, merges and trims, whatever started them, with transport, bytes, how long writes
/// were paused, and why some were rolled back. The store keeps the last 256. Also
/// shows what this opening of the store rolled back, because a process was killed, and which
/// shards wait for the rest of their removal.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus migrations -s /data/store
  annulus migrations --last 10 -s /data/store
  annulus migrations -s /data/store --json")]
pub(crate) struct Args {
    #[command(flatten)]
    store: ReadArgs,

    /// Only the newest N
    #[arg(long, value_name = "N")]
    last: Option<usize>,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    let store = args.store.open(output)?;
    let history = store.reshape_history()?;
    let first = history.len().saturating_sub(args.last.unwrap_or(usize::MAX));
    let history = history.get(first..).unwrap_or_default();
    let recovery = store.recovery();
    if output.json() {
        output.object(&json!({
            "migrations": history,
            "rolled_back": recovery.rolled_back,
            "draining": recovery.draining,
        }))?;
    } else {
        print(&store, history, output)?;
    }
    Ok(Exit::Fine)
}

fn print(store: &Store, history: &[Reshape], output: &mut Output) -> Outcome<()> {
    match (history.first(), history.last()) {
        (Some(first), Some(last)) => {
            output.text(table(store, history))?;
            for error in history.iter().filter_map(happened) {
                output.line(error)?;
            }
            let totals = totals(history);
            output.line(format_args!(
                "from {} to {}: {} committed, {} trims, {} rolled back; {} linked, {} copied",
                human::date(first.ended_at),
                human::date(last.ended_at),
                totals.committed,
                totals.trimmed,
                totals.rolled_back,
                human::bytes(totals.linked_bytes),
                human::bytes(totals.copied_bytes),
            ))?;
        }
        _ => output.note("no reshapes yet; `annulus plan --help` lists what can be done"),
    }
    recovered(store, output)
}

/// Reports what this opening repaired of reshapes, and what is still to be done.
pub(crate) fn recovered(store: &Store, output: &mut Output) -> Outcome<()> {
    let recovery = store.recovery();
    for reshape in &recovery.rolled_back {
        output.line(format_args!("repaired by this opening: rolled back {reshape}"))?;
    }
    for shard in &recovery.draining {
        output.line(format_args!(
            "shard {shard} is being removed; `annulus shard remove {shard}` continues that"
        ))?;
    }
    Ok(())
}
