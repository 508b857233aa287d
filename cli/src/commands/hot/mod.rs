//! `annulus hot`

mod args;
mod report;

use crate::exit::{Exit, Failure, Outcome};
use crate::open::{KnownHeat, NO_HEAT};
use crate::output::Output;
use crate::redact::Keys;
use crate::reshape::Interrupt;
use annulus::rebalancer::SavedHeat;
pub(crate) use args::Args;
use serde_json::json;
use std::time::{Duration, Instant};

/// How often --watch refreshes.
const WATCH_EVERY: Duration = Duration::from_secs(1);

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    // The marks of redacted keys stay the same while it is watched.
    let keys = Keys::shown_if(!args.redact);
    if !args.watch {
        show(args, &keys, output)?;
        return Ok(Exit::Fine);
    }
    let interrupt = Interrupt::catch(output);
    while !interrupt.is_asked() {
        if output.is_terminal() {
            // Clears the screen.
            output.drawing("\x1b[H\x1b[2J")?;
        }
        show(args, &keys, output)?;
        output.finish()?;
        let since = Instant::now();
        while since.elapsed() < WATCH_EVERY && !interrupt.is_asked() {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(Exit::Fine)
}

fn show(args: &Args, keys: &Keys, output: &mut Output) -> Outcome<()> {
    let known = args.store.last_heat(output)?;
    let keyspaces = known.heat.as_ref().map_or(&[][..], |heat| &heat.report.keyspaces);
    if let Some(name) = &args.keyspace
        && known.heat.is_some()
        && !keyspaces.iter().any(|keyspace| keyspace.name == *name)
    {
        let failure = Failure::not_found(format!("no keyspace `{name}`"));
        return Err(known.explain(failure, output));
    }
    let KnownHeat { heat, damaged } = known;
    match &heat {
        None if output.json() => output.object(&json!({ "age_ms": null, "damaged": damaged })),
        None => {
            output.note(NO_HEAT);
            Ok(())
        }
        Some(heat) if output.json() => output.object(&report::object(args, heat, &damaged, keys)),
        Some(heat) => print(args, heat, keys, output),
    }
}

fn print(args: &Args, heat: &SavedHeat, keys: &Keys, output: &mut Output) -> Outcome<()> {
    report::head(args, heat, output)?;
    output.text(format_args!("\n{}", report::shards(args, heat)))?;
    output.text(format_args!("\n{}", report::partitions(args, heat, keys)))?;
    output.text(format_args!("\n{}", report::keys(args, heat, keys)))?;
    if heat.report.total.long.load <= 0.0 {
        output.note("no load yet");
    }
    Ok(())
}
