//! Readers while everything moves: writers of all kinds, and reshapes without a pause.

use super::{Rows, apply, content};
use crate::basic::{both, small};
use crate::churn::{Churn, Enough, Stop, quick_directory, seed};
use annulus::changes::{Change, Commit};
use annulus::{Batch, Durability, Keyspace, Store};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const WRITERS: usize = 3;
const KEYS: u32 = 40;

/// Writes until there is enough; returns how many commits. Each has the writer's number and a number of
/// its own, the next one: in a row of the range keyspace, together with something else.
fn write(store: &Store, writer: usize, seed: u64, enough: &(impl Fn() -> bool + Sync)) -> u64 {
    let [hash, range] = both(store);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut count = 0;
    while !enough() {
        count += 1;
        let key = format!("{}/{}", random.lowercase(), random.u32(..KEYS));
        let mut batch = Batch::new();
        batch.put(
            &range,
            format!("{}/writer", char::from(b'b' + 6 * writer as u8)),
            count.to_string(),
        );
        match random.u32(..10) {
            0..4 => batch.put(&hash, &key, format!("{writer} {count}")),
            4..6 => batch.delete(&hash, &key),
            6 => {
                // Of the writer's own counter the rows are elsewhere.
                let end = format!("{}/9", &key[..1]);
                batch.delete_range(&hash, format!("{}/5", &key[..1])..end);
            }
            _ => batch.put(&range, format!("x{key}"), format!("{writer} {count}")),
        }
        let synced = random.u32(..20) == 0;
        let durability = if synced { Durability::Synced } else { Durability::Buffered };
        store.write_with(batch, durability).unwrap();
        swap(&hash, &mut random);
    }
    count
}

/// Counts one of few counters up.
fn swap(hash: &Keyspace, random: &mut fastrand::Rng) {
    let key = format!("counter {}", random.u32(..3));
    let number = |value: &[u8]| std::str::from_utf8(value).unwrap().parse::<u64>().unwrap();
    let present = hash.get(&key).unwrap();
    let next = present.as_deref().map_or(0, number) + 1;
    // Another writer may be faster.
    let _ = hash.compare_and_swap(&key, present.as_deref(), Some(next.to_string().as_bytes()));
}

/// Checks what must be so of each commit: numbers of writers and counters without a gap.
#[derive(Default)]
struct Sequence {
    last: BTreeMap<Vec<u8>, u64>,
    writers: u64,
}

impl Sequence {
    fn check(&mut self, commit: &Commit) {
        for change in commit.changes() {
            let Change::Put { key, value, .. } = change else { continue };
            let is_writer = key.ends_with(b"/writer");
            if is_writer || key.starts_with(b"counter") {
                let number: u64 = std::str::from_utf8(value).unwrap().parse().unwrap();
                let last = self.last.entry(key.to_vec()).or_default();
                assert_eq!(number, *last + 1, "{}", key.escape_ascii());
                *last = number;
                self.writers += u64::from(is_writer);
            }
        }
        let writes = commit.changes().filter(|it| it.key().ends_with(b"/writer")).count();
        assert!(writes == 0 || commit.changes().count() == 2, "cut: {commit:?}");
    }
}

fn run(durability: Durability) {
    let seed = seed();
    let directory = quick_directory();
    let options = small().reshape(annulus::reshape::ReshapeOptions::new());
    let path = directory.path().join("store");
    let store = Store::builder(path).shards(3).options(options).open().unwrap();
    let keyspaces = both(&store);
    let changes = store.changes().durability(durability).open().unwrap();
    let (stop, commits, reshapes) =
        (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let enough = Enough::new();
    let is_enough = || {
        let (commits, reshapes) =
            (commits.load(Ordering::Relaxed), reshapes.load(Ordering::Relaxed));
        stop.load(Ordering::Acquire) || enough.is_reached(commits >= 3000 && reshapes >= 30)
    };
    let (rows, sequence, written) = std::thread::scope(|scope| {
        let store = &store;
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let is_enough = &is_enough;
                let stop = &stop;
                scope.spawn(move || {
                    let _stop = Stop(stop);
                    write(store, writer, seed + writer as u64, is_enough)
                })
            })
            .collect();
        scope.spawn(|| {
            let mut churn = Churn::new(seed).shards_percent(20);
            while !stop.load(Ordering::Acquire) {
                reshapes.fetch_add(churn.step(store).len(), Ordering::Relaxed);
                if reshapes.load(Ordering::Relaxed) % 10 == 0 {
                    store.flush().unwrap();
                }
            }
        });
        let reader = scope.spawn(|| {
            let _stop = Stop(&stop);
            let (mut rows, mut sequence) = (Rows::new(), Sequence::default());
            let mut changes = changes;
            loop {
                let done = stop.load(Ordering::Acquire);
                while let Some(commit) =
                    changes.next_timeout(std::time::Duration::from_millis(30)).unwrap()
                {
                    sequence.check(&commit);
                    check_applied(&keyspaces, &commit);
                    apply(&mut rows, &commit);
                    commits.fetch_add(1, Ordering::Relaxed);
                }
                if done {
                    return (rows, sequence);
                }
            }
        });
        let written: u64 = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
        let (rows, sequence) = reader.join().unwrap();
        (rows, sequence, written)
    });
    assert_eq!(sequence.writers, written);
    assert!(rows == content(&keyspaces), "what the changes make is not what the store has");
    assert!(
        reshapes.load(Ordering::Relaxed) >= 30 || std::env::var("ANNULUS_SOAK_SECONDS").is_ok()
    );
}

/// What was returned can be read: a counter has at least the value that it was set to.
fn check_applied([hash, _]: &[Keyspace; 2], commit: &Commit) {
    for change in commit.changes() {
        let Change::Put { key, value, .. } = change else { continue };
        if key.starts_with(b"counter") {
            let number = |value: &[u8]| std::str::from_utf8(value).unwrap().parse::<u64>().unwrap();
            let present = hash.get(key).unwrap().map_or(0, |value| number(&value));
            assert!(present >= number(value), "returned before it was applied");
        }
    }
}

#[test]
fn every_write_is_returned_once_in_order_during_reshapes() {
    run(Durability::Synced);
}

#[test]
fn every_applied_write_is_returned_once_in_order_during_reshapes() {
    run(Durability::Buffered);
}

/// What is in the log but not applied, for as long as a sync takes, is not returned.
#[test]
fn nothing_is_returned_before_it_is_applied() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = Store::builder(path).shards(2).options(small().heat(None)).open().unwrap();
    let [hash, range] = both(&store);
    let changes = store.changes().durability(Durability::Buffered).open().unwrap();
    let keyspaces = [hash.clone(), range];
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            for commit in changes.take(200) {
                check_applied(&keyspaces, &commit.unwrap());
            }
        });
        for n in 1..=200_u32 {
            hash.put_with("counter", n.to_string(), Durability::Synced).unwrap();
        }
        reader.join().unwrap();
    });
}
