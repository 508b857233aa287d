//! The table that finds an arc with one load.

use crate::placement::Token;
use crate::{Error, ErrorKind, Result};
use std::sync::Arc;

/// Which arc each part of the token space begins in.
///
/// The top bits of a token choose a bucket. There are 4 to 8 times as many buckets as arcs, so that
/// nearly all of them have at most one boundary inside, and one comparison with it decides. A
/// bucket is one `u64`:
///
/// | bits | what |
/// |---|---|
/// | 63–32 | the boundary inside, as the 32 bits of its token that follow the bucket's bits |
/// | 31 | set if there is more than one boundary inside |
/// | 30–0 | the index of the arc that holds the bucket's first token |
///
/// The comparison adds 0 or 1 to the index, which compiles to no branch: a branch here would be
/// mispredicted for as many tokens as there are buckets with a boundary. A tie of the 32 bits says
/// nothing, and happens once in 2^32 tokens; then, and in a bucket of many boundaries, a
/// binary search among the bucket's arcs decides.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct BucketTable {
    /// How many top bits of a token choose its bucket: from 1 to 27.
    bits: u32,
    buckets: Arc<[u64]>,
}

const MANY: u64 = 1 << 31;
const ARC: u64 = MANY - 1;
/// Where the boundary would be in a bucket without one: no 32 bits are greater.
const NO_CUT: u64 = 0xffff_ffff;
const BUCKETS_PER_ARC_MIN: usize = 4;

impl BucketTable {
    /// `starts` are the boundaries, strictly ascending from 0. O(arcs).
    pub(super) fn new(starts: &[u64]) -> Self {
        let count = (starts.len() * BUCKETS_PER_ARC_MIN).next_power_of_two();
        let bits = count.trailing_zeros();
        let mut buckets = Vec::with_capacity(count);
        let mut boundaries = starts.iter().copied().skip(1).peekable();
        let mut arc = 0;
        for bucket in 0..count as u64 {
            // `arc` counts the boundaries of earlier buckets, and here the one that this bucket
            // begins with.
            let first = bucket << (64 - bits);
            arc += u64::from(boundaries.next_if_eq(&first).is_some());
            let mut inside = 0;
            let mut cut = NO_CUT;
            while let Some(boundary) = boundaries.next_if(|next| next >> (64 - bits) == bucket) {
                inside += 1;
                cut = fraction(boundary.rotate_left(bits));
            }
            let many = if inside > 1 { MANY } else { 0 };
            buckets.push(cut << 32 | many | arc);
            arc += inside;
        }
        Self { bits, buckets: buckets.into() }
    }

    /// The index of the last of `starts` that is not greater than `token`.
    #[inline]
    pub(super) fn locate(&self, starts: &[u64], token: u64) -> usize {
        // Turned so, the bucket's bits come last and the bits that follow them come first.
        let turned = token.rotate_left(self.bits);
        let index = turned as usize & self.buckets.len().wrapping_sub(1);
        let bucket = self.buckets.get(index).copied().unwrap_or(MANY);
        let cut = bucket >> 32;
        if bucket & MANY != 0 || fraction(turned) == cut {
            return self.search(starts, token, index);
        }
        (bucket & ARC) as usize + usize::from(fraction(turned) > cut)
    }

    /// A binary search among the arcs of one bucket. Not inlined, to keep the usual way small.
    #[inline(never)]
    fn search(&self, starts: &[u64], token: u64, index: usize) -> usize {
        let arc = |index| self.buckets.get(index).map(|bucket| (bucket & ARC) as usize);
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

/// The 32 bits that follow the bucket's bits.
#[inline]
fn fraction(turned: u64) -> u64 {
    turned >> 32
}
