//! Goal: a shard whose disk fails while it is written to is opened again by the running store, when the disk
//! works again, and has everything. Method: a child of which all calls on a shard's files fail, by the
//! recorder, from the first table that it makes on, for some seconds: RocksDB takes no writes after that
//! until it is opened again. What the child sees it checks itself.

use crate::check::End;
use crate::churn::quick_directory;
use crate::full::{LETTERS, Noted, SPLITS, text};
use crate::images::{Content, Figures, examine};
use crate::kills::history;
use crate::recorder;
use crate::workload::{Notes, Order, open, watch};
use annulus::report::ShardState;
use annulus::topology::KeyspaceSpec;
use annulus::{Durability, ErrorKind, Store};
use std::cell::Cell;
use std::fs;
use std::time::{Duration, Instant};

/// For how long calls fail: some probes fail, too.
const BROKEN_MILLIS: &str = "12000";

fn states(store: &Store) -> Vec<ShardState> {
    store.stats().unwrap().shards.iter().map(|shard| shard.health.state).collect()
}

/// Not a test of its own.
#[test]
fn child() {
    let Some(order) = Order::of_child() else { return };
    watch();
    let (notes, numbers) = (Notes::new(&order), Cell::new(1));
    let store = open(&order.disk(), false).unwrap();
    notes.note("create written\n");
    let spec = KeyspaceSpec::range().split_at(SPLITS);
    let keyspace = store.create_keyspace("written", spec).unwrap();
    notes.note("created written\n");
    let written = Noted { notes: &notes, numbers: &numbers, keyspace };
    written.fill();
    let error = store.flush().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{}", text(&error));

    // The first write that the shard refuses is in doubt; later ones are refused, and at last at once.
    let begun = Instant::now();
    let mut seen = Vec::new();
    loop {
        for letter in LETTERS {
            if let Err(error) = written.put(&format!("{letter}-again"), Durability::Synced) {
                seen.push(error.kind());
            }
        }
        let states = states(&store);
        assert!(states.iter().filter(|state| **state != ShardState::Serving).count() <= 1);
        if seen.contains(&ErrorKind::Unavailable)
            && states.iter().all(|it| *it == ShardState::Serving)
        {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(150), "{seen:?} {states:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    seen.dedup();
    assert_eq!(seen, [ErrorKind::InDoubt, ErrorKind::Busy, ErrorKind::Unavailable]);
    written.fill();
    for letter in LETTERS {
        written.put(&format!("{letter}-at-last"), Durability::Synced).unwrap();
    }
    store.flush().unwrap();
    assert!(store.verify().unwrap().is_sound());
    eprintln!("taken back after {:?}", begun.elapsed());
    // As if it were killed.
    std::process::exit(0);
}

#[test]
fn a_shard_whose_disk_fails_for_a_while_is_taken_back_by_the_running_store() {
    let directory = quick_directory();
    let order = Order {
        directory: directory.path().to_owned(),
        seed: 0,
        first: 1,
        lives: 1,
        steps: 0,
        links: true,
        faults: true,
        quiet: true,
        mapped: false,
    };
    fs::create_dir_all(order.disk()).unwrap();
    let mut child = recorder::child_of("broken::child", &order);
    child.env("ANNULUS_FAULT", "1:5:sticky").env("ANNULUS_FAULT_CALL", "create table");
    child.env("ANNULUS_FAULT_MILLIS", BROKEN_MILLIS);
    let status = child.status().unwrap();
    assert!(status.success(), "{status}\n{}", recorder::log(&order));
    let history = history(&order, Content::default());
    assert!(history.failed && history.acknowledged() > 120, "{}", history.acknowledged());
    let figures = Figures::default();
    examine(&order.disk(), &history, usize::MAX, End::Process, true, &figures).unwrap();
}
