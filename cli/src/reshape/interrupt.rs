//! Ctrl-C and other requests that the process end: the first aborts what runs, the second ends the
//! process at once.

use crate::output::Output;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// What a shell reports of a process that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// Whether the process was asked to end.
pub(crate) struct Interrupt(Arc<AtomicU32>);

impl Interrupt {
    /// Makes the first request abort what runs, instead of ending the process.
    pub(crate) fn catch(output: &Output) -> Self {
        let asked = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&asked);
        let set = ctrlc::set_handler(move || {
            if count.fetch_add(1, Ordering::Relaxed) > 0 {
                // The next opening rolls back what was not committed.
                process::exit(INTERRUPTED);
            }
        });
        if let Err(error) = set {
            output.note(format_args!("note: Ctrl-C will end the process at once: {error}"));
        }
        Self(asked)
    }

    /// Returns true if the process was asked to end.
    pub(crate) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// For work that is not interrupted.
    pub(crate) fn never() -> Self {
        Self(Arc::default())
    }
}
