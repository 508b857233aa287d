//! The thread that watches the others: reports the progress, and triggers the events in the middle
//! of a run.

use super::outcome::EventTimes;
use super::settings::{Length, Run};
use super::shared::Shared;
use crate::engine::{Engine, Event, Result};
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::thread::Scope;
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(5);
const TELL_EVERY: Duration = Duration::from_millis(200);

/// Receives the fraction that is done and the number of operations; ends the run by a break.
pub(super) type Tell<'a> = dyn FnMut(f64, u64) -> ControlFlow<()> + 'a;

pub(super) struct Watch<'a> {
    tell: &'a mut Tell<'a>,
    event: Option<(f64, Event)>,
    hotspot_at: Option<f64>,
    times: Option<EventTimes>,
}

impl<'a> Watch<'a> {
    /// Creates a watcher that triggers the events of the run.
    pub(super) fn new(run: &Run<'_>, tell: &'a mut Tell<'a>) -> Self {
        let part = |percent: u8| f64::from(percent) / 100.0;
        Self {
            tell,
            event: run.event.map(|(percent, event)| (part(percent), event)),
            hotspot_at: run.hotspot_at.map(part),
            times: None,
        }
    }

    /// Creates a watcher without events.
    pub(super) fn without_events(tell: &'a mut Tell<'a>) -> Self {
        Self { tell, event: None, hotspot_at: None, times: None }
    }

    /// Returns when the event began and ended.
    pub(super) fn into_event(self) -> Option<EventTimes> {
        self.times
    }

    /// Watches until all threads have ended, and so has the event.
    pub(super) fn watch<'scope, 'env: 'scope>(
        &mut self,
        shared: &'env Shared<'env>,
        length: Length,
        started: Instant,
        scope: &'scope Scope<'scope, 'env>,
    ) -> Result<()> {
        let (mut told, mut happening) = (started, None);
        loop {
            let working = shared.working.load(Ordering::Acquire) > 0;
            let done = shared.done();
            // What a short run has no time for happens after it.
            let part = if working { part(length, started.elapsed(), done) } else { 1.0 };
            if self.hotspot_at.is_some_and(|at| part >= at) {
                shared.hot.store(true, Ordering::Relaxed);
            }
            if let Some((_, event)) = self.event.take_if(|(at, _)| part >= *at) {
                let engine = shared.engine;
                happening = Some(scope.spawn(move || happen(engine, event, started)));
            }
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                if (self.tell)(part, done).is_break() {
                    shared.stop.store(true, Ordering::Relaxed);
                }
            }
            if !working {
                break;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        let Some(happening) = happening else { return Ok(()) };
        let happened = happening.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        self.times = happened?;
        Ok(())
    }
}

fn part(length: Length, elapsed: Duration, done: u64) -> f64 {
    match length {
        Length::Operations(operations) => done as f64 / operations.max(1) as f64,
        Length::Time(time) => elapsed.as_secs_f64() / time.as_secs_f64().max(1e-9),
    }
    .min(1.0)
}

fn happen(engine: &dyn Engine, event: Event, started: Instant) -> Result<Option<EventTimes>> {
    let began_s = started.elapsed().as_secs_f64();
    let happened = engine.event(event)?;
    let ended_s = started.elapsed().as_secs_f64();
    Ok(happened.then_some(EventTimes { event, began_s, ended_s }))
}
