//! The number of records, while several threads insert.

use std::sync::atomic::{AtomicU64, Ordering};

/// Nothing is being inserted.
const NOTHING: u64 = u64::MAX;

/// Counts records. Readers see records whose insertion has been acknowledged, and no number before
/// which one is missing: YCSB's acknowledged counter.
#[derive(Debug)]
pub struct Growth {
    next: AtomicU64,
    /// All records below this exist.
    readable: AtomicU64,
    /// What each thread is inserting, or less.
    inserting: Box<[Slot]>,
}

/// On a separate cache line, as each thread writes its own.
#[derive(Debug)]
#[repr(align(128))]
struct Slot(AtomicU64);

impl Growth {
    /// Creates a counter of `records` records, to which `threads` threads may insert.
    #[must_use]
    pub fn new(records: u64, threads: usize) -> Self {
        Self {
            next: AtomicU64::new(records),
            readable: AtomicU64::new(records),
            inserting: (0..threads).map(|_| Slot(AtomicU64::new(NOTHING))).collect(),
        }
    }

    /// Returns how many threads may insert.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.inserting.len()
    }

    /// Returns the number below which all records exist.
    #[must_use]
    #[inline]
    pub fn readable(&self) -> u64 {
        self.readable.load(Ordering::Acquire)
    }

    /// Inserts the next record, on behalf of a thread that inserts one at a time.
    ///
    /// # Errors
    ///
    /// The error of the insertion, whose number is then missing for good: readers see no greater
    /// one.
    pub fn insert<E>(
        &self,
        thread: usize,
        insert: impl FnOnce(u64) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(Slot(mine)) = self.inserting.get(thread) else { return Ok(()) };
        // A lower bound first: a thread that sees the number taken sees this, too.
        mine.store(self.next.load(Ordering::SeqCst), Ordering::SeqCst);
        let record = self.next.fetch_add(1, Ordering::SeqCst);
        mine.store(record, Ordering::SeqCst);
        insert(record)?;
        mine.store(NOTHING, Ordering::SeqCst);
        let next = self.next.load(Ordering::SeqCst);
        let others = self.inserting.iter().map(|Slot(slot)| slot.load(Ordering::SeqCst));
        let readable = others.fold(next, u64::min);
        self.readable.fetch_max(readable, Ordering::AcqRel);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "threads are what it is about")]
    fn readers_never_see_a_gap() {
        const THREADS: usize = 4;
        const EACH: usize = 20_000;
        let growth = Growth::new(10, THREADS);
        let there: Vec<AtomicBool> = (0..10 + THREADS * EACH).map(|_| false.into()).collect();
        there[..10].iter().for_each(|record| record.store(true, Ordering::Relaxed));
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (growth, there) = (&growth, &there);
                scope.spawn(move || {
                    for _ in 0..EACH {
                        let put = |record: u64| {
                            there[record as usize].store(true, Ordering::Relaxed);
                            Ok::<(), ()>(())
                        };
                        growth.insert(thread, put).unwrap();
                        let readable = growth.readable() as usize;
                        // The newest are those that could be missing.
                        let newest = &there[readable.saturating_sub(8)..readable];
                        assert!(newest.iter().all(|record| record.load(Ordering::Relaxed)));
                    }
                });
            }
        });
        assert_eq!(growth.readable() as usize, 10 + THREADS * EACH);
    }

    #[test]
    fn a_failed_insertion_leaves_the_rest_unread() {
        let growth = Growth::new(5, 2);
        assert_eq!(growth.insert(0, |_| Err("full")), Err("full"));
        assert_eq!(growth.insert(1, |_| Ok::<(), ()>(())), Ok(()));
        assert_eq!(growth.readable(), 5);
    }
}
