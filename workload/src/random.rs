//! Seeds: the seed of a run determines those of its threads.

/// Applies the finaliser of SplitMix64, a bijection in which each bit of the result depends on all
/// bits of the number. Guy L. Steele, Doug Lea, Christine H. Flood, "Fast Splittable Pseudorandom
/// Number Generators", OOPSLA 2014.
pub(crate) const fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Derives a seed for a part of a seed's purpose.
pub(crate) fn derive(seed: u64, parts: &[u64]) -> u64 {
    parts.iter().fold(mix(seed), |seed, part| mix(seed ^ mix(*part)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn derived_seeds_differ_and_repeat() {
        let all = || (0..50).flat_map(|one| (0..50).map(move |two| derive(7, &[one, two])));
        assert_eq!(all().collect::<BTreeSet<_>>().len(), 2500);
        assert!(all().eq(all()));
        assert!(all().all(|seed| seed != derive(8, &[0, 0])));
    }
}
