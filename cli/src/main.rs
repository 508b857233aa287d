//! `annulus`: creates, fills, reads, reshapes, draws and checks Annulus stores from a shell.

mod cli;
mod commands;
mod exit;
mod human;
mod loader;
mod open;
mod output;
mod picture;
mod progress;
mod redact;
mod reshape;
mod rows;
mod select;
mod table;
mod text;

use crate::exit::{Exit, Failure};
use crate::output::Output;
use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Asked for by hand: clap's own errors must be told in the form that was wanted, too.
    let json = std::env::args_os().any(|argument| argument == "--json");
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if json && error.use_stderr() => {
            let message = error.to_string();
            let message = message.strip_prefix("error: ").unwrap_or(&message).trim_end();
            return Failure::usage(message).report(json);
        }
        Err(error) if error.use_stderr() => {
            // It may quote any argument.
            output::complain(error.to_string().trim_end());
            return ExitCode::from(Exit::Usage);
        }
        Err(error) => {
            // What cannot be printed, because nobody listens, is no reason to fail.
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
