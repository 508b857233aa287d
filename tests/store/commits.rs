//! Goal: what others rely on after a commit does not depend on the log of the metadata. Method: the
//! logs of the metadata are lost right after, as a power cut may take what was not synced of them,
//! and more than that: damage of their last record looks the same.

use crate::basic::{both, small};
use crate::churn::quick_directory;
use crate::reshape::{elsewhere, fill, rows};
use annulus::Store;
use annulus::planner::Request;
use annulus::report::PartitionStats;
use annulus::reshape::{ReshapeOptions, Transport};
use annulus::topology::KeyspaceSpec;
use std::fs;
use std::path::Path;
#[cfg(feature = "failpoints")]
use std::process::Command;

/// Makes the logs of the metadata unreadable from their beginning.
pub(crate) fn lose_logs_of_metadata(store: &Path) {
    for entry in fs::read_dir(store.join("metadata")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "log") {
            let lost = vec![0x55; usize::try_from(fs::metadata(&file).unwrap().len()).unwrap()];
            fs::write(&file, lost).unwrap();
        }
    }
}

/// Opens the store without the rebalancer, which would hold the store when it is dropped.
fn open(directory: &Path) -> Store {
    let options = small().heat(None);
    Store::builder(directory.join("store")).shards(3).options(options).open().unwrap()
}

fn move_on(store: &Store, source: &PartitionStats, transport: Transport) {
    let to = elsewhere(source.owner);
    let options = ReshapeOptions::new().transport(transport);
    let moving = Request::Move { partition: source.id, to };
    store.start_with(&moving, options).unwrap().wait().unwrap();
}

#[test]
fn sources_go_when_the_commit_is_in_a_file() {
    for transport in [Transport::Link, Transport::Copy] {
        let directory = quick_directory();
        let store = open(directory.path());
        let [_, range] = both(&store);
        fill(&store, &range);
        let before = rows(&range);
        let source = range.stats().unwrap()[0].clone();
        move_on(&store, &source, transport);
        drop((range, store));
        lose_logs_of_metadata(&directory.path().join("store"));
        let store = open(directory.path());
        assert_eq!(rows(&store.keyspace("range").unwrap()), before);
    }
}

#[test]
fn a_keyspace_is_created_when_the_commit_is_in_a_file() {
    let directory = quick_directory();
    let store = open(directory.path());
    let keyspace = store.create_keyspace("new", KeyspaceSpec::hash()).unwrap();
    fill(&store, &keyspace);
    let before = rows(&keyspace);
    drop((keyspace, store));
    lose_logs_of_metadata(&directory.path().join("store"));
    let store = open(directory.path());
    assert_eq!(rows(&store.keyspace("new").unwrap()), before);
}

/// As if the process ended between the commit of a move and its flush: then the opening drops the
/// source, which is made to stay here.
#[cfg(feature = "failpoints")]
#[test]
fn orphans_go_when_the_commit_is_in_a_file() {
    let directory = quick_directory();
    let store = open(directory.path());
    let [_, range] = both(&store);
    fill(&store, &range);
    let before = rows(&range);
    let source = range.stats().unwrap()[0].clone();
    let staying = store.path().join(format!("shards/{}/data/FAIL-drop", source.owner));
    fs::write(&staying, "").unwrap();
    move_on(&store, &source, Transport::Link);
    fs::remove_file(staying).unwrap();
    drop((range, store));
    let store = open(directory.path());
    assert_eq!(store.recovery().orphans.len(), 1, "{:?}", store.recovery());
    drop(store);
    lose_logs_of_metadata(&directory.path().join("store"));
    let store = open(directory.path());
    assert_eq!(rows(&store.keyspace("range").unwrap()), before);
}

/// With the flushes left out, the tests that rely on them must fail. A second flush that would hide
/// that is left out, too; alone, leaving it out does no harm there.
#[cfg(feature = "failpoints")]
#[test]
fn a_missing_flush_is_noticed() {
    let passes = |test: &str, skipped: &str| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test])
            .env("ANNULUS_SKIP", skipped)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("running 1 test"), "{text}");
        output.status.success()
    };
    assert!(!passes("commits::sources_go_when_the_commit_is_in_a_file", "flush-before-drop"));
    assert!(!passes("commits::a_keyspace_is_created_when_the_commit_is_in_a_file", "flush-commit"));
    let of_openings = "commits::orphans_go_when_the_commit_is_in_a_file";
    assert!(passes(of_openings, "flush-before-drop"));
    assert!(!passes(of_openings, "flush-before-drop,flush-before-opening-drops"));
}
