//! The order in which candidates run.

use super::contest::{Cell, Contestant, Turn};
use super::plan::Plan;
use super::report::{Report, report};
use crate::engine::{Candidate, InvalidArgument, Result, Setup};
use crate::growth::Growth;
use crate::quiet::wait_until_quiet;
use crate::random::derive;
use crate::runner::{self, Length, Observer, Outcome, Run, Stage};
use crate::usage::Usage;
use crate::values::Values;
use crate::workload::Workload;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The maximum number of intervals of a time line.
const INTERVALS_MAX: f64 = 240.0;
const INTERVAL_S_MIN: f64 = 0.5;

/// Opens and loads all candidates, each in a separate directory, and runs the workloads of the plan
/// in rounds: in each, every candidate has its turn, forwards in one and backwards in the next. The
/// directories are removed at the end.
///
/// If the observer ends it, the report has what was complete until then.
///
/// # Errors
///
/// [`InvalidArgument`] if there is nothing to compare; otherwise those of the engines and of the
/// operating system.
pub fn compare(
    plan: &Plan,
    candidates: &[&dyn Candidate],
    observer: &mut Observer<'_>,
) -> Result<Report> {
    if candidates.is_empty() {
        return Err(InvalidArgument::error("there is no engine to run"));
    }
    if let Some(baseline) = &plan.baseline
        && candidates.iter().all(|candidate| candidate.identity().engine != *baseline)
    {
        return Err(InvalidArgument::error(format!(
            "--baseline {baseline} is not one of the engines that run"
        )));
    }
    let directory = directory(plan.directory.as_deref())?;
    let workloads = in_order(&plan.workloads);
    let runs = workloads.len() * plan.threads.len() * plan.rounds as usize;
    let values = Values::new(plan.value_bytes);
    let steps = candidates.len() * (runs + 1);
    let mut turns = Turns { plan, values, observer, step: 0, steps, stopped: false };
    let contestants = turns.load(candidates, directory.path())?;
    let mut cells = Vec::new();
    for workload in workloads {
        for threads in &plan.threads {
            let rounds = turns.rounds(&contestants, workload, *threads)?;
            cells.push(Cell { workload, threads: *threads, rounds });
        }
    }
    let report = report(plan, &contestants, &cells, turns.stopped);
    // The engines first: they have the directories open.
    drop(contestants);
    directory.close()?;
    Ok(report)
}

fn in_order(workloads: &[Workload]) -> Vec<Workload> {
    let mut workloads = workloads.to_vec();
    workloads.sort_by_key(|workload| workload.place());
    workloads.dedup();
    workloads
}

fn directory(parent: Option<&Path>) -> Result<TempDir> {
    let parent = parent.map_or_else(std::env::temp_dir, PathBuf::from);
    let made = tempfile::Builder::new().prefix("annulus-bench-").tempdir_in(&parent);
    made.map_err(|error| format!("cannot make a directory in {}: {error}", parent.display()).into())
}

struct Turns<'a, 'b> {
    plan: &'a Plan,
    values: Values,
    observer: &'a mut Observer<'b>,
    step: usize,
    steps: usize,
    stopped: bool,
}

impl Turns<'_, '_> {
    /// Loads the candidates. Returns none if it was asked to stop in the meantime.
    fn load(&mut self, candidates: &[&dyn Candidate], place: &Path) -> Result<Vec<Contestant>> {
        let plan = self.plan;
        let threads = plan.threads_max();
        let setup = Setup {
            durability: plan.durability,
            cache_bytes: plan.cache_bytes,
            write_buffer_bytes: plan.write_buffer_bytes,
            keys: plan.keys(),
            records: plan.records,
            threads,
        };
        let mut contestants = Vec::new();
        for (number, candidate) in candidates.iter().enumerate() {
            let identity = candidate.identity();
            let directory = place.join(number.to_string());
            std::fs::create_dir(&directory)?;
            let engine = candidate.open(&directory, &setup)?;
            let growth = Growth::new(0, threads);
            let values = self.values.clone();
            let run = self.run(Workload::A, threads, &values, derive(plan.seed, &[u64::MAX]));
            let before = Usage::of_process();
            let outcome = self.told(&format!("load {identity}"), |tell| {
                runner::load(&*engine, &growth, plan.records, &run, tell)
            })?;
            if self.stopped {
                return Ok(Vec::new());
            }
            engine.finish_load()?;
            self.wait_until_quiet();
            let load = Turn { outcome, usage: Usage::of_process().since(before) };
            let disk_bytes = bytes_below(&directory).ok();
            let description = engine.describe();
            contestants.push(Contestant {
                identity,
                description,
                load,
                disk_bytes,
                engine,
                growth,
            });
        }
        Ok(contestants)
    }

