//! The table that finds an arc or its owner with one load.

use crate::error::{Error, ErrorKind, Result};
use crate::id::ShardId;
use crate::placement::Token;
use std::hint::select_unpredictable;
use std::sync::Arc;

/// The arc, and the shard, that each part of the token space begins with.
///
/// The top `bits` of a token choose a [`Bucket`]. There are 2 to 4 times as many as arcs, or 8 to
/// 16 times for a small ring, so that most have at most one boundary inside, and one comparison
/// with it decides. In a large ring, more buckets would need fewer searches but fall out of the
/// processor's nearer caches, which costs more.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct BucketTable {
    /// From 1 to 26.
    bits: u32,
    buckets: Arc<[Bucket]>,
}

/// What is known about a part of the token space, in a quarter of a cache line.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(align(16))]
struct Bucket {
    /// | bits | what |
    /// |---|---|
    /// | the upper `64 - bits` | one less than those of the boundary inside, or all ones without one |
    /// | the lower `bits`, but the last | the arc that holds the bucket's first token |
    /// | the last one | set if there is more than one boundary inside |
    ///
    /// A boundary shares its top bits with its bucket, so what is kept of it is all there is to
    /// compare; an arc's index always fits into the rest.
    cut: u64,
    /// The shards before and after the boundary inside.
    owners: [ShardId; 2],
}

const MANY: u64 = 1;
/// At least 2, so that the index of an arc and a flag fit into as many bits as a bucket's number.
const BUCKETS_PER_ARC: usize = 2;
const BUCKETS_PER_ARC_SMALL: usize = 8;
/// A table of this size, 16 KB, leaves half of a processor's nearest cache to others.
const BUCKETS_SMALL: usize = 1024;

/// What a bucket says about a token.
enum Found<'t> {
    /// The token lies after the boundary inside, or before it or without one.
    Here { bucket: &'t Bucket, after: bool },
    /// There are several boundaries in the bucket of this index.
    Many(usize),
}

impl BucketTable {
    /// Returns the table for `starts`, the boundaries, which ascend strictly from 0, and `owners`,
    /// the shards after them. O(arcs).
    #[expect(clippy::indexing_slicing, reason = "there is an owner for each start")]
    pub(super) fn new(starts: &[u64], owners: &[ShardId]) -> Self {
        let count = bucket_count(starts.len());
        let bits = count.trailing_zeros();
        let mask = count as u64 - 1;
        let mut boundaries = starts.iter().copied().skip(1).peekable();
        let mut arc = 0;
        let owner = |arc: u64| owners[arc as usize];
        let bucket = |bucket: u64| {
            // A boundary that the bucket begins with is not inside: its arc holds the first token.
            arc += u64::from(boundaries.next_if_eq(&(bucket << (64 - bits))).is_some());
            let (mut inside, mut cut) = (0, !mask);
            while let Some(boundary) = boundaries.next_if(|next| next >> (64 - bits) == bucket) {
                cut = (boundary << bits).wrapping_sub(count as u64);
                inside += 1;
            }
            let first = arc << 1 | if inside > 1 { MANY } else { 0 };
            let owners = [owner(arc), owner(arc + inside)];
            arc += inside;
            Bucket { cut: cut | first, owners }
        };
        Self { bits, buckets: (0..count as u64).map(bucket).collect() }
    }

    /// Returns the index of the last of `starts` that is not greater than `token`.
    #[inline]
    pub(super) fn arc(&self, starts: &Arc<[u64]>, token: u64) -> usize {
        match self.find(token) {
            // Adding the comparison's result compiles to no branch. A branch would be mispredicted
            // for about as many tokens as there are buckets with a boundary.
            Found::Here { bucket, after } => self.first_arc(bucket) + usize::from(after),
            Found::Many(index) => self.search(starts, token, index),
        }
    }

    /// Returns the owner of [`arc`](Self::arc), without another load.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "there is an owner for each start")]
    pub(super) fn owner(
        &self,
        starts: &Arc<[u64]>,
        owners: &Arc<[ShardId]>,
        token: u64,
    ) -> ShardId {
        match self.find(token) {
            // There is no branch here, either.
            Found::Here { bucket, after } => {
                let [before_cut, after_cut] = bucket.owners;
                select_unpredictable(after, after_cut, before_cut)
            }
            Found::Many(index) => owners[self.search(starts, token, index)],
        }
    }

