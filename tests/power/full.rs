//! Goal: a disk that is full when a shard flushes costs nothing. A shard has no log of its own, so
//! what it could not flush is in memory and in the log of the store only: the log is kept, writes
//! go on or are refused in words, the running store goes on once there is room, and the next opening
//! has everything that was acknowledged. Method: a child that finds a shard's disk full, by the
//! recorder, at the first table that it makes; what it sees it checks itself.

use crate::check::End;
use crate::churn::quick_directory;
use crate::images::{Content, Figures, examine};
use crate::kills::history;
use crate::notes::{ends, starts, value};
use crate::recorder;
use crate::workload::{Notes, Order, open, watch};
use annulus::log::LogView;
use annulus::topology::KeyspaceSpec;
use annulus::{Durability, Error, ErrorKind, Keyspace};
use std::cell::Cell;
use std::fs;
use std::time::{Duration, Instant};

/// How long the disk is full.
const FULL_MILLIS: &str = "1500";
/// Where the keyspaces are split: the shards have one part each.
pub(crate) const SPLITS: [&str; 2] = ["h", "p"];
pub(crate) const LETTERS: [&str; 3] = ["a", "k", "r"];

/// A keyspace whose writes are noted.
pub(crate) struct Noted<'a> {
    pub(crate) notes: &'a Notes,
    pub(crate) numbers: &'a Cell<u64>,
    pub(crate) keyspace: Keyspace,
}

impl Noted<'_> {
    pub(crate) fn put(&self, key: &str, durability: Durability) -> annulus::Result<()> {
        let id = self.numbers.replace(self.numbers.get() + 1);
        let place = (self.keyspace.name().to_owned(), key.to_owned());
        let synced = durability == Durability::Synced;
        self.notes.note(&starts(id, synced, &[(place, Some(1000))]));
        self.keyspace.put_with(key, value(id, key, 1000), durability)?;
        self.notes.note(&ends(id, false));
        Ok(())
    }

    pub(crate) fn fill(&self) {
        for letter in LETTERS {
            for n in 0..20 {
                self.put(&format!("{letter}{n}"), Durability::Buffered).unwrap();
            }
        }
    }
}

pub(crate) fn text(error: &Error) -> String {
    format!("{:?} {error:#}", error.kind())
}

/// Not a test of its own.
#[test]
fn child() {
    let Some(order) = Order::of_child() else { return };
    watch();
    let (notes, numbers) = (Notes::new(&order), Cell::new(1));
    let store = open(&order.disk(), false).unwrap();
    let make = |name: &str| {
        notes.note(&format!("create {name}\n"));
        let spec = KeyspaceSpec::range().split_at(SPLITS);
        let keyspace = store.create_keyspace(name, spec).unwrap();
        notes.note(&format!("created {name}\n"));
        Noted { notes: &notes, numbers: &numbers, keyspace }
    };
    let [written, quiet] = ["written", "quiet"].map(make);
    let view = || LogView::open(order.disk().join("store")).unwrap();
    let kept_from = view().end();
    written.fill();
    quiet.fill();

    let error = store.flush().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{}", text(&error));
    assert!(text(&error).contains("No space left"), "{}", text(&error));
    let mut refused = 0;
    for letter in LETTERS {
        let key = format!("{letter}-while-full");
        if let Err(error) = written.put(&key, Durability::Synced) {
            let text = text(&error);
            assert!(error.kind() == ErrorKind::InDoubt && text.contains("No space left"), "{text}");
            refused += 1;
        }
    }
    // The disk of one shard is full.
    assert!(refused <= 1, "{refused} shards refuse writes");
    assert!(view().first() <= kept_from, "what is in memory only was released");

    // RocksDB looks for room every five seconds, and then waits until no flush is under way, those
    // that fail included: if flushes were asked for all the time, it would never recover.
    let begun = Instant::now();
    while let Err(error) = store.flush() {
        assert!(begun.elapsed() < Duration::from_secs(120), "{}", text(&error));
        std::thread::sleep(Duration::from_secs(8));
    }
    quiet.fill();
    for letter in LETTERS {
        quiet.put(&format!("{letter}-again"), Durability::Synced).unwrap();
    }
    store.flush().unwrap();
    println!("{refused} refused, flushed again after {:?}", begun.elapsed());
    // As if it were killed.
    std::process::exit(0);
}

#[test]
fn a_disk_that_is_full_during_a_flush_costs_nothing() {
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
    let mut child = recorder::child_of("full::child", &order);
    child.env("ANNULUS_FAULT", "1:28:sticky").env("ANNULUS_FAULT_CALL", "create table");
    child.env("ANNULUS_FAULT_MILLIS", FULL_MILLIS);
    let status = child.status().unwrap();
    assert!(status.success(), "{status}\n{}", recorder::log(&order));
    let history = history(&order, Content::default());
    assert!(history.failed && history.acknowledged() > 180, "{}", history.acknowledged());
    let figures = Figures::default();
    examine(&order.disk(), &history, usize::MAX, End::Process, true, &figures).unwrap();
}
