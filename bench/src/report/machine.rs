//! A description of the machine, from the system. What the system does not know is called unknown.

use super::data::Machine;
use std::fs;
use std::path::Path;
use std::process::Command;

const UNKNOWN: &str = "unknown";

/// Describes the machine, with the disk that a directory is on.
pub(super) fn look(directory: &Path) -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let processor = field(&read("/proc/cpuinfo"), "model name").unwrap_or(UNKNOWN.into());
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let kib = memory.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    let kernel = read("/proc/sys/kernel/osrelease");
    let release = read("/etc/os-release");
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let system = [name.map(|name| name.trim_matches('"')), Some(std::env::consts::OS)];
    let system = system.into_iter().flatten().next().unwrap_or(UNKNOWN);
    Machine {
        processor,
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        memory_bytes: kib.map(|kib| kib << 10),
        disk: disk(&read("/proc/self/mounts"), directory).unwrap_or(UNKNOWN.into()),
        system: format!("{system}, kernel {}", or_unknown(kernel.trim())),
        rustc: rustc(),
    }
}

fn or_unknown(text: &str) -> &str {
    if text.is_empty() { UNKNOWN } else { text }
}

/// Returns the value of the first line `name : value`.
fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

/// Returns file system and device of the longest mount point that a path is below.
fn disk(mounts: &str, directory: &Path) -> Option<String> {
    let directory = directory.canonicalize().ok()?;
    let mount = |line: &str| {
        let mut words = line.split(' ').map(str::to_owned);
        Some((words.next()?, words.next()?, words.next()?))
    };
    let below =
        mounts.lines().filter_map(mount).filter(|(_, point, _)| directory.starts_with(point));
    let (device, _, kind) = below.max_by_key(|(_, point, _)| point.len())?;
    Some(format!("{kind} on {device}"))
}

/// Returns the version of the installed compiler, which is probably the one that built this.
fn rustc() -> Option<String> {
    let output = Command::new("rustc").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_read() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\nmodel name\t: Other\n";
        assert_eq!(field(text, "model name").as_deref(), Some("Some CPU @ 3 GHz"));
        assert_eq!(field(text, "MemTotal"), None);
        let mounts = "/dev/a / ext4 rw 0 0\n/dev/b /tmp xfs rw 0 0\nproc /proc proc rw 0 0\n";
        assert_eq!(disk(mounts, Path::new("/")).as_deref(), Some("ext4 on /dev/a"));
        assert_eq!(disk("", Path::new("/")), None);
    }
}
