//! Any position and any time between two backups can be restored, as far as the store had its log.

use super::{Rows, open_sound, rows_of};
use crate::basic::small;
use crate::churn::quick_directory;
use annulus::backup::{Repository, RestoreOptions};
use annulus::changes::ChangesFrom;
use annulus::clock::ManualClock;
use annulus::log::{LogView, Position, RecoveryTarget};
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, Durability, ErrorKind, Options, Store};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A write, and what the store had just before it.
struct Write {
    position: Position,
    at: SystemTime,
    before: BTreeMap<String, Rows>,
}

fn options(keep: u64) -> Options {
    small().write_buffer_bytes(4 << 20).log_keep_bytes(keep)
}

/// Returns the positions of all commits that the log has, from one on.
fn positions(store: &Store, from: Position) -> Vec<Position> {
    let changes = store.changes().from(ChangesFrom::Position(from));
    let mut changes = changes.durability(Durability::Buffered).open().unwrap();
    let mut found = Vec::new();
    while let Some(commit) = changes.next_timeout(Duration::ZERO).unwrap() {
        found.push(commit.position());
    }
    found
}

/// Writes, in segments of a MiB, so that there are several between backups.
fn write(store: &Store, clock: &ManualClock, writes: &mut Vec<Write>, count: usize) {
    let from = LogView::open(store.path()).unwrap().end();
    let keyspaces = store.keyspaces();
    let mut made = Vec::new();
    for n in 0..count {
        clock.advance(Duration::from_millis(10));
        let before = rows_of(store);
        let key = format!("{:03}", (writes.len() + n) % 40);
        let mut batch = Batch::new();
        for keyspace in &keyspaces {
            batch.put(keyspace, &key, vec![n as u8; 30_000]);
            batch.delete(keyspace, format!("{:03}", (n * 7) % 40));
        }
        store.write(batch).unwrap();
        made.push((store.now().time(), before));
    }
    let positions = positions(store, from);
    assert_eq!(positions.len(), count);
    for (position, (at, before)) in positions.into_iter().zip(made) {
        writes.push(Write { position, at, before });
    }
}

fn restore(repository: &Path, to: RecoveryTarget) -> BTreeMap<String, Rows> {
    let directory = quick_directory();
    let path = directory.path().join("copy");
    Repository::open(repository).unwrap().restore(&path, RestoreOptions::new().to(to)).unwrap();
    rows_of(&open_sound(&path))
}

