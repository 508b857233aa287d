//! The store of the model, and the rules that an execution of it may break.

use super::super::sync::Mutex;
use super::engine::{Cut, Key, Name, Partition, Shard, View};
use super::history::History;
use super::log::Log;
use shuttle::sync::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Three keys to write, two of them in halves of one partition, and a pair for batches.
pub(super) const KEYS: [Key; 5] = *b"agpbq";
pub(super) const MIDDLE: Key = b'm';
pub(super) const QUARTER: Key = b'f';
pub(super) const END: Key = b'z';

/// The rule that an execution breaks: tests break one to show that it is needed, and that the model
/// notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    Nothing,
    // By clients: those that the types of the protocol exclude are in `broken.rs`.
    CheckBeforeRead,
    CheckBeforeStripe,
    StripeOfWriter,
    ApplyBeforeAppend,
    LandBeforeApply,
    AppendAfterRelease,
    ApplyAfterRelease,
    LookBetweenStripes,
    AddReadsEarly,
    SnapshotWithoutGate,
    CutsBeforeViews,
    PositionAfterGate,
    CompareBeforeAppend,
    // By the reshape.
    PinAfterCuts,
    PinAtEnd,
    CompareUnsealed,
    SealInKeyOrder,
    LastReadBeforeSeal,
    TargetsNotSealed,
    SupersedeBeforePublish,
    SupersedeAfterTargets,
    SupersedeAfterSeal,
    CloseWithoutSeal,
    // By what brings up a partition that is behind.
    BringUpWithoutDrain,
    ReshapeBehind,
}

/// The keyspace was closed.
#[derive(Debug)]
pub(super) struct Closed;

/// A keyspace of two partitions on two shards.
pub(super) struct Store {
    pub(super) shards: [Shard; 2],
    pub(super) log: Log,
    /// Stands for the atomic pointer.
    pub(super) view: Mutex<Arc<View>>,
    pub(super) gate: RwLock<()>,
    /// Excludes other changes of the view; true once it was closed.
    pub(super) changing: Mutex<bool>,
    pub(super) history: History,
    pub(super) names: AtomicU32,
    pub(super) values: AtomicU32,
    pub(super) broken: Broken,
}

impl Store {
    /// Creates it. The name of the first partition is greater than that of the second, as can
    /// happen after splits.
    pub(super) fn new(broken: Broken) -> Self {
        let first = Partition::new(1, 0, 0, MIDDLE);
        let second = Partition::new(0, 1, MIDDLE, END);
        Self {
            shards: Default::default(),
            log: Log::default(),
            view: Mutex::new(Arc::new(View(vec![Arc::new(first), Arc::new(second)]))),
            gate: RwLock::default(),
            changing: Mutex::default(),
            history: History::default(),
            names: AtomicU32::new(2),
            values: AtomicU32::new(1),
            broken,
        }
    }

    pub(super) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.lock())
    }

    pub(super) fn shard(&self, partition: &Partition) -> &Shard {
        &self.shards[partition.owner]
    }

    pub(super) fn cuts(&self) -> Vec<Cut> {
        self.shards.iter().map(Shard::snapshot).collect()
    }

    pub(super) fn name(&self) -> Name {
        self.names.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns a value that no other put has; those of additions are smaller.
    pub(super) fn value(&self) -> u64 {
        u64::from(self.values.fetch_add(1, Ordering::Relaxed)) * 100
    }
}
