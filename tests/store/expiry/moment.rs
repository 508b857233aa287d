//! Goal: a write is judged at one moment, also if rows expire while it is made.
//!
//! Method: a clock that leaps to where a row has expired, at its first look from now on, its second, and
//! so on. What the write has decided, what it has logged and what it has left must be of one side.

use super::{HOUR, SECOND, clock};
use crate::churn::quick_directory;
use annulus::changes::{Change, Changes, OldValue};
use annulus::clock::{Clock, ManualClock};
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, ConditionalWrite, Durability, Expect, Keyspace, Store};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// More looks at the clock than one write has.
const LOOKS: u64 = 12;

/// A clock that stands still, and leaps two hours ahead when it was looked at some times.
#[derive(Debug, Clone)]
struct Leaping {
    clock: ManualClock,
    /// 0 if it does not leap.
    looks_left: Arc<AtomicU64>,
}

impl Clock for Leaping {
    fn now(&self) -> SystemTime {
        let look = |left: u64| left.checked_sub(1);
        if self.looks_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, look) == Ok(1) {
            self.clock.advance(2 * HOUR);
        }
        self.clock.now()
    }
}

/// Which of its rows a write has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    There,
    Expired,
}

/// Returns the value before of the next commit's last change.
fn old(changes: &mut Changes) -> Found {
    let commit = changes.next_timeout(10 * SECOND).unwrap().expect("it was written");
    let last = commit.changes().last().unwrap();
    let (Change::Put { old, .. } | Change::Delete { old, .. }) = last else { panic!("{last:?}") };
    match old {
        OldValue::Value(_) => Found::There,
        OldValue::Absent => Found::Expired,
        OldValue::NotLogged => panic!("{last:?}"),
    }
}

fn count(rows: &Keyspace, key: &str) -> i64 {
    let value = rows.get(key).unwrap().unwrap();
    i64::from_le_bytes(value.as_ref().try_into().unwrap())
}

/// Makes a write that finds the row or does not. Returns which of them it has decided by, and which it has
/// logged; `None` if it has written nothing.
type Write = fn(&Store, &Keyspace, &mut Changes) -> Option<(Found, Found)>;

const WRITES: [(&str, Write); 5] = [
    ("a swap", |_, rows, changes| {
        let swap = rows.compare_and_swap("a", Some(&1_i64.to_le_bytes()), Some(b"")).unwrap();
        swap.is_swapped().then(|| (Found::There, old(changes)))
    }),
    ("a put of what is absent", |_, rows, changes| {
        let swap = rows.put_if_absent("a", "").unwrap();
        swap.is_swapped().then(|| (Found::Expired, old(changes)))
    }),
    ("an addition", |_, rows, changes| {
        let found = if rows.add("a", 1).unwrap() == 2 { Found::There } else { Found::Expired };
        Some((found, old(changes)))
    }),
    ("a batch with a condition", |store, rows, changes| {
        let mut batch = Batch::new();
        batch.require(rows, "a", Expect::Present);
        batch.put(rows, "a", "");
        let written = store.write_if(batch).unwrap();
        matches!(written, ConditionalWrite::Written).then(|| (Found::There, old(changes)))
    }),
    ("a batch with an addition", |store, rows, changes| {
        let mut batch = Batch::new();
        batch.add(rows, "a", 1);
        store.write(batch).unwrap();
        let found = if count(rows, "a") == 2 { Found::There } else { Found::Expired };
        Some((found, old(changes)))
    }),
];

/// A past bug: the conditions of a write, its counters and what it logs of the values before were each
/// judged at a moment of their own. A swap of a row that expired meanwhile was made, and a reader of
/// changes was told that the row had not been there.
#[test]
fn all_of_a_write_is_judged_at_one_moment() {
    let directory = quick_directory();
    let clock = Leaping { clock: clock(), looks_left: Arc::default() };
    let builder = Store::builder(directory.path().join("store")).shards(1);
    let store = builder.clock(clock.clone()).open().unwrap();
    let spec = KeyspaceSpec::hash().time_to_live(24 * HOUR);
    let rows = store.create_keyspace("rows", spec).unwrap();
    rows.log_old_values(true).unwrap();
    for (name, write) in WRITES {
        let mut outcomes = BTreeSet::new();
        for looks in 1..=LOOKS {
            rows.delete("a").unwrap();
            rows.put_for("a", 1_i64.to_le_bytes(), HOUR).unwrap();
            let mut changes = store.changes().durability(Durability::Buffered).open().unwrap();
            clock.looks_left.store(looks, Ordering::SeqCst);
            let outcome = write(&store, &rows, &mut changes);
            clock.looks_left.store(0, Ordering::SeqCst);
            if let Some((decided, logged)) = outcome {
                assert_eq!(decided, logged, "{name}, with a leap at look {looks}");
            }
            outcomes.insert(outcome);
        }
        // The first leaps came before the moment of the write, and the last ones after it.
        assert_eq!(outcomes.len(), 2, "{name}: {outcomes:?}");
    }
}
