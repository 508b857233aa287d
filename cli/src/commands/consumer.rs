//! `annulus consumer`

use crate::exit::{Exit, Outcome};
use crate::open::{ReadArgs, StoreArgs};
use crate::output::Output;
use crate::table::Table;
use annulus_workload::human;
use clap::Subcommand;
use serde_json::{Value, json};

/// List and delete the consumers of a store's changes
///
/// A consumer is made by an application. The log is kept from its position on; one that is not used
/// any more keeps as much of it as option changes_keep_bytes allows, until it is deleted.
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:
  annulus consumer list -s /data/store --read-only
  annulus consumer delete mail -s /data/store"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(ListArgs),
    Delete(DeleteArgs),
}

/// List the consumers, with their positions
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus consumer list -s /data/store --read-only
  annulus consumer list -s /data/store --json")]
struct ListArgs {
    #[command(flatten)]
    store: ReadArgs,
}

/// Delete a consumer
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus consumer delete mail -s /data/store")]
struct DeleteArgs {
    #[command(flatten)]
    store: StoreArgs,

    /// Its name
    name: String,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    match &args.command {
        Command::List(args) => list(args, output)?,
        Command::Delete(args) => {
            let store = args.store.open()?;
            store.delete_consumer(&args.name)?;
            store.close()?;
            let name = &args.name;
            output.either(&json!({ "deleted": name }), format_args!("deleted consumer {name}"))?;
        }
    }
    Ok(Exit::Fine)
}

fn list(args: &ListArgs, output: &mut Output) -> Outcome<()> {
    let consumers = args.store.open(output)?.consumers()?;
    if output.json() {
        let object = |it: &annulus::ConsumerInfo| json!({ "name": it.name, "position": it.position.get(), "bytes_behind": it.bytes_behind });
        let consumers: Vec<Value> = consumers.iter().map(object).collect();
        return output.object(&json!({ "consumers": consumers }));
    }
    if consumers.is_empty() {
        output.note("no consumers; an application makes them");
        return Ok(());
    }
    let mut table = Table::new(1, ["consumer", "position", "behind"]);
    for consumer in &consumers {
        let behind = human::bytes(consumer.bytes_behind);
        table.row([consumer.name.clone(), consumer.position.to_string(), behind]);
    }
    output.text(table)
}
