//! Sizes of partitions, and shares of them.

use crate::id::PartitionId;
use std::collections::BTreeMap;

/// The bytes of each partition; one that is not listed has none.
pub type Sizes = BTreeMap<PartitionId, u64>;

pub(super) fn bytes_of(sizes: &Sizes, partition: PartitionId) -> u64 {
    sizes.get(&partition).copied().unwrap_or(0)
}

/// Returns `part / whole` of `bytes`, where `part` is at most `whole`, and that at most 2^64.
pub(super) fn share_of(bytes: u64, part: u128, whole: u128) -> u64 {
    assert!(part <= whole && whole > 0, "a share is a part of something");
    // The product has at most 128 bits, the quotient is at most `bytes`.
    (u128::from(bytes) * part / whole) as u64
}
