//! A sample of a file's keys, to find split points.

use super::reader::{Reader, RowsArgs};
use crate::exit::Outcome;
use annulus::Options;
use std::path::Path;

/// Enough to find split points to within a percent, in little memory.
const SAMPLES_MAX: usize = 100_000;

/// Returns up to 100,000 keys of a file, each as likely as any other (reservoir sampling), in
/// order. Malformed lines are skipped; loading them reports them.
pub(crate) fn sample_keys(path: &Path, args: &RowsArgs) -> Outcome<Vec<Vec<u8>>> {
    let mut reader = Reader::open(path, args, &Options::default())?;
    let mut random = fastrand::Rng::with_seed(0);
    let mut samples: Vec<Vec<u8>> = Vec::new();
    let mut seen = 0;
    while let Some(row) = reader.next()? {
        let Ok(row) = row else { continue };
        seen += 1;
        if samples.len() < SAMPLES_MAX {
            samples.push(row.key);
        } else if let Some(slot) = samples.get_mut(random.usize(..seen)) {
            *slot = row.key;
        }
    }
    samples.sort_unstable();
    Ok(samples)
}
