//! `annulus recover`

use crate::exit::{Exit, Failure, Outcome};
use crate::open::StoreArgs;
use crate::output::Output;
use crate::text;
use annulus::log::{LogView, Position, RecoveryTarget};
use annulus_workload::human;
use serde_json::json;
use std::path::PathBuf;

/// Bring a copy of a store to a moment, by the log of the original
///
/// The copy was made with all shards and the log while the store was closed, or as one snapshot of
/// the file system, and has not been opened for writing since. The writes that the original has made
/// between the copy and the moment are applied to it, whole batches, in their order. For that the
/// original must keep its log, for which applications set the option `log_keep_bytes`; or segments
/// were copied in time. Keyspaces and placement stay as they are in the copy: a write to a keyspace
/// that was created later is refused, with its position. What is interrupted can be repeated.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cp -a /data/store /backup/store                    # while it is closed
  annulus recover -s /backup/store --log /data/store/log --to 2026-11-27T14:30:00Z
  annulus log -s /data/store --records --keyspace users
  annulus recover -s /backup/store --log /data/store/log --to 48213904
  annulus recover -s /backup/store --log /data/store/log --to end")]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,

    /// The log of the original: the directory `log` in that store's, or segments copied from there. If
    /// the log has a mirror, name the store's directory: the copy that has everything is read then.
    /// It must have the segment in which the copy's log ends, and all later ones
    #[arg(long, value_name = "DIR")]
    log: PathBuf,

    /// Up to where: a moment, as 2026-11-27T14:30:00Z or 2026-11-27T15:30:00+01:00, with the writes
    /// that were made until then; a position, with the writes that begin before it; or `end`
    #[arg(long, value_name = "POSITION|TIME|end")]
    to: String,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    let target = target(&args.to)?;
    let log = LogView::open(&args.log)?;
    let done = log.recover(&args.store.store, target, args.store.memory.options())?;
    let last_at = done.last_at.map(human::precise_date);
    if output.json() {
        output.object(&json!({
            "from": done.from.get(),
            "to": done.to.get(),
            "records": done.records,
            "operations": done.operations,
            "last_at": last_at,
        }))?;
        return Ok(Exit::Fine);
    }
    let (from, to) = (done.from, done.to);
    match last_at {
        Some(last_at) => output.line(format_args!(
            "applied {} records with {} operations, from position {from} to {to}; the last is of \
             {last_at}",
            human::count(done.records),
            human::count(done.operations),
        ))?,
        None => output.line(format_args!("nothing to apply: the copy is at position {to}"))?,
    }
    Ok(Exit::Fine)
}

/// Parses a position, a time or `end`.
pub(super) fn target(argument: &str) -> Outcome<RecoveryTarget> {
    if argument == "end" {
        return Ok(RecoveryTarget::End);
    }
    if let Ok(position) = argument.parse() {
        return Ok(RecoveryTarget::Position(Position::new(position)));
    }
    human::parse_date(argument).map(RecoveryTarget::Time).ok_or_else(|| {
        Failure::usage(format!(
            "`{}` is neither a position, nor a time such as 2026-11-27T14:30:00Z, nor `end`",
            text::escape(argument.as_bytes())
        ))
    })
}
