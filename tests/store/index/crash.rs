//! Goal: whatever the moment at which the process dies, an index that counts as complete after the next
//! opening is complete. Method: a child process writes rows in several threads, while it declares,
//! builds and drops one version of an index after the other; it dies at a chosen step, or is killed at
//! a random moment; the parent opens the store, declares the version that the child was at, or the one
//! before, and compares the index with the rows: at once if it counts as complete, and otherwise after
//! it was built.

use super::{check, words_of};
use crate::basic::{both, reopen, small};
use annulus::index::IndexSpec;
use annulus::{Batch, Index, Keyspace, Store};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use tempfile::TempDir;

const DIRECTORY: &str = "ANNULUS_TEST_INDEX_CRASH_DIRECTORY";

/// Versions differ by their number only, so that any of them follows from the rows in the same way.
fn declare(rows: &Keyspace, version: u32) -> Index {
    rows.index(IndexSpec::new("words", version, |_key, value| words_of(value))).unwrap()
}

fn start(directory: &Path, failpoint: Option<&str>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "index::crash::child", "--nocapture", "--test-threads=1"]);
    command.env(DIRECTORY, directory).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(place) = failpoint {
        command.env("ANNULUS_FAILPOINT", place);
    }
    command.spawn().unwrap()
}

fn noted(directory: &Path) -> u32 {
    let note = std::fs::read_to_string(directory.join("version")).unwrap_or_default();
    note.parse().unwrap_or(0)
}

/// Not a test in itself: the process that dies.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let store = Store::builder(directory.join("store")).shards(3).options(small()).open().unwrap();
    for rows in both(&store) {
        for name in rows.index_names() {
            // So that some children create the index again.
            if noted(&directory).is_multiple_of(3) {
                rows.drop_index(&name).unwrap();
            }
        }
    }
    let declared = OnceLock::new();
    std::thread::scope(|scope| {
        for writer in 0..2 {
            let (store, declared) = (&store, &declared);
            scope.spawn(move || {
                declared.wait();
                write(store, writer);
            });
        }
        for version in noted(&directory) + 1.. {
            std::fs::write(directory.join("version"), version.to_string()).unwrap();
            for rows in both(&store) {
                let index = declare(&rows, version);
                index.build().unwrap();
                if version.is_multiple_of(2) {
                    index.rebuild().unwrap();
                }
            }
            declared.get_or_init(|| ());
        }
    });
}

fn write(store: &Store, writer: u64) {
    let keyspaces = both(store);
    let mut random = fastrand::Rng::with_seed(fastrand::u64(..) ^ writer);
    loop {
        let rows = random.choice(&keyspaces).unwrap();
        let key =
            |random: &mut fastrand::Rng| format!("{}/{}", random.lowercase(), random.u32(..8));
        let value = |random: &mut fastrand::Rng| {
            let words = (0..random.usize(..4)).map(|_| random.lowercase().to_string());
            words.collect::<Vec<_>>().join(" ")
        };
        match random.u32(..8) {
            0 => rows.delete(key(&mut random)).unwrap(),
            1 => {
                let from = key(&mut random);
                let to = format!("{from}~");
                rows.delete_range(from..to).unwrap();
            }
            2..5 => {
                let mut batch = Batch::new();
                for _ in 0..4 {
                    for rows in &keyspaces {
                        batch.put(rows, key(&mut random), value(&mut random));
                    }
                }
                store.write(batch).unwrap();
            }
            5 => store
                .transact(|tx| {
                    tx.put(rows, key(&mut random), value(&mut random))?;
                    tx.delete(rows, key(&mut random))
                })
                .unwrap(),
            _ => rows.put(key(&mut random), value(&mut random)).unwrap(),
        }
    }
}

/// Opens the store after a crash. Returns how many indexes counted as complete.
fn check_after(directory: &TempDir, back: u32) -> usize {
    let store = reopen(directory);
    let version = noted(directory.path()).saturating_sub(back);
    let mut complete = 0;
    for rows in both(&store) {
        let index = declare(&rows, version);
        complete += usize::from(index.is_ready());
        index.build().unwrap();
        check(&index);
        rows.put("after", "the crash").unwrap();
        check(&index);
    }
    let report = store.verify().unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
    complete
}

#[test]
fn dies_at_every_step() {
    let places = [
        "index-created@1",
        "index-created@2",
        "index-emptied@1",
        "index-emptied@3",
        "index-emptied@4",
        "index-build@1",
        "index-build@9",
        "index-build@40",
        "index-built@1",
        "index-built@4",
        "index-marked@1",
        "index-marked@2",
        "index-marked@5",
        "write-before-log@500",
        "write-after-log@500",
        "write-after-log@1501",
        "batch-between-shards@100",
        "batch-between-shards@101",
        "drop-after-commit@1",
    ];
    let directory = tempfile::tempdir().unwrap();
    let stores = both(&reopen(&directory));
    for n in 0..200 {
        stores.iter().for_each(|rows| rows.put(format!("z/{n}"), "early rows").unwrap());
    }
    drop(stores);
    for (number, place) in places.into_iter().enumerate() {
        // An index is created only where there is none.
        if place.starts_with("index-created") || place.starts_with("drop") {
            let store = reopen(&directory);
            for rows in both(&store) {
                let there = rows.index_names();
                if place.starts_with("drop") == there.is_empty() {
                    let version = noted(directory.path());
                    if there.is_empty() {
                        drop(declare(&rows, version));
                    } else {
                        rows.drop_index("words").unwrap();
                    }
                }
            }
            let version = noted(directory.path()).next_multiple_of(3);
            std::fs::write(directory.path().join("version"), version.to_string()).unwrap();
        }
        let status = start(directory.path(), Some(place)).wait().unwrap();
        assert_eq!(status.signal(), Some(6), "{place}: {status}");
        check_after(&directory, u32::from(number % 2 == 1));
    }
}

#[test]
fn killed_at_random_moments() {
    let seed = crate::churn::seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let directory = tempfile::tempdir().unwrap();
    drop(both(&reopen(&directory)));
    let mut complete = 0;
    for _ in 0..10 {
        let mut child = start(directory.path(), None);
        std::thread::sleep(Duration::from_millis(random.u64(50..500)));
        child.kill().unwrap();
        child.wait().unwrap();
        complete += check_after(&directory, random.u32(..2));
    }
    println!("{complete} of 20 indexes were complete");
}
