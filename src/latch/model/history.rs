//! What the clients did and saw, and whether one order explains it.

use super::engine::{Key, Rows};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// What a call did, or what it saw.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// Writes that take effect together.
    Write(Vec<(Key, Option<u64>)>),
    /// The same, at any moment after the call has begun.
    Late(Vec<(Key, Option<u64>)>),
    /// Added one to what it found.
    Add(Key, Option<u64>),
    Get(Key, Option<u64>),
    Snapshot(Rows),
    /// Read a key, and wrote another one.
    Transaction((Key, Option<u64>), (Key, Option<u64>)),
}

impl Act {
    /// Returns true if the call could do this, and see what it saw, now.
    fn apply(&self, rows: &mut Rows) -> bool {
        match self {
            Self::Write(writes) | Self::Late(writes) => {
                for (key, value) in writes {
                    match value {
                        Some(value) => drop(rows.insert(*key, *value)),
                        None => drop(rows.remove(key)),
                    }
                }
                true
            }
            Self::Add(key, found) => {
                let fits = rows.get(key) == found.as_ref();
                rows.insert(*key, found.unwrap_or_default() + 1);
                fits
            }
            Self::Get(key, found) => rows.get(key) == found.as_ref(),
            Self::Snapshot(seen) => rows == seen,
            Self::Transaction((read, found), write) => {
                let fits = rows.get(read) == found.as_ref();
                fits && Self::Write(vec![*write]).apply(rows)
            }
        }
    }

    /// Returns the part of this that concerns one key.
    fn of_key(&self, key: Key) -> Option<Self> {
        match self {
            Self::Write(writes) | Self::Late(writes) => {
                let writes: Vec<_> =
                    writes.iter().filter(|(written, _)| *written == key).copied().collect();
                (!writes.is_empty()).then_some(Self::Write(writes))
            }
            Self::Add(added, _) => (*added == key).then(|| self.clone()),
            Self::Get(read, _) => (*read == key).then(|| self.clone()),
            Self::Snapshot(seen) => Some(Self::Get(key, seen.get(&key).copied())),
            Self::Transaction((read, found), _) if *read == key => Some(Self::Get(key, *found)),
            Self::Transaction(_, write) => Self::Write(vec![*write]).of_key(key),
        }
    }
}

/// A call, and the moments between which it took place.
#[derive(Debug, Clone)]
struct Call {
    begun: usize,
    ended: usize,
    act: Act,
}

/// The calls of one execution. Not on the explorer's locks: observing must not switch threads.
#[derive(Default)]
pub(super) struct History(Mutex<(usize, Vec<Call>)>);

impl History {
    /// Returns the present moment.
    pub(super) fn now(&self) -> usize {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.0 += 1;
        inner.0
    }

    /// Adds a call that began at some moment and ends now.
    pub(super) fn add(&self, begun: usize, act: Act) {
        let ended = if matches!(act, Act::Late(_)) { usize::MAX } else { self.now() };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.push(Call { begun, ended, act });
    }

    /// Panics unless the calls on each key are linearizable, and so are all writes and snapshots
    /// together. A batch over several shards is one step for snapshots only, hence the two checks.
    pub(super) fn check(&self, first: &Rows, keys: &[Key]) {
        let calls = self.0.lock().unwrap_or_else(PoisonError::into_inner).1.clone();
        for key in keys {
            let of_key = |call: &Call| Some(Call { act: call.act.of_key(*key)?, ..*call });
            let calls: Vec<_> = calls.iter().filter_map(of_key).collect();
            let rows = first.iter().filter(|(found, _)| *found == key).map(|(k, v)| (*k, *v));
            let explained = explain(&calls, 0, rows.collect(), &mut HashSet::new());
            assert!(explained, "key {:?} is not linearizable: {calls:#?}", char::from(*key));
        }
        let whole: Vec<_> =
            calls.into_iter().filter(|call| !matches!(call.act, Act::Get(..))).collect();
        let explained = explain(&whole, 0, first.clone(), &mut HashSet::new());
        assert!(explained, "no order explains the snapshots: {whole:#?}");
    }
}

/// Looks for an order of the calls not yet done that explains what they saw, by trying all orders.
fn explain(calls: &[Call], done: u64, rows: Rows, tried: &mut HashSet<(u64, Rows)>) -> bool {
    let left = || calls.iter().enumerate().filter(|(index, _)| done & (1 << index) == 0);
    let Some(first_end) = left().map(|(_, call)| call.ended).min() else { return true };
    if !tried.insert((done, rows.clone())) {
        return false;
    }
    // A call that began after another had ended does not come before it.
    left().filter(|(_, call)| call.begun <= first_end).any(|(index, call)| {
        let mut rows = rows.clone();
        call.act.apply(&mut rows) && explain(calls, done | (1 << index), rows, tried)
    })
}
