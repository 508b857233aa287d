//! The table that finds an arc with one load.

use crate::placement::Token;
use crate::{Error, ErrorKind, Result, ShardId};
use std::sync::Arc;

/// Which arc each part of the token space begins in.
///
/// The top `bits` of a token choose a bucket. There are 4 to 8 times as many buckets as arcs, so
/// that nearly all of them have at most one boundary inside, and one comparison with it decides. A
/// bucket is one `u64`:
///
/// | bits | what |
/// |---|---|
/// | the upper `64 - bits` | one less than those of the boundary inside, or all ones without one |
/// | the lower `bits`, but the last | the arc that holds the bucket's first token |
/// | the last one | set if there is more than one boundary inside |
///
/// A boundary shares its top bits with its bucket, so what is kept of it is all there is to compare,
/// and an arc's index always fits into the rest. The comparison adds 0 or 1 to the index,
/// which compiles to no branch: a branch would be mispredicted for about as many tokens as
/// there are buckets with a boundary. Only in a bucket with several boundaries a binary search among
/// them follows.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct BucketTable {
    /// From 2 to 27.
    bits: u32,
    buckets: Arc<[Bucket]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(align(16))]
struct Bucket {
    cut: u64,
    owners: [ShardId; 2],
}

const MANY: u64 = 1;
/// At least 2, so that the index of an arc and a flag fit into as many bits as a bucket's number.
const BUCKETS_PER_ARC_MIN: usize = 4;

impl BucketTable {
    /// `starts` are the boundaries, strictly ascending from 0. O(arcs).
    pub(super) fn new(starts: &[u64], owners: &[ShardId]) -> Self {
        let count = (starts.len() * BUCKETS_PER_ARC_MIN).next_power_of_two();
        let bits = count.trailing_zeros();
        let mask = count as u64 - 1;
        let mut boundaries = starts.iter().copied().skip(1).peekable();
        let mut arc = 0;
        let bucket = |bucket: u64| {
            // A boundary that the bucket begins with is not inside: its arc holds the first token.
            arc += u64::from(boundaries.next_if_eq(&(bucket << (64 - bits))).is_some());
            let (mut inside, mut cut) = (0, !mask);
            while let Some(boundary) = boundaries.next_if(|next| next >> (64 - bits) == bucket) {
                cut = (boundary << bits).wrapping_sub(count as u64);
                inside += 1;
            }
            let first = arc << 1 | if inside > 1 { MANY } else { 0 };
            let owner = |arc: u64| owners.get(arc as usize).copied().unwrap_or_default();
            let owners = [owner(arc), owner(arc + inside)];
            arc += inside;
            Bucket { cut: cut | first, owners }
        };
        Self { bits, buckets: (0..count as u64).map(bucket).collect() }
    }

    /// The index of the last of `starts` that is not greater than `token`.
    #[inline]
    pub(super) fn locate(&self, starts: &[u64], token: u64) -> usize {
        // Turned so, the bucket's bits come last and the bits that follow them come first.
        let turned = token.rotate_left(self.bits);
        let mask = (self.buckets.len() as u64).wrapping_sub(1);
        let index = (turned & mask) as usize;
        let Some(&bucket) = self.buckets.get(index) else {
            return 0;
        };
        if bucket.cut & MANY != 0 {
            return self.search(starts, token, index);
        }
        ((bucket.cut & mask) >> 1) as usize + usize::from(turned & !mask > bucket.cut)
    }

    #[inline]
    pub(super) fn owner(&self, starts: &[u64], owners: &[ShardId], token: u64) -> ShardId {
        let turned = token.rotate_left(self.bits);
        let mask = (self.buckets.len() as u64).wrapping_sub(1);
        let index = (turned & mask) as usize;
        let Some(&bucket) = self.buckets.get(index) else {
            return ShardId(0);
        };
        if bucket.cut & MANY != 0 {
            return owners.get(self.search(starts, token, index)).copied().unwrap_or_default();
        }
        let [low, high] = bucket.owners;
        if turned & !mask > bucket.cut { high } else { low }
    }

    /// A binary search among the arcs of one bucket. Not inlined, to keep the usual way small.
    #[inline(never)]
    fn search(&self, starts: &[u64], token: u64, index: usize) -> usize {
        let mask = (self.buckets.len() as u64).wrapping_sub(1);
        let arc = |index| self.buckets.get(index).map(|bucket| ((bucket.cut & mask) >> 1) as usize);
        let first = arc(index).unwrap_or(0);
        // The next bucket begins in the last arc of this one, or in the one after it.
        let end = arc(index + 1).map_or(starts.len(), |next| (next + 1).min(starts.len()));
        let among = starts.get(first..end).unwrap_or(starts);
        let found = among.partition_point(|&start| start <= token);
        (first + found).saturating_sub(1)
    }

    /// Compares [`locate`](Self::locate) with a plain binary search around every boundary.
    pub(super) fn check(&self, starts: &[u64]) -> Result<()> {
        for (index, &start) in starts.iter().enumerate() {
            let last = starts.get(index + 1).map_or(u64::MAX, |next| next - 1);
            for token in [start, last] {
                let found = self.locate(starts, token);
                if found != index {
                    let token = Token(token);
                    let message =
                        format!("the table puts token {token} of arc {index} in arc {found}");
                    return Err(Error::new(ErrorKind::Internal, message));
                }
            }
        }
        Ok(())
    }
}
