//! What a store tells of while it happens: reshapes, and load.

use super::{Outcome, Phase};
use crate::heat::HeatEvent;
use std::fmt;
use std::sync::Arc;

/// Something that happened; see
/// [`StoreBuilder::listener`](crate::StoreBuilder::listener).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A reshape came to another phase.
    Phase {
        /// The number of the reshape.
        reshape: u64,
        /// Its phase from now on.
        phase: Phase,
    },
    /// A reshape has ended, either way.
    Ended(Outcome),
    /// A key or a partition has become hot, or has cooled.
    Heat(HeatEvent),
}

/// Is told of events, on the thread that makes them.
#[derive(Clone)]
pub(crate) struct Listener(pub(crate) Arc<dyn Fn(&Event) + Send + Sync>);

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}
