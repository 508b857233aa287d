//! `annulus scan`

use crate::exit::{Exit, Outcome};
use crate::open::ReadArgs;
use crate::output::Output;
use crate::select::SelectArgs;
use crate::text;
use annulus::ScanOptions;

/// Print rows in key order
///
/// A row is a line: the key, a tab, the value; printable UTF-8 as it is, everything else and the
/// backslash escaped as `\t`, `\n`, `\\`, `\x1b`. With --json a row is an object:
/// `{"key":…,"value":…}`, where bytes that are not UTF-8 appear as `key_hex` or `value_hex`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus scan users -s /data/store
  annulus scan users --from a --to c -s /data/store
  annulus scan events --prefix 2026-11- --reverse --limit 10 -s /data/store
  annulus scan users --keys-only --json -s /data/store")]
pub(crate) struct Args {
    #[command(flatten)]
    store: ReadArgs,

    /// The keyspace
    keyspace: String,

    #[command(flatten)]
    select: SelectArgs,

    /// From the last key to the first
    #[arg(long)]
    reverse: bool,

    /// End after this many rows
    #[arg(long, value_name = "ROWS")]
    limit: Option<u64>,

    /// Leave the values out
    #[arg(long)]
    keys_only: bool,

    /// Keys are, and keys and values are printed as, hexadecimal digits
    #[arg(long)]
    hex: bool,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    let selection = args.select.selection(args.hex)?;
    let mut options = ScanOptions::new();
    options.reverse = args.reverse;
    options.limit = args.limit;
    let store = args.store.open(output)?;
    let mut scan = selection.scan(&store.keyspace(&args.keyspace)?, options)?;
    while let Some((key, value)) = scan.next_row()? {
        if output.json() {
            output.object(&text::row(key, (!args.keys_only).then_some(value), args.hex))?;
        } else if args.keys_only {
            output.line(text::show(key, args.hex))?;
        } else {
            let (key, value) = (text::show(key, args.hex), text::show(value, args.hex));
            output.line(format_args!("{key}\t{value}"))?;
        }
    }
    Ok(Exit::Fine)
}
