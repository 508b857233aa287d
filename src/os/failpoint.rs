//! Places where tests kill the process, or make an operation fail.
//!
//! Built only with the feature `failpoints`. The environment variable `ANNULUS_FAILPOINT` then
//! names a place, and after `@` at which passing it takes effect: `write-after-log@3` aborts the
//! process at the third passing, with nothing flushed, dropped or unlocked. With `panic:` before
//! it, the thread panics there instead.
//!
//! `ANNULUS_SKIP` names protections, separated by commas, that are left out: a test that exists to
//! notice a missing one must then fail. `ANNULUS_MEMTABLE_BYTES` makes flushes frequent,
//! `ANNULUS_REPLAY_BYTES` the batches of a replay small.
//!
//! A file `SET-` and a name in a directory holds a number that stands for what the system would say of
//! it, and a file `HANG-` and an operation's name makes that operation wait until the file is gone.
//!
//! Operations fail where the variable `ANNULUS_FAIL` names them, and those on the files in a
//! directory as long as that holds a file `FAIL-` and the operation's name.

use std::fmt::Display;
use std::path::Path;

/// Marks a durable step of a protocol.
#[inline]
pub(crate) fn hit(place: &str) {
    #[cfg(feature = "failpoints")]
    enabled::hit(place);
    #[cfg(not(feature = "failpoints"))]
    let _ = place;
}

/// Panics if what a protocol relies on does not hold: where there are failpoints, or debug
/// assertions.
#[inline]
pub(crate) fn require(holds: impl FnOnce() -> bool, violated: impl Display) {
    if cfg!(any(debug_assertions, feature = "failpoints")) {
        assert!(holds(), "{violated}");
    }
}

/// Returns true if a test has asked to leave this protection out; never without failpoints.
#[inline]
pub(crate) fn skip(protection: &str) -> bool {
    #[cfg(feature = "failpoints")]
    return enabled::skip(protection);
    #[cfg(not(feature = "failpoints"))]
    {
        let _ = protection;
        false
    }
}

/// Returns true if a test has asked for this operation to fail, anywhere in the process.
#[inline]
pub(crate) fn fails(operation: &str) -> bool {
    #[cfg(feature = "failpoints")]
    return enabled::fails(operation);
    #[cfg(not(feature = "failpoints"))]
    {
        let _ = operation;
        false
    }
}

/// Returns true if a test has asked for this operation to fail on the files of a directory.
#[inline]
pub(crate) fn fails_in(directory: &Path, operation: &str) -> bool {
    #[cfg(feature = "failpoints")]
    return enabled::fails_in(directory, operation);
    #[cfg(not(feature = "failpoints"))]
    {
        let _ = (directory, operation);
        false
    }
}

/// Returns the size that a test has asked for, or the usual one: small sizes make rare events
/// frequent.
#[inline]
pub(crate) fn size(variable: &str, usual: usize) -> usize {
    #[cfg(feature = "failpoints")]
    return enabled::size(variable).unwrap_or(usual);
    #[cfg(not(feature = "failpoints"))]
    {
        let _ = variable;
        usual
    }
}

/// Returns the number that a test has put in the place of what the system says of a directory.
#[inline]
pub(crate) fn number_in(directory: &Path, name: &str) -> Option<u64> {
    #[cfg(feature = "failpoints")]
    return enabled::number_in(directory, name);
    #[cfg(not(feature = "failpoints"))]
    {
        let _ = (directory, name);
        None
    }
}

/// Waits as long as a test has asked for this operation to hang on the files of a directory.
#[inline]
pub(crate) fn hang_in(directory: &Path, operation: &str) {
    #[cfg(feature = "failpoints")]
    enabled::hang_in(directory, operation);
    #[cfg(not(feature = "failpoints"))]
    let _ = (directory, operation);
}

#[cfg(feature = "failpoints")]
mod enabled {
    use std::fs::OpenOptions;
    use std::io::Write as _;
    use std::path::Path;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Plan {
        place: String,
        panics: bool,
        passings_left: AtomicU64,
    }

    static PLAN: LazyLock<Option<Plan>> = LazyLock::new(|| {
        let text = std::env::var("ANNULUS_FAILPOINT").ok()?;
        let (place, times) = text.split_once('@').unwrap_or((&text, "1"));
        let passings_left = AtomicU64::new(times.parse().unwrap_or(1));
        let (panics, place) = match place.strip_prefix("panic:") {
            Some(place) => (true, place),
            None => (false, place),
        };
        Some(Plan { place: place.to_owned(), panics, passings_left })
    });

    static SKIPPED: LazyLock<Vec<String>> = LazyLock::new(|| {
        let names = std::env::var("ANNULUS_SKIP").unwrap_or_default();
        names.split(',').map(str::to_owned).collect()
    });

    pub(super) fn size(variable: &str) -> Option<usize> {
        std::env::var(variable).ok()?.parse().ok()
    }

    pub(super) fn skip(protection: &str) -> bool {
        SKIPPED.iter().any(|name| name == protection)
    }

    pub(super) fn hit(place: &str) {
        let Some(plan) = PLAN.as_ref().filter(|plan| plan.place == place) else { return };
        if plan.passings_left.fetch_sub(1, Ordering::SeqCst) == 1 {
            assert!(!plan.panics, "failpoint {place}");
            std::process::abort();
        }
    }

    pub(super) fn fails(operation: &str) -> bool {
        static FAILING: LazyLock<Option<String>> =
            LazyLock::new(|| std::env::var("ANNULUS_FAIL").ok());
        FAILING.as_deref() == Some(operation)
    }

    pub(super) fn number_in(directory: &Path, name: &str) -> Option<u64> {
        let file = directory.join(format!("SET-{name}"));
        // First, so that a test that counts the calls that open files does not see this one.
        let text = file.exists().then(|| std::fs::read_to_string(file))?.ok()?;
        text.trim().parse().ok()
    }

    pub(super) fn hang_in(directory: &Path, operation: &str) {
        let file = directory.join(format!("HANG-{operation}"));
        while file.exists() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// Adds a byte to the file for each failure, so that a test can count them.
    pub(super) fn fails_in(directory: &Path, operation: &str) -> bool {
        let file = directory.join(format!("FAIL-{operation}"));
        OpenOptions::new().append(true).open(file).is_ok_and(|mut file| {
            let _ = file.write_all(b".");
            true
        })
    }
}
