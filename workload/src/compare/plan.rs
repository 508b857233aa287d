//! The plan of a comparison.

use crate::chooser::Distribution;
use crate::engine::{Durability, Event};
use crate::keys::{KeyOrder, Keys};
use crate::runner::Length;
use crate::values::ValueBytes;
use crate::workload::Workload;
use std::path::PathBuf;

/// What candidates are compared with; made by [`Args::plan`](crate::Args::plan).
#[derive(Debug, Clone)]
pub struct Plan {
    /// The workloads; run in YCSB's order on the same data.
    pub workloads: Vec<Workload>,
    /// Numbers of threads; each workload is run with each.
    pub threads: Vec<usize>,
    /// How many records are loaded.
    pub records: u64,
    /// How long each run is.
    pub length: Length,
    /// How much of that is run before, without being measured; in percent.
    pub warm_up_percent: u8,
    /// Operations a second; as many as possible without it.
    pub rate: Option<f64>,
    /// How long values are.
    pub value_bytes: ValueBytes,
    /// Replaces each workload's own.
    pub distribution: Option<Distribution>,
    /// Whether keys follow the order of insertion.
    pub key_order: KeyOrder,
    /// What writes survive.
    pub durability: Durability,
    /// Bytes of block cache.
    pub cache_bytes: usize,
    /// Bytes of write buffers.
    pub write_buffer_bytes: usize,
    /// How many times each run is repeated.
    pub rounds: u32,
    /// The seed of everything random.
    pub seed: u64,
    /// What happens after a percentage of each run.
    pub event: Option<(u8, Event)>,
    /// After this percentage of each run, a hot spot appears.
    pub hotspot_at: Option<u8>,
    /// The engine that the others are compared with; otherwise `rocksdb`, or the first.
    pub baseline: Option<String>,
    /// Where the data is made, in a separate directory; otherwise where temporary files go.
    pub directory: Option<PathBuf>,
    /// Whether the results have time lines.
    pub timeline: bool,
    /// The longest time to wait for compactions after each run, in milliseconds.
    pub quiet_ms_max: u64,
}

impl Plan {
    /// Returns the keys of its records.
    #[must_use]
    pub const fn keys(&self) -> Keys {
        Keys::new(self.key_order)
    }

    /// Returns the maximum number of threads of any run.
    #[must_use]
    pub fn threads_max(&self) -> usize {
        self.threads.iter().copied().max().unwrap_or(1)
    }
}
