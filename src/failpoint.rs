//! Places where tests let the process die.
//!
//! Built only with the feature `failpoints`. The environment variable `ANNULUS_FAILPOINT` then
//! names a place, and after `@` how many times it is passed before it kills: `batch-after-part@3`
//! aborts the process at the third passing, with nothing flushed, dropped or unlocked. With
//! `panic:` before it, the thread panics there instead.
//!
//! `ANNULUS_SKIP` names protections, divided by commas, that are left out: a test that is there to
//! notice a missing one must then fail.

/// Marks a durable step of a protocol.
#[inline]
pub(crate) fn hit(place: &str) {
    #[cfg(feature = "failpoints")]
    enabled::hit(place);
    #[cfg(not(feature = "failpoints"))]
    let _ = place;
}

/// Whether a test has asked for this protection to be left out. Never in a build without failpoints.
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

#[cfg(feature = "failpoints")]
mod enabled {
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
}