    /// Returns the rounds that are complete.
    fn rounds(
        &mut self,
        contestants: &[Contestant],
        workload: Workload,
        threads: usize,
    ) -> Result<Vec<Vec<Turn>>> {
        let plan = self.plan;
        let mut rounds = Vec::new();
        for round in 0..plan.rounds {
            let seed = derive(plan.seed, &[workload as u64, threads as u64, u64::from(round)]);
            let mut turns: Vec<(usize, Turn)> = Vec::new();
            let mut order: Vec<_> = contestants.iter().enumerate().collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for (place, contestant) in order {
                if self.stopped {
                    return Ok(rounds);
                }
                let Contestant { identity, engine, growth, .. } = contestant;
                let values = self.values.clone();
                let run = self.run(workload, threads, &values, seed);
                let title = format!("{workload} {identity}, round {}", round + 1);
                let before = Usage::of_process();
                let outcome =
                    self.told(&title, |tell| runner::run(&**engine, growth, &run, tell))?;
                engine.finish_run()?;
                self.wait_until_quiet();
                let usage = Usage::of_process().since(before);
                turns.push((place, Turn { outcome, usage }));
            }
            if self.stopped {
                return Ok(rounds);
            }
            turns.sort_by_key(|(place, _)| *place);
            rounds.push(turns.into_iter().map(|(_, turn)| turn).collect());
        }
        Ok(rounds)
    }

    fn run<'v>(
        &self,
        workload: Workload,
        threads: usize,
        values: &'v Values,
        seed: u64,
    ) -> Run<'v> {
        let plan = self.plan;
        let interval_s = match plan.length {
            Length::Time(time) => (time.as_secs_f64() / INTERVALS_MAX).max(INTERVAL_S_MIN),
            Length::Operations(_) => 2.0 * INTERVAL_S_MIN,
        };
        Run {
            mix: workload.mix(),
            distribution: plan.distribution.unwrap_or(workload.distribution()),
            keys: plan.keys(),
            values,
            threads,
            length: plan.length,
            warm_up_percent: plan.warm_up_percent,
            rate: plan.rate,
            seed,
            event: plan.event,
            hotspot_at: plan.hotspot_at,
            interval: Duration::from_secs_f64(interval_s),
        }
    }

    /// Does a step, and notifies the observer of it.
    fn told(
        &mut self,
        title: &str,
        work: impl FnOnce(&mut dyn FnMut(f64, u64) -> ControlFlow<()>) -> Result<Outcome>,
    ) -> Result<Outcome> {
        self.step += 1;
        let (step, steps, started) = (self.step, self.steps, Instant::now());
        let outcome = work(&mut |part, operations| {
            let ops_per_s = operations as f64 / started.elapsed().as_secs_f64().max(1e-9);
            self.observer.tell(&Stage { title, step, steps, part, operations, ops_per_s })
        })?;
        self.stopped |= outcome.stopped;
        Ok(outcome)
    }

    fn wait_until_quiet(&self) {
        wait_until_quiet(Duration::from_millis(self.plan.quiet_ms_max));
    }
}

/// Returns the bytes of all files below a directory. Files that disappear in the meantime do not
/// count.
fn bytes_below(directory: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += if metadata.is_dir() {
            bytes_below(&entry.path()).unwrap_or(0)
        } else {
            metadata.len()
        };
    }
    Ok(bytes)
}
