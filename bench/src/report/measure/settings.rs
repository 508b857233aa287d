//! How much is measured and where, and the observer that may end it.

use annulus_workload::{
    Candidate, InvalidArgument, Observer, Plan, Report, Result, Stage, compare,
};
use std::path::{Path, PathBuf};

/// How much is done.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Only to see that it works.
    pub quick: bool,
    /// The seed of everything random.
    pub seed: u64,
    /// Where the data is made.
    pub directory: PathBuf,
}

impl Settings {
    /// Returns the first value for a real run, the second for one only to see that it works.
    pub(super) const fn or<T: Copy>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

/// The observer of the measurements, which may end them.
pub(super) struct Watch<'a, 'b> {
    observer: &'a mut Observer<'b>,
    pub(super) stopped: bool,
}

impl<'a, 'b> Watch<'a, 'b> {
    pub(super) fn new(observer: &'a mut Observer<'b>) -> Self {
        Self { observer, stopped: false }
    }

    /// Compares candidates.
    pub(super) fn compare(&mut self, plan: &Plan, candidates: &[&dyn Candidate]) -> Result<Report> {
        let report = compare(plan, candidates, self.observer)?;
        if report.stopped { self.stop().map(|()| report) } else { Ok(report) }
    }

    /// Reports which step of how many begins, for everything else.
    pub(super) fn step(&mut self, title: &str, step: usize, steps: usize) -> Result<()> {
        let stage = Stage { title, step, steps, part: 0.0, operations: 0, ops_per_s: 0.0 };
        if self.observer.tell(&stage).is_break() { self.stop() } else { Ok(()) }
    }

    fn stop(&mut self) -> Result<()> {
        self.stopped = true;
        Err("ended early".into())
    }
}

/// Creates a directory below the settings' that is removed at the end.
pub(super) fn scratch(settings: &Settings) -> Result<tempfile::TempDir> {
    let made = tempfile::Builder::new().prefix("annulus-report-").tempdir_in(&settings.directory);
    let place = settings.directory.display();
    made.map_err(|error| format!("cannot make a directory in {place}: {error}").into())
}

/// Returns the requested directory, or the one for temporary files.
///
/// # Errors
///
/// [`InvalidArgument`] if there is no such directory.
pub fn place(asked: Option<&Path>) -> Result<PathBuf> {
    let directory = asked.map_or_else(std::env::temp_dir, Path::to_owned);
    if directory.is_dir() {
        return Ok(directory);
    }
    let shown = directory.display();
    let message = format!("--directory {shown} is not a directory; create it, or name another");
    Err(InvalidArgument(message).into())
}
