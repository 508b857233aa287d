//! Differences between two rings.

use super::{Ring, RingArc};
use crate::id::ShardId;
use crate::placement::TokenRange;
use serde::{Deserialize, Serialize};

/// Tokens that have another owner in a new ring; see [`Ring::diff`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Moved {
    /// The tokens.
    #[serde(rename = "span")]
    pub range: TokenRange,
    /// Their owner in the old ring.
    pub from: ShardId,
    /// Their owner in the new ring.
    pub to: ShardId,
}

impl Ring {
    /// Returns what changes owner from this ring to `new`: in token order, without overlaps,
    /// adjacent ranges with the same two owners joined. Boundaries that move between arcs of one
    /// owner are no difference. One pass over both rings; memory for the answer only.
    ///
    /// ```
    /// use annulus::ShardId;
    /// use annulus::placement::{Member, Ring};
    ///
    /// let one = Ring::builder().shard(Member::new(ShardId(0))).build()?;
    /// let two = one.add_shard(Member::new(ShardId(1)))?;
    /// let moved = one.diff(&two);
    /// assert_eq!(moved.iter().map(|moved| moved.range.width()).sum::<u128>(), 1 << 63);
    /// assert!(moved.iter().all(|moved| moved.to == ShardId(1)));
    /// # Ok::<(), annulus::Error>(())
    /// ```
    #[must_use]
    pub fn diff(&self, new: &Self) -> Vec<Moved> {
        let mut moved: Vec<Moved> = Vec::new();
        let (mut old_arcs, mut new_arcs) = (self.arcs(), new.arcs());
        let (mut old_arc, mut new_arc) = (old_arcs.next(), new_arcs.next());
        while let (Some(old), Some(new)) = (old_arc, new_arc) {
            if old.owner != new.owner {
                push(&mut moved, overlap(old, new));
            }
            let (old_end, new_end) = (old.range.end_u128(), new.range.end_u128());
            if old_end <= new_end {
                old_arc = old_arcs.next();
            }
            if new_end <= old_end {
                new_arc = new_arcs.next();
            }
        }
        moved
    }
}

fn overlap(old: RingArc, new: RingArc) -> Moved {
    let start = old.range.start.max(new.range.start);
    let end =
        if old.range.end_u128() < new.range.end_u128() { old.range.end } else { new.range.end };
    Moved { range: TokenRange::new(start, end), from: old.owner, to: new.owner }
}

fn push(moved: &mut Vec<Moved>, next: Moved) {
    match moved.last_mut() {
        Some(last)
            if (last.from, last.to) == (next.from, next.to)
                && last.range.end == Some(next.range.start) =>
        {
            last.range.end = next.range.end;
        }
        _ => moved.push(next),
    }
}
