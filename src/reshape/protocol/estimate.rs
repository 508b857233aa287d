//! How long it takes to apply what is left, as measured so far.

use std::time::Duration;

/// A part of the log that is shorter than this says nothing about how fast it is read.
const LOG_BYTES_MIN: u64 = 64 << 10;

/// How long things take.
pub(super) struct Estimate {
    /// Seconds in which a byte of the log is read, whatever it is about.
    read_per_byte: f64,
    /// How many of the writes in a byte of the log concern the sources.
    operations_per_byte: f64,
    per_operation: Duration,
    /// Until a record of the metadata is on the disk.
    commit: Duration,
}

impl Default for Estimate {
    fn default() -> Self {
        Self {
            read_per_byte: 2e-9,
            operations_per_byte: 0.01,
            per_operation: Duration::from_micros(20),
            commit: Duration::ZERO,
        }
    }
}

impl Estimate {
    /// Notes how long it took to read a part of the log.
    pub(super) fn has_read(&mut self, bytes: u64, operations: usize, took: Duration) {
        if bytes >= LOG_BYTES_MIN {
            self.read_per_byte = took.as_secs_f64() / bytes as f64;
            self.operations_per_byte = operations as f64 / bytes as f64;
        }
    }

    /// Notes how long it took to apply writes.
    pub(super) fn has_applied(&mut self, operations: usize, took: Duration) {
        if let Ok(operations @ 1..) = u32::try_from(operations) {
            self.per_operation = took / operations;
        }
    }

    /// Notes how long it took to write and sync a record of the metadata.
    pub(super) fn has_committed(&mut self, took: Duration) {
        self.commit = took;
    }

    /// Returns true if reading a part of the log, applying what concerns the targets, and the
    /// commit fit into the pause.
    pub(super) fn fits_log(&self, bytes: u64, pause: Duration) -> bool {
        let per_operation = self.per_operation.as_secs_f64();
        let per_byte = self.operations_per_byte.mul_add(per_operation, self.read_per_byte);
        per_byte * bytes as f64 <= self.left(pause).as_secs_f64()
    }

    /// The same for writes that have been read.
    pub(super) fn fits(&self, operations: usize, pause: Duration) -> bool {
        let operations = u32::try_from(operations).unwrap_or(u32::MAX);
        self.per_operation.saturating_mul(operations) <= self.left(pause)
    }

    /// Returns what the commit leaves of the pause. If it takes longer than the pause, a quarter of
    /// it is left for writes: waiting does not shorten a sync.
    fn left(&self, pause: Duration) -> Duration {
        pause.saturating_sub(self.commit).max(pause / 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_millis(5);

    /// The failure looked for: where a few writes in a log of gigabytes concern the sources, each of
    /// them seems to take as long as reading what is between them, and the seal is never tried.
    #[test]
    fn what_others_write_does_not_make_a_write_seem_slow() {
        let mut estimate = Estimate::default();
        estimate.has_read(1 << 30, 10, Duration::from_secs(1));
        estimate.has_applied(10, Duration::from_micros(100));
        assert!(estimate.fits(400, PAUSE) && !estimate.fits(600, PAUSE));
        assert!(estimate.fits_log(4 << 20, PAUSE) && !estimate.fits_log(16 << 20, PAUSE));
        // A short part says nothing.
        estimate.has_read(100, 1, Duration::from_millis(1));
        assert!(estimate.fits_log(4 << 20, PAUSE));
    }

    #[test]
    fn a_slow_disk_leaves_a_quarter_of_the_pause() {
        let mut estimate = Estimate::default();
        estimate.has_applied(1000, Duration::from_millis(1));
        estimate.has_committed(Duration::from_millis(50));
        assert!(estimate.fits(1250, PAUSE) && !estimate.fits(1251, PAUSE));
    }
}
