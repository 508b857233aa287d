//! `annulus plan`

use crate::exit::{Exit, Outcome};
use crate::open::StoreArgs;
use crate::output::Output;
use crate::reshape::{AddShard, Ask, Merge, Move, RemoveShard, Reweigh, Split};
use crate::table::Table;
use crate::text;
use annulus::ShardId;
use annulus::planner::{Step, StepSplitPoint};
use annulus::reshape::{PlannedStep, ReshapePlan};
use annulus::topology::{SplitPoint, Topology};
use annulus_workload::human;
use clap::Subcommand;
use serde_json::{Map, Value, json};

/// Show what a reshape would do, and change nothing
///
/// Which partitions would go where, how many bytes, by links or by copies, and why. The arguments
/// are those of the command that does it. Bytes are estimates. Where a range is split by bytes, the
/// key is found when the reshape runs.
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:
  annulus plan add-shard /disk4/annulus -s /data/store
  annulus plan remove-shard 0 -s /data/store
  annulus plan split 7 --middle --to 3 -s /data/store --json"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What `partition move` would do
    #[command(after_help = "Examples:
  annulus plan move 7 --to 3 -s /data/store")]
    Move(Wish<Move>),

    /// What `partition split` would do
    #[command(after_help = "Examples:
  annulus plan split 7 --at mango --to 3 -s /data/store")]
    Split(Wish<Split>),

    /// What `partition merge` would do
    #[command(after_help = "Examples:
  annulus plan merge 8 9 -s /data/store")]
    Merge(Wish<Merge>),

    /// What `shard add` would do
    #[command(after_help = "Examples:
  annulus plan add-shard /disk4/annulus --weight 2 -s /data/store")]
    AddShard(Wish<AddShard>),

    /// What `shard remove` would do
    #[command(after_help = "Examples:
  annulus plan remove-shard 0 -s /data/store")]
    RemoveShard(Wish<RemoveShard>),

    /// What `shard reweight` would do
    #[command(after_help = "Examples:
  annulus plan reweight 2 3 -s /data/store")]
    Reweight(Wish<Reweigh>),
}

/// What is requested, and in which store.
#[derive(Debug, clap::Args)]
struct Wish<A: clap::Args> {
    #[command(flatten)]
    store: StoreArgs,

    #[command(flatten)]
    ask: A,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    match &args.command {
        Command::Move(asked) => asked.plan(output)?,
        Command::Split(asked) => asked.plan(output)?,
        Command::Merge(asked) => asked.plan(output)?,
        Command::AddShard(asked) => asked.plan(output)?,
        Command::RemoveShard(asked) => asked.plan(output)?,
        Command::Reweight(asked) => asked.plan(output)?,
    }
    Ok(Exit::Fine)
}

impl<A: clap::Args + Ask> Wish<A> {
    fn plan(&self, output: &mut Output) -> Outcome<()> {
        let asked = self.ask.request()?;
        let store = self.store.open()?;
        let request = asked.with(&store);
        let plan = store.plan(&request)?;
        let topology = store.topology();
        if output.json() {
            return output.object(&object(&topology, self.ask.added(&request), &plan));
        }
        if !plan.steps.is_empty() {
            output.text(format_args!("{}\n", table(&topology, &plan)))?;
        }
        for note in &plan.notes {
            output.line(format_args!("note: {note}"))?;
        }
        let [linked, copied, moved] =
            [plan.linked_bytes, plan.copied_bytes, plan.moved_bytes].map(human::bytes);
        let reshapes = match plan.steps.len() {
            1 => "1 reshape".to_owned(),
            number => format!("{number} reshapes"),
        };
        output.line(format_args!(
            "{reshapes}: {linked} to link, {copied} to copy, {moved} change shard; nothing was done"
        ))
    }
}

fn table(topology: &Topology, plan: &ReshapePlan) -> Table {
    let head = ["what", "keyspace", "partitions", "from", "to", "by", "why", "moves", "of"];
    let mut table = Table::new(7, head);
    for PlannedStep { step, transport, .. } in &plan.steps {
        table.row([
            what(step),
            name(topology, step),
            list(&step.sources),
            list(&from(topology, step)),
            list(&step.owners),
            transport.to_string(),
            text::shorten(&step.reason, 60).into_owned(),
            human::bytes(step.moved_bytes),
            human::bytes(step.bytes),
        ]);
    }
    table
}

fn what(step: &Step) -> String {
    let cuts: Vec<_> = step.split_points.iter().map(ToString::to_string).collect();
    if cuts.is_empty() {
        return step.kind.to_string();
    }
    text::shorten(&format!("{} at {}", step.kind, cuts.join(", ")), 44).into_owned()
}

fn name(topology: &Topology, step: &Step) -> String {
    let keyspace = topology.keyspace(step.keyspace);
    keyspace.map_or_else(|| step.keyspace.to_string(), |keyspace| keyspace.name().to_owned())
}

/// Returns the shards that a step takes from.
fn from(topology: &Topology, step: &Step) -> Vec<ShardId> {
    let partitions = topology.keyspace(step.keyspace).into_iter().flat_map(|k| k.partitions());
    let sources = partitions.filter(|partition| step.sources.contains(&partition.id));
    sources.map(|partition| partition.owner).collect()
}

fn list(ids: &[impl ToString]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join("+")
}

fn object(topology: &Topology, added: Option<ShardId>, plan: &ReshapePlan) -> Value {
    let steps = plan.steps.iter().map(|planned| {
        let step = &planned.step;
        json!({
            "what": step.kind,
            "keyspace": name(topology, step),
            "partitions": step.sources,
            "cuts": step.split_points.iter().map(cut).collect::<Vec<_>>(),
            "from": from(topology, step),
            "to": step.owners,
            "transport": planned.transport,
            "moved_bytes": step.moved_bytes,
            "bytes": step.bytes,
            "why": step.reason,
        })
    });
    let mut object = json!({
        "epoch": topology.epoch(),
        "steps": steps.collect::<Vec<_>>(),
        "linked_bytes": plan.linked_bytes,
        "copied_bytes": plan.copied_bytes,
        "moved_bytes": plan.moved_bytes,
        "notes": plan.notes,
    });
    if let (Some(object), Some(shard)) = (object.as_object_mut(), added) {
        object.insert("shard".into(), json!(shard));
    }
    object
}

fn cut(cut: &StepSplitPoint) -> Value {
    let mut object = Map::new();
    match cut {
        StepSplitPoint::At(SplitPoint::Key(key)) => text::insert(&mut object, "key", key, false),
        StepSplitPoint::At(SplitPoint::Token(token)) => {
            object.insert("token".into(), token.to_string().into());
        }
        StepSplitPoint::Bytes { permille } => {
            object.insert("bytes_permille".into(), json!(permille));
        }
        // Kinds of a later version of the library.
        other => drop(object.insert("at".into(), other.to_string().into())),
    }
    object.into()
}
