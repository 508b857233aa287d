//! Goal: whatever the step at which the process dies, the store and earlier backups are as they were, a
//! backup is there whole or not at all, and the next one, or the same restoring, is made as if nothing had
//! happened. Method: a child process writes, makes and removes backups, and restores; it dies at a chosen
//! step; the parent checks all of it, and goes on.

use super::{assert_sound, files, fill, open_sound, restored, rows_of};
use crate::basic::{both, small};
use annulus::backup::{Repository, RestoreOptions};
use annulus::{ErrorKind, Store};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const DIRECTORY: &str = "ANNULUS_TEST_BACKUP_DIRECTORY";
const WHAT: &str = "ANNULUS_TEST_BACKUP_WHAT";

/// Opens the store, which keeps its log for backups.
fn open(directory: &Path) -> Store {
    let builder = Store::builder(directory.join("store")).shards(3);
    builder.options(small().log_keep_bytes(1 << 30)).open().unwrap()
}

/// Lets a child do something until it dies at a step. Returns false if it did not.
fn dies(directory: &Path, what: &str, place: &str) -> bool {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "backup::crash::child", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .env(WHAT, what)
        .env("ANNULUS_FAILPOINT", place)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.signal() == Some(6) || status.success(), "{what}, {place}: {status}");
    !status.success()
}

/// Not a test in itself: the process that dies.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let backups = directory.join("backups");
    match std::env::var(WHAT).unwrap().as_str() {
        "backup" => {
            let store = open(&directory);
            let [hash, range] = both(&store);
            let seed = fastrand::u64(..);
            fill(&hash, 0..30, seed);
            fill(&range, 0..250, seed);
            store.backup(&backups).unwrap();
        }
        "prune" => {
            Repository::open(&backups).unwrap().prune(1).unwrap();
        }
        _ => {
            let repository = Repository::open(&backups).unwrap();
            repository.restore(directory.join("copy"), RestoreOptions::new()).unwrap();
        }
    }
}

/// Returns how many files of shards a repository has.
fn tables(backups: &Path) -> usize {
    files(&backups.join("files")).len()
}

#[test]
fn a_backup_that_dies_at_any_step_leaves_earlier_ones_and_the_store_as_they_were() {
    let directory = tempfile::tempdir().unwrap();
    let backups = directory.path().join("backups");
    let store = open(directory.path());
    fill(&both(&store)[0], 0..30, 7);
    store.backup(&backups).unwrap();
    store.close().unwrap();
    drop(store);
    let places = [
        "backup-link",
        "backup-link@3",
        "backup-cut",
        "backup-segment",
        "backup-segment@2",
        "backup-file",
        "backup-file@4",
        "backup-manifest",
        "backup-named",
        "backup-collect",
    ];
    for place in places {
        let known = Repository::open(&backups).unwrap().backups().unwrap();
        let died = dies(directory.path(), "backup", place);
        assert!(died || place == "backup-collect", "{place}");
        let now = Repository::open(&backups).unwrap().backups().unwrap();
        assert_eq!(now.get(..known.len()).unwrap(), known, "{place}");
        let is_there = ["backup-named", "backup-collect"].contains(&place);
        assert_eq!(now.len(), known.len() + usize::from(is_there), "{place}");
        assert_sound(&backups);
        let store = open(directory.path());
        assert!(store.verify().unwrap().is_sound(), "{place}");
        let copy = directory.path().join("copy");
        let last = now.last().unwrap().number;
        drop(restored(&backups, &copy, Some(last)));
        std::fs::remove_dir_all(&copy).unwrap();
        // The next one goes on, and leaves nothing behind.
        let next = store.backup(&backups).unwrap();
        assert!(next.number > last, "{place}");
        assert!(rows_of(&restored(&backups, &copy, None)) == rows_of(&store), "{place}");
        std::fs::remove_dir_all(&copy).unwrap();
        let unfinished = |file: &PathBuf| {
            let name = file.file_name().unwrap().to_str().unwrap();
            name == "copying" || name.ends_with(".arriving")
        };
        assert_eq!(files(&backups).into_iter().find(unfinished), None, "{place}");
        store.close().unwrap();
    }
    assert_sound(&backups);
    let all = tables(&backups);
    Repository::open(&backups).unwrap().prune(1).unwrap();
    assert!(tables(&backups) < all);
    assert_sound(&backups);
}

#[test]
fn a_removal_that_dies_is_completed_by_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let backups = directory.path().join("backups");
    let store = open(directory.path());
    for place in ["backup-removed", "backup-collect", "backup-collect@3"] {
        for round in 0..3 {
            fill(&both(&store)[0], 0..40, round);
            store.backup(&backups).unwrap();
        }
        assert!(dies(directory.path(), "prune", place), "{place}");
        assert_sound(&backups);
        let repository = Repository::open(&backups).unwrap();
        repository.prune(1).unwrap();
        assert_eq!(repository.backups().unwrap().len(), 1);
        assert_sound(&backups);
        let copy = directory.path().join("copy");
        assert!(rows_of(&restored(&backups, &copy, None)) == rows_of(&store), "{place}");
        std::fs::remove_dir_all(&copy).unwrap();
    }
}

#[test]
fn a_restoring_that_dies_leaves_no_store_and_begins_again() {
    let directory = tempfile::tempdir().unwrap();
    let backups = directory.path().join("backups");
    let store = open(directory.path());
    let [hash, range] = both(&store);
    fill(&hash, 0..40, 1);
    fill(&range, 0..40, 2);
    store.backup(&backups).unwrap();
    let rows = rows_of(&store);
    let copy = directory.path().join("copy");
    let places = [
        "restore-begun",
        "restore-file",
        "restore-file@7",
        "log-recover",
        "restore-log",
        "restore-metadata",
    ];
    for place in places {
        for _ in 0..2 {
            assert!(dies(directory.path(), "restore", place), "{place}");
            let error = Store::open(&copy).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{place}: {error:#}");
        }
        Repository::open(&backups).unwrap().restore(&copy, RestoreOptions::new()).unwrap();
        assert!(rows_of(&open_sound(&copy)) == rows, "{place}");
        std::fs::remove_dir_all(&copy).unwrap();
    }
    assert_sound(&backups);
}
