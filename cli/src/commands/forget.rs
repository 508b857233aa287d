//! `annulus shard forget`

use crate::exit::{Exit, Failure, Outcome};
use crate::open::StoreArgs;
use crate::output::Output;
use crate::table::Table;
use annulus::report::{ForgottenShard, PartitionStats, StoreStats};
use annulus::{CreateMode, ShardId, Store};
use annulus_workload::human;
use serde_json::json;

/// Give up a shard for good that is lost
///
/// The last resort: the disk of the shard is gone, and there is no copy. Everything that only this shard
/// has is lost. Other shards get empty partitions in place of its own, and the shard is taken out of the
/// store, by one atomic step. Indexes that have rows or entries on it are dropped: the application builds
/// them again when it declares them. What the log still has for the shard is kept. Shows first what is
/// lost, and asks for the shard's number. Its files, if there are any, stay where they are.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus verify --allow-missing-shards -s /data/store
  annulus shard forget 2 -s /data/store
  annulus shard forget 2 --yes -s /data/store --json")]
pub(crate) struct ForgetArgs {
    #[command(flatten)]
    store: StoreArgs,

    /// The shard's number
    shard: ShardId,

    /// Do not ask for the shard's number; needed with --json
    #[arg(long)]
    yes: bool,
}

pub(crate) fn run(args: &ForgetArgs, output: &mut Output) -> Outcome<Exit> {
    if output.json() && !args.yes {
        return Err(Failure::usage("what is lost is lost for good: confirm it with --yes"));
    }
    let store = args.store.builder().create(CreateMode::Never).read_only(true);
    let store = store.allow_missing_shards(true).open()?;
    check_lost(&store, args.shard)?;
    if !args.yes {
        output.line(format_args!("with shard {} the store loses:", args.shard))?;
        output.text(format_args!("\n{}\n", lost(&store.stats()?, args.shard)))?;
        output.line(format_args!("to give it up for good, type its number, {}:", args.shard))?;
        output.finish()?;
        let mut typed = String::new();
        let read = std::io::stdin().read_line(&mut typed);
        if read.is_err() || typed.trim() != args.shard.to_string() {
            output.note("that is not its number; nothing was changed");
            return Ok(Exit::Aborted);
        }
    }
    drop(store);
    let builder = args.store.builder().create(CreateMode::Never);
    let store = builder.allow_missing_shards(true).forget_shard(args.shard).open()?;
    for forgotten in &store.recovery().forgotten {
        print(forgotten, output)?;
    }
    store.close()?;
    Ok(Exit::Fine)
}

/// Refuses a shard that is there.
fn check_lost(store: &Store, shard: ShardId) -> Outcome<()> {
    if store.recovery().missing.iter().any(|missing| missing.shard == shard) {
        return Ok(());
    }
    let path = store.path().display();
    Err(match store.topology().shard(shard) {
        Some(_) => Failure::usage(format!(
            "shard {shard} of {path} is there: `annulus shard remove` takes it out and loses nothing"
        )),
        None => Failure::not_found(format!("there is no shard {shard} in {path}")),
    })
}

/// Returns a table of what is on a shard that is missing, by what the other partitions of each keyspace
/// have.
fn lost(stats: &StoreStats, shard: ShardId) -> Table {
    let mut table =
        Table::new(1, ["keyspace", "partitions", "of", "keys (about)", "bytes (about)"]);
    for keyspace in &stats.keyspaces {
        let lost = keyspace.partitions.iter().filter(|it| it.owner == shard).count() as u64;
        if lost == 0 {
            continue;
        }
        let there = || keyspace.partitions.iter().filter(|it| !it.missing);
        let about = |of: fn(&PartitionStats) -> u64| match there().count() as u64 {
            0 => None,
            count => Some(there().map(of).sum::<u64>() / count * lost),
        };
        let known = |text: Option<String>| text.unwrap_or_else(|| "not known".to_owned());
        table.row([
            keyspace.name.clone(),
            lost.to_string(),
            keyspace.partitions.len().to_string(),
            known(about(|it| it.keys_estimated).map(human::count)),
            known(about(|it| it.bytes_on_disk).map(human::bytes)),
        ]);
    }
    table
}

fn print(forgotten: &ForgottenShard, output: &mut Output) -> Outcome<()> {
    if output.json() {
        return output.object(&json!({ "forgotten": forgotten }));
    }
    output.line(forgotten)?;
    for (keyspace, index) in &forgotten.indexes {
        output.line(format_args!("dropped index {index} of {keyspace}: declare it again"))?;
    }
    Ok(())
}
