//! What the target `log` runs.

use std::collections::BTreeSet;

pub(crate) fn run(bytes: &[u8]) -> BTreeSet<&'static str> {
    annulus::log_fuzzing::check(bytes).into_iter().collect()
}
