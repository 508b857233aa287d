//! The settings of a run.

use crate::chooser::Distribution;
use crate::engine::Event;
use crate::keys::Keys;
use crate::values::Values;
use crate::workload::Mix;
use std::time::Duration;

/// How long a run is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Length {
    /// A number of operations, shared by the threads.
    Operations(u64),
    /// A time.
    Time(Duration),
}

/// What to run.
#[derive(Debug, Clone)]
pub struct Run<'a> {
    /// The kinds of operations.
    pub mix: Mix,
    /// Which records they are for.
    pub distribution: Distribution,
    /// The records' keys.
    pub keys: Keys,
    /// What is written, and what reads are checked against.
    pub values: &'a Values,
    /// How many threads.
    pub threads: usize,
    /// When it ends.
    pub length: Length,
    /// How much of that is run before, without being measured; in percent.
    pub warm_up_percent: u8,
    /// Operations a second of all threads together; `None` for as many as possible.
    pub rate: Option<f64>,
    /// The seed of everything random.
    pub seed: u64,
    /// What happens to the engine, after a percentage of the run.
    pub event: Option<(u8, Event)>,
    /// After this percentage of the run, half of the operations fall on 1 % of the keys, which are
    /// neighbours.
    pub hotspot_at: Option<u8>,
    /// How long an interval of the time line is.
    pub interval: Duration,
}
