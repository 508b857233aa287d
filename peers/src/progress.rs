//! A line on the standard error that shows the progress; Ctrl-C ends the comparison in an orderly
//! way.

use annulus_workload::{Observer, Result, Stage};
use std::io::{self, IsTerminal as _, Write as _};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Draws the line, if there is a terminal to show it.
pub(crate) fn observer() -> Result<Observer<'static>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&interrupted);
    ctrlc::set_handler(move || seen.store(true, Ordering::Relaxed))?;
    let shown = io::stderr().is_terminal();
    Ok(Observer::new(move |stage| {
        if shown {
            draw(stage);
        }
        if interrupted.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }))
}

fn draw(stage: &Stage<'_>) {
    let Stage { title, step, steps, part, ops_per_s, .. } = stage;
    let percent = part * 100.0;
    // What cannot be drawn is left out.
    let _ = write!(
        io::stderr(),
        "\r\x1b[K[{step}/{steps}] {title}: {percent:.0} %, {ops_per_s:.0} ops/s"
    );
    if *part >= 1.0 {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
}
