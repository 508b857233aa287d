//! Waiting until the process is idle: flushes and compactions that one engine leaves behind would
//! slow down the next.

use std::time::{Duration, Instant};

/// How long the processor is watched at a time.
const WINDOW: Duration = Duration::from_millis(100);

/// This many windows in a row must be quiet.
const WINDOWS: u32 = 2;

/// A window is quiet if it took no more ticks of the processor, usually 10 ms each, than this.
const TICKS_MAX: u64 = 1;

/// Waits until the threads of this process hardly use the processor, but not longer than this. On
/// systems that do not report it, waits for one window.
pub(crate) fn wait_until_quiet(longest: Duration) {
    let started = Instant::now();
    let mut quiet = 0;
    let Some(mut before) = ticks() else { return std::thread::sleep(WINDOW.min(longest)) };
    while quiet < WINDOWS && started.elapsed() < longest {
        std::thread::sleep(WINDOW);
        let now = ticks().unwrap_or(before);
        quiet = if now - before <= TICKS_MAX { quiet + 1 } else { 0 };
        before = now;
    }
}

/// Returns the processor time of all threads of this process, as reported by Linux.
fn ticks() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // After the name in parentheses, which may contain anything; user and system time are the 12th
    // and 13th fields from there.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
    Some(times.next()?.ok()? + times.next()?.ok()?)
}
