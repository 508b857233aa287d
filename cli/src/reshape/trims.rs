//! Waiting for trims, which the store does in the background after a reshape by links.

use super::Interrupt;
use crate::exit::Outcome;
use crate::output::Output;
use annulus::Store;
use annulus::reshape::{Event, Phase};
use annulus_workload::human;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// After this time without a reshape in flight, no more will come: a trim has failed.
const QUIET_MAX: Duration = Duration::from_secs(3);

/// Counts the reshapes in flight; trims are some of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trims(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Begun and not ended.
    open: AtomicI64,
    events: AtomicU64,
}

impl Trims {
    /// Returns the listener that the store notifies of its events.
    pub(crate) fn listener(&self) -> impl Fn(&Event) + Send + Sync + 'static {
        let counts = Arc::clone(&self.0);
        move |event| {
            let change = match event {
                Event::Phase { phase: Phase::Prepared, .. } => 1,
                Event::Ended(_) => -1,
                _ => 0,
            };
            counts.open.fetch_add(change, Ordering::Relaxed);
            counts.events.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until partitions share no more files. Returns the bytes that are left nevertheless,
    /// because it was interrupted or a trim failed. The next opening continues with those.
    pub(crate) fn wait(
        &self,
        store: &Store,
        interrupt: &Interrupt,
        output: &Output,
    ) -> Outcome<u64> {
        let mut told = false;
        let (mut seen, mut since) = (0, Instant::now());
        loop {
            let left = foreign_bytes(store)?;
            let events = self.0.events.load(Ordering::Relaxed);
            if events != seen || self.0.open.load(Ordering::Relaxed) > 0 {
                (seen, since) = (events, Instant::now());
            }
            if left == 0 || interrupt.is_asked() || since.elapsed() > QUIET_MAX {
                return Ok(left);
            }
            if !told {
                told = true;
                let left = human::bytes(left);
                output.note(format_args!(
                    "committed; trimming {left} of shared files, Ctrl-C leaves that for later"
                ));
            }
            sleep(LOOK_EVERY);
        }
    }
}

/// Returns the bytes in files of partitions that belong to none of their keys.
pub(crate) fn foreign_bytes(store: &Store) -> Outcome<u64> {
    Ok(store.stats()?.shards.iter().map(|shard| shard.foreign_bytes).sum())
}
