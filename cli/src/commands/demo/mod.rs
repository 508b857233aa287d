//! `annulus demo`

mod args;
mod live;
mod report;
mod run;

use crate::exit::{Exit, Outcome};
use crate::output::Output;
pub(crate) use args::Args;

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    let summary = run::run(args, output)?;
    report::report(&summary, output)?;
    Ok(Exit::fine_if(summary.is_fine()))
}
