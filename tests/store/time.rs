//! The time of a store: timestamps of commits under a clock that the test sets.

use annulus::changes::ChangesFrom;
use annulus::clock::{ManualClock, Timestamp};
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, Durability, Store};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

const HOUR: Duration = Duration::from_secs(3600);

fn open(path: &Path, clock: &ManualClock) -> Store {
    Store::builder(path).shards(2).clock(clock.clone()).open().unwrap()
}

/// Returns the timestamps of all commits that the log has.
fn of_commits(store: &Store) -> Vec<Timestamp> {
    let mut changes = store
        .changes()
        .from(ChangesFrom::Earliest)
        .durability(Durability::Buffered)
        .open()
        .unwrap();
    let mut found = Vec::new();
    while let Some(commit) = changes.next_timeout(Duration::ZERO).unwrap() {
        assert_eq!(commit.time(), commit.timestamp().time());
        found.push(commit.timestamp());
    }
    found
}

#[test]
fn commits_are_in_the_order_of_their_timestamps_after_a_restart_with_the_clock_set_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let clock = ManualClock::at(UNIX_EPOCH + 500_000 * HOUR);
    let mut last = Timestamp::default();
    for round in 0..4_u8 {
        let store = open(&path, &clock);
        assert!(store.now() >= last, "round {round}");
        let numbers = store.keyspace_or_create("numbers", KeyspaceSpec::hash()).unwrap();
        for n in 0..20_u8 {
            numbers.put([round, n], b"alone").unwrap();
            let mut batch = Batch::new();
            batch.put(&numbers, [n], b"together");
            batch.put(&numbers, [n, n, n], b"together");
            store.write(batch).unwrap();
            if n % 7 == 0 {
                clock.advance(Duration::from_millis(3));
            }
        }
        let commits = of_commits(&store);
        assert!(commits.is_sorted_by(|one, next| one < next), "round {round}: {commits:?}");
        assert!(
            commits.len() >= 40 && commits.first().is_some_and(|it| *it > Timestamp::default())
        );
        clock.advance(HOUR);
        last = store.now();
        assert!(commits.last().is_some_and(|it| *it <= last));
        // What was shown holds after a close; after an end of the process, what was committed.
        if round % 2 == 0 {
            store.close().unwrap();
        } else {
            last = commits.last().copied().unwrap();
        }
        drop(store);
        clock.rewind(5 * HOUR);
    }
}
