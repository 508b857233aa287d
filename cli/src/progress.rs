//! Progress bars on the standard error; nothing without a terminal.

use crate::text;
use annulus_workload::human;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// The minimum time between two drawings of a bar.
const TICK: Duration = Duration::from_millis(200);

fn bar(shown: bool, length: Option<u64>, template: &str) -> ProgressBar {
    let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(length, target);
    // A template that cannot be parsed is a defect, but no reason not to do the work.
    if let Ok(style) = ProgressStyle::with_template(template) {
        let rate = |state: &ProgressState, text: &mut dyn fmt::Write| {
            // What cannot be drawn is left out.
            let _ = text.write_str(&human::rate(state.per_sec()));
        };
        bar.set_style(style.with_key("rate", rate));
    }
    if shown && !bar.is_hidden() {
        bar.enable_steady_tick(TICK);
    }
    bar
}

/// Counts rows of a known number.
pub(crate) fn rows(shown: bool, what: impl Into<Cow<'static, str>>, rows: u64) -> ProgressBar {
    let template = "{prefix:>14} {bar:30} {human_pos}/{human_len} rows  {rate}  ETA {eta}";
    bar(shown, Some(rows), template).with_prefix(text::plain_line(&what.into()).into_owned())
}

/// Follows the bytes of a file; the message may show rows and their rate. Without a length there is
/// neither bar nor ETA.
pub(crate) fn file(shown: bool, length: Option<u64>) -> ProgressBar {
    let template = match length {
        Some(_) => "{bar:30} {bytes}/{total_bytes}  {msg}  ETA {eta}",
        None => "{spinner} {bytes}  {msg}",
    };
    bar(shown, length, template)
}

/// Follows one step after the other; the message shows the rest.
pub(crate) fn steps(shown: bool, parts: u64) -> ProgressBar {
    bar(shown, Some(parts), "{prefix} {bar:24} {percent:>3} %  {msg}")
}

/// Follows the bytes of a reshape; the message shows the rest.
pub(crate) fn reshape(shown: bool, what: impl Into<Cow<'static, str>>) -> ProgressBar {
    let template = "{prefix} {bar:24} {bytes}/{total_bytes}  {msg}";
    bar(shown, Some(0), template).with_prefix(text::plain_line(&what.into()).into_owned())
}

/// Follows bytes, of which there may come to be more.
pub(crate) fn bytes(shown: bool, what: &'static str) -> ProgressBar {
    let template = "{prefix} {bar:24} {bytes}/{total_bytes}  {bytes_per_sec}  ETA {eta}";
    bar(shown, Some(0), template).with_prefix(what)
}

/// Follows something whose end is not known; the message shows everything.
pub(crate) fn run(shown: bool) -> ProgressBar {
    bar(shown, None, "{spinner} {elapsed}  {msg}")
}
