//! The progress line, and Ctrl-C.

use crate::output::Output;
use crate::progress;
use crate::reshape::Interrupt;
use annulus_workload::human;
use annulus_workload::{Observer, Result, Stage};
use std::ops::ControlFlow;

/// The length of the bar: fractions of a step are shown to a thousandth.
const PARTS: f64 = 1000.0;

/// Shows the progress of a comparison until it has ended, and ends it when the process is asked to
/// end.
pub(in crate::commands) fn watched<T>(
    output: &Output,
    compare: impl FnOnce(&mut Observer<'_>) -> Result<T>,
) -> Result<T> {
    let bar = progress::steps(!output.json(), PARTS as u64);
    let interrupt = Interrupt::catch(output);
    let done = compare(&mut Observer::new(|stage: &Stage<'_>| {
        bar.set_prefix(format!("{}/{} {}", stage.step, stage.steps, stage.title));
        bar.set_position((stage.part * PARTS) as u64);
        bar.set_message(human::rate(stage.ops_per_s));
        if interrupt.is_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }));
    bar.finish_and_clear();
    done
}
