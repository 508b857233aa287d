//! `annulus-peers`: Annulus and other embedded stores under the same workloads.

mod cli;
mod engines;
mod progress;

use crate::cli::Cli;
use annulus_workload::{Candidate, InvalidArgument, Report, Result, compare};
use clap::Parser as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// The exit code for a command line that cannot be carried out, as for one that clap refuses.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        // A store that returns what was never written cannot be compared with.
        Ok(report) if report.wrong_reads() > 0 => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            let usage = error.downcast_ref::<InvalidArgument>().is_some();
            if usage { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
        }
    }
}

fn run(cli: &Cli) -> Result<Report> {
    let plan = cli.workload.plan()?;
    let candidates = cli.candidates();
    let candidates: Vec<&dyn Candidate> = candidates.iter().map(|one| &**one).collect();
    let report = compare(&plan, &candidates, &mut progress::observer()?)?;
    let mut out = io::stdout().lock();
    if cli.json {
        serde_json::to_writer_pretty(&mut out, &report.records)?;
        writeln!(out)?;
    } else {
        write!(out, "{report}")?;
    }
    out.flush()?;
    Ok(report)
}
