//! The versions of what was measured.

use std::path::Path;
use std::process::Command;

/// Returns the commit that this was built from: the environment variable `ANNULUS_COMMIT` at build
/// time, or git's description of the source directory, with `-dirty` if files differ; `None` if
/// there is neither.
#[must_use]
pub fn source_commit() -> Option<String> {
    if let Some(commit) = option_env!("ANNULUS_COMMIT") {
        return Some(commit.to_owned());
    }
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    if !sources.is_dir() {
        return None;
    }
    let describe = ["describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"];
    let output = Command::new("git").arg("-C").arg(sources).args(describe).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}

/// Returns the version of a package in the text of a `Cargo.lock`.
///
/// ```
/// let lock = "[[package]]\nname = \"sled\"\nversion = \"0.34.7\"\n";
/// assert_eq!(annulus_workload::locked_version(lock, "sled"), Some("0.34.7"));
/// assert_eq!(annulus_workload::locked_version(lock, "redb"), None);
/// ```
#[must_use]
pub fn locked_version<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name);
    lines.nth(1)?.strip_prefix("version = \"")?.strip_suffix('"')
}
