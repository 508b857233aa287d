//! Calls of one disk that take longer than a bound.

use super::event::{DiskCall, Slow};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The calls to what is on one disk: counted where they are slow, and looked at by the thread that watches
/// disks.
#[derive(Debug)]
pub(crate) struct IoWatch {
    bound: Duration,
    begun: Instant,
    reads: Tally,
    syncs: Tally,
    /// When the sync began that is in progress, in nanoseconds since `begun`, and 1; 0 if there is none.
    /// There is one at a time.
    syncing: AtomicU64,
}

/// Slow calls of one kind since they were last taken.
#[derive(Debug, Default)]
struct Tally {
    count: AtomicU64,
    longest_nanos: AtomicU64,
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Tally {
    fn add(&self, took: Duration) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.longest_nanos.fetch_max(nanos(took), Ordering::Relaxed);
    }

    fn take(&self) -> Option<Slow> {
        let count = self.count.swap(0, Ordering::Relaxed);
        let longest = Duration::from_nanos(self.longest_nanos.swap(0, Ordering::Relaxed));
        (count > 0).then_some(Slow { count, longest, hangs: false })
    }
}

impl IoWatch {
    pub(crate) fn new(bound: Duration) -> Self {
        Self {
            bound,
            begun: Instant::now(),
            reads: Tally::default(),
            syncs: Tally::default(),
            syncing: AtomicU64::new(0),
        }
    }

    /// Makes a call that reads.
    pub(crate) fn read<T>(&self, read: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let returned = read();
        let took = begun.elapsed();
        if took > self.bound {
            self.reads.add(took);
        }
        returned
    }

    /// Makes a call that syncs.
    pub(crate) fn sync<T>(&self, sync: impl FnOnce() -> T) -> T {
        let begun = self.begun.elapsed();
        self.syncing.store(nanos(begun) + 1, Ordering::Relaxed);
        let returned = sync();
        self.syncing.store(0, Ordering::Relaxed);
        let took = self.begun.elapsed().saturating_sub(begun);
        if took > self.bound {
            self.syncs.add(took);
        }
        returned
    }

    /// Returns the slow calls of each kind since this was last called; a sync that has not returned is
    /// among them each time.
    pub(crate) fn take(&self) -> impl Iterator<Item = (DiskCall, Slow)> + use<> {
        let ended = self.syncs.take();
        let hangs = self.hanging();
        let syncs = match (ended, hangs) {
            (Some(ended), Some(so_far)) => {
                let longest = ended.longest.max(so_far);
                Some(Slow { count: ended.count + 1, longest, hangs: true })
            }
            (None, Some(so_far)) => Some(Slow { count: 1, longest: so_far, hangs: true }),
            (ended, None) => ended,
        };
        let reads = self.reads.take().map(|slow| (DiskCall::Read, slow));
        reads.into_iter().chain(syncs.map(|slow| (DiskCall::Sync, slow)))
    }

    /// Returns how long a sync has taken that is in progress, if that is longer than the bound.
    fn hanging(&self) -> Option<Duration> {
        let began = self.syncing.load(Ordering::Relaxed).checked_sub(1)?;
        let took = self.begun.elapsed().saturating_sub(Duration::from_nanos(began));
        (took > self.bound).then_some(took)
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use std::thread::sleep;

    const BOUND: Duration = Duration::from_millis(5);

    #[test]
    fn slow_calls_are_counted_by_kind_and_taken_once() {
        let watch = IoWatch::new(BOUND);
        watch.read(|| ());
        watch.sync(|| ());
        assert_eq!(IoWatch::new(Duration::from_secs(3600)).take().count(), 0);
        watch.read(|| sleep(3 * BOUND));
        watch.read(|| sleep(2 * BOUND));
        watch.sync(|| sleep(2 * BOUND));
        let taken: Vec<_> = watch.take().collect();
        let (call, slow) = taken[0];
        assert!(call == DiskCall::Read && slow.count >= 2 && slow.longest >= 3 * BOUND, "{slow:?}");
        assert!(taken[1].0 == DiskCall::Sync && !taken[1].1.hangs, "{taken:?}");
        assert_eq!(watch.take().count(), 0);
    }

    /// A call that never returns is not counted at its end.
    #[test]
    fn a_sync_that_hangs_is_seen_while_it_does() {
        let watch = IoWatch::new(BOUND);
        watch.sync(|| {
            sleep(2 * BOUND);
            for _ in 0..2 {
                let taken: Vec<_> = watch.take().collect();
                let (call, slow) = taken[0];
                assert!(call == DiskCall::Sync && slow.hangs && slow.longest > BOUND, "{slow:?}");
            }
        });
        let ended: Vec<_> = watch.take().collect();
        assert!(ended[0].1.count == 1 && !ended[0].1.hangs, "{ended:?}");
    }
}
