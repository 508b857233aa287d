//! The state that the threads of a run share.

use super::settings::Run;
use super::tally::Slots;
use crate::engine::Engine;
use crate::growth::Growth;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// What the threads share while they run.
pub(super) struct Shared<'a> {
    pub(super) engine: &'a dyn Engine,
    pub(super) growth: &'a Growth,
    pub(super) run: &'a Run<'a>,
    /// How many operations each thread has done.
    pub(super) done: Vec<Done>,
    pub(super) working: AtomicUsize,
    pub(super) stop: AtomicBool,
    /// Whether the hot spot has appeared, in a run whose length is a time.
    pub(super) hot: AtomicBool,
    pub(super) slots: Slots,
}

/// On a separate cache line.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Done(pub(super) AtomicU64);

impl<'a> Shared<'a> {
    pub(super) fn new(engine: &'a dyn Engine, growth: &'a Growth, run: &'a Run<'a>) -> Self {
        Self {
            engine,
            growth,
            run,
            done: (0..run.threads).map(|_| Done::default()).collect(),
            working: AtomicUsize::new(run.threads),
            stop: AtomicBool::new(false),
            hot: AtomicBool::new(false),
            slots: Slots::new(run.interval),
        }
    }

    pub(super) fn done(&self) -> u64 {
        self.done.iter().map(|Done(done)| done.load(Ordering::Relaxed)).sum()
    }
}

/// Counts a worker as ended, even one that panics.
pub(super) struct Left<'a, 'b>(pub(super) &'a Shared<'b>);

impl Drop for Left<'_, '_> {
    fn drop(&mut self) {
        self.0.working.fetch_sub(1, Ordering::Release);
    }
}
