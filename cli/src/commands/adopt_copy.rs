//! `annulus adopt-copy`

use super::backup::shard;
use crate::exit::{Exit, Outcome};
use crate::json::PathJson;
use crate::open::ClosedStoreArgs;
use crate::output::Output;
use annulus::{AdoptOptions, ShardId, Store};
use serde_json::json;
use std::path::PathBuf;

/// Make a copy of a store a store of its own
///
/// A copy that was made with `cp -a` of all directories, while the store was closed, or as one snapshot of
/// the file system, is refused if it is opened next to its original: both have the same number, and name
/// the same directories where those are not below the store's. This gives the copy a number of its own and
/// its own directories. The data is not copied again, and the original is not touched. What is interrupted
/// is completed by the same command.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cp -a /data/store /copy/store                      # while it is closed
  annulus adopt-copy -s /copy/store
  cp -a /disk2/annulus /copy/annulus
  annulus adopt-copy -s /copy/store --shard 1=/copy/annulus
  annulus adopt-copy -s /copy/store --log /copy/log  # if the log is on a disk of its own")]
pub(crate) struct Args {
    #[command(flatten)]
    store: ClosedStoreArgs,

    /// Where the copy of a shard is that was not below the store's directory. A relative DIR is taken from
    /// the store's directory. Repeatable
    #[arg(long, value_name = "N=DIR", value_parser = shard)]
    shard: Vec<(ShardId, PathBuf)>,

    /// Where the copy of the log is, if it was not below the store's directory
    #[arg(long, value_name = "DIR")]
    log: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    let mut options = AdoptOptions::new();
    options.log.clone_from(&args.log);
    options.shards.extend(args.shard.iter().cloned());
    let shards = Store::adopt_copy(&args.store.store, options)?;
    let object = json!({
        "store": PathJson(&args.store.store),
        "shards": shards.iter().map(|it| PathJson(it)).collect::<Vec<_>>(),
    });
    let text = format!("{} is a store of its own now", args.store.store.display());
    output.either(&object, text)?;
    Ok(Exit::Fine)
}
