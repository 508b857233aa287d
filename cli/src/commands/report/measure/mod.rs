//! Running what the report shows.

mod growth;
mod moves;
mod scans;
mod workloads;

use super::data::{FORMAT, Made, Raw};
use super::machine;
use crate::exit::{Failure, Outcome};
use annulus_workload::{Candidate, Observer, Plan, Report, Result, Stage, compare};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// How much is done.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) quick: bool,
    pub(super) seed: u64,
    /// Where the data is made.
    pub(super) directory: PathBuf,
}

impl Settings {
    /// The first in earnest, the second only to see that it runs.
    const fn or<T: Copy>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

/// Whom the measurements tell how far they are, and who may end them.
pub(super) struct Watch<'a, 'b> {
    observer: &'a mut Observer<'b>,
    stopped: bool,
}

impl<'a, 'b> Watch<'a, 'b> {
    pub(super) fn new(observer: &'a mut Observer<'b>) -> Self {
        Self { observer, stopped: false }
    }

    /// Compares candidates.
    fn compare(&mut self, plan: &Plan, candidates: &[&dyn Candidate]) -> Result<Report> {
        let report = compare(plan, candidates, self.observer)?;
        if report.stopped { self.stop().map(|()| report) } else { Ok(report) }
    }

    /// For everything else: which step of how many begins.
    fn step(&mut self, title: &str, step: usize, steps: usize) -> Result<()> {
        let stage = Stage { title, step, steps, part: 0.0, operations: 0, ops_per_s: 0.0 };
        if self.observer.tell(&stage).is_break() { self.stop() } else { Ok(()) }
    }

    fn stop(&mut self) -> Result<()> {
        self.stopped = true;
        Err("ended early".into())
    }
}

/// Measures everything but the peers, which another program runs. None if it was asked to end.
pub(super) fn measure(settings: &Settings, watch: &mut Watch<'_, '_>) -> Result<Option<Raw>> {
    match all(settings, watch) {
        _ if watch.stopped => Ok(None),
        measured => measured.map(Some),
    }
}

fn all(settings: &Settings, watch: &mut Watch<'_, '_>) -> Result<Raw> {
    let (started, now) = (Instant::now(), SystemTime::now());
    let mut raw = Raw {
        format: FORMAT,
        made: Made {
            unix_seconds: now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            seconds: 0.0,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: annulus_workload::source_commit(),
            seed: settings.seed,
            quick: settings.quick,
        },
        machine: machine::look(&settings.directory),
        workloads: workloads::each(settings, watch)?,
        threads: workloads::by_threads(settings, watch)?,
        shards: workloads::by_shards(settings, watch)?,
        peers: Vec::new(),
        growth: growth::measure(settings, watch)?,
        scans: scans::measure(settings, watch)?,
        moves: moves::measure(settings, watch)?,
        timelines: workloads::timelines(settings, watch)?,
        notes: Vec::new(),
    };
    raw.made.seconds = started.elapsed().as_secs_f64();
    Ok(raw)
}

/// A directory below the settings' that is removed at the end.
fn scratch(settings: &Settings) -> Result<tempfile::TempDir> {
    let made = tempfile::Builder::new().prefix("annulus-report-").tempdir_in(&settings.directory);
    let place = settings.directory.display();
    made.map_err(|error| format!("cannot make a directory in {place}: {error}").into())
}

/// The directory that was asked for, or that for temporary files.
pub(super) fn place(asked: Option<&Path>) -> Outcome<PathBuf> {
    let directory = asked.map_or_else(std::env::temp_dir, Path::to_owned);
    if directory.is_dir() {
        return Ok(directory);
    }
    let shown = directory.display();
    Err(Failure::usage(format!(
        "--directory {shown} is not a directory; create it, or name another"
    )))
}
