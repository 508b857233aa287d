//! Rows that expire: how a value says when, which time decides, and from when on the space of
//! expired rows may be reclaimed.
//!
//! Keyspaces that were created for it store before each value when it expires. The others store
//! their values as they are.
//!
//! `docs/time.md` has the argument.

mod horizon;
mod stored;

pub(crate) use horizon::{Held, Horizon};
pub use stored::ExpiringValue;
use stored::NEVER;
pub(crate) use stored::{HEADER_BYTES, Moment, time_of};

use crate::os::failpoint;
use crate::topology::TimeToLive;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// How long a row lives that is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum PutLifetime {
    /// As its keyspace says.
    #[default]
    Default,
    /// A time from the moment of the put on.
    For(Duration),
    /// Until this value of the field that says when a row expires.
    Until(u64),
}

impl PutLifetime {
    /// Returns that of a row that lives until a time, never less; or for ever.
    pub(crate) fn until(time: Option<SystemTime>) -> Self {
        Self::Until(time.map_or(NEVER, stored::field_of))
    }
}

/// The moment at which all of one write is judged: its conditions, what it reads, what it logs of the
/// values before, and the beginning of its rows' lifetimes. The present, when it is first asked for;
/// that is not before the stripes are held. A write without rows that expire never asks.
#[derive(Debug, Default)]
pub(crate) struct WriteMoment(Cell<Option<Moment>>);

impl WriteMoment {
    /// Returns the moment. All keyspaces of a store have the same time.
    pub(crate) fn get(&self, expiring: &Expiring) -> Moment {
        // IMPORTANT: once. Time goes on while a write is made, and a row that its condition has found
        // must not be logged as one that was not there.
        let moment = self.0.get().filter(|_| !failpoint::skip("write-moment"));
        moment.unwrap_or_else(|| {
            let now = expiring.now();
            self.0.set(Some(now));
            now
        })
    }
}

/// What the parts of a keyspace share whose rows expire.
#[derive(Debug)]
pub(crate) struct Expiring {
    horizon: Arc<Horizon>,
    time_to_live: TimeToLive,
    /// The fields of [`Counts`].
    counts: [AtomicU64; 4],
}

impl Expiring {
    pub(crate) fn new(horizon: &Arc<Horizon>, time_to_live: TimeToLive) -> Arc<Self> {
        let horizon = Arc::clone(horizon);
        Arc::new(Self { horizon, time_to_live, counts: Default::default() })
    }

    /// Returns the lifetime of rows whose put does not say it.
    pub(crate) const fn time_to_live(&self) -> TimeToLive {
        self.time_to_live
    }

    /// Returns the present moment.
    pub(crate) fn now(&self) -> Moment {
        self.horizon.now()
    }

    /// Returns the moment up to which what has expired is needed by no reader, and the present one.
    pub(crate) fn reclaimable(&self) -> (Moment, Moment) {
        self.horizon.reclaimable()
    }

    /// Holds the present moment for a reader that goes on: what has not expired at it stays.
    pub(crate) fn hold(&self) -> Held {
        self.horizon.hold()
    }

    /// Returns a value as it is stored that is put at a moment.
    pub(crate) fn store(
        &self,
        value: &[u8],
        lifetime: PutLifetime,
        moment: &WriteMoment,
    ) -> Vec<u8> {
        let after = |lifetime| moment.get(self).after(lifetime);
        let expires = match lifetime {
            PutLifetime::Default => self.time_to_live.default_lifetime().map_or(NEVER, after),
            PutLifetime::For(lifetime) => after(lifetime),
            PutLifetime::Until(field) => field,
        };
        [&expires.to_le_bytes()[..], value].concat()
    }

    /// Adds to what was counted since the opening.
    pub(crate) fn count(&self, more: Counts) {
        let Counts { rows_reclaimed, bytes_reclaimed, rows_held, rows_passed } = more;
        let more = [rows_reclaimed, bytes_reclaimed, rows_held, rows_passed];
        for (counter, n) in self.counts.iter().zip(more).filter(|(_, n)| *n > 0) {
            counter.fetch_add(n, Ordering::Relaxed);
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        let [rows_reclaimed, bytes_reclaimed, rows_held, rows_passed] =
            self.counts.each_ref().map(|counter| counter.load(Ordering::Relaxed));
        Counts { rows_reclaimed, bytes_reclaimed, rows_held, rows_passed }
    }
}

/// What was seen of rows that have expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    /// What compactions have removed.
    pub(crate) rows_reclaimed: u64,
    pub(crate) bytes_reclaimed: u64,
    /// What compactions have left for readers.
    pub(crate) rows_held: u64,
    /// What scans have passed over.
    pub(crate) rows_passed: u64,
}
