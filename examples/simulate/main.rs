//! Ring, range map, heat and planner, without a disk: how evenly shards are loaded over simulated
//! days of a load that moves, or under a recorded one, and what that costs.
//!
//! `cargo run --release --no-default-features --example simulate -- --quick`
//!
//! The same arguments lead to the same decisions; only the measured times differ.

#![expect(clippy::expect_used, reason = "a simulation that cannot go on ends by panicking")]
#![expect(clippy::indexing_slicing, reason = "so that a mistake here ends the simulation")]
#![expect(clippy::disallowed_methods, reason = "planning is timed")]

mod arguments;
mod cluster;
mod days;
mod load;
mod recording;
mod report;
mod setup;
mod shards;
mod space;
mod trace;

use arguments::Arguments;
use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let ended = match &arguments.trace {
        Some(path) => trace::run(&arguments, path),
        None => days::run(&arguments),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
