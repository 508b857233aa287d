//! `annulus rebalance`

use crate::exit::{Exit, Outcome};
use crate::open::StoreArgs;
use crate::output::Output;
use crate::reshape::{Done, Following, HowArgs, Interrupt, Trims};
use crate::table::Table;
use crate::text;
use annulus::heat::HeatOptions;
use annulus::planner::load::{Action, Balance, LoadPlan, Policy, RebalanceOptions};
use annulus::{CreateMode, Store};
use annulus_workload::human;
use clap::ArgGroup;
use serde_json::json;

/// Plan an even load from what was last recorded of it, and carry the plan out
///
/// The plan is made from the loads that the application recorded, from sizes and weights:
/// partitions are split where their load is, moved, and merged where they stay cold and small. Each
/// action has its cost in bytes, its gain as a fraction of a shard's fair share, and a reason; so
/// has what was considered and not done.
///
/// An application does the same by itself under the policy `automatic`.
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("what").required(true),
    after_help = "Examples:
  annulus rebalance --dry-run -s /data/store
  annulus rebalance --dry-run --goal 1.01 --start 1.05 -s /data/store --json
  annulus rebalance --apply --throttle 50MiB/s -s /data/store"
)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,

    /// Show the plan, and change nothing
    #[arg(long, group = "what")]
    dry_run: bool,

    /// Carry the plan out
    #[arg(long, group = "what")]
    apply: bool,

    #[command(flatten)]
    plan: PlanArgs,

    #[command(flatten)]
    how: HowArgs,
}

/// What the plan aims at.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Planning")]
struct PlanArgs {
    /// How many times its fair share of the load a shard may have afterwards [default: 1.05]
    #[arg(long, value_name = "X")]
    goal: Option<f64>,

    /// Nothing is done until a shard has more than this many times its fair share [default: 1.2]
    #[arg(long, value_name = "X")]
    start: Option<f64>,

    /// Move partitions to shards of other zones, too
    #[arg(long)]
    cross_zones: bool,

    /// The maximum number of actions, those that matter most first; 0 is no limit [default: 64]
    #[arg(long, value_name = "N")]
    max_actions: Option<usize>,
}

impl PlanArgs {
    fn options(&self) -> RebalanceOptions {
        let mut options = RebalanceOptions::new().policy(Policy::Manual);
        options.imbalance_goal = self.goal.unwrap_or(options.imbalance_goal);
        // A goal above the usual start would contradict it.
        let start = options.imbalance_start.max(options.imbalance_goal);
        options.imbalance_start = self.start.unwrap_or(start);
        options.cross_zones = self.cross_zones;
        options.actions_max = self.max_actions.unwrap_or(options.actions_max);
        options
    }
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    let options = args
        .store
        .memory
        .options()
        .reshape(args.how.options())
        .rebalance(args.plan.options())
        .heat(HeatOptions::default());
    let trims = Trims::default();
    let store = Store::builder(&args.store.store)
        .options(options)
        .listener(trims.listener())
        .create(CreateMode::Never)
        .open()?;
    let done = rebalance(args, &store, &trims, output);
    // Also after an error: the threads of the store must end before the process does.
    let closed = store.close();
    let (plan, done) = done?;
    closed?;
    match done {
        Some(done) => done.report(&store, output)?,
        None if output.json() => output.object(&object(&plan))?,
        None => {}
    }
    Ok(Exit::Fine)
}

fn rebalance(
    args: &Args,
    store: &Store,
    trims: &Trims,
    output: &mut Output,
) -> Outcome<(LoadPlan, Option<Done>)> {
    let plan = store.rebalancer().plan()?;
    if !output.json() {
        print(store, &plan, output)?;
        output.finish()?;
    }
    if args.dry_run || plan.actions.is_empty() {
        return Ok((plan, None));
    }
    let interrupt = Interrupt::catch(output);
    let Some(job) = store.rebalancer().run()? else { return Ok((plan, None)) };
    let following = Following { store, trims, interrupt: &interrupt, output };
    let notes = plan.refusals.iter().map(ToString::to_string).collect();
    let done = following.to_the_end(&job, job.title().to_owned(), notes, None)?;
    Ok((plan, Some(done)))
}

fn print(store: &Store, plan: &LoadPlan, output: &mut Output) -> Outcome<()> {
    if plan.actions.is_empty() {
        output.line("nothing to do")?;
    } else {
        output.text(format_args!("{}\n", table(store, plan)))?;
    }
    for refusal in &plan.refusals {
        output.line(format_args!("not done: {refusal}"))?;
    }
    for (reason, number) in &plan.refusals_more {
        output.line(format_args!("not done: {number} more: {}", reason.replace('_', " ")))?;
    }
    let line = |balance: &Balance| {
        let Balance { load_max_over_mean, bytes_max_over_mean, partitions, .. } = balance;
        format!(
            "max/mean load {load_max_over_mean:.2}, bytes {bytes_max_over_mean:.2}, {partitions} \
             partitions"
        )
    };
    output.line(format_args!("before: {}", line(&plan.before)))?;
    output.line(format_args!("after:  {}", line(&plan.after)))
}

fn table(store: &Store, plan: &LoadPlan) -> Table {
    let topology = store.topology();
    let head = ["what", "keyspace", "partitions", "at", "to", "why", "moves", "load/s", "gain"];
    let mut table = Table::new(6, head);
    for Action { step, moved_load, gain, .. } in &plan.actions {
        let keyspace = topology.keyspace(step.keyspace);
        let cuts = join(&step.split_points, ", ");
        table.row([
            step.kind.to_string(),
            keyspace.map_or_else(|| step.keyspace.to_string(), |it| it.name().to_owned()),
            join(&step.sources, "+"),
            text::shorten(&cuts, 44).into_owned(),
            join(&step.owners, "+"),
            text::shorten(&step.reason, 80).into_owned(),
            human::bytes(step.moved_bytes),
            human::count(moved_load.round() as u64),
            format!("{gain:.2}"),
        ]);
    }
    table
}

fn join(items: &[impl ToString], between: &str) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(between)
}

fn object(plan: &LoadPlan) -> serde_json::Value {
    let actions = plan.actions.iter().map(|action| {
        json!({
            "what": action.step.kind,
            "keyspace": action.step.keyspace,
            "partitions": action.step.sources,
            "cuts": action.step.split_points.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "to": action.step.owners,
            "moved_bytes": action.step.moved_bytes,
            "bytes": action.step.bytes,
            "moved_load": action.moved_load,
            "gain": action.gain,
            "cause": action.cause,
            "why": action.step.reason,
        })
    });
    let refusals = plan.refusals.iter().map(|refusal| {
        json!({
            "subject": refusal.subject,
            "reason": refusal.reason.as_str(),
            "text": refusal.to_string(),
        })
    });
    json!({
        "actions": actions.collect::<Vec<_>>(),
        "refusals": refusals.collect::<Vec<_>>(),
        "refusals_more": plan.refusals_more,
        "before": plan.before,
        "after": plan.after,
    })
}
