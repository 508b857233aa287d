//! Runs the `annulus` binary as a user or a script does, and checks what it prints and writes and
//! how it exits.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "cli/backup.rs"]
mod backup;
#[path = "cli/basic.rs"]
mod basic;
#[path = "cli/bench.rs"]
mod bench;
#[path = "cli/changes.rs"]
mod changes;
#[path = "cli/encodings.rs"]
mod encodings;
#[path = "cli/failures.rs"]
mod failures;
#[path = "cli/files.rs"]
mod files;
#[path = "cli/heat.rs"]
mod heat;
#[path = "cli/lifetimes.rs"]
mod lifetimes;
#[path = "cli/log.rs"]
mod log;
#[path = "cli/pictures.rs"]
mod pictures;
#[path = "cli/read_only.rs"]
mod read_only;
#[path = "cli/report.rs"]
mod report;
#[path = "cli/reshape.rs"]
mod reshape;

use assert_cmd::Command;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A directory with a store in it, and the binary to work on it.
struct Place {
    directory: TempDir,
}

impl Place {
    /// Creates a place without a store.
    fn empty() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// Creates a place with a store of three shards, a keyspace `h` by hash, and `r` in three
    /// ranges.
    fn new() -> Self {
        let place = Self::empty();
        place.run(&["init", "--shards", "3"]).success();
        place.run(&["keyspace", "create", "h", "--hash", "--arcs", "3"]).success();
        let split = ["--split-at", "key-1", "--split-at", "key-2"];
        place.run(&[&["keyspace", "create", "r", "--range"][..], &split].concat()).success();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn store(&self) -> PathBuf {
        self.path("store")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_annulus"));
        command.env("ANNULUS_STORE", self.store()).env_remove("NO_COLOR").args(arguments);
        command.current_dir(self.directory.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> assert_cmd::assert::Assert {
        self.command(arguments).assert()
    }

    /// Returns what a command prints, which must end with success.
    fn text(&self, arguments: &[&str]) -> String {
        String::from_utf8(self.bytes(arguments)).unwrap()
    }

    fn bytes(&self, arguments: &[&str]) -> Vec<u8> {
        self.run(arguments).success().get_output().stdout.clone()
    }

    /// Returns the object that a command prints with `--json`, whatever its exit code.
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.command(arguments).arg("--json").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{errors}"))
    }

    /// Checks that a command fails with this exit code, with a message that has these words, the
    /// causes' too, and with `--json` in the same way.
    fn fails(&self, arguments: &[&str], code: i32, kind: &str, words: &[&str]) {
        let output = self.command(arguments).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {message}");
        assert!(message.starts_with("error: "), "{message}");
        assert_eq!(message.matches("error: ").count(), 1, "{message}");
        for word in words {
            assert!(message.contains(word), "{word}: {message}");
        }
        let output = self.command(arguments).arg("--json").output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(error["error"]["kind"], kind, "{error}");
        let message = error["error"]["message"].as_str().unwrap();
        for word in words {
            assert!(message.contains(word), "{word}: {error}");
        }
    }

    /// Loads lines `key TAB value` into a keyspace.
    fn fill(&self, keyspace: &str, lines: &str) {
        let load = ["load", keyspace, "--from", "-", "--no-header"];
        self.command(&load).write_stdin(lines).assert().success();
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), content).unwrap();
        name.to_owned()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

/// Returns all files below a directory.
fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}
