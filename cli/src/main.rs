//! `annulus`: creates, fills, reads, reshapes, draws and checks Annulus stores from a shell.

mod argument;
mod cli;
mod commands;
mod exit;
mod json;
mod keyspace_names;
mod open;
mod output;
mod patience;
mod picture;
mod progress;
mod redact;
mod reshape;
mod rows;
mod select;
mod standard_error;
mod table;
mod text;
mod time_to_live;
mod usage;

use crate::exit::{Exit, Failure};
use crate::output::Output;
use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Searched for by hand, because clap's own errors come in the requested form, too.
    let json = std::env::args_os().any(|argument| argument == "--json");
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            let message = usage::message(error);
            if json {
                return Failure::usage(message).report(json);
            }
            standard_error::complain_lines(&format!("error: {message}"));
            return ExitCode::from(Exit::Usage);
        }
        Err(error) => {
            // A closed standard output is no reason to fail.
            let _ = error.print();
            return ExitCode::from(Exit::Fine);
        }
    };
    let mut output = Output::new(cli.json);
    let done = cli.command.run(&mut output).and_then(|verdict| {
        output.finish()?;
        Ok(verdict)
    });
    match done {
        Ok(verdict) => ExitCode::from(verdict),
        Err(failure) => {
            // The rows before the error are good; a second error would hide the first.
            let _ = output.finish();
            failure.report(cli.json)
        }
    }
}
