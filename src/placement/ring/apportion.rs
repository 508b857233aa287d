//! Apportionment: exact proportional shares of a whole.

/// Divides `total` in proportion to `weights`, to the last unit: each part is its exact quota
/// rounded down or up, and the parts sum to `total`. The largest remainders are rounded up
/// (Hamilton's method), of equal ones the first.
///
/// `total` is at most 2^64 and each weight fits 32 bits, so nothing overflows.
#[expect(clippy::indexing_slicing, reason = "there is a remainder for each part")]
pub(super) fn apportion(total: u128, weights: impl Iterator<Item = u32> + Clone) -> Vec<u128> {
    let sum: u128 = weights.clone().map(u128::from).sum::<u128>().max(1);
    let mut parts = Vec::new();
    let mut remainders = Vec::new();
    for (index, weight) in weights.enumerate() {
        let quota = total * u128::from(weight);
        parts.push(quota / sum);
        remainders.push((std::cmp::Reverse(quota % sum), index));
    }
    let missing = total - parts.iter().sum::<u128>();
    remainders.sort_unstable();
    for (_, index) in remainders.into_iter().take(missing as usize) {
        parts[index] += 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::apportion;

    #[test]
    fn parts_sum_to_the_whole() {
        assert_eq!(apportion(10, [1, 1, 1].into_iter()), [4, 3, 3]);
        assert_eq!(apportion(10, [1, 2, 4].into_iter()), [1, 3, 6]);
        assert_eq!(apportion(1 << 64, [1].into_iter()), [1 << 64]);
        let parts = apportion(1 << 64, [u32::MAX; 7].into_iter());
        assert_eq!(parts.iter().sum::<u128>(), 1 << 64);
        assert!(parts.iter().all(|part| part.abs_diff((1 << 64) / 7) <= 1));
    }
}
