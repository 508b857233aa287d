//! Waits of writes, and what ends them: the deadline of the call, or the close of the store.

use crate::catalog::{Catalog, OpenPartition, PassedGate};
use crate::engine::Engine as _;
use crate::error::{Error, ErrorKind, Result};
use std::fmt::Display;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// How often a writer looks whether a shard has room in memory.
const LOOK: Duration = Duration::from_millis(2);

/// Decides, once, between a write and a caller that gives it up: either nothing of the write is ever in the
/// log, or the caller knows that it may be.
#[derive(Debug, Default)]
pub(crate) struct Claim(AtomicU8);

impl Claim {
    const BEGUN: u8 = 1;
    const GIVEN_UP: u8 = 2;

    /// Begins to write to the log. Returns false if the write was given up.
    fn begin(&self) -> bool {
        self.decide(Self::BEGUN) == Self::BEGUN
    }

    /// Gives the write up. Returns false if it may be in the log.
    pub(crate) fn give_up(&self) -> bool {
        self.decide(Self::GIVEN_UP) == Self::GIVEN_UP
    }

    /// Returns what was decided first.
    fn decide(&self, for_this: u8) -> u8 {
        let decided = self.0.compare_exchange(0, for_this, Ordering::AcqRel, Ordering::Acquire);
        decided.map_or_else(|first| first, |_| for_this)
    }
}

/// Begins to write to the log, unless the caller has given the write up.
///
/// # Errors
///
/// `DeadlineExceeded`.
#[inline]
pub(super) fn begin(claim: Option<&Claim>) -> Result<()> {
    match claim {
        Some(claim) if !claim.begin() => Err(late("others")),
        _ => Ok(()),
    }
}

/// Returns the error of a write that has waited for something until its deadline.
#[cold]
pub(super) fn late(waited_for: impl Display) -> Error {
    Error::new(
        ErrorKind::DeadlineExceeded,
        format!(
            "the deadline has passed while the write waited for {waited_for}; nothing was written"
        ),
    )
}

/// Passes the commit gate.
///
/// # Errors
///
/// `DeadlineExceeded`.
#[inline]
pub(super) fn pass_gate(catalog: &Catalog, deadline: Option<Instant>) -> Result<PassedGate<'_>> {
    catalog.gate.pass(deadline).ok_or_else(|| {
        late("the commit gate, which a snapshot or a transaction has closed until others are done")
    })
}

/// Returns the error of a write that could not own stripes of a partition.
#[cold]
pub(super) fn stripes_are_owned(partition: &OpenPartition) -> Error {
    late(format_args!(
        "others that write the same keys of partition {} on shard {}, or for a reshape of it",
        partition.name.id, partition.owner
    ))
}

/// Waits until the shard of a partition has room in memory. Holds nothing.
///
/// # Errors
///
/// `DeadlineExceeded`; that of the store if it takes no writes any more.
#[cold]
pub(super) fn wait_for_room(
    catalog: &Catalog,
    partition: &OpenPartition,
    deadline: Option<Instant>,
) -> Result<()> {
    while partition.shard.is_stalled() {
        catalog.check_writable()?;
        let now = Instant::now();
        if deadline.is_some_and(|deadline| now >= deadline) {
            return Err(late(format_args!(
                "shard {}, which has more in memory than its disk takes",
                partition.owner
            )));
        }
        let left = deadline.map_or(LOOK, |deadline| deadline.saturating_duration_since(now));
        std::thread::sleep(left.min(LOOK));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_decides_first_decides() {
        let (written, given_up) = (Claim::default(), Claim::default());
        assert!(written.begin() && !written.give_up() && written.begin());
        assert!(given_up.give_up() && !given_up.begin() && given_up.give_up());
        assert!(begin(Some(&written)).is_ok() && begin(None).is_ok());
        let error = begin(Some(&given_up)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    }
}
