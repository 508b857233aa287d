//! A replay from beginning to end.

use super::args::{Args, StageArgs};
use super::trace;
use crate::commands::heatmap;
use crate::exit::{Failure, Outcome};
use crate::output::Output;
use crate::progress;
use crate::reshape::Interrupt;
use annulus::Options;
use annulus::rebalancer::SavedHeat;
use annulus_bench::replay::{Script, Setup, Stage, Summary, play};
use annulus_workload::human;
use std::ops::ControlFlow;
use std::path::PathBuf;
use tempfile::TempDir;

/// Where the store is.
struct Place {
    path: PathBuf,
    /// Removed when the replay is over.
    _temporary: Option<TempDir>,
}

impl Place {
    fn of(args: &StageArgs) -> Outcome<Self> {
        if let Some(path) = &args.store {
            return Ok(Self { path: path.clone(), _temporary: None });
        }
        let temporary =
            tempfile::tempdir().map_err(Failure::io("create", &std::env::temp_dir()))?;
        Ok(Self { path: temporary.path().join("store"), _temporary: Some(temporary) })
    }
}

pub(super) fn run(args: &Args, output: &Output) -> Outcome<Summary> {
    let options = args.stage.options()?;
    let script = script(args, &options)?;
    let (operations, keys) = (human::count(script.pass()), human::count(script.keys.count()));
    output.note(format_args!("a pass has {operations} operations on {keys} keys"));
    let place = Place::of(&args.stage)?;
    let stage = set(args, &place, options, &script, output)?;
    let played = played(args, &stage, &script, output);
    // Also after an error: the threads of the store must end before the process does.
    let closed = stage.close();
    let summary = played?;
    closed?;
    if let Some(path) = &args.heatmap {
        let heat = SavedHeat::read(&place.path)?;
        heatmap::write(path, heat.as_ref(), Some(&args.stage.keyspace), args.show_keys)?;
        output.note(format_args!("drew {}", path.display()));
    }
    Ok(summary)
}

fn script(args: &Args, limits: &Options) -> Outcome<Script> {
    let mut script = match (&args.trace, &args.from, &args.weight) {
        (Some(path), _, _) => trace::trace(path, limits)?,
        (None, Some(path), Some(weight)) => trace::weighted(path, &args.rows, weight, limits)?,
        _ => return Err(Failure::usage("give --trace, or --from and --weight")),
    };
    script.cap(args.stage.value_bytes_max.unwrap_or(u32::MAX));
    Ok(script)
}

fn set(
    args: &Args,
    place: &Place,
    options: Options,
    script: &Script,
    output: &Output,
) -> Outcome<Stage> {
    let setup = Setup {
        directory: place.path.clone(),
        options,
        shards: args.stage.shards,
        keyspace: args.stage.keyspace.clone(),
        partitioning: args.stage.partitioning,
        partitions: args.stage.partitions,
        preload: args.stage.preload || args.from.is_some(),
        value_bytes: args.stage.value_bytes,
    };
    let shown = setup.preload && !output.json();
    let bar = progress::rows(shown, "preloading", script.keys.count());
    let stage = Stage::set(&setup, script, |keys| bar.set_position(keys));
    bar.finish_and_clear();
    let stage = stage?;
    if let Some(preloaded) = stage.preloaded() {
        let (keys, seconds) = (human::count(preloaded.keys), preloaded.seconds);
        output.note(format_args!("wrote {keys} keys in {seconds:.2} s"));
    }
    Ok(stage)
}

/// Plays the script to its end, or until Ctrl-C.
fn played(args: &Args, stage: &Stage, script: &Script, output: &Output) -> Outcome<Summary> {
    let interrupt = Interrupt::catch(output);
    let bar = progress::run(!output.json());
    let summary = play(stage, script, &args.plan(), |operations, elapsed| {
        let rate = human::rate(operations as f64 / elapsed.as_secs_f64().max(1e-3));
        bar.set_message(format!("{} operations  {rate}", human::count(operations)));
        if interrupt.is_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    bar.finish_and_clear();
    Ok(summary?)
}
