//! `annulus hot`

mod report;

use crate::exit::{Exit, Failure, Outcome};
use crate::open::{ClosedStoreArgs, KnownHeat, NO_HEAT};
use crate::output::Output;
use crate::redact::Keys;
use crate::reshape::Interrupt;
use annulus::SavedHeat;
use clap::ValueEnum;
use serde_json::json;
use std::time::{Duration, Instant};

/// How often --watch looks.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// Show where the load falls: shards, partitions and keys
///
/// The loads are estimated from a sample of the operations; a scan counts 1 and a sixteenth for
/// each of its rows. Of a key, `error` is by how much its rate may be too high. They are read from
/// what was last written down, every few seconds under load, so the store may be open elsewhere;
/// how old they are is said first. A damaged file of the load is passed over and named, with --json
/// in `damaged`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus hot -s /data/store
  annulus hot users --limit 20 --window long -s /data/store
  annulus hot --watch --redact -s /data/store
  annulus hot -s /data/store --json")]
pub(crate) struct Args {
    #[command(flatten)]
    store: ClosedStoreArgs,

    /// The keyspace [default: all]
    keyspace: Option<String>,

    /// The most partitions, and keys of each kind, to show
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,

    /// Over which time: half-lives of 5 s, a minute and ten minutes, unless the application says
    /// otherwise. Keys are always of the last seconds
    #[arg(long, value_enum, default_value_t)]
    window: Window,

    /// Show keys as marks and lengths
    #[arg(long)]
    redact: bool,

    /// Show it again each second, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Window {
    #[default]
    Short,
    Medium,
    Long,
}

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
