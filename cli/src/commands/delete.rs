//! `annulus delete`

use super::durability;
use crate::argument;
use crate::exit::{Exit, Failure, Outcome};
use crate::open::StoreArgs;
use crate::output::Output;
use crate::patience::patiently;
use crate::select::SelectArgs;
use annulus::Batch;
use serde_json::json;
use std::ffi::OsString;

/// Delete keys, or all keys of a range
///
/// Everything takes effect together. A key that does not exist does no harm.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus delete users ada bob -s /data/store
  annulus delete events --prefix 2025- -s /data/store
  annulus delete events --from a --to c -s /data/store
  annulus delete events --all -s /data/store")]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,

    /// The keyspace
    keyspace: String,

    /// The keys
    #[arg(value_name = "KEY", conflicts_with_all = ["from", "to", "prefix", "all"])]
    keys: Vec<OsString>,

    #[command(flatten)]
    select: SelectArgs,

    /// Delete every key of the keyspace
    #[arg(long, conflicts_with_all = ["from", "to", "prefix"])]
    all: bool,

    /// Keys are hexadecimal digits
    #[arg(long)]
    hex: bool,

    /// Sync to the disk before reporting success, to survive a power cut
    #[arg(long)]
    synced: bool,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    let by_range = args.all || !args.select.is_empty();
    if args.keys.is_empty() && !by_range {
        return Err(Failure::usage("name the keys to delete, or --from, --to, --prefix or --all"));
    }
    let store = args.store.open()?;
    let keyspace = store.keyspace(&args.keyspace)?;
    let mut batch = Batch::new();
    if by_range {
        args.select.selection(args.hex)?.delete(&mut batch, &keyspace);
    }
    for key in &args.keys {
        batch.delete(&keyspace, argument::parse(key, args.hex)?);
    }
    patiently(|| store.write_with(batch.clone(), durability(args.synced)))?;
    if output.json() {
        let deleted = if by_range { json!("range") } else { json!(args.keys.len()) };
        output.object(&json!({ "keyspace": args.keyspace, "deleted": deleted }))?;
    }
    Ok(Exit::Fine)
}
