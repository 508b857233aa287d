//! `annulus init`

use crate::exit::{Exit, Outcome};
use crate::open::StoreArgs;
use crate::output::Output;
use crate::table::Table;
use annulus::{Creation, ShardSpec};
use serde_json::json;
use std::convert::Infallible;
use std::str::FromStr;

/// Create a store
///
/// The directory must be missing or empty; the one above it must be there.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus init -s /data/store
  annulus init -s /data/store --shards 8
  annulus init -s /data/store --shard /disk0/annulus --shard /disk1/annulus:2
  annulus init -s /data/store --shard /nvme0/a:4:controller-0 --shard /nvme1/a:4:controller-1")]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,

    /// How many shards, all below the store's directory [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    shards: Option<u32>,

    /// A shard in a directory, often on a disk of its own; once for each shard. WEIGHT is its
    /// share of hash keyspaces relative to the others (default: 1), ZONE names what fails together
    /// with it. A relative DIR is taken from the store's directory
    #[arg(long, value_name = "DIR[:WEIGHT[:ZONE]]", conflicts_with = "shards")]
    shard: Vec<ShardArg>,
}

/// A shard as the command line names it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ShardArg {
    directory: String,
    weight: u32,
    zone: Option<String>,
}

impl FromStr for ShardArg {
    type Err = Infallible;

    /// Reads from the right, because a directory's name may hold colons, too.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        let weighed = |text: &str, zone: Option<&str>| {
            let (directory, weight) = text.rsplit_once(':')?;
            let (weight, zone) = (weight.parse().ok()?, zone.map(str::to_owned));
            Some(Self { directory: directory.to_owned(), weight, zone })
        };
        let with_zone = || text.rsplit_once(':').and_then(|(rest, zone)| weighed(rest, Some(zone)));
        let plain = || Self { directory: text.to_owned(), weight: 1, zone: None };
        Ok(with_zone().or_else(|| weighed(text, None)).unwrap_or_else(plain))
    }
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    let mut builder = args.store.builder().create(Creation::New);
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
        output.object(&json!({ "store": store.path(), "shards": shards }))?;
        return Ok(Exit::Fine);
    }
    let number = topology.shards().len();
    output.line(format_args!("created {} with {number} shards", store.path().display()))?;
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
        assert_eq!(shard("/d:x/a"), ("/d:x/a".into(), 1, None));
    }
}
