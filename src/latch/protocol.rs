//! The steps of a read and of a write, each written once: the store's operations and the schedule
//! explorer's model run this code.
//!
//! A **read**: view → route → read → current? If not, again.
//!
//! A **write**, in the only order that the types allow:
//!
//! | step | what | why here |
//! |---|---|---|
//! | 1. gate | the commit gate is passed | a snapshot closes it, and finds no write half done |
//! | 2. view, route | the partitions of the present view | after the gate, which a snapshot closes while it takes the view |
//! | 3. stripes | of each partition's latch, those of the keys | a seal owns them all, so it waits for this write, or this write waits for it |
//! | 4. writable | the store takes writes | a batch that fails half way says so while it holds its stripes |
//! | 5. current | the partitions are current; if not, again from 1 | a hand-over supersedes them while it owns the stripes |
//! | 6. engine | the write itself | |
//! | 7. record | its keys, where a reshape tracks the partition | after the write: the reshape copies what it finds under a recorded key |
//! | 8. release | the stripes, then the gate | the record is there when a seal gets the stripes |
//! | 9. sample, wait | the operation is counted, and waits if a reshape must catch up | nothing is held by now |

use std::time::Duration;

/// Partitions of a view whose status has to be checked.
pub(crate) trait Current {
    type Error;

    /// Returns false if a reshape has superseded one of them: the present view has its successors.
    ///
    /// # Errors
    ///
    /// If the keyspace was dropped or the store closed.
    fn is_current(&self) -> Result<bool, Self::Error>;

    /// Reads, and then checks whether what was read counts: only after the read is it certain that
    /// the partitions were current during it. Returns `None` if they were superseded; the caller
    /// reads again, with the present view.
    #[inline]
    fn read<T>(
        &self,
        read: impl FnOnce() -> Result<T, Self::Error>,
    ) -> Result<Option<T>, Self::Error> {
        let found = read()?;
        Ok(self.is_current()?.then_some(found))
    }
}

/// The partitions that a write concerns, found in a view.
pub(crate) trait Routed: Current {
    /// Stripes held, in lock order.
    type Stripes<'a>
    where
        Self: 'a;

    fn take_stripes(&self) -> Self::Stripes<'_>;

    /// Records what was written, for the reshapes of its partitions. Returns how long the writer
    /// should sleep once it holds nothing.
    fn record(&self) -> Option<Duration>;
}

/// Where a write enters: what the steps before the engine need.
pub(crate) trait Site {
    type Error;
    type Gate<'a>
    where
        Self: 'a;
    type Routed<'a>: Routed<Error = Self::Error>
    where
        Self: 'a;

    fn pass_gate(&self) -> Self::Gate<'_>;
    /// Finds the partitions in the present view.
    fn route(&self) -> Result<Self::Routed<'_>, Self::Error>;
    fn check_writable(&self) -> Result<(), Self::Error>;
}

/// A write after step 5: all that is left is the write itself. Dropping it changes nothing.
#[must_use = "nothing is written yet"]
pub(crate) struct WriteTicket<'a, 's: 'a, S: Site + 's> {
    routed: &'a S::Routed<'s>,
    stripes: <S::Routed<'s> as Routed>::Stripes<'a>,
    gate: S::Gate<'s>,
}

/// What remains of a write that holds nothing any more (after step 8).
#[must_use = "a reshape may have asked its writers to wait"]
pub(crate) struct Written<T> {
    pub(crate) result: T,
    /// How long to sleep before the next write.
    pub(crate) delay: Option<Duration>,
}

impl<'a, 's, S: Site> WriteTicket<'a, 's, S> {
    pub(crate) fn routed(&self) -> &'a S::Routed<'s> {
        self.routed
    }

    /// Steps 6 to 8. Writes that `write` reports as failed are recorded, too: they may have been
    /// made.
    #[inline]
    pub(crate) fn write<T>(self, write: impl FnOnce() -> T) -> Written<T> {
        let result = write();
        let delay = self.routed.record();
        drop((self.stripes, self.gate));
        Written { result, delay }
    }
}

/// Takes a write through steps 1 to 5, and passes its ticket to `write`, which goes on from there.
///
/// # Errors
///
/// Those of the site, before `write` is called.
#[inline]
pub(crate) fn enter<'s, S: Site, T>(
    site: &'s S,
    write: impl FnOnce(WriteTicket<'_, 's, S>) -> T,
) -> Result<T, S::Error> {
    loop {
        let gate = site.pass_gate();
        let routed = site.route()?;
        let stripes = routed.take_stripes();
        site.check_writable()?;
        if routed.is_current()? {
            return Ok(write(WriteTicket { routed: &routed, stripes, gate }));
        }
    }
}