    #[inline]
    fn find(&self, token: u64) -> Found<'_> {
        // Turned so, the bucket's bits come last and the bits that follow them come first.
        let turned = token.rotate_left(self.bits);
        let index = (turned & self.mask()) as usize;
        match self.buckets.get(index) {
            Some(bucket) if bucket.cut & MANY == 0 => {
                let after = turned & !self.mask() > bucket.cut;
                Found::Here { bucket, after }
            }
            _ => Found::Many(index),
        }
    }

    #[inline]
    fn mask(&self) -> u64 {
        (self.buckets.len() as u64).wrapping_sub(1)
    }

    #[inline]
    fn first_arc(&self, bucket: &Bucket) -> usize {
        ((bucket.cut & self.mask()) >> 1) as usize
    }

    /// Searches the arcs of one bucket by binary search. Not inlined, and passed a pointer to the
    /// starts that only it follows, to keep the usual path small.
    #[inline(never)]
    #[expect(clippy::indexing_slicing, reason = "a bucket is found by its index, and names arcs")]
    fn search(&self, starts: &Arc<[u64]>, token: u64, index: usize) -> usize {
        let first = self.first_arc(&self.buckets[index]);
        // The next bucket begins in the last arc of this one, or in the one after it.
        let next = self.buckets.get(index + 1).map(|bucket| self.first_arc(bucket));
        let end = next.map_or(starts.len(), |next| (next + 1).min(starts.len()));
        let found = starts[first..end].partition_point(|&start| start <= token);
        // The first of them begins at the token or before it.
        first + found - 1
    }

    /// Compares [`arc`](Self::arc) and [`owner`](Self::owner) with what they should return, at the
    /// first and last token of every arc.
    pub(super) fn check(&self, starts: &Arc<[u64]>, owners: &Arc<[ShardId]>) -> Result<()> {
        for (arc, (&start, &owner)) in starts.iter().zip(owners.iter()).enumerate() {
            let last = starts.get(arc + 1).map_or(u64::MAX, |next| next - 1);
            for token in [start, last] {
                let found = (self.arc(starts, token), self.owner(starts, owners, token));
                if found != (arc, owner) {
                    let (token, (found, shard)) = (Token(token), found);
                    return Err(Error::new(
                        ErrorKind::Internal,
                        format!(
                            "token {token} of arc {arc} is looked for in arc {found} on shard {shard}"
                        ),
                    ));
                }
            }
        }
        Ok(())
    }
}

fn bucket_count(arcs: usize) -> usize {
    let large = (arcs * BUCKETS_PER_ARC).next_power_of_two();
    let small = (arcs * BUCKETS_PER_ARC_SMALL).next_power_of_two();
    small.clamp(large, large.max(BUCKETS_SMALL))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_bucket_is_a_quarter_of_a_cache_line() {
        assert_eq!(size_of::<Bucket>(), 16);
    }

    /// Boundaries around the edges of buckets, alone and several in one.
    #[test]
    fn agrees_with_a_binary_search() {
        let edges = [1_u64 << 60, 1 << 61, (1 << 61) + (1 << 60), 1 << 62, 1 << 63, u64::MAX];
        let around = edges.iter().flat_map(|&edge| [edge - 1, edge, edge.saturating_add(1)]);
        let many = (0..100).map(|step| 5 << 59 | step);
        let mut all: Vec<u64> = around.chain(many).chain([0, 1, 2]).collect();
        all.sort_unstable();
        all.dedup();
        for keep in 1..all.len() {
            let starts: Arc<[u64]> = all.iter().copied().step_by(keep).collect();
            let owners: Arc<[ShardId]> = (0..starts.len() as u32).map(ShardId).collect();
            let table = BucketTable::new(&starts, &owners);
            table.check(&starts, &owners).unwrap();
            for &token in &all {
                let arc = starts.partition_point(|&start| start <= token) - 1;
                assert_eq!(table.arc(&starts, token), arc);
            }
        }
    }
}