#[test]
fn every_position_and_time_between_backups_can_be_restored() {
    let directory = quick_directory();
    let path = directory.path().join("store");
    let clock = ManualClock::at(UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    let open = || {
        let builder = Store::builder(&path).shards(2).clock(clock.clone());
        builder.options(options(1 << 30)).open().unwrap()
    };
    let store = open();
    store.create_keyspace("h", KeyspaceSpec::hash()).unwrap();
    store.create_keyspace("r", KeyspaceSpec::range().split_at(["02"])).unwrap();
    let backups = directory.path().join("backups");
    let mut writes = Vec::new();
    write(&store, &clock, &mut writes, 5);
    let first = store.backup(&backups).unwrap();
    write(&store, &clock, &mut writes, 40);
    let second = store.backup(&backups).unwrap();
    assert!(second.continues, "{second:?}");
    // A close and an opening in between make no gap.
    store.close().unwrap();
    drop(store);
    let store = open();
    write(&store, &clock, &mut writes, 20);
    let third = store.backup(&backups).unwrap();
    assert!(third.continues, "{third:?}");
    let end = rows_of(&store);
    store.close().unwrap();
    drop(store);

    super::assert_sound(&backups);
    for (n, Write { position, at, before }) in writes.iter().enumerate().skip(5) {
        if n % 4 == 1 || (43..48).contains(&n) {
            assert!(restore(&backups, RecoveryTarget::Position(*position)) == *before, "write {n}");
            let after = writes.get(n + 1).map_or(&end, |next| &next.before);
            assert!(restore(&backups, RecoveryTarget::Time(*at)) == *after, "time of write {n}");
        }
    }
    assert!(restore(&backups, RecoveryTarget::End) == end);
    let refused = |options: RestoreOptions, kind, word: &str| {
        let repository = Repository::open(&backups).unwrap();
        let error = repository.restore(directory.path().join("no"), options).unwrap_err();
        assert_eq!(error.kind(), kind, "{error:#}");
        assert!(error.to_string().contains(word), "{error:#}");
    };
    let to = |position| RestoreOptions::new().to(RecoveryTarget::Position(position));
    refused(to(writes[1].position), ErrorKind::NotFound, "before that moment");
    refused(to(first.position).backup(2), ErrorKind::InvalidArgument, "earlier");
    let beyond = Position::new(third.position.get() + 1);
    refused(to(beyond), ErrorKind::InvalidArgument, "only up to position");
    let later = RecoveryTarget::Time(third.at + Duration::from_secs(1));
    refused(RestoreOptions::new().to(later), ErrorKind::InvalidArgument, "only up to");
    // The first one alone, too, is brought to where the last one is.
    let copy = directory.path().join("from-the-first");
    let options = to(third.position).backup(1);
    let done = Repository::open(&backups).unwrap().restore(&copy, options).unwrap();
    // The backup's position is beyond a mark that follows the last of them.
    assert!(done.records == 60 && done.position <= third.position, "{done:?}, {third:?}");
    assert!(rows_of(&open_sound(&copy)) == end);

    // What old backups needed of the log goes with them, and the rest stays.
    let log = |of: &Path| super::files(&of.join("log")).len();
    let before = log(&backups);
    Repository::open(&backups).unwrap().prune(1).unwrap();
    assert!(log(&backups) < before);
    assert!(restore(&backups, RecoveryTarget::End) == end);
}

/// Where the store has freed a part of its log between two backups, that is said, and both are whole.
#[test]
fn a_gap_is_seen_and_not_jumped_over() {
    let directory = quick_directory();
    let path = directory.path().join("store");
    let store = Store::builder(&path).shards(2).options(options(0)).open().unwrap();
    let keyspace = store.create_keyspace("h", KeyspaceSpec::hash()).unwrap();
    let backups = directory.path().join("backups");
    keyspace.put("k", "0").unwrap();
    let first = store.backup(&backups).unwrap();
    for n in 0..60_u32 {
        keyspace.put(n.to_be_bytes(), vec![1; 100_000]).unwrap();
        if n % 20 == 19 {
            store.flush().unwrap();
        }
    }
    // The keeper frees segments on a thread of its own.
    let begin = || LogView::open(&path).unwrap().begin();
    while begin() <= first.position {
        std::thread::sleep(Duration::from_millis(5));
    }
    let second = store.backup(&backups).unwrap();
    assert!(!second.continues, "{second:?}");
    let between = RecoveryTarget::Position(Position::new(second.position.get() - 1));
    let options = RestoreOptions::new().to(between);
    let repository = Repository::open(&backups).unwrap();
    let error = repository.restore(directory.path().join("no"), options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error:#}");
    let of_first = RecoveryTarget::Position(first.position);
    assert_eq!(restore(&backups, of_first)["h"].len(), 1);
    assert!(restore(&backups, RecoveryTarget::End) == rows_of(&store));
    super::assert_sound(&backups);
}

/// A restored store has the numbers of the original's segments, and goes on in another way: backups of
/// both are in one repository, and none has the log of the other.
#[test]
fn a_restored_store_begins_another_part_of_the_log() {
    let directory = quick_directory();
    let path = directory.path().join("store");
    let backups = directory.path().join("backups");
    let open = |path: &Path| Store::builder(path).options(options(1 << 30)).open().unwrap();
    let store = open(&path);
    let keyspace = store.create_keyspace("h", KeyspaceSpec::hash()).unwrap();
    keyspace.put("who", "both").unwrap();
    store.backup(&backups).unwrap();
    let copy = directory.path().join("copy");
    Repository::open(&backups).unwrap().restore(&copy, RestoreOptions::new()).unwrap();
    keyspace.put("who", "original").unwrap();
    let of_original = store.backup(&backups).unwrap();
    assert!(of_original.continues);
    let copy = open(&copy);
    let of_copy = copy.keyspace("h").unwrap();
    for n in 0..50_u32 {
        of_copy.put(n.to_be_bytes(), "copy").unwrap();
    }
    let third = copy.backup(&backups).unwrap();
    assert!(!third.continues, "{third:?}");
    super::assert_sound(&backups);
    let of = |number: u64| {
        let path = directory.path().join(format!("of-{number}"));
        rows_of(&super::restored(&backups, &path, Some(number)))
    };
    assert!(of(2) == rows_of(&store) && of(3) == rows_of(&copy));
}
