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
//! | 2. view, route | the partitions of the present view, whose shards have room in memory; otherwise it is waited for outside of the gate, and then again from 1 | after the gate, which a snapshot closes while it takes the view |
//! | 3. stripes | of each partition's latch, those of the keys are owned; who waits long while it owns others gives them back, and begins again from 1 | two writes of a key have one order, here and in the log; a seal owns them all, so it waits for this write, or this write waits for it |
//! | 4. writable | the store takes writes | a write that leaves the store in doubt says so while it holds its stripes |
//! | 5. current | the partitions are current, and have what the log has; if superseded, again from 1 | a hand-over supersedes them while it owns the stripes |
//! | 6. log | one record for all of it is appended; and synced, if that was asked for | before the engines: no reader and no file has what the log lacks. If this fails, nothing is applied |
//! | 7. engine | what was appended is applied | before the stripes are released: a seal that gets them finds every record applied, and the next writer of the key comes after this one in the engine, too |
//! | 8. release | the record's place among those in flight, then the stripes, then the gate | a position below which all is applied passes the record only now |
//! | 9. sample | the operation is counted | nothing is held by now |
//!
//! `write/writer.rs` does 6 and 7, in this order for every write.

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
    /// Stripes owned, taken in lock order.
    type Stripes<'a>
    where
        Self: 'a;

    /// Returns true if the shards have room in memory, as far as is known.
    fn has_room(&self) -> bool;

    /// Waits for that, with nothing held.
    ///
    /// # Errors
    ///
    /// If the deadline of the write has passed.
    fn wait_for_room(&self) -> Result<(), Self::Error>;

    /// Takes the stripes. Returns `None` if they were given back, so that others need not wait with this
    /// write.
    ///
    /// # Errors
    ///
    /// If the deadline of the write has passed.
    fn take_stripes(&self) -> Result<Option<Self::Stripes<'_>>, Self::Error>;
}

/// Where a write enters: what the steps before the log need.
pub(crate) trait Site {
    type Error;
    type Gate<'a>
    where
        Self: 'a;
    type Routed<'a>: Routed<Error = Self::Error>
    where
        Self: 'a;

    /// # Errors
    ///
    /// If the deadline of the write has passed.
    fn pass_gate(&self) -> Result<Self::Gate<'_>, Self::Error>;
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

impl<'a, 's, S: Site> WriteTicket<'a, 's, S> {
    pub(crate) fn routed(&self) -> &'a S::Routed<'s> {
        self.routed
    }

    /// Steps 6 to 8: `write` appends to the log, and then applies.
    #[inline]
    pub(crate) fn write<T>(self, write: impl FnOnce() -> T) -> T {
        let done = write();
        drop((self.stripes, self.gate));
        done
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
        let gate = site.pass_gate()?;
        let routed = site.route()?;
        if !routed.has_room() {
            drop(gate);
            routed.wait_for_room()?;
            continue;
        }
        let Some(stripes) = routed.take_stripes()? else { continue };
        site.check_writable()?;
        if routed.is_current()? {
            return Ok(write(WriteTicket { routed: &routed, stripes, gate }));
        }
    }
}
