//! Goal: whichever byte of a manifest is damaged, of a shard or of the metadata, an opening ends:
//! refused, or with sound content, or with what was lost reported. Method: bytes of one after the
//! other are changed in a copy of a store; the types of records to all that a reader of logs knows.
//! A child process opens the copies, and has a limit of processor time, at which the system ends it.
//! `ANNULUS_EACH_BYTE` damages all bytes.
//!
//! A past bug: RocksDB never returned from a manifest in which the type of a record had changed from 1
//! to 5, that of a record in a file that is used again.

use crate::churn::quick_directory;
use crate::damage::{Seen, copy, examine, make};
use crate::images::on_threads;
use annulus::{ErrorKind, Store};
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

/// The store to damage, and the first change of a child, in its environment.
const GOOD: &str = "ANNULUS_GOOD_STORE";
const FIRST: &str = "ANNULUS_FIRST_CHANGE";
/// A child opens as many copies, and has as many seconds of processor time: more than the openings
/// take on any machine.
const CHANGES: usize = 100;
const SECONDS: usize = 300;

const HEADER_BYTES: usize = 7;
const TYPE: usize = 6;

struct Change {
    manifest: PathBuf,
    at: usize,
    to: u8,
    /// True if it is a type, and sound records follow: a refusal then names the place. What is wrong
    /// with the last record is taken for a torn end; if it was none, RocksDB refuses for a file that
    /// is missing.
    names_place: bool,
}

fn manifest(database: &Path) -> PathBuf {
    let current = fs::read_to_string(database.join("CURRENT")).unwrap();
    PathBuf::from(database.file_name().unwrap()).join(current.trim_end())
}

/// Returns where the records of a manifest of one block begin.
fn records(content: &[u8]) -> Vec<usize> {
    assert!(content.len() < 32 << 10);
    let mut begins = Vec::new();
    let mut at = 0;
    while at < content.len() {
        begins.push(at);
        at += HEADER_BYTES + usize::from(u16::from_le_bytes([content[at + 4], content[at + 5]]));
    }
    begins
}

/// Returns all changes, in an order that is the same in every process.
fn changes(good: &Path) -> Vec<Change> {
    let step = if std::env::var_os("ANNULUS_EACH_BYTE").is_some() { 1 } else { 17 };
    let mut changes = Vec::new();
    for home in ["metadata", "shards/1"] {
        let database = match home {
            "metadata" => good.join(home),
            _ => good.join(home).join("data"),
        };
        let manifest = database.parent().unwrap().join(manifest(&database));
        let content = fs::read(&manifest).unwrap();
        let manifest = manifest.strip_prefix(good).unwrap().to_owned();
        let mut push = |at: usize, to: u8, names_place| {
            if content[at] != to {
                changes.push(Change { manifest: manifest.clone(), at, to, names_place });
            }
        };
        let records = records(&content);
        for &at in &records {
            for to in (0..=11).chain([130, 131, 200]) {
                push(at + TYPE, to, Some(&at) != records.last());
            }
        }
        for at in (0..content.len()).step_by(step) {
            push(at, content[at] ^ 1 << (at % 8), false);
        }
    }
    changes
}

/// Opens a copy of the store with one change, read-only and for writing.
fn open_changed(good: &Path, change: &Change, seen: &Seen) -> Result<(), String> {
    let directory = quick_directory();
    let path = directory.path().join("store");
    copy(good, &path);
    let manifest = path.join(&change.manifest);
    let file = fs::OpenOptions::new().write(true).open(&manifest).unwrap();
    file.write_all_at(&[change.to], change.at as u64).unwrap();
    let damaged = fs::read(&manifest).unwrap();
    if let Err(error) = Store::builder(&path).read_only(true).open()
        && error.kind() != ErrorKind::Damaged
    {
        return Err(format!("read-only: {:?}: {error:#}", error.kind()));
    }
    if fs::read(&manifest).unwrap() != damaged {
        return Err("read-only: something was changed".to_owned());
    }
    let refused = seen.refused.load(Ordering::Relaxed);
    examine(&path, &manifest, seen)?;
    if !change.names_place || seen.refused.load(Ordering::Relaxed) == refused {
        return Ok(());
    }
    let error = crate::damage::open(&path, annulus::LogDamage::Refuse).err();
    let text = error.map(|error| format!("{error:#}")).unwrap_or_default();
    let place = format!("{} is damaged at offset {}", manifest.display(), change.at - TYPE);
    match text.contains(&place) && text.contains("restore") {
        true => Ok(()),
        false => Err(format!("refused without its place: {text}")),
    }
}

/// The child of the test below.
#[test]
fn open_changed_manifests() {
    let (Some(good), Ok(first)) = (std::env::var_os(GOOD), std::env::var(FIRST)) else { return };
    let good = PathBuf::from(good);
    let seen = Seen::default();
    let mut violations = 0;
    let chosen = changes(&good).into_iter().skip(first.parse().unwrap()).take(CHANGES);
    for change in chosen {
        let what = format!("{} at {} to {}", change.manifest.display(), change.at, change.to);
        // Seen if this one does not end.
        println!("{what}");
        if let Err(violation) = open_changed(&good, &change, &seen) {
            violations += 1;
            println!("VIOLATION: {what}: {violation}");
        }
    }
    println!("{seen:?}");
    assert_eq!(violations, 0);
}

#[test]
fn whichever_byte_of_a_manifest_is_damaged_an_opening_ends() {
    let originals = quick_directory();
    let good = originals.path().join("store");
    make(&good, false);
    let changes = changes(&good).len();
    let failures = Mutex::new(Vec::new());
    on_threads(changes.div_ceil(CHANGES), |child| {
        let output = Command::new("sh")
            .args(["-c", &format!("ulimit -t {SECONDS}; exec \"$0\" \"$@\"")])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "manifests::open_changed_manifests", "--nocapture"])
            .env(GOOD, &good)
            .env(FIRST, (child * CHANGES).to_string())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() || !text.contains("1 passed") {
            let last = text.lines().rev().take(3).collect::<Vec<_>>().join("\n");
            let told = text.lines().filter(|line| line.contains("VIOLATION")).collect::<Vec<_>>();
            failures.lock().unwrap().push(format!(
                "{}:\n{}\nat its end: {last}\n{}",
                output.status,
                told.join("\n"),
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        true
    });
    println!("changes: {changes}");
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
