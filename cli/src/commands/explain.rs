//! `annulus explain`

use crate::exit::{Exit, Outcome};
use crate::open::{ClosedStoreArgs, KnownHeat, NO_HEAT};
use crate::output::Output;
use annulus::rebalancer::Decision;
use annulus_workload::human;
use serde_json::json;

/// Show what the rebalancer decided, and why
///
/// The last decisions, the newest last: reshapes that it started, would have started, or did not
/// start, with the reasons and figures. What repeats the previous plan is not listed again. They
/// are read from what was last recorded: the store is not opened, and may be open elsewhere. If a
/// file of the load is damaged, only statistics are lost: it is named, with --json in `damaged`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus explain -s /data/store
  annulus explain -n 100 -s /data/store
  annulus explain -s /data/store --json")]
pub(crate) struct Args {
    #[command(flatten)]
    store: ClosedStoreArgs,

    /// How many; the last 512 are kept
    #[arg(short, long, value_name = "N", default_value_t = 20)]
    number: usize,

    /// Leave out what was considered and not done
    #[arg(long)]
    acts: bool,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    let KnownHeat { heat, damaged } = args.store.last_heat(output)?;
    let decisions = heat.as_ref().map_or(&[][..], |heat| &heat.decisions);
    let wanted = |decision: &&Decision| {
        !args.acts || decision.verdict != annulus::rebalancer::Verdict::Refused
    };
    let mut decisions: Vec<&Decision> = decisions.iter().filter(wanted).collect();
    decisions.drain(..decisions.len().saturating_sub(args.number));
    if output.json() {
        let age_ms = heat.as_ref().map(|heat| heat.age().as_millis() as u64);
        output.object(&json!({ "age_ms": age_ms, "decisions": decisions, "damaged": damaged }))?;
        return Ok(Exit::Fine);
    }
    for decision in &decisions {
        output.line(format_args!("{}  {decision}", human::date(decision.at)))?;
    }
    if decisions.is_empty() {
        output.note(match heat {
            None => NO_HEAT,
            Some(_) => {
                "no decisions yet: with the policies suggest and automatic, an application's store \
                 plans every few seconds; `annulus rebalance --dry-run` plans now"
            }
        });
    }
    Ok(Exit::Fine)
}
