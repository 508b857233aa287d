//! Events: what happens in a store, to reshapes, to the load and to disks, as its listener receives it.

use super::outcome::Outcome;
use super::phase::Phase;
use crate::disk::DiskEvent;
use crate::error::{Error, Result};
use crate::heat::HeatEvent;
use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Something that happened; see
/// [`StoreBuilder::listener`](crate::StoreBuilder::listener).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A reshape entered another phase.
    Phase {
        /// The number of the reshape.
        reshape: u64,
        /// Its phase from now on.
        phase: Phase,
    },
    /// A reshape has ended, committed or rolled back.
    Ended(Outcome),
    /// A key or a partition has become hot, or has cooled.
    Heat(HeatEvent),
    /// A disk is nearly full, has room again, or is slow.
    Disk(DiskEvent),
}

/// Receives events, on the thread that causes them.
#[derive(Clone)]
pub(crate) struct Listener(pub(crate) Arc<dyn Fn(&Event) + Send + Sync>);

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

thread_local! {
    /// The tellers whose listeners this thread is calling, the innermost last: a listener may cause
    /// another event, also of another store.
    static CALLING: RefCell<Vec<TellerId>> = const { RefCell::new(Vec::new()) };
}

/// Passes that list to a function. Returns `None` on a thread whose local values are being
/// destroyed, one of which may be the last handle of a store: such a thread calls no listener that
/// could call back.
fn on_calling<T>(look: impl FnOnce(&mut Vec<TellerId>) -> T) -> Option<T> {
    CALLING.try_with(|calling| look(&mut calling.borrow_mut())).ok()
}

/// Identifies, within the process, the store that calls its listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TellerId(u64);

impl TellerId {
    /// Returns true if this thread is calling the listener of this store.
    pub(crate) fn is_calling(self) -> bool {
        on_calling(|calling| calling.contains(&self)).unwrap_or(false)
    }

    /// Refuses an operation that would wait for the thread that calls the listener, which would be
    /// itself.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` on a thread that is calling the listener of this store.
    pub(crate) fn refuse(self, what: &str) -> Result<()> {
        if !self.is_calling() {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "a listener cannot {what}: it would wait for the thread that calls it; do it on another \
             thread"
        )))
    }
}

/// Calls the listener of a store.
///
/// IMPORTANT: the caller of [`tell`](Self::tell) must hold no lock of the store, because the
/// listener may call the store, and so take any of its locks. The partitions that a reshape has
/// claimed stay claimed.
pub(crate) struct Teller {
    id: TellerId,
    listener: Option<Listener>,
}

impl Teller {
    pub(crate) fn new(listener: Option<Listener>) -> Self {
        static TELLERS: AtomicU64 = AtomicU64::new(0);
        Self { id: TellerId(TELLERS.fetch_add(1, Ordering::Relaxed)), listener }
    }

    pub(crate) const fn id(&self) -> TellerId {
        self.id
    }

    /// Calls the listener. A panic in it is caught, and later events are still delivered.
    pub(crate) fn tell(&self, event: &Event) {
        let Some(listener) = &self.listener else { return };
        on_calling(|calling| calling.push(self.id));
        if catch_unwind(AssertUnwindSafe(|| listener.0(event))).is_err() {
            tracing::error!("the listener panicked");
        }
        on_calling(Vec::pop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::sync::OnceLock;

    /// A past bug: an event that a listener causes is delivered inside the call for another event,
    /// and when the inner call had returned, it was forgotten that the thread was still in the
    /// outer one. A panic ends a call just as a return does.
    #[test]
    fn a_call_inside_a_call_does_not_end_the_outer_one() {
        let (teller, seen) =
            (Arc::new(OnceLock::<Teller>::new()), Arc::new(Mutex::new(Vec::new())));
        let (mine, found) = (Arc::clone(&teller), Arc::clone(&seen));
        let listener = move |event: &Event| {
            let (Some(teller), Event::Phase { reshape, phase }) = (mine.get(), event) else {
                return;
            };
            if *reshape == 1 {
                teller.tell(&Event::Phase { reshape: 2, phase: *phase });
            }
            let refused = teller.id().refuse("do that").is_err();
            let other = Teller::new(None).id().is_calling();
            found.lock().push((*reshape, teller.id().is_calling(), refused, other));
            assert_ne!(*reshape, 2, "listeners panic");
        };
        let teller = teller.get_or_init(|| Teller::new(Some(Listener(Arc::new(listener)))));
        teller.tell(&Event::Phase { reshape: 1, phase: Phase::Prepared });
        assert_eq!(*seen.lock(), [(2, true, true, false), (1, true, true, false)]);
        assert!(!teller.id().is_calling() && teller.id().refuse("do that").is_ok());
    }
}
