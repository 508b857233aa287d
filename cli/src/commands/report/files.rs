//! The files that a report is made from, and those that it is written to.

use crate::exit::{Failure, Outcome};
use annulus_bench::report::{FORMAT, Raw, Run, Settings};
use serde::de::DeserializeOwned;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

fn text(file: &Path) -> Outcome<String> {
    fs::read_to_string(file).map_err(Failure::io("read", file))
}

fn parsed<T: DeserializeOwned>(text: &str, file: &Path, what: &str) -> Outcome<T> {
    serde_json::from_str(text)
        .map_err(|error| Failure::usage(format!("{} is not {what}: {error}", file.display())))
}

/// Reads what `annulus-peers --json` printed.
pub(super) fn peers(file: &Path) -> Outcome<Vec<Run>> {
    peers_of(&text(file)?, file)
}

fn peers_of(text: &str, from: &Path) -> Outcome<Vec<Run>> {
    let runs: Vec<Run> = parsed(text, from, "what `annulus-peers --json` prints")?;
    if runs.is_empty() {
        return Err(Failure::usage(format!("{} has no results", from.display())));
    }
    Ok(runs)
}

/// Runs the program that compares with other stores.
pub(super) fn run_peers(program: &Path, settings: &Settings) -> Outcome<Vec<Run>> {
    let mut command = Command::new(program);
    command.arg("--json").arg("--seed").arg(settings.seed.to_string());
    command.arg("--directory").arg(&settings.directory);
    if settings.quick {
        command.arg("--quick").args(["--rounds", "2"]);
    }
    let output = command.stderr(Stdio::inherit()).output().map_err(Failure::io("run", program))?;
    if !output.status.success() {
        let error = io::Error::other(format!("it ended with {}", output.status));
        return Err(Failure::io("use the results of", program)(error));
    }
    peers_of(&String::from_utf8_lossy(&output.stdout), program)
}

/// Reads paragraphs of plain text.
pub(super) fn notes(file: &Path) -> Outcome<Vec<String>> {
    let text = text(file)?;
    let paragraphs =
        text.split("\n\n").map(|one| one.split_whitespace().collect::<Vec<_>>().join(" "));
    Ok(paragraphs.filter(|one| !one.is_empty()).collect())
}

/// Reads figures that were saved.
pub(super) fn read(file: &Path) -> Outcome<Raw> {
    #[derive(serde::Deserialize)]
    struct Head {
        format: u32,
    }
    let (text, what) = (text(file)?, "what `annulus report --save` writes");
    let head: Head = parsed(&text, file, what)?;
    if head.format != FORMAT {
        return Err(Failure::usage(format!(
            "{} has format {}, this program knows {FORMAT}; make the report again",
            file.display(),
            head.format
        )));
    }
    parsed(&text, file, what)
}

/// Saves the figures.
pub(super) fn save(file: &Path, raw: &Raw) -> Outcome<()> {
    let text = serde_json::to_string(raw).map_err(io::Error::from);
    write(file, &text.map_err(Failure::io("write", file))?)
}

/// Writes a file.
pub(super) fn write(file: &Path, text: &str) -> Outcome<()> {
    fs::write(file, text).map_err(Failure::io("write", file))
}

/// Checks that the directory of a file exists, before much time is spent on the file's content.
pub(super) fn check_writable(file: &Path) -> Outcome<()> {
    let directory = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::read_dir(directory).map(drop).map_err(Failure::io("write to", directory))
}
