//! `annulus init`

use crate::exit::{Exit, Outcome};
use crate::json::PathJson;
use crate::open::StoreArgs;
use crate::output::Output;
use crate::table::Table;
use annulus::{CreateMode, LogMirror, ShardSpec};
use serde_json::json;
use std::path::PathBuf;
use std::str::FromStr;

/// Create a store
///
/// The directory must be missing or empty; its parent must exist.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus init -s /data/store
  annulus init -s /data/store --shards 8
  annulus init -s /data/store --shard /disk0/annulus --shard /disk1/annulus:2
  annulus init -s /data/store --shard /nvme0/a:4:controller-0 --shard /nvme1/a:4:controller-1
  annulus init -s /data/store --log-directory /nvme2/log --log-mirror /nvme3/log")]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,

    /// How many shards, all below the store's directory [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    shards: Option<u32>,

    /// A shard in a directory, often on a disk of its own; once for each shard. WEIGHT is its
    /// share of hash keyspaces relative to the others (default: 1), ZONE names what fails together
    /// with it. If DIR contains a colon, pass the weight, too. A relative DIR is taken from the
    /// store's directory
    #[arg(long, value_name = "DIR[:WEIGHT[:ZONE]]", conflicts_with = "shards")]
    shard: Vec<ShardArg>,

    /// Where the log is, often a disk of its own. It must be missing or empty, and its parent must
    /// exist. A relative DIR is taken from the store's directory [default: log]
    #[arg(long, value_name = "DIR")]
    log_directory: Option<PathBuf>,

    /// Where a mirror of the log is, on another disk than the log: either of them suffices to open the
    /// store with all of it. As for --log-directory
    #[arg(long, value_name = "DIR")]
    log_mirror: Option<PathBuf>,
}

/// A shard as the command line names it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ShardArg {
    directory: String,
    weight: u32,
    zone: Option<String>,
}

impl FromStr for ShardArg {
    type Err = String;

    /// Reads from the right, because a directory's name may contain colons, too: then the weight
    /// must be there. What looks like a weight and is none is an error, and never part of a name.
    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<_> = text.rsplitn(3, ':').collect();
        let (directory, weight, zone) = match parts.as_slice() {
            [directory] => (*directory, "1", None),
            [zone, weight, directory] if is_weight(weight) => (*directory, *weight, Some(*zone)),
            [weight, ..] if is_weight(weight) => {
                (text.rsplit_once(':').unwrap_or_default().0, *weight, None)
            }
            [last, ..] => {
                return Err(format!(
                    "`{last}` is not a weight: pass a whole number from 1 to {}; for a directory \
                     with a colon in its name, too: {text}:1",
                    u32::MAX
                ));
            }
            [] => (text, "1", None),
        };
        if directory.is_empty() {
            return Err("name a directory before the weight".into());
        }
        let (directory, zone) = (directory.to_owned(), zone.map(str::to_owned));
        let weight =
            weight.parse().map_err(|error| format!("`{weight}` is not a weight: {error}"))?;
        Ok(Self { directory, weight, zone })
    }
}

fn is_weight(text: &str) -> bool {
    text.parse::<u32>().is_ok_and(|weight| weight > 0)
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    let mut options = args.store.memory.options();
    options.log_directory.clone_from(&args.log_directory);
    if let Some(mirror) = &args.log_mirror {
        options.log_mirror = LogMirror::at(mirror);
    }
    let mut builder = args.store.builder().options(options).create(CreateMode::New);
    if let Some(shards) = args.shards {
        builder = builder.shards(shards);
    }
    for ShardArg { directory, weight, zone } in &args.shard {
        let shard = ShardSpec::new(directory).weight(*weight);
        builder = builder.shard(match zone {
            Some(zone) => shard.zone(zone),
            None => shard,
        });
    }
    let store = builder.open()?;
    store.close()?;
    let topology = store.topology();
    if output.json() {
        let shards: Vec<_> = topology.shards().collect();
        output.object(&json!({ "store": PathJson(store.path()), "shards": shards }))?;
        return Ok(Exit::Fine);
    }
    let number = topology.shards().len();
    let place = args.store.store.display();
    output.line(format_args!("created {place} with {number} shards"))?;
    let mut table = Table::new(1, ["directory", "shard", "weight", "zone"]);
    for shard in topology.shards() {
        let directory = store.path().join(&shard.directory).display().to_string();
        let zone = shard.zone.clone().unwrap_or_default();
        table.row([directory, shard.id.to_string(), shard.weight.to_string(), zone]);
    }
    output.text(table)?;
    Ok(Exit::Fine)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn shards_are_read_from_the_right() {
        let shard = |text: &str| {
            let shard: ShardArg = text.parse().unwrap();
            (shard.directory, shard.weight, shard.zone)
        };
        let zone = Some("rack".to_owned());
        assert_eq!(shard("/d/a"), ("/d/a".into(), 1, None));
        assert_eq!(shard("/d/a:3"), ("/d/a".into(), 3, None));
        assert_eq!(shard("/d/a:3:rack"), ("/d/a".into(), 3, zone.clone()));
        assert_eq!(shard("/d:x/a:3:rack"), ("/d:x/a".into(), 3, zone));
        assert_eq!(shard("/d:x/a:1"), ("/d:x/a".into(), 1, None));
        assert_eq!(shard("/d:7:1:rack"), ("/d:7".into(), 1, Some("rack".into())));
    }

    /// These used to become directories of that name.
    #[test]
    fn what_is_no_weight_is_no_part_of_a_directory() {
        for text in
            ["/d:4294967296", "/d:-1", "/d:two", "/d:0", "/d:", "/d:x/a", "/d:1.5:rack", ":2"]
        {
            let error = text.parse::<ShardArg>().unwrap_err();
            assert!(error.contains("weight"), "{text}: {error}");
        }
    }
}
