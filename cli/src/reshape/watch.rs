//! Following a job: a bar with phase, bytes, rate, the time left, and how much is still to be caught up.

use super::Interrupt;
use crate::output::Output;
use crate::progress;
use annulus::reshape::{Job, Progress};
use annulus_workload::human;
use indicatif::ProgressBar;
use std::time::Duration;

/// How often the job is polled.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Shows the progress of a job until it has ended, and aborts it when the process is asked to end.
pub(crate) fn follow(job: &Job, title: String, interrupt: &Interrupt, output: &Output) {
    let bar = progress::reshape(!output.json(), title);
    let mut aborted = false;
    while job.wait_timeout(LOOK_EVERY).is_none() {
        if interrupt.is_asked() && !aborted {
            aborted = true;
            job.abort();
            bar.suspend(|| output.note("aborting; what is not committed is rolled back"));
        }
        show(&bar, &job.progress());
    }
    bar.finish_and_clear();
}

fn show(bar: &ProgressBar, progress: &Progress) {
    bar.set_length(progress.bytes_total);
    bar.set_position(progress.bytes_done);
    let mut text = format!("{}/s", human::bytes(progress.bytes_per_second as u64));
    if let Some(eta) = progress.eta {
        text += &format!("  ETA {}", human::span(eta));
    }
    text += &format!("  {}", progress.phase.as_str().replace('_', " "));
    if progress.reshapes > 1 {
        text += &format!("  {} of {}", progress.reshapes_ended, progress.reshapes);
    }
    if progress.bytes_behind > 0 {
        text += &format!("  {} behind", human::bytes(progress.bytes_behind));
    }
    bar.set_message(text);
}
