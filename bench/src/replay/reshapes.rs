//! The reshapes that are committed while a replay runs.

use annulus::reshape::Event;
use annulus::topology::ReshapeKind;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// A reshape that was committed.
#[derive(Debug, Clone, Copy)]
pub struct Reshape {
    pub(super) ended: Instant,
    /// What it was.
    pub kind: ReshapeKind,
    /// By how much the number of partitions changed.
    pub grown: i64,
}

/// The reshapes so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Reshapes(Arc<Mutex<Vec<Reshape>>>);

impl Reshapes {
    /// Returns the listener that the store notifies of its events.
    pub(super) fn listener(&self) -> impl Fn(&Event) + Send + Sync + 'static {
        let Self(seen) = self.clone();
        move |event| {
            if let Event::Ended(outcome) = event
                && outcome.error.is_none()
                && !outcome.trim
            {
                let grown = outcome.targets.len() as i64 - outcome.sources.len() as i64;
                let reshape = Reshape { ended: Instant::now(), kind: outcome.kind, grown };
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(reshape);
            }
        }
    }

    /// Returns the reshapes so far, in the order in which they ended.
    pub(super) fn list(&self) -> Vec<Reshape> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
